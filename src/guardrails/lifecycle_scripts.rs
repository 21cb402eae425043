//! Lifecycle scripts run on every node with the node's role, so where they come from is a guardrail too. The gateway
//! never fetches a location; it only asks that what is fetched cannot be swapped unseen.

use serde_json::{Map, Value};

use super::Check;
use crate::error::Violation;

/// How strict the deployment is (`PCS_API_LIFECYCLE_SCRIPTS`).
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

    fn wants_checksum(self, location: &str) -> bool {
        match self {
            LifecycleScripts::Any => false,
            LifecycleScripts::ChecksumOutsideS3 => !location.starts_with("s3://"),
            LifecycleScripts::Checksum => true,
        }
    }
}

/// The rule, if the request has scripts at all.
pub fn check(strictness: LifecycleScripts, input: &Map<String, Value>) -> Option<Check> {
    let stages = input.get("nodeLifecycleActions")?.get("stages")?.as_object()?;
    let scripts = stages.values().filter_map(Value::as_array).flatten();
    Some(Check::new(
        "lifecycle-script",
        scripts.filter_map(|script| violation(strictness, script)),
    ))
}

fn violation(strictness: LifecycleScripts, script: &Value) -> Option<Violation> {
    let source = script.get("scriptSource");
    let text = |name| source.and_then(|source| source.get(name)).and_then(Value::as_str);
    let location = text("scriptLocation").unwrap_or_default();
    if !strictness.wants_checksum(location) || text("checksum").is_some() {
        return None;
    }
    let name = script.get("name").and_then(Value::as_str).unwrap_or_default();
    Some(Violation {
        rule: "lifecycle-script",
        // What follows the path may be a signature that grants access.
        subject: location.split(['?', '#']).next().unwrap_or_default().to_owned(),
        message: format!("the lifecycle script `{name}` must have a checksum, the SHA-256 of its content"),
        allowed: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn subjects(strictness: LifecycleScripts, sources: &Value) -> Vec<String> {
        let scripts: Vec<Value> = sources
            .as_array()
            .unwrap()
            .iter()
            .map(|source| json!({"name": "setup", "scriptSource": source}))
            .collect();
        let input = json!({"nodeLifecycleActions": {"stages": {"nodeBootstrapped": scripts}}});
        let check = check(strictness, input.as_object().unwrap()).unwrap();
        check
            .violations
            .into_iter()
            .map(|violation| violation.subject)
            .collect()
    }

    #[test]
    fn what_can_be_swapped_unseen_needs_a_checksum() {
        let sources = json!([
            {"scriptLocation": "s3://bucket/a.sh"},
            {"scriptLocation": "https://example.com/b.sh?X-Amz-Signature=abc"},
            {"scriptLocation": "https://example.com/c.sh", "checksum": "0".repeat(64)},
        ]);
        assert_eq!(subjects(LifecycleScripts::Any, &sources), Vec::<String>::new());
        assert_eq!(
            subjects(LifecycleScripts::ChecksumOutsideS3, &sources),
            ["https://example.com/b.sh"]
        );
        assert_eq!(
            subjects(LifecycleScripts::Checksum, &sources),
            ["s3://bucket/a.sh", "https://example.com/b.sh"]
        );
    }

    #[test]
    fn without_scripts_there_is_no_rule() {
        assert_eq!(check(LifecycleScripts::Checksum, &Map::new()), None);
    }
}
