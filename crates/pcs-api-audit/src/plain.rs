//! Rows as plain JSON, for people and their scripts.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use pcs_api::audit::chain::Item;
use serde_json::{Map, Value, json};

use crate::verify::SECRET;

/// Recorded as text, because a long one is cut.
const RECORDED_JSON: [&str; 2] = ["requestParameters", "responseElements"];

/// All attributes of the row but a secret; recorded JSON as JSON unless it was cut.
pub fn row(row: &Item) -> Map<String, Value> {
    let sorted: BTreeMap<&String, &AttributeValue> = row.iter().collect();
    let told = sorted.into_iter().filter(|(name, _)| *name != SECRET);
    told.map(|(name, attribute)| {
        let text = attribute.as_s().ok();
        let value = match text.filter(|_| RECORDED_JSON.contains(&name.as_str())) {
            Some(text) => recorded(text),
            None => value(attribute),
        };
        (name.clone(), value)
    })
    .collect()
}

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// Bytes have no place in plain JSON.
pub fn value(attribute: &AttributeValue) -> Value {
    match attribute {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(number) => serde_json::from_str(number).unwrap_or_else(|_| json!(number)),
        AttributeValue::Bool(flag) => json!(flag),
        AttributeValue::L(list) => list.iter().map(value).collect(),
        AttributeValue::M(map) => Value::Object(row(map)),
        AttributeValue::Ss(texts) => json!(texts),
        AttributeValue::Ns(numbers) => json!(numbers),
        AttributeValue::B(_) | AttributeValue::Bs(_) | AttributeValue::Null(_) | _ => Value::Null,
    }
}

/// A text attribute.
pub fn text<'a>(row: &'a Item, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

/// A text attribute of a map.
pub fn inner<'a>(row: &'a Item, map: &str, name: &str) -> Option<&'a str> {
    text(row.get(map)?.as_m().ok()?, name)
}
