//! Checks JSON against the contract's schemas and reports every violation with its path, not the first one.
//!
//! A caller chooses how large each part of a request is. What is looked at is therefore bounded by the schema before
//! it is looked at: no item behind a list's limit, no pattern over a text that is too long for every pattern.

mod nearest;
mod wording;

use serde_json::{Map, Value};

use crate::{
    contract::{Member, Pattern, Schema},
    error::FieldError,
};
use wording::{CHARACTERS, ENTRIES, ITEMS, choices_fault, count_fault, wanted};

pub use wording::{NO_INTEGER, meant, range_fault, unknown};

/// No text that a pattern of the contract matches is longer; running one takes time by its states and the text.
const PATTERN_BYTES_MAX: usize = 4096;

/// Adds to `errors` whatever is wrong with a request's body.
pub fn check_object(body: &Map<String, Value>, schema: &Schema, errors: &mut Vec<FieldError>) {
    match schema {
        Schema::Object { members } => check_members(body, members, "", errors),
        Schema::Map { .. } => check_map(body, schema, "", errors),
        Schema::String { .. } | Schema::Integer { .. } | Schema::Boolean | Schema::Array { .. } => {
            errors.push(FieldError::new("", format!("must be {}", wanted(schema))));
        }
    }
}

/// Adds to `errors` whatever is wrong with `value`. `path` is the member's path from the request's root.
pub fn check(value: &Value, schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    if errors.len() > FieldError::MOST {
        return;
    }
    match (schema, value) {
        (
            Schema::String {
                min_length,
                max_length,
                pattern,
                choices,
            },
            Value::String(text),
        ) => {
            let fault = choices_fault(text, choices)
                .or_else(|| text_fault(text, (*min_length, *max_length), *pattern));
            errors.extend(fault.map(|message| FieldError::new(path, message)));
        }
        (Schema::Integer { minimum, maximum }, Value::Number(number)) => match number.as_i64() {
            Some(number) if (*minimum..=*maximum).contains(&number) => {}
            Some(_) => errors.push(FieldError::new(path, range_fault(*minimum, *maximum))),
            // What is no float for its digits alone: an integer too large for 64 bits.
            None if is_whole(number) => errors.push(FieldError::new(path, range_fault(*minimum, *maximum))),
            None => errors.push(FieldError::new(path, NO_INTEGER)),
        },
        (Schema::Boolean, Value::Bool(_)) => {}
        (
            Schema::Array {
                items,
                min_items,
                max_items,
            },
            Value::Array(values),
        ) => {
            let fault = count_fault(values.len(), *min_items, *max_items, ITEMS);
            errors.extend(fault.map(|message| FieldError::new(path, message)));
            for (index, item) in values.iter().take(most(*max_items)).enumerate() {
                check(item, items, &format!("{path}[{index}]"), errors);
            }
        }
        (Schema::Map { .. }, Value::Object(entries)) => check_map(entries, schema, path, errors),
        (Schema::Object { members }, Value::Object(object)) => check_members(object, members, path, errors),
        (_, Value::Null) => errors.push(FieldError::new(path, "must not be null; leave it out instead")),
        _ => errors.push(FieldError::new(path, format!("must be {}", wanted(schema)))),
    }
}

fn is_whole(number: &serde_json::Number) -> bool {
    const BITS_64: f64 = 9_223_372_036_854_775_808.0;
    number.is_u64() || number.as_f64().is_some_and(|number| number.abs() >= BITS_64)
}

fn most(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn check_members(object: &Map<String, Value>, members: &[Member], path: &str, errors: &mut Vec<FieldError>) {
    for member in members {
        match object.get(member.name) {
            Some(Value::Null) if member.required => {
                let path = join(path, member.name);
                errors.push(FieldError::new(&path, "is required and must not be null"));
            }
            Some(value) => check(value, member.schema, &join(path, member.name), errors),
            None if member.required => errors.push(FieldError::new(&join(path, member.name), "is required")),
            None => {}
        }
    }
    let known: Vec<&str> = members.iter().map(|member| member.name).collect();
    for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
        if errors.len() > FieldError::MOST {
            return;
        }
        let what = if name.is_empty() {
            "has a member without a name, which is not known here"
        } else {
            "is not known here"
        };
        let path = if name.is_empty() {
            path.to_owned()
        } else {
            join(path, name)
        };
        let what = if path.is_empty() {
            format!("the body {what}")
        } else {
            what.to_owned()
        };
        errors.push(FieldError::new(&path, unknown(&what, name, &known)));
    }
}

fn check_map(entries: &Map<String, Value>, schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    let Schema::Map {
        values,
        min_entries,
        max_entries,
        key_min_length,
        key_max_length,
    } = schema
    else {
        return;
    };
    let fault = count_fault(entries.len(), *min_entries, *max_entries, ENTRIES);
    errors.extend(fault.map(|message| FieldError::new(path, message)));
    for (key, value) in entries.iter().take(most(*max_entries)) {
        if key.is_empty() && *key_min_length > 0 {
            let message = format!(
                "must have no entry without a key; a key has {key_min_length} to {key_max_length} characters"
            );
            errors.push(FieldError::new(path, message));
            continue;
        }
        let path = join(path, key);
        if let Some(fault) = text_fault(key, (*key_min_length, *key_max_length), None) {
            errors.push(FieldError::new(&path, format!("the key {fault}")));
        }
        check(value, values, &path, errors);
    }
}

/// What is wrong with a text. Its form comes first, because that says what would pass; its length is told beside it
/// unless the form settles the length.
fn text_fault(text: &str, (min, max): (u32, u32), pattern: Option<&Pattern>) -> Option<String> {
    let length = count_fault(text.chars().count(), min, max, CHARACTERS);
    let broken = pattern.filter(|pattern| text.len() > PATTERN_BYTES_MAX || !pattern.matches(text));
    let Some(pattern) = broken else {
        return length;
    };
    if length.is_none() && text.len() > PATTERN_BYTES_MAX {
        return Some(format!("is too long to be {}", pattern.form));
    }
    let form = format!("must be {} (pattern `{}`)", pattern.form, pattern.source);
    Some(match length {
        Some(_) if text.is_empty() => format!("is empty; it {form}"),
        Some(length) if min != max => format!("{form}, and {length}"),
        Some(_) | None => form,
    })
}

/// The path of a member of what stands at `path`.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests;
