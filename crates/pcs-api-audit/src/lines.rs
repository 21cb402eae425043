//! A call as one line.

use pcs_api::audit::chain::Item;

use crate::{plain, text::column};

/// Time, decision, status, caller, operation, Region, what it is about, event id; `-` for what is not known.
pub fn call(row: &Item) -> String {
    let text = |name: &str| plain::text(row, name).map(column);
    let status = row.get("httpStatus").and_then(|status| status.as_n().ok());
    // A read has no closing row unless it failed, and none either if its function died.
    let status = match (status, plain::text(row, "stage")) {
        (Some(status), _) => column(status),
        (None, Some("READ")) => "read".to_owned(),
        (None, Some("RECEIVED")) => "open".to_owned(),
        (None, _) => "-".to_owned(),
    };
    let caller = plain::inner(row, "userIdentity", "arn").map(column);
    let columns = [
        text("eventTime"),
        Some(format!(
            "{:<7}",
            text("decision").unwrap_or_else(|| "-".to_owned())
        )),
        Some(format!("{status:<4}")),
        caller,
        text("eventName"),
        text("awsRegion"),
        about(row),
        text("eventId"),
    ];
    columns
        .map(|column| column.unwrap_or_else(|| "-".to_owned()))
        .join(" ")
}

/// `demo-cluster/compute`, or the ARN where no name was given.
fn about(row: &Item) -> Option<String> {
    let names = row.get("resources").and_then(|names| names.as_l().ok());
    let names: Vec<String> = names
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_s().ok().map(|name| column(name)))
        .collect();
    if names.is_empty() {
        plain::text(row, "resourceArn").map(column)
    } else {
        Some(names.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    fn row() -> Item {
        Item::from([
            ("eventTime".to_owned(), text("2026-11-21T13:00:00.000Z")),
            ("decision".to_owned(), text("DENY")),
            ("httpStatus".to_owned(), AttributeValue::N("403".to_owned())),
            ("eventName".to_owned(), text("CreateCluster")),
            ("awsRegion".to_owned(), text("us-east-1")),
            (
                "resources".to_owned(),
                AttributeValue::L(vec![text("demo"), text("q u")]),
            ),
            ("eventId".to_owned(), text("01K9")),
            (
                "userIdentity".to_owned(),
                AttributeValue::M(Item::from([(
                    "arn".to_owned(),
                    text("arn:aws:sts::1:assumed-role/R/a\n2026 ALLOW"),
                )])),
            ),
        ])
    }

    #[test]
    fn a_call_is_one_line_whatever_its_session_is_called() {
        assert_eq!(
            call(&row()),
            "2026-11-21T13:00:00.000Z DENY    403  arn:aws:sts::1:assumed-role/R/a\\u{a}2026\\u{20}ALLOW \
             CreateCluster us-east-1 demo/q\\u{20}u 01K9"
        );
        assert_eq!(call(&Item::new()), "- -       -    - - - - -");
    }
}
