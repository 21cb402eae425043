//! What a record keeps of what a caller sent and of what PCS answered.
//!
//! An allowlist: `contract::Recorded`, compiled from the contract, names what may be kept. Everything else becomes the
//! word `REDACTED`, a whole subtree one word. Then the text is held to a budget, so that no call is too big to record.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::contract::Recorded;

/// Bytes of JSON that a record keeps of a request, and of an answer. A DynamoDB item holds 400 KB.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
pub const ANSWER_BYTES_MAX: usize = 32 * 1024;
/// What stands in place of a value that is not kept.
pub const REDACTED: &str = "REDACTED";

/// Names that the contract does not know, of one object; and entries of a map. Then `...` says that there are more.
const NAMES_MAX: usize = 200;
/// Characters kept of such a name.
const NAME_CHARACTERS_MAX: usize = 128;

/// `value` without what may not be kept. The answer is at most a few times as large as `value`, and as deep as the
/// contract.
pub fn redact(value: &Value, recorded: &Recorded) -> Value {
    match (recorded, value) {
        (Recorded::Text, Value::String(_)) | (Recorded::Boolean, Value::Bool(_)) => value.clone(),
        (Recorded::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => value.clone(),
        (Recorded::TextWithoutQuery, Value::String(text)) => {
            Value::from(without_query(text).unwrap_or_else(|| REDACTED.to_owned()))
        }
        (Recorded::Items(item), Value::Array(values)) => {
            values.iter().map(|value| redact(value, item)).collect()
        }
        (Recorded::Entries(entry), Value::Object(entries)) => Value::Object(map(entries, entry)),
        (Recorded::Members(members), Value::Object(object)) => Value::Object(members_of(object, members)),
        // There is nothing in it to hide.
        (_, Value::Array(values)) if values.is_empty() => value.clone(),
        (_, Value::Object(object)) if object.is_empty() => value.clone(),
        _ => Value::from(REDACTED),
    }
}

fn members_of(object: &Map<String, Value>, members: &[(&str, &Recorded)]) -> Map<String, Value> {
    let mut kept = Map::new();
    let mut unknown = 0;
    for (name, value) in object {
        if let Some((_, recorded)) = members.iter().find(|(known, _)| known == name) {
            kept.insert(name.clone(), redact(value, recorded));
            continue;
        }
        unknown += 1;
        if unknown <= NAMES_MAX {
            kept.insert(shortened(name), Value::from(REDACTED));
        }
    }
    if unknown > NAMES_MAX {
        kept.insert("...".to_owned(), Value::from(REDACTED));
    }
    kept
}

fn map(entries: &Map<String, Value>, recorded: &Recorded) -> Map<String, Value> {
    let mut kept: Map<String, Value> = entries
        .iter()
        .take(NAMES_MAX)
        .map(|(name, value)| (shortened(name), redact(value, recorded)))
        .collect();
    if entries.len() > NAMES_MAX {
        kept.insert("...".to_owned(), Value::from(REDACTED));
    }
    kept
}

/// The part of a member's path that the contract knows (`tags.*`, `instanceConfigs.0.instanceType`), and `REDACTED` for the
/// rest: it is text of the request, or of whoever wrote the path.
pub fn known_path(path: &str, recorded: &Recorded) -> String {
    let mut known = Vec::new();
    let mut at = Some(recorded);
    for segment in path
        .split(['.', '[', ']', '/'])
        .filter(|segment| !segment.is_empty())
    {
        let (name, below) = match at {
            Some(Recorded::Members(members)) => {
                match members
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(segment))
                {
                    Some((name, below)) => (*name, Some(*below)),
                    None => (REDACTED, None),
                }
            }
            Some(Recorded::Items(item)) if segment.parse::<u16>().is_ok() => (segment, Some(*item)),
            Some(Recorded::Entries(entry)) => ("*", Some(*entry)),
            Some(
                Recorded::Items(_)
                | Recorded::Nothing
                | Recorded::Text
                | Recorded::TextWithoutQuery
                | Recorded::Integer
                | Recorded::Boolean,
            )
            | None => (REDACTED, None),
        };
        known.push(name);
        at = below;
        if at.is_none() {
            break;
        }
    }
    known.join(".")
}

fn shortened(name: &str) -> String {
    name.chars().take(NAME_CHARACTERS_MAX).collect()
}

/// A URL without query, fragment and user information; `None` when the text is no URL.
fn without_query(text: &str) -> Option<String> {
    let (location, query) = match text.split_once(['?', '#']) {
        Some((location, _)) => (location, "?REDACTED"),
        None => (text, ""),
    };
    let (scheme, rest) = location.split_once("://")?;
    let (host, path) = match rest.split_once('/') {
        Some((host, path)) => (host, format!("/{path}")),
        None => (rest, String::new()),
    };
    let host = match host.rsplit_once('@') {
        Some((_, host)) => format!("{REDACTED}@{host}"),
        None => host.to_owned(),
    };
    let is_plain = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !host.is_empty();
    is_plain.then(|| format!("{scheme}://{host}{path}{query}"))
}

/// JSON that has already been redacted, as a record keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Whole JSON, or its beginning.
    pub json: String,
    /// What the JSON was when that was too much.
    pub cut: Option<Cut>,
}

/// Tells a cut text from others with the same beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of the whole.
    pub bytes: usize,
    /// SHA-256 of the whole, in lower-case hexadecimal.
    pub sha256: String,
}

/// Holds redacted JSON to `budget` bytes; a longer one is cut between two characters.
pub fn within(mut json: String, budget: usize) -> Recording {
    if json.len() <= budget {
        return Recording { json, cut: None };
    }
    let cut = Cut {
        bytes: json.len(),
        sha256: crate::hex(&Sha256::digest(&json)),
    };
    json.truncate(json.floor_char_boundary(budget));
    Recording { json, cut: Some(cut) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TREE: Recorded = Recorded::Members(&[
        ("name", &Recorded::Text),
        ("size", &Recorded::Integer),
        ("on", &Recorded::Boolean),
        ("secret", &Recorded::Nothing),
        ("script", &Recorded::TextWithoutQuery),
        ("ids", &Recorded::Items(&Recorded::Text)),
        ("tags", &Recorded::Entries(&Recorded::Text)),
        (
            "inner",
            &Recorded::Members(&[("list", &Recorded::Items(&Recorded::Nothing))]),
        ),
    ]);

    #[test]
    fn what_is_marked_is_kept_as_it_came() {
        let value = json!({
            "name": "a\nb\"c", "size": -4, "on": false, "script": "s3://bucket/a/b.sh", "ids": ["x", ""],
            "tags": {"team": "research", "": "é"}, "inner": {},
        });
        assert_eq!(redact(&value, &TREE), value);
    }

    #[test]
    fn all_else_is_one_word_each() {
        let value = json!({
            "secret": "s", "inner": {"list": ["a", 1, {"b": "c"}], "new": {"deep": ["er"]}}, "added": 7,
        });
        let expected = json!({
            "secret": "REDACTED",
            "inner": {"list": ["REDACTED", "REDACTED", "REDACTED"], "new": "REDACTED"},
            "added": "REDACTED",
        });
        assert_eq!(redact(&value, &TREE), expected);
        assert_eq!(redact(&json!({"a": "s"}), &Recorded::Nothing), json!("REDACTED"));
        assert_eq!(redact(&json!({}), &Recorded::Nothing), json!({}));
    }

    #[test]
    fn a_value_of_another_type_is_not_kept() {
        let value = json!({
            "name": {"s": "s"}, "size": "s", "on": 1, "script": ["s"], "ids": "s", "tags": ["s"], "inner": "s",
        });
        let redacted = redact(&value, &TREE);
        assert!(
            redacted
                .as_object()
                .unwrap()
                .values()
                .all(|value| value == "REDACTED")
        );
        assert_eq!(
            redact(&json!({"size": 1.5, "name": null}), &TREE),
            json!({"size": "REDACTED", "name": "REDACTED"})
        );
        assert_eq!(
            redact(&json!({"tags": {"k": {"s": "s"}}}), &TREE),
            json!({"tags": {"k": "REDACTED"}})
        );
    }

    #[test]
    fn names_are_bounded_and_the_rest_is_told() {
        let long = "n".repeat(1000);
        let many: Map<String, Value> = (0..300)
            .map(|n| (format!("{n:03}{long}"), Value::from("s")))
            .collect();
        for value in [Value::Object(many.clone()), json!({ "tags": many })] {
            let redacted = redact(&value, &TREE);
            let found = redacted.get("tags").unwrap_or(&redacted).as_object().unwrap();
            assert_eq!(found.len(), 201);
            assert_eq!(found["..."], "REDACTED");
            assert!(found.keys().all(|name| name.chars().count() <= 128));
        }
    }

    #[test]
    fn locations_lose_their_query_and_their_password() {
        for (location, expected) in [
            (
                "https://b.s3.amazonaws.com/k.sh",
                "https://b.s3.amazonaws.com/k.sh",
            ),
            (
                "https://b.s3.amazonaws.com/k.sh?X-Amz-Signature=abc",
                "https://b.s3.amazonaws.com/k.sh?REDACTED",
            ),
            ("https://example.com#token=abc", "https://example.com?REDACTED"),
            ("https://example.com?", "https://example.com?REDACTED"),
            ("s3://bucket/a@b/c d", "s3://bucket/a@b/c d"),
            ("https://user:pass@word@host/a", "https://REDACTED@host/a"),
            ("https://host/a?b://c", "https://host/a?REDACTED"),
            ("x?sig=abc://host", "REDACTED"),
            ("sig=abc://host", "REDACTED"),
            ("https:///user:pass@host/", "REDACTED"),
            ("https:\\\\user:pass@host", "REDACTED"),
            ("password", "REDACTED"),
            ("", "REDACTED"),
        ] {
            assert_eq!(
                redact(&json!(location), &Recorded::TextWithoutQuery),
                json!(expected)
            );
        }
    }

    #[test]
    fn of_a_path_what_the_contract_knows_is_kept() {
        for (path, expected) in [
            ("name", "name"),
            ("NAME", "name"),
            ("inner.list[3]", "inner.list.3"),
            ("/ids/0", "ids.0"),
            ("tags.my secret", "tags.*"),
            ("tags['my secret'].x", "tags.*.REDACTED"),
            ("my secret", "REDACTED"),
            ("name.my secret", "name.REDACTED"),
            ("inner.my.secret", "inner.REDACTED"),
            ("ids[my secret]", "ids.REDACTED"),
            ("secret.of.something", "secret.REDACTED"),
            ("", ""),
        ] {
            assert_eq!(known_path(path, &TREE), expected, "{path}");
        }
        assert_eq!(known_path("name", &Recorded::Nothing), "REDACTED");
    }

    /// The hash is what `printf %s '"ääää"' | sha256sum` prints.
    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let json = "\"ääää\"".to_owned();
        assert_eq!(
            within(json.clone(), 10),
            Recording {
                json: json.clone(),
                cut: None
            }
        );
        let cut = within(json.clone(), 8);
        assert_eq!(cut.json, "\"äää");
        let whole = cut.cut.unwrap();
        assert_eq!(
            (whole.bytes, whole.sha256.as_str()),
            (
                10,
                "bcf7697c332845733b49ca14295a3425b915fbbcee677b680475aa15145ea6d4"
            )
        );
        for budget in 0..10 {
            let cut = within(json.clone(), budget);
            assert!(cut.json.len() <= budget && json.starts_with(&cut.json) && cut.cut.is_some());
        }
    }
}
