//! Reads a request body strictly: what two JSON readers could understand differently is refused.
//!
//! `serde_json::Value` keeps the last of two equal keys; a reader in front of us, or PCS behind us, might keep the
//! first. A decision must be about the value that is carried out, so duplicates are errors, all of them reported.

use std::cell::{Cell, RefCell};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::FieldError;

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Longest key, in bytes. The longest that the contract allows is a tag's, 128 characters.
const KEY_BYTES_MAX: usize = 1024;
/// Most values in a body, objects and lists included. The largest request that PCS's limits allow (two stages of 20
/// lifecycle scripts with all arguments, 200 tags) has about 1,500.
const VALUES_MAX: usize = 20_000;

/// An object, and what stands in its text more than once.
pub type WithDuplicates = (Map<String, Value>, Vec<FieldError>);

/// The JSON object in `body`, or why it is none. One that says something twice is none.
pub fn read_object(body: &[u8]) -> Result<Map<String, Value>, Vec<FieldError>> {
    match read(body)? {
        (object, duplicates) if duplicates.is_empty() => Ok(object),
        (_, duplicates) => Err(duplicates),
    }
}

/// The JSON object in `body` and what stands in it more than once, of which the last is in the object: what else is wrong
/// with it can then be told beside that. Or why there is no object.
pub fn read(body: &[u8]) -> Result<WithDuplicates, Vec<FieldError>> {
    if body.starts_with(&BYTE_ORDER_MARK) {
        return refuse("the body starts with a byte order mark; send plain UTF-8 JSON");
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return refuse("the body is not valid UTF-8");
    };
    let notes = Notes::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict {
        place: Place::Body,
        notes: &notes,
    }
    .deserialize(&mut reader)
    .and_then(|value| reader.end().map(|()| value));
    let (limit, duplicates) = (notes.limit.into_inner(), notes.duplicates.into_inner());
    match (limit, value) {
        (Some(limit), _) => refuse(&limit),
        (None, Err(error)) => refuse(&explain(&error)),
        (None, Ok(Value::Object(object))) => Ok((object, duplicates)),
        (None, Ok(_)) => refuse("the body must be a JSON object"),
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
    if text.starts_with("number out of range") {
        return format!("the body holds a number that is too large: {text}");
    }
    if text.starts_with("trailing characters") {
        return format!("the body holds more than one JSON value: {text}");
    }
    format!("the body is not valid JSON: {text}")
}

/// What is noticed while a body is read.
#[derive(Default)]
struct Notes {
    duplicates: RefCell<Vec<FieldError>>,
    values: Cell<usize>,
    /// The limit that ended the reading, in a sentence.
    limit: RefCell<Option<String>>,
}

impl Notes {
    fn stop<T, E: serde::de::Error>(&self, limit: String) -> Result<T, E> {
        *self.limit.borrow_mut() = Some(limit);
        Err(E::custom("a limit is reached"))
    }

    fn count_value<E: serde::de::Error>(&self) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > VALUES_MAX {
            return self.stop(format!(
                "the body holds more than {VALUES_MAX} values, more than any request needs; send less"
            ));
        }
        Ok(())
    }
}

/// Where a value stands. Written out only for what is reported: a path for each value would take time and memory by
/// the product of the body's keys and values.
#[derive(Clone, Copy)]
enum Place<'a> {
    Body,
    Member(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// As much of the path as a `FieldError` keeps, 256 characters of at most four bytes.
    fn path(&self) -> String {
        const ENOUGH: usize = 4 * 256;
        let mut places = vec![self];
        while let Some(Place::Member(parent, _) | Place::Item(parent, _)) = places.last() {
            places.push(parent);
        }
        let mut path = String::new();
        for place in places.into_iter().rev() {
            if path.len() > ENOUGH {
                break;
            }
            match place {
                Place::Body => {}
                Place::Member(_, name) if path.is_empty() => path.push_str(name),
                Place::Member(_, name) => path.extend([".", name]),
                Place::Item(_, index) => path.extend(["[", &index.to_string(), "]"]),
            }
        }
        path
    }
}

/// Builds a `Value` and notes the path of every key that occurs twice, in time and memory linear in the body.
struct Strict<'a> {
    place: Place<'a>,
    notes: &'a Notes,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.notes.count_value()?;
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
        // The integer `-0` comes as this too, and nothing in the contract is a fraction.
        if value == 0.0 && value.is_sign_negative() {
            return Ok(Value::from(0));
        }
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
        while let Some(item) = access.next_element_seed(Strict {
            place: Place::Item(&self.place, items.len()),
            notes: self.notes,
        })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if key.len() > KEY_BYTES_MAX {
                return self.notes.stop(format!(
                    "the body has a key of {} bytes; keys have at most {KEY_BYTES_MAX}",
                    key.len()
                ));
            }
            let place = Place::Member(&self.place, &key);
            let value = access.next_value_seed(Strict {
                place,
                notes: self.notes,
            })?;
            if object.contains_key(&key) {
                let mut duplicates = self.notes.duplicates.borrow_mut();
                if duplicates.len() < FieldError::MOST {
                    let message = "is given more than once; give it once";
                    duplicates.push(FieldError::new(&place.path(), message));
                }
            }
            object.insert(key, value);
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
    }

    #[test]
    fn minus_nothing_is_nothing() {
        let object = read_object(b"{\"a\":-0}").unwrap();
        assert_eq!(Value::Object(object), serde_json::json!({"a": 0}));
    }

    #[test]
    fn every_duplicate_is_named_with_its_path() {
        let text = message(br#"{"a":1,"b":[{"c":1,"c":2}],"a":2}"#);
        assert!(
            text.contains("b[0].c: is given more than once") && text.contains("a: is given more than once"),
            "{text}"
        );
        let many = "\"k\":0,".repeat(150);
        let errors = read_object(format!("{{{many}\"x\":0}}").as_bytes()).unwrap_err();
        assert_eq!(errors.len(), FieldError::MOST);
        assert!(errors.iter().all(|error| error.path == "k"));
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
        assert!(message(b"{\"a\":1e999}").contains("holds a number that is too large"));
        assert!(message(b"null").contains("must be a JSON object"));
    }

    /// What each value costs does not depend on the names around it: one path for each would be gigabytes here.
    #[test]
    fn long_names_around_many_values_cost_nothing() {
        let name = "k".repeat(1000);
        let nested = format!("{{\"{name}\":").repeat(60);
        let values = "[],".repeat(19_000);
        let body = format!("{nested}[{values}0]{}", "}".repeat(60));
        assert!(read_object(body.as_bytes()).is_ok());
        let twice = format!("\"{name}\":0,").repeat(90);
        let body = format!("{nested}{{{twice}\"x\":0}}{}", "}".repeat(60));
        let errors = read_object(body.as_bytes()).unwrap_err();
        assert_eq!(errors.len(), 89);
        assert!(errors.iter().all(|error| error.path.len() == 256), "{errors:?}");
    }

    #[test]
    fn each_limit_has_its_sentence() {
        let key = |length: usize| format!("{{\"{}\":1}}", "k".repeat(length));
        assert!(read_object(key(1024).as_bytes()).is_ok());
        assert!(message(key(1025).as_bytes()).contains("a key of 1025 bytes; keys have at most 1024"));
        let values = |count: usize| format!("{{\"a\":[0{}]}}", ",0".repeat(count - 3));
        assert!(read_object(values(20_000).as_bytes()).is_ok());
        assert!(message(values(20_001).as_bytes()).contains("more than 20000 values"));
    }
}
