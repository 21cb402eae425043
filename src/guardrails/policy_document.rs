//! What of a policy document cannot be judged: an element that IAM's grammar does not have, or one that stands twice.
//!
//! A rule that reads `Principal` and passes over `principal` decides about another document than IAM does, if IAM
//! takes both. So a document has the elements of the grammar and no others (IAM User Guide, "Grammar of the IAM JSON
//! policy language"; names of elements are taken in one case only).

use serde_json::{Map, Value};

use crate::json;

const OF_A_DOCUMENT: [&str; 3] = ["Version", "Id", "Statement"];
const OF_A_STATEMENT: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];
/// More faults than this are counted: a document has up to 10 KB of them.
const TOLD: usize = 5;
const NAME_CHARS_MAX: usize = 64;

/// A policy document. One that cannot be read is a string, which no rule accepts, and which says why: of two equal keys
/// IAM may mean the one and this reader the other.
pub fn read(text: &str) -> Value {
    match json::read_object(text.as_bytes()) {
        Ok(document) => Value::Object(document),
        Err(errors) => {
            let twice = errors.iter().map(|error| error.path.as_str());
            let twice: Vec<&str> = twice.filter(|path| !path.is_empty()).collect();
            Value::String(if twice.is_empty() {
                let limits = errors.iter().find_map(|error| over_a_limit(&error.message));
                limits.unwrap_or("is no JSON object").to_owned()
            } else {
                format!("says {} twice", listed(&twice))
            })
        }
    }
}

/// What the reader says of a document that is larger than it reads, after "the policy".
fn over_a_limit(message: &str) -> Option<&str> {
    const LIMITS: [&str; 3] = ["has a key of ", "is nested ", "values, more than "];
    let said = message.strip_prefix("the body ")?;
    LIMITS.iter().any(|limit| said.contains(limit)).then_some(said)
}

/// What is wrong with the form of a document that `read` made, after "the policy".
pub(super) fn fault(document: &Value) -> Option<String> {
    let document = match document {
        Value::Object(document) => document,
        Value::String(why) => return Some(why.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return Some("is no JSON object".to_owned());
        }
    };
    let mut unknown = unknown(document, &OF_A_DOCUMENT, "");
    match document.get("Statement") {
        Some(Value::Array(list)) => {
            for (index, statement) in list.iter().enumerate() {
                unknown.append(&mut of_statement(statement, &format!("Statement[{index}].")));
            }
        }
        Some(statement) => unknown.append(&mut of_statement(statement, "Statement.")),
        None => {}
    }
    if unknown.is_empty() {
        return None;
    }
    let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
    Some(format!(
        "has elements that IAM's grammar does not have in this case or at all: {}",
        listed(&unknown)
    ))
}

fn of_statement(statement: &Value, place: &str) -> Vec<String> {
    let members = statement.as_object();
    members.map_or_else(Vec::new, |members| unknown(members, &OF_A_STATEMENT, place))
}

fn unknown(members: &Map<String, Value>, known: &[&str], place: &str) -> Vec<String> {
    let names = members.keys().filter(|name| !known.contains(&name.as_str()));
    names.map(|name| format!("{place}{name}")).collect()
}

fn listed(names: &[&str]) -> String {
    let told = names.iter().take(TOLD).map(|name| {
        let name: String = name
            .chars()
            .filter(|c| !c.is_control())
            .take(NAME_CHARS_MAX)
            .collect();
        format!("`{name}`")
    });
    let told = told.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        fault(&read(text)).unwrap_or_default()
    }

    #[test]
    fn every_element_of_the_grammar_is_known_in_its_own_case_only() {
        let all = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| format!("\"{name}\": \"x\"")).collect()
        };
        let statement = format!("{{{}}}", all(&OF_A_STATEMENT).join(","));
        for document in [
            format!(r#"{{"Version": "2012-10-17", "Id": "x", "Statement": [{statement}]}}"#),
            format!(r#"{{"Statement": {statement}}}"#),
        ] {
            assert_eq!(told(&document), "", "{document}");
        }
        for name in OF_A_DOCUMENT {
            for other in [
                name.to_lowercase(),
                name.to_uppercase(),
                format!("{name} "),
                format!("{name}s"),
            ] {
                let text = told(&format!(r#"{{"Statement": [{statement}], "{other}": []}}"#));
                assert!(text.contains(&format!("`{other}`")), "{other}: {text}");
            }
        }
        for name in OF_A_STATEMENT {
            for other in [
                name.to_lowercase(),
                name.to_uppercase(),
                format!(" {name}"),
                format!("{name}s"),
            ] {
                let added = statement.replacen('{', &format!("{{\"{other}\": \"*\","), 1);
                for (document, place) in [
                    (
                        format!(r#"{{"Statement": [{statement}, {added}]}}"#),
                        "Statement[1]",
                    ),
                    (format!(r#"{{"Statement": {added}}}"#), "Statement"),
                ] {
                    let text = told(&document);
                    assert!(text.contains(&format!("`{place}.{other}`")), "{other}: {text}");
                }
            }
        }
    }

    /// Escaped or not, in a statement, a principal or a condition.
    #[test]
    fn what_stands_twice_is_told_as_that() {
        for (text, path) in [
            (r#"{"Statement": [], "Statement": []}"#, "Statement"),
            (
                r#"{"Statement": [{"Principal": 1, "Princip\u0061l": 2}]}"#,
                "Statement[0].Principal",
            ),
            (
                r#"{"Statement": [{"Principal": {"Service": 1, "Service": 2}}]}"#,
                "Statement[0].Principal.Service",
            ),
        ] {
            assert_eq!(told(text), format!("says `{path}` twice"));
        }
    }

    #[test]
    fn what_is_no_object_is_told_as_that_and_passes_no_rule() {
        for text in ["", "x", "[]", "null", "\"text\"", "{} {}", "\u{feff}{}"] {
            assert_eq!(told(text), "is no JSON object", "{text:?}");
            assert!(super::super::instance_role::statements(&read(text)).is_empty());
        }
    }

    /// IAM takes it, so it would be no help to call it no JSON.
    #[test]
    fn a_document_that_is_not_read_to_its_end_is_told_why() {
        let key = format!(
            r#"{{"Statement": [{{"Condition": {{"{}": 1}}}}]}}"#,
            "x".repeat(1100)
        );
        let text = told(&key);
        assert!(
            text.starts_with("has a key of 1100 bytes; keys have at most 1024"),
            "{text}"
        );
        let deep = format!("{}{}", r#"{"a":"#.repeat(200), "}".repeat(200));
        assert!(
            told(&deep).starts_with("is nested more than 127 levels deep"),
            "{}",
            told(&deep)
        );
        assert!(super::super::instance_role::statements(&read(&key)).is_empty());
    }

    #[test]
    fn a_list_of_faults_is_short() {
        let many: Vec<String> = (0..500)
            .map(|index| format!("\"{index}{}\": 1", "x".repeat(200)))
            .collect();
        let text = told(&format!("{{{}}}", many.join(",")));
        assert!(text.len() < 600 && text.ends_with(" and 495 more"), "{text}");
    }
}
