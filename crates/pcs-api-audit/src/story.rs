//! A call's rows as a story: what was asked by whom, what was decided and why, how it ended, and what was done for it.

use pcs_api::audit::{chain::Item, event};
use serde_json::{Map, Value};

use crate::text::{column, printable};

type Row = Map<String, Value>;

/// Rows of one call in the order of their stages, as lines. None of them is one that a value made.
pub fn lines(rows: &[Item]) -> Vec<String> {
    let rows: Vec<Row> = rows.iter().map(event::row).collect();
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Vec::new();
    };
    let mut lines = vec![title(first)];
    lines.extend(asked(first));
    lines.extend(decided(last));
    lines.extend(ended(last));
    lines.push(String::new());
    lines.push("on record, in its order".to_owned());
    for (row, number) in rows.iter().zip(1..) {
        lines.push(stage(number, row));
        if row.contains_key("step") {
            lines.extend(violations(row).map(|told| format!("      violated {told}")));
        }
    }
    let calls = items(last, "downstream");
    if !calls.is_empty() {
        lines.push(String::new());
        lines.push("calls to AWS".to_owned());
        lines.extend(calls.iter().zip(1..).map(|(call, number)| called(number, call)));
    }
    lines
}

fn title(row: &Row) -> String {
    let names: Vec<String> = items(row, "resources")
        .iter()
        .filter_map(Value::as_str)
        .map(column)
        .collect();
    let about = if names.is_empty() {
        String::new()
    } else {
        format!(": {}", names.join("/"))
    };
    let word = |name: &str| text(row, name).map_or_else(|| "-".to_owned(), |text| column(&text));
    let dry = if row.get("dryRun") == Some(&Value::Bool(true)) {
        ", a dry run"
    } else {
        ""
    };
    format!(
        "{} {} in {}{dry}{about}",
        word("eventTime"),
        word("eventName"),
        word("awsRegion")
    )
}

fn asked(row: &Row) -> impl Iterator<Item = String> {
    let identity = row.get("userIdentity").and_then(Value::as_object);
    let caller = identity.map(|identity| {
        let id = text(identity, "principalId").map_or_else(String::new, |id| format!(" ({id})"));
        let key = text(identity, "accessKeyId").map_or_else(String::new, |key| format!(", key {key}"));
        format!("{}{id}{key}", text(identity, "arn").unwrap_or_default())
    });
    let from = text(row, "sourceIPAddress").map(|address| match text(row, "userAgent") {
        Some(agent) => format!("{address}, with {agent}"),
        None => address,
    });
    let path = text(row, "resourcePath").unwrap_or_default();
    let request = text(row, "httpMethod").map(|method| match text(row, "requestID") {
        Some(id) => format!("{method} {path}, request id {id}"),
        None => format!("{method} {path}"),
    });
    [
        line("event", text(row, "eventId")),
        line(
            "caller",
            caller.or_else(|| Some("was not established".to_owned())),
        ),
        line("from", from),
        line("request", request),
        line("asked", row.get("requestParameters").map(ToString::to_string)),
    ]
    .into_iter()
    .flatten()
}

fn decided(row: &Row) -> impl Iterator<Item = String> {
    let decision = text(row, "decision").unwrap_or_else(|| "none is on record".to_owned());
    let inspected = row.get("inspected").and_then(Value::as_object).map(|seen| {
        let or_none = |name: &str| text(seen, name).unwrap_or_else(|| "none".to_owned());
        format!(
            "role {} ({}) of profile {}, boundary {}",
            or_none("roleArn"),
            or_none("roleId"),
            or_none("instanceProfileArn"),
            or_none("permissionsBoundaryArn")
        )
    });
    // Which rules passed follows from the guardrails that the hash names; the record has what they looked at.
    let looked_at = if decision == "ALLOW" {
        "passed"
    } else {
        "inspected"
    };
    [line("decision", Some(decision))]
        .into_iter()
        .flatten()
        .chain(violations(row).filter_map(|told| line("violated", Some(told))))
        .chain(line(looked_at, inspected))
}

fn violations(row: &Row) -> impl Iterator<Item = String> {
    items(row, "violations")
        .iter()
        .filter_map(Value::as_object)
        .map(|violation| {
            let of = |name: &str| printable(&text(violation, name).unwrap_or_default());
            format!("{} by {}: {}", of("rule"), of("subject"), of("message"))
        })
}

fn ended(row: &Row) -> impl Iterator<Item = String> {
    let outcome = match (row.get("httpStatus"), text(row, "stage").as_deref()) {
        (Some(status), _) => {
            let took = row
                .get("durationMilliseconds")
                .map_or_else(String::new, |took| format!(" after {took} ms"));
            let code = text(row, "errorCode").map_or_else(String::new, |code| format!(" {code}"));
            let message =
                text(row, "errorMessage").map_or_else(String::new, |message| format!(": {message}"));
            format!("{status}{code}{took}{message}")
        }
        (None, Some("READ")) => {
            "a read, answered unless its function ended before; it leaves a second row only if it fails"
                .to_owned()
        }
        (None, Some("RECEIVED" | "STEP")) => "the call is under way, or its end was not recorded".to_owned(),
        (None, _) => {
            let code = text(row, "errorCode").unwrap_or_else(|| "not on record".to_owned());
            text(row, "errorMessage").map_or_else(|| code.clone(), |message| format!("{code}: {message}"))
        }
    };
    let answer = row.get("responseElements").map(ToString::to_string);
    [
        line("outcome", Some(outcome)),
        line("made", text(row, "resourceArn")),
        line("answer", answer),
    ]
    .into_iter()
    .flatten()
}

fn stage(number: usize, row: &Row) -> String {
    let stage = text(row, "stage").unwrap_or_default();
    let said = match (stage.as_str(), text(row, "step")) {
        (_, Some(step)) => step,
        ("READ", None) => "before PCS was asked".to_owned(),
        ("RECEIVED", None) => "before anything happened".to_owned(),
        ("PANIC", None) => "after a panic".to_owned(),
        (_, None) => {
            let status = row
                .get("httpStatus")
                .map_or_else(String::new, |status| format!(", {status}"));
            format!("{}{status}", text(row, "decision").unwrap_or_default())
        }
    };
    format!("  {number:>2}  {:<9} {}", printable(&stage), printable(&said))
}

fn called(number: usize, call: &Value) -> String {
    let of = |name: &str| call.get(name).and_then(Value::as_str).map(printable);
    let action = format!(
        "{}:{}",
        of("service").unwrap_or_default(),
        of("action").unwrap_or_default()
    );
    let ended = of("errorCode").unwrap_or_else(|| "ok".to_owned());
    let id = of("requestId").map_or_else(String::new, |id| format!(" request id {id}"));
    format!("  {number:>2}  {action:<32} {ended}{id}")
}

fn line(name: &str, value: Option<String>) -> Option<String> {
    value.map(|value| format!("  {name:<10}{}", printable(&value)))
}

fn text(row: &Row, name: &str) -> Option<String> {
    row.get(name)?.as_str().map(str::to_owned)
}

fn items<'a>(row: &'a Row, name: &str) -> &'a [Value] {
    row.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    fn map<const N: usize>(fields: [(&str, AttributeValue); N]) -> Item {
        fields.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// A denied call, as it is on record; what its caller chose tries to be lines of its own.
    fn denied() -> Item {
        map([
            ("eventTime", text("2026-11-21T13:00:00.000Z")),
            ("eventId", text("01K9")),
            ("eventName", text("CreateComputeNodeGroup")),
            ("awsRegion", text("us-east-1")),
            ("stage", text("COMPLETE")),
            ("decision", text("DENY")),
            ("httpStatus", AttributeValue::N("403".to_owned())),
            ("durationMilliseconds", AttributeValue::N("6".to_owned())),
            ("errorCode", text("GuardrailDenied")),
            ("errorMessage", text("the guardrails refuse this request")),
            (
                "resources",
                AttributeValue::L(vec![text("demo"), text("q\n  decision  ALLOW")]),
            ),
            ("requestParameters", text(r#"{"clusterIdentifier":"demo"}"#)),
            (
                "violations",
                AttributeValue::L(vec![AttributeValue::M(map([
                    ("rule", text("role-name")),
                    ("subject", text("arn:x\n  decision  ALLOW")),
                    ("message", text("it is called otherwise")),
                ]))]),
            ),
            (
                "downstream",
                AttributeValue::L(vec![AttributeValue::M(map([
                    ("service", text("iam")),
                    ("action", text("GetRole")),
                    ("errorCode", text("NoSuchEntity")),
                ]))]),
            ),
            (
                "userIdentity",
                AttributeValue::M(map([(
                    "arn",
                    text("arn:aws:sts::1:assumed-role/R/a\n  decision  ALLOW"),
                )])),
            ),
        ])
    }

    #[test]
    fn a_denied_call_is_told_with_its_reasons() {
        let told = lines(&[denied()]);
        for expected in [
            "  decision  DENY",
            "  violated  role-name by arn:x\\u{a}  decision  ALLOW: it is called otherwise",
            "  outcome   403 GuardrailDenied after 6 ms: the guardrails refuse this request",
            "  asked     {\"clusterIdentifier\":\"demo\"}",
            "   1  COMPLETE  DENY, 403",
            "   1  iam:GetRole                      NoSuchEntity",
        ] {
            assert!(told.contains(&expected.to_owned()), "{expected}: {told:#?}");
        }
        assert!(told.len() < 20, "{told:#?}");
    }

    #[test]
    fn a_story_has_no_line_that_a_value_made() {
        let told = lines(&[denied()]);
        assert!(told.iter().all(|line| !line.contains('\n')));
        assert_eq!(
            told.iter()
                .filter(|line| line.contains("decision  ALLOW") && line.starts_with("  decision"))
                .count(),
            0
        );
    }

    #[test]
    fn a_call_without_an_end_says_so() {
        let received = map([
            ("eventTime", text("2026-11-21T13:00:00.000Z")),
            ("stage", text("RECEIVED")),
        ]);
        let told = lines(&[received]).join("\n");
        assert!(told.contains("under way, or its end was not recorded"), "{told}");
        assert!(lines(&[]).is_empty());
    }
}
