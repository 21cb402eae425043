//! What an inline policy of a compute node's role may allow. Nobody can look up its text by a name on a list, as with
//! a managed policy, so its actions are on one.

use serde_json::Value;

use super::instance_role::{statements, strings};

/// What nodes need to join their cluster: PCS's documented minimum, always allowed.
const REGISTER: &str = "pcs:RegisterComputeNodeGroupInstance";

/// Services whose actions can reach further than their names.
const GIVES_RIGHTS: [&str; 2] = ["iam", "sts"];

/// Patterns of the actions that an Allow may name.
#[derive(Debug, Clone)]
pub struct InlineActions {
    patterns: Vec<String>,
}

impl InlineActions {
    /// Reads a comma-separated list of actions beside registration; blanks around one do not count. Every mistake is
    /// reported.
    pub fn parse(text: &str) -> Result<InlineActions, Vec<String>> {
        let given = text.split(',').map(str::trim).filter(|given| !given.is_empty());
        let (good, wrong): (Vec<&str>, Vec<&str>) = given.partition(|given| is_action(given));
        if wrong.is_empty() {
            let patterns = std::iter::once(REGISTER).chain(good).map(str::to_owned);
            return Ok(InlineActions {
                patterns: patterns.collect(),
            });
        }
        let faults = wrong.iter().map(|given| {
            format!(
                "`{given}` is no IAM action like `s3:GetObject` or `s3:Get*`; the service takes no wildcard"
            )
        });
        Err(faults.collect())
    }

    /// What should be known of the list: a service's every action, and any of the two that give rights away.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |pattern: &String| {
            let (service, action) = pattern.split_once(':')?;
            let what = if action.bytes().all(|byte| byte == b'*') {
                format!("do everything that {service} offers")
            } else if GIVES_RIGHTS.contains(&service) {
                "take or give rights that are not on this list".to_owned()
            } else {
                return None;
            };
            Some(format!(
                "`{pattern}` lets an inline policy pass with which a compute node may {what}"
            ))
        };
        self.patterns.iter().filter_map(warning).collect()
    }

    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(String::as_str)
    }

    /// Whether a policy of these statements allows nothing beyond the list. A Deny only takes rights away. A document
    /// without a statement that can be read is not one that can be judged.
    pub fn allow(&self, statements: &[&Value]) -> bool {
        !statements.is_empty()
            && statements.iter().all(
                |statement| match statement.get("Effect").and_then(Value::as_str) {
                    Some("Deny") => true,
                    Some("Allow") => self.allow_statement(statement),
                    Some(_) | None => false,
                },
            )
    }

    fn allow_statement(&self, statement: &Value) -> bool {
        statement.get("NotAction").is_none()
            && statement.get("NotResource").is_none()
            && strings(statement.get("Action"))
                .is_some_and(|actions| actions.iter().all(|action| self.cover(action)))
    }

    fn cover(&self, action: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| covers(pattern.as_bytes(), action.as_bytes()))
    }
}

/// Whether a policy lets nodes register anywhere and always.
pub fn lets_register(document: &Value) -> bool {
    let registers = |action: &&str| action.eq_ignore_ascii_case(REGISTER);
    statements(document).into_iter().any(|statement| {
        let text = |name| statement.get(name).and_then(Value::as_str);
        text("Effect") == Some("Allow")
            && text("Resource") == Some("*")
            && statement.get("Condition").is_none()
            && strings(statement.get("Action")).is_some_and(|actions| actions.iter().any(registers))
    })
}

/// `service:Action`, where the action's name may have `*` and `?` and the service's not.
fn is_action(text: &str) -> bool {
    text.split_once(':').is_some_and(|(service, action)| {
        !service.is_empty()
            && service
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !action.is_empty()
            && action
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"*?".contains(&byte))
    })
}

/// Whether everything that `action` means, wildcards of its own included, is like `pattern`. Action names are not
/// case-sensitive; `*` is any run of characters, `?` one (IAM User Guide, "IAM JSON policy elements: Action").
///
/// A `*` of the action is only covered by one of the pattern: a `?` there would be one character of many. On a
/// mismatch only the last `*` of the pattern takes one more, so the time is at worst the product of the lengths.
fn covers(pattern: &[u8], action: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    // Behind the last `*` of the pattern, and how far of the action it has taken.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = action.get(of) {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                retry = Some((at, of));
                continue;
            }
            Some(b'?') if *byte != b'*' => {}
            Some(expected) if expected.eq_ignore_ascii_case(byte) && *byte != b'*' => {}
            Some(_) | None => {
                let Some((behind, taken)) = retry else {
                    return false;
                };
                retry = Some((behind, taken + 1));
                (at, of) = (behind, taken + 1);
                continue;
            }
        }
        at += 1;
        of += 1;
    }
    pattern
        .get(at..)
        .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(list: &str, action: &str, expected: bool) {
        let statement = json!({"Effect": "Allow", "Action": action, "Resource": "*"});
        let actions = InlineActions::parse(list).unwrap();
        assert_eq!(actions.allow(&[&statement]), expected, "{list} ~ {action}");
    }

    #[test]
    fn registration_is_always_allowed_and_alone_by_default() {
        check("", "pcs:RegisterComputeNodeGroupInstance", true);
        check("", "PCS:registercomputenodegroupinstance", true);
        check("s3:GetObject", "pcs:RegisterComputeNodeGroupInstance", true);
        for action in [
            "pcs:*",
            "*",
            "pcs:RegisterComputeNodeGroupInstance?",
            "s3:GetObject",
            "",
        ] {
            check("", action, false);
        }
    }

    /// Everything that the statement means has to be on the list, not only something of it.
    #[test]
    fn wildcards_of_a_statement_are_held_against_those_of_the_list() {
        for (list, action, expected) in [
            ("s3:Get*", "s3:GetObject", true),
            ("s3:Get*", "S3:getobject", true),
            ("s3:Get*", "s3:Get*", true),
            ("s3:Get*", "s3:GetObject*", true),
            ("s3:Get*", "s3:G*", false),
            ("s3:Get*", "s3:*", false),
            ("s3:Get*", "s3*:GetObject", false),
            ("s3:Get*", "*", false),
            ("s3:Get*Tagging", "s3:Get*", false),
            ("s3:Get*Tagging", "s3:Get*Tagging", true),
            ("s3:Get*Tagging", "s3:GetObjectTagging", true),
            ("s3:Get*t*g", "s3:GetObjectTagging", true),
            ("s3:GetObject?", "s3:GetObjects", true),
            ("s3:GetObject?", "s3:GetObject", false),
            ("s3:GetObject?", "s3:GetObject?", true),
            ("s3:GetObject?", "s3:GetObject*", false),
            ("s3:GetObject", "s3:GetObjec?", false),
            ("s3:*", "s3:*", true),
            ("s3:*", "s3express:CreateSession", false),
            ("s3:GetObject, s3:PutObject", "s3:PutObject", true),
        ] {
            check(list, action, expected);
        }
    }

    #[test]
    fn a_deny_passes_and_an_allow_names_what_it_allows() {
        let actions = InlineActions::parse("s3:GetObject").unwrap();
        let allow = json!({"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "*"});
        for (statement, expected) in [
            (json!({"Effect": "Deny", "Action": "*", "Resource": "*"}), true),
            (
                json!({"Effect": "Deny", "NotAction": "iam:*", "NotResource": "*"}),
                true,
            ),
            (json!({"Effect": "deny", "Action": "*", "Resource": "*"}), false),
            (
                json!({"Effect": "allow", "Action": "s3:GetObject", "Resource": "*"}),
                false,
            ),
            (json!({"Action": "s3:GetObject", "Resource": "*"}), false),
            (
                json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
                false,
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:GetObject", "NotAction": "iam:*", "Resource": "*"}),
                false,
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "*"}),
                false,
            ),
            (json!({"Effect": "Allow", "Action": [], "Resource": "*"}), false),
            (
                json!({"Effect": "Allow", "Action": ["s3:GetObject", 7], "Resource": "*"}),
                false,
            ),
            (
                json!({"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*"}),
                false,
            ),
            (json!("Allow"), false),
        ] {
            assert_eq!(actions.allow(&[&allow, &statement]), expected, "{statement}");
        }
        assert!(!actions.allow(&[]));
    }

    #[test]
    fn only_an_allow_of_registration_lets_nodes_register() {
        let document = |statement: Value| json!({"Version": "2012-10-17", "Statement": statement});
        for (statement, expected) in [
            (
                json!({"Effect": "Allow", "Action": REGISTER, "Resource": "*"}),
                true,
            ),
            (
                json!([{"Effect": "Allow", "Action": ["s3:GetObject", "PCS:registerComputeNodeGroupInstance"], "Resource": "*"}]),
                true,
            ),
            (
                json!({"Effect": "Deny", "Action": REGISTER, "Resource": "*"}),
                false,
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}),
                false,
            ),
            (
                json!({"Effect": "Allow", "Action": REGISTER, "Resource": "arn:aws:pcs:us-east-1:123456789012:cluster/x"}),
                false,
            ),
            (
                json!({"Effect": "Allow", "Action": REGISTER, "Resource": "*", "Condition": {}}),
                false,
            ),
        ] {
            assert_eq!(
                lets_register(&document(statement.clone())),
                expected,
                "{statement}"
            );
        }
        assert!(!lets_register(&Value::Null));
    }

    #[test]
    fn a_list_says_which_of_its_actions_is_wrong() {
        for wrong in [
            "*",
            "*:*",
            "s3",
            "s3:",
            ":Get",
            "s3*:Get",
            "S3:Get",
            "s3:Get Object",
            "s3:Get:x",
            "s3:G\u{e9}t",
        ] {
            let faults = InlineActions::parse(&format!("s3:GetObject,{wrong}")).unwrap_err();
            assert!(
                matches!(faults.as_slice(), [fault] if fault.contains(&format!("`{wrong}`"))),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn what_reaches_further_is_warned_of() {
        let warnings = |list: &str| InlineActions::parse(list).unwrap().warnings();
        for (list, words) in [
            ("iam:*", "everything that iam offers"),
            ("s3:**", "everything that s3 offers"),
            ("iam:PassRole", "rights that are not on this list"),
            ("sts:Assume*", "rights that are not on this list"),
        ] {
            let warnings = warnings(&format!("{list},s3:GetObject"));
            assert!(
                matches!(warnings.as_slice(), [warning] if warning.contains(words) && warning.contains(list)),
                "{list}: {warnings:?}"
            );
        }
        assert!(warnings("s3:Get*,logs:PutLogEvents,iamx:Get").is_empty());
    }

    #[test]
    fn a_hostile_pair_ends() {
        let list = format!("s3:{}b", "*a".repeat(450));
        check(&list, &format!("s3:{}", "a".repeat(10_000)), false);
    }
}
