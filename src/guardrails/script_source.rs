//! Scripts that PCS runs: with the node's role on every node (lifecycle actions), and in the cluster's controller (job
//! submit plugins). Where they come from is a guardrail too. The gateway never fetches a location; it only asks that
//! what is fetched cannot be swapped unseen.

use serde_json::{Map, Value};

use super::{Check, s3_location::is_in_s3};
use crate::error::Violation;

/// How strict the deployment is with scripts (`PCS_API_LIFECYCLE_SCRIPTS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleScripts {
    /// Any location that PCS takes.
    Any,
    /// A location outside S3 must come with a checksum: its content is nobody's in the account.
    ChecksumOutsideS3,
    /// Every script must come with a checksum.
    Checksum,
}

impl LifecycleScripts {
    pub fn parse(text: &str) -> Option<LifecycleScripts> {
        match text {
            "ANY" => Some(LifecycleScripts::Any),
            "CHECKSUM_OUTSIDE_S3" => Some(LifecycleScripts::ChecksumOutsideS3),
            "CHECKSUM" => Some(LifecycleScripts::Checksum),
            _ => None,
        }
    }

    /// The value that `parse` reads.
    pub fn name(self) -> &'static str {
        match self {
            LifecycleScripts::Any => "ANY",
            LifecycleScripts::ChecksumOutsideS3 => "CHECKSUM_OUTSIDE_S3",
            LifecycleScripts::Checksum => "CHECKSUM",
        }
    }

    fn wants_checksum(self, location: &str, partition: &str) -> bool {
        match self {
            LifecycleScripts::Any => false,
            LifecycleScripts::ChecksumOutsideS3 => !is_in_s3(location, partition),
            LifecycleScripts::Checksum => true,
        }
    }
}

/// The rule, if the request has scripts at all.
pub fn check(strictness: LifecycleScripts, partition: &str, input: &Map<String, Value>) -> Option<Check> {
    let mut scripts = Vec::new();
    find(input, &mut scripts);
    let refused = scripts
        .iter()
        .filter_map(|script| violation(strictness, partition, script));
    let check = Check::new("script-source", refused);
    (!scripts.is_empty()).then_some(check)
}

/// Every object with a `scriptSource`, at any depth: that is how PCS's model describes a script wherever it is one, so
/// a member that PCS adds is covered before anybody knows it. The depth is the contract's: the input fits its schemas.
fn find<'v>(object: &'v Map<String, Value>, scripts: &mut Vec<&'v Map<String, Value>>) {
    if object.get("scriptSource").is_some_and(Value::is_object) {
        scripts.push(object);
    }
    for value in object.values() {
        find_in(value, scripts);
    }
}

fn find_in<'v>(value: &'v Value, scripts: &mut Vec<&'v Map<String, Value>>) {
    match value {
        Value::Object(object) => find(object, scripts),
        Value::Array(list) => list.iter().for_each(|item| find_in(item, scripts)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn violation(
    strictness: LifecycleScripts,
    partition: &str,
    script: &Map<String, Value>,
) -> Option<Violation> {
    let source = script.get("scriptSource");
    let text = |name| source.and_then(|source| source.get(name)).and_then(Value::as_str);
    let location = text("scriptLocation").unwrap_or_default();
    if !strictness.wants_checksum(location, partition) || text("checksum").is_some() {
        return None;
    }
    let name = script.get("name").and_then(Value::as_str).unwrap_or_default();
    Some(Violation {
        rule: "script-source",
        // What follows the path may be a signature that grants access.
        subject: location.split(['?', '#']).next().unwrap_or_default().to_owned(),
        message: match strictness {
            LifecycleScripts::Any | LifecycleScripts::Checksum => {
                format!("the script `{name}` must have a checksum, the SHA-256 of its content")
            }
            LifecycleScripts::ChecksumOutsideS3 => format!(
                "the script `{name}` is not in Amazon S3, so it must have a checksum, the SHA-256 of its content; or put \
                 it into S3 and name it by s3:// or by S3's own HTTPS address"
            ),
        },
        allowed: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn script(source: &Value) -> Value {
        json!({"name": "setup", "type": "STARLARK", "scriptSource": source})
    }

    fn subjects(strictness: LifecycleScripts, input: &Value) -> Vec<String> {
        let check = check(strictness, "aws", input.as_object().unwrap()).unwrap();
        let violations = check.violations.into_iter();
        violations.map(|violation| violation.subject).collect()
    }

    #[test]
    fn what_can_be_swapped_unseen_needs_a_checksum() {
        let sources = [
            json!({"scriptLocation": "s3://bucket/a.sh"}),
            json!({"scriptLocation": "https://bucket.s3.us-east-1.amazonaws.com/a.sh"}),
            json!({"scriptLocation": "https://example.com/b.sh?X-Amz-Signature=abc"}),
            json!({"scriptLocation": "https://example.com/c.sh", "checksum": "0".repeat(64)}),
        ];
        let scripts: Vec<Value> = sources.iter().map(script).collect();
        for input in [
            json!({"nodeLifecycleActions": {"stages": {"nodeBootstrapped": scripts}}}),
            json!({"nodeLifecycleActions": {"stages": {"nodeReady": scripts}}}),
            json!({"slurmConfiguration": {"jobSubmitPlugins": scripts}}),
        ] {
            assert_eq!(subjects(LifecycleScripts::Any, &input), Vec::<String>::new());
            assert_eq!(
                subjects(LifecycleScripts::ChecksumOutsideS3, &input),
                ["https://example.com/b.sh"]
            );
            assert_eq!(
                subjects(LifecycleScripts::Checksum, &input),
                [
                    "s3://bucket/a.sh",
                    "https://bucket.s3.us-east-1.amazonaws.com/a.sh",
                    "https://example.com/b.sh"
                ]
            );
        }
    }

    /// Members that PCS does not have today.
    #[test]
    fn a_script_is_found_wherever_it_stands() {
        let source = json!({"scriptLocation": "https://example.com/new.sh"});
        let input = json!({"someday": [[{"nested": script(&source)}], 1, null]});
        assert_eq!(
            subjects(LifecycleScripts::ChecksumOutsideS3, &input),
            ["https://example.com/new.sh"]
        );
        let strange = json!({"scriptSource": {"scriptLocation": 7, "checksum": null}});
        assert_eq!(subjects(LifecycleScripts::ChecksumOutsideS3, &strange), [""]);
    }

    #[test]
    fn without_scripts_there_is_no_rule() {
        let tagged = json!({"tags": {"scriptSource": "https://example.com/a.sh"}});
        for input in [json!({}), json!({"nodeLifecycleActions": {"stages": {}}}), tagged] {
            assert_eq!(
                check(LifecycleScripts::Checksum, "aws", input.as_object().unwrap()),
                None
            );
        }
    }
}
