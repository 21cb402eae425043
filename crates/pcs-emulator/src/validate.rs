//! A request body against the input shape of its operation.
//!
//! Everything wrong is collected, so that one answer names it all. What passes is copied member by member:
//! unknown members and nulls are left behind (awsJson services ignore both), so nothing the model does not
//! know is ever stored.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::FieldErrors;
use crate::model::{Bounds, Model, Shape};
use crate::pattern::Pattern;

/// The members of `input` that `operation`'s input shape knows; what is wrong with them goes to `errors`.
pub(crate) fn input(
    model: &Model,
    operation: &str,
    input: &Map<String, Value>,
    errors: &mut FieldErrors,
) -> Map<String, Value> {
    match model.input_of(operation) {
        Some(Shape::Structure { members, required }) => {
            structure(model, members, required, input, "", errors)
        }
        Some(
            Shape::List { .. }
            | Shape::Map { .. }
            | Shape::String { .. }
            | Shape::Integer { .. }
            | Shape::Long { .. }
            | Shape::Boolean
            | Shape::Timestamp,
        )
        | None => Map::new(),
    }
}

fn structure(
    model: &Model,
    members: &BTreeMap<String, String>,
    required: &[String],
    given: &Map<String, Value>,
    path: &str,
    errors: &mut FieldErrors,
) -> Map<String, Value> {
    let mut kept = Map::new();
    for (name, shape) in members {
        let at = join(path, name);
        match given.get(name) {
            None | Some(Value::Null) => {
                if required.contains(name) {
                    fail(errors, at, "Member must not be null");
                }
            }
            Some(present) => {
                if let Some(clean) = value(model, shape, present, &at, errors) {
                    kept.insert(name.clone(), clean);
                }
            }
        }
    }
    kept
}

/// The cleaned value, or `None` when its JSON type is not the shape's.
fn value(model: &Model, shape: &str, given: &Value, at: &str, errors: &mut FieldErrors) -> Option<Value> {
    match model.shape(shape)? {
        Shape::Structure { members, required } => {
            let object = typed(given.as_object(), "a structure", at, errors)?;
            Some(Value::Object(structure(
                model, members, required, object, at, errors,
            )))
        }
        Shape::List { member, size } => {
            let list = typed(given.as_array(), "a list", at, errors)?;
            check_size(*size, list.len(), "length", at, errors);
            let entries = list.iter().enumerate();
            Some(
                entries
                    .filter_map(|(i, v)| value(model, member, v, &format!("{at}[{i}]"), errors))
                    .collect(),
            )
        }
        Shape::Map {
            key,
            value: entry,
            size,
        } => {
            let map = typed(given.as_object(), "a map", at, errors)?;
            check_size(*size, map.len(), "size", at, errors);
            let mut kept = Map::new();
            // Sorted, whatever order this build's JSON maps keep: client tokens compare what is kept.
            for (name, given) in map.iter().collect::<BTreeMap<_, _>>() {
                value(model, key, &json!(name), &format!("{at} key"), errors);
                if let Some(clean) = value(model, entry, given, &join(at, name), errors) {
                    kept.insert(name.clone(), clean);
                }
            }
            Some(Value::Object(kept))
        }
        Shape::String {
            length,
            pattern,
            values,
        } => {
            let text = typed(given.as_str(), "a string", at, errors)?;
            check_size(*length, text.chars().count(), "length", at, errors);
            check_text(text, pattern.as_ref(), values, at, errors);
            Some(json!(text))
        }
        Shape::Integer { range } => {
            let whole = given.as_i64().filter(|n| i32::try_from(*n).is_ok());
            Some(number(
                typed(whole, "an integer", at, errors)?,
                *range,
                at,
                errors,
            ))
        }
        Shape::Long { range } => Some(number(
            typed(given.as_i64(), "an integer", at, errors)?,
            *range,
            at,
            errors,
        )),
        Shape::Boolean => typed(given.as_bool(), "a boolean", at, errors).map(|b| json!(b)),
        Shape::Timestamp => typed(given.as_str(), "a date and time", at, errors).map(|t| json!(t)),
    }
}

fn typed<T>(given: Option<T>, expected: &str, at: &str, errors: &mut FieldErrors) -> Option<T> {
    if given.is_none() {
        fail(errors, at, &format!("Member must be {expected}"));
    }
    given
}

fn check_size(bounds: Bounds, size: usize, noun: &str, at: &str, errors: &mut FieldErrors) {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    if bounds.min.is_some_and(|min| size < min) {
        let min = bounds.min.unwrap_or_default();
        fail(
            errors,
            at,
            &format!("Member must have {noun} greater than or equal to {min}"),
        );
    }
    if bounds.max.is_some_and(|max| size > max) {
        let max = bounds.max.unwrap_or_default();
        fail(
            errors,
            at,
            &format!("Member must have {noun} less than or equal to {max}"),
        );
    }
}

fn number(number: i64, range: Bounds, at: &str, errors: &mut FieldErrors) -> Value {
    if let Some(min) = range.min.filter(|min| number < *min) {
        fail(
            errors,
            at,
            &format!("Member must have value greater than or equal to {min}"),
        );
    }
    if let Some(max) = range.max.filter(|max| number > *max) {
        fail(
            errors,
            at,
            &format!("Member must have value less than or equal to {max}"),
        );
    }
    json!(number)
}

fn check_text(text: &str, pattern: Option<&Pattern>, values: &[String], at: &str, errors: &mut FieldErrors) {
    if let Some(pattern) = pattern.filter(|pattern| !pattern.matches(text)) {
        fail(
            errors,
            at,
            &format!(
                "Member must satisfy regular expression pattern: {}",
                pattern.source()
            ),
        );
    }
    if !values.is_empty() && !values.iter().any(|v| v == text) {
        fail(
            errors,
            at,
            &format!("Member must satisfy enum value set: [{}]", values.join(", ")),
        );
    }
}

/// The wording AWS services use for a broken constraint.
fn fail(errors: &mut FieldErrors, at: impl Into<String>, what: &str) {
    errors.push(at, format!("failed to satisfy constraint: {what}"));
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::input;
    use crate::error::FieldErrors;
    use crate::model::Model;

    /// The names of the fields found wrong, and what was kept.
    fn check(operation: &str, given: &Value) -> (Vec<String>, Value) {
        let model = Model::embedded().unwrap();
        let mut errors = FieldErrors::default();
        let kept = input(&model, operation, given.as_object().unwrap(), &mut errors);
        (
            errors.0.into_iter().map(|e| e.name).collect(),
            Value::Object(kept),
        )
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let (wrong, _) = check(
            "CreateCluster",
            &json!({
                "clusterName": "pcs_x",
                "scheduler": {"type": "PBS"},
                "size": 3,
                "networking": {"subnetIds": [], "securityGroupIds": ["sg-1", "sg-12345678"]},
                "clientToken": "short",
                "tags": {},
            }),
        );
        let expected = [
            "clientToken",
            "clusterName",
            "networking.securityGroupIds[0]",
            "networking.subnetIds",
            "scheduler.type",
            "scheduler.version",
            "size",
            "tags",
        ];
        assert_eq!(wrong, expected);
    }

    #[test]
    fn unknown_members_and_nulls_are_ignored() {
        let given = json!({"clusterIdentifier": "abc", "nosuch": 1, "clientToken": null});
        let (wrong, kept) = check("DeleteCluster", &given);
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(kept, json!({"clusterIdentifier": "abc"}));
    }

    #[test]
    fn lengths_count_characters_and_ranges_are_inclusive() {
        let tags = |key: &str| json!({"resourceArn": "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_a", "tags": {key: ""}});
        assert!(check("TagResource", &tags(&"é".repeat(128))).0.is_empty());
        assert_eq!(check("TagResource", &tags(&"é".repeat(129))).0, ["tags key"]);
        assert!(check("ListClusters", &json!({"maxResults": 100})).0.is_empty());
        assert_eq!(
            check("ListClusters", &json!({"maxResults": 101})).0,
            ["maxResults"]
        );
        assert_eq!(
            check("ListClusters", &json!({"maxResults": 1.5})).0,
            ["maxResults"]
        );
        assert_eq!(
            check("ListClusters", &json!({"maxResults": 4_294_967_297_i64})).0,
            ["maxResults"]
        );
    }
}
