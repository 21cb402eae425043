//! A row as the API tells it: plain JSON without the keys that only the table needs.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use super::{chain::Item, record::row};

/// Keys of the table and its indexes, and what the sweep alone uses.
const OWN: [&str; 9] = [
    "pk",
    "sk",
    "at",
    "byTime",
    "byPrincipal",
    "byResource",
    "byRequest",
    "closingKeys",
    "expires",
];
/// Recorded as text, because a long one is cut.
const RECORDED_JSON: [&str; 2] = ["requestParameters", "responseElements"];

/// The contract's `AuditEventSummary`.
pub fn summary(row: &Item) -> Map<String, Value> {
    let told = row::SUMMARY
        .iter()
        .filter(|name| !OWN.contains(name))
        .filter_map(|name| Some(((*name).to_owned(), plain(row.get(*name)?))));
    let mut summary: Map<String, Value> = told.collect();
    summary.insert("eventSource".to_owned(), row::EVENT_SOURCE.into());
    summary
}

/// The contract's `AuditRow`.
pub fn row(row: &Item) -> Map<String, Value> {
    let told = row.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    told.map(|(name, value)| {
        let value = if RECORDED_JSON.contains(&name.as_str()) {
            recorded(value)
        } else {
            plain(value)
        };
        (name.clone(), value)
    })
    .collect()
}

/// How much of the function's answer the row takes. That answer is JSON with the body as text in it.
pub fn answered_bytes(row: &Item) -> usize {
    let body = Value::Object(self::row(row)).to_string();
    Value::from(body).to_string().len()
}

/// The JSON that was recorded, or its beginning as text if it was cut.
fn recorded(value: &AttributeValue) -> Value {
    let text = value.as_s().map(String::as_str).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::N(number) => serde_json::from_str(number).unwrap_or_else(|_| number.as_str().into()),
        AttributeValue::Bool(flag) => (*flag).into(),
        AttributeValue::L(list) => list.iter().map(plain).collect(),
        AttributeValue::M(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        // No row of a call has any.
        AttributeValue::B(_)
        | AttributeValue::Bs(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Ss(_)
        | AttributeValue::Null(_)
        | _ => Value::Null,
    }
}
