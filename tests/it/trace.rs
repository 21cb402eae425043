//! What one call leaves behind: its answer, its audit rows, and what the emulators were asked for it. A refusal is
//! checked in all three places at once, so that no test can forget one.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::world::{Answer, AuditRow, World};

/// Longer texts are cut in the record (CloudTrail's limit).
const TEXT_BYTES_MAX: usize = 1024;

pub struct Trace {
    pub answer: Answer,
    /// The rows that appeared, in the order of their stages.
    pub rows: Vec<AuditRow>,
    /// Action and whether it failed, in the order of arrival.
    pub pcs: Vec<(String, bool)>,
    pub iam: Vec<(String, bool)>,
}

pub async fn traced(world: &World, request: &Value) -> Trace {
    traced_within(world, request, Duration::from_secs(28)).await
}

/// Calls the function with this much time left. Nothing else may call meanwhile.
pub async fn traced_within(world: &World, request: &Value, left: Duration) -> Trace {
    let before: BTreeSet<String> = keys(&world.rows().await).collect();
    let stack = &world.stack;
    stack.pcs_emulator.clear_calls();
    stack.iam_emulator.clear_calls();
    let answer = world.send_within(request, left).await;
    let rows = world.rows().await;
    let is_new: Vec<bool> = keys(&rows).map(|key| !before.contains(&key)).collect();
    let rows = rows
        .into_iter()
        .zip(is_new)
        .filter_map(|(row, new)| new.then_some(row));
    let failed = |status: Option<http::StatusCode>| status.is_none_or(|status| !status.is_success());
    let pcs = stack.pcs_emulator.calls().into_iter();
    let iam = stack.iam_emulator.calls().into_iter();
    Trace {
        answer,
        rows: rows.collect(),
        pcs: pcs.map(|call| (call.action, failed(call.status))).collect(),
        iam: iam.map(|call| (call.action, failed(call.status))).collect(),
    }
}

fn keys(rows: &[AuditRow]) -> impl Iterator<Item = String> {
    rows.iter().map(|row| format!("{} {}", row["pk"], row["sk"]))
}

/// Rules in the answer's violations, in its order.
pub fn rules(answer: &Answer) -> Vec<&str> {
    let violations = answer.body["violations"].as_array();
    let violations = violations.map_or(&[][..], Vec::as_slice);
    violations
        .iter()
        .map(|violation| violation["rule"].as_str().unwrap())
        .collect()
}

impl Trace {
    pub fn stages(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row["sk"].as_str().unwrap()).collect()
    }

    pub fn refused_by(&self) -> Vec<&str> {
        rules(&self.answer)
    }

    pub fn passed_rules(&self) -> Vec<&str> {
        let passed = self.answer.body["passedRules"].as_array();
        let passed = passed.map_or(&[][..], Vec::as_slice);
        passed.iter().map(|rule| rule.as_str().unwrap()).collect()
    }

    /// Nothing that a call of another name than Get.. or List.. could have changed.
    #[track_caller]
    pub fn assert_nothing_changed(&self) {
        let is_read = |action: &str| action.starts_with("Get") || action.starts_with("List");
        let mutations: Vec<_> = [&self.pcs, &self.iam]
            .into_iter()
            .flatten()
            .filter(|(action, _)| !is_read(action))
            .collect();
        assert!(mutations.is_empty(), "{mutations:?}");
    }

    /// 403 with exactly these rules in this order; nothing changed; exactly the rows that a denial leaves, which say
    /// what the answer says.
    #[track_caller]
    pub fn assert_denied(&self, rules: &[&str]) {
        let answer = &self.answer;
        let class = (answer.status, &answer.body["code"]);
        assert_eq!(class, (403, &json!("GuardrailDenied")), "{answer:?}");
        assert_eq!(self.refused_by(), rules, "{answer:?}");
        self.assert_nothing_changed();
        let complete = self.assert_ended("DENY");
        let told: Vec<Value> = answer.body["violations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|violation| {
                json!({
                    "rule": violation["rule"],
                    "subject": cut(&violation["subject"]),
                    "message": cut(&violation["message"]),
                })
            })
            .collect();
        assert_eq!(complete["violations"], Value::from(told));
    }

    /// 503 or 504, or 403 that names the permission; nothing changed; and on record as never decided.
    #[track_caller]
    pub fn assert_undecided(&self) {
        let answer = &self.answer;
        match answer.status {
            503 => {
                assert_eq!(answer.body["code"], "ServiceUnavailableException", "{answer:?}");
                assert!(answer.headers["retry-after"].parse::<u32>().unwrap() >= 1);
            }
            504 => assert_eq!(answer.body["code"], "GatewayTimeoutException", "{answer:?}"),
            403 => {
                assert_eq!(answer.body["code"], "UpstreamAccessDenied", "{answer:?}");
                assert!(!answer.headers.contains_key("retry-after"), "{answer:?}");
                assert!(
                    answer.body["message"].as_str().unwrap().contains(" lacks iam:"),
                    "{answer:?}"
                );
            }
            other => panic!("{other}: {answer:?}"),
        }
        assert_eq!(
            (answer.body.get("violations"), answer.body.get("passedRules")),
            (None, None)
        );
        self.assert_nothing_changed();
        let complete = self.assert_ended("ERROR");
        assert_eq!(complete.get("violations"), None);
    }

    /// The rows of a mutation that ended with this error and decision; returns the closing one.
    #[track_caller]
    fn assert_ended(&self, decision: &str) -> &AuditRow {
        // What was refused before anything was read has no opening row.
        let expected: &[&str] = match (self.pcs.as_slice(), self.iam.as_slice()) {
            ([], []) => &["9#COMPLETE"],
            _ => &["0#RECEIVED", "9#COMPLETE"],
        };
        assert_eq!(self.stages(), expected);
        let complete = self.rows.last().unwrap();
        for row in &self.rows {
            assert_eq!(row["pk"], complete["pk"]);
            assert_eq!(row["readOnly"], false);
        }
        if let [received, _] = self.rows.as_slice() {
            for told in ["decision", "httpStatus", "errorCode", "violations"] {
                assert_eq!(received.get(told), None, "the opening row knows no {told}");
            }
        }
        let body = &self.answer.body;
        let found = (&complete["decision"], &complete["httpStatus"]);
        assert_eq!(found, (&json!(decision), &json!(self.answer.status)));
        let found = (&complete["errorCode"], &complete["errorMessage"]);
        assert_eq!(found, (&body["code"], &cut(&body["message"])));
        assert_eq!(complete["requestID"], body["requestId"]);
        complete
    }

    /// The closing row names every call that PCS and IAM received, once for each attempt that was answered for good.
    #[track_caller]
    pub fn assert_downstream_is_complete(&self) {
        let complete = self.rows.last().unwrap();
        let calls = complete["downstream"].as_array().map_or(&[][..], Vec::as_slice);
        let mut recorded: Vec<(String, bool)> = calls
            .iter()
            .map(|call| {
                let action = call["action"].as_str().unwrap().to_owned();
                (action, call.get("errorCode").is_some())
            })
            .collect();
        let mut received = [self.pcs.clone(), self.iam.clone()].concat();
        recorded.sort();
        received.sort();
        assert_eq!(recorded, received);
    }
}

fn cut(text: &Value) -> Value {
    let mut kept = String::new();
    for character in text.as_str().unwrap().chars() {
        if kept.len() + character.len_utf8() > TEXT_BYTES_MAX {
            break;
        }
        kept.push(character);
    }
    Value::String(kept)
}
