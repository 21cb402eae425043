//! Rows in DynamoDB's own JSON, `{"pk": {"S": ".."}, ..}`: what a raw export holds, and what hashes are made of.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, prelude::BASE64_STANDARD};
use pcs_api::audit::chain::Item;
use serde_json::{Map, Value, json};

/// Members in the order of their names.
pub fn to_json(row: &Item) -> Value {
    let sorted: BTreeMap<&String, &AttributeValue> = row.iter().collect();
    let members = sorted
        .into_iter()
        .map(|(name, value)| (name.clone(), tagged(value)));
    Value::Object(members.collect())
}

fn tagged(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::B(bytes) => json!({ "B": BASE64_STANDARD.encode(bytes) }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(tagged).collect::<Value>() }),
        AttributeValue::M(map) => json!({ "M": to_json(map) }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(all) => {
            json!({ "BS": all.iter().map(|bytes| BASE64_STANDARD.encode(bytes)).collect::<Value>() })
        }
        // A type that this SDK does not know has no name here either; such a row is none of ours.
        AttributeValue::Null(_) | _ => json!({ "NULL": true }),
    }
}

/// `None` if the value is no row.
pub fn from_json(row: Value) -> Option<Item> {
    let Value::Object(members) = row else { return None };
    members
        .into_iter()
        .map(|(name, value)| Some((name, attribute(value)?)))
        .collect()
}

fn attribute(value: Value) -> Option<AttributeValue> {
    let Value::Object(tagged) = value else { return None };
    let (tag, value) = only(tagged)?;
    Some(match (tag.as_str(), value) {
        ("S", Value::String(text)) => AttributeValue::S(text),
        ("N", Value::String(number)) => AttributeValue::N(number),
        ("BOOL", Value::Bool(flag)) => AttributeValue::Bool(flag),
        ("NULL", Value::Bool(flag)) => AttributeValue::Null(flag),
        ("B", Value::String(text)) => AttributeValue::B(blob(&text)?),
        ("L", Value::Array(list)) => {
            AttributeValue::L(list.into_iter().map(attribute).collect::<Option<_>>()?)
        }
        ("M", map) => AttributeValue::M(from_json(map)?),
        ("SS", Value::Array(list)) => AttributeValue::Ss(texts(list)?),
        ("NS", Value::Array(list)) => AttributeValue::Ns(texts(list)?),
        ("BS", Value::Array(list)) => AttributeValue::Bs(
            texts(list)?
                .iter()
                .map(|text| blob(text))
                .collect::<Option<_>>()?,
        ),
        (_, _) => return None,
    })
}

fn only(members: Map<String, Value>) -> Option<(String, Value)> {
    let mut members = members.into_iter();
    let first = members.next()?;
    members.next().is_none().then_some(first)
}

fn texts(list: Vec<Value>) -> Option<Vec<String>> {
    list.into_iter()
        .map(|text| match text {
            Value::String(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        })
        .collect()
}

fn blob(text: &str) -> Option<Blob> {
    BASE64_STANDARD.decode(text).ok().map(Blob::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the types are those of DynamoDB's API reference (`AttributeValue`).
    #[test]
    fn every_type_goes_there_and_back() {
        let row = json!({
            "b": {"B": "AAEC"}, "bool": {"BOOL": true}, "bs": {"BS": ["AA=="]},
            "l": {"L": [{"S": "x"}, {"N": "1"}]}, "m": {"M": {"k": {"S": "v"}}}, "n": {"N": "-12.5"},
            "ns": {"NS": ["1", "2"]}, "null": {"NULL": true}, "s": {"S": "\n\u{1}é😀"}, "ss": {"SS": ["a"]},
        });
        let item = from_json(row.clone()).unwrap();
        assert_eq!(item["b"], AttributeValue::B(Blob::new([0, 1, 2])));
        assert_eq!(to_json(&item), row);
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for odd in [
            json!([]),
            json!({"a": "plain"}),
            json!({"a": {"N": 1}}),
            json!({"a": {"S": "x", "N": "1"}}),
            json!({"a": {"B": "!"}}),
            json!({"a": {"X": "y"}}),
            json!({"a": {"SS": [1]}}),
        ] {
            assert!(from_json(odd.clone()).is_none(), "{odd}");
        }
    }
}
