//! Reads a request body strictly: what two JSON readers could understand differently is refused.
//!
//! `serde_json::Value` keeps the last of two equal keys; a reader in front of us, or PCS behind us, might keep the
//! first. A decision must be about the value that is carried out, so duplicates are errors, all of them reported.

use std::cell::RefCell;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::FieldError;

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The JSON object in `body`, or why it is none. An empty body reads as `{}`: the schema says what is missing.
pub fn read_object(body: &[u8]) -> Result<Map<String, Value>, Vec<FieldError>> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    if body.starts_with(&BYTE_ORDER_MARK) {
        return refuse("the body starts with a byte order mark; send plain UTF-8 JSON");
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return refuse("the body is not valid UTF-8");
    };
    let duplicates = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict {
        path: "",
        duplicates: &duplicates,
    }
    .deserialize(&mut reader)
    .and_then(|value| reader.end().map(|()| value));
    match value {
        Err(error) => refuse(&explain(&error)),
        Ok(_) if !duplicates.borrow().is_empty() => Err(duplicates.into_inner()),
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => refuse("the body must be a JSON object"),
    }
}

fn refuse<T>(message: &str) -> Result<T, Vec<FieldError>> {
    Err(vec![FieldError::new("", message)])
}

fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("recursion limit exceeded") {
        return "the body is nested more than 127 levels deep".to_owned();
    }
    if text.starts_with("trailing characters") {
        return format!("the body holds more than one JSON value: {text}");
    }
    format!("the body is not valid JSON: {text}")
}

/// Builds a `Value` and notes the path of every key that occurs twice.
struct Strict<'a> {
    path: &'a str,
    duplicates: &'a RefCell<Vec<FieldError>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, items.len());
            match access.next_element_seed(Strict {
                path: &path,
                duplicates: self.duplicates,
            })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let path = if self.path.is_empty() {
                key.clone()
            } else {
                format!("{}.{key}", self.path)
            };
            let value = access.next_value_seed(Strict {
                path: &path,
                duplicates: self.duplicates,
            })?;
            if object.insert(key, value).is_some() {
                let mut duplicates = self.duplicates.borrow_mut();
                if duplicates.len() >= FieldError::MOST {
                    return Err(A::Error::custom("too many duplicate keys"));
                }
                duplicates.push(FieldError::new(&path, "is given more than once; give it once"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &[u8]) -> String {
        read_object(body)
            .unwrap_err()
            .into_iter()
            .map(|e| format!("{}: {}", e.path, e.message))
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn an_object_is_read_as_it_stands() {
        let object = read_object(r#"{"a":{"b":[1,-2,"x",true,1.5]}}"#.as_bytes()).unwrap();
        assert_eq!(
            Value::Object(object),
            serde_json::json!({"a": {"b": [1, -2, "x", true, 1.5]}})
        );
        assert!(read_object(b"").unwrap().is_empty());
    }

    #[test]
    fn every_duplicate_is_named_with_its_path() {
        let text = message(br#"{"a":1,"b":[{"c":1,"c":2}],"a":2}"#);
        assert!(
            text.contains("b[0].c: is given more than once") && text.contains("a: is given more than once"),
            "{text}"
        );
    }

    #[test]
    fn each_malformed_body_is_told_apart() {
        assert!(message(b"\xEF\xBB\xBF{}").contains("byte order mark"));
        assert!(message(b"{\"a\":\"\xFF\"}").contains("UTF-8"));
        assert!(message(b"{} {}").contains("more than one JSON value"));
        assert!(message(b"[]").contains("must be a JSON object"));
        assert!(message(b"{\"a\":").contains("not valid JSON"));
        assert!(message("[".repeat(128).as_bytes()).contains("127 levels"));
        assert!(
            message(format!("{{\"a\":{}1{}}}", "[".repeat(127), "]".repeat(127)).as_bytes())
                .contains("127 levels")
        );
        assert!(message(b"{\"a\":1e999}").contains("not valid JSON"));
        assert!(message(b"null").contains("must be a JSON object"));
    }
}
