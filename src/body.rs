//! What the contract says of a request's body beside its schema: that it has to be there, which empty lists mean
//! nothing, which members take an id, and that a change has to change something.

use serde_json::{Map, Value};

use crate::{
    contract::{Body, Schema},
    error::FieldError,
    validate::join,
};

const CLIENT_TOKEN: &str = "clientToken";

/// Takes out what is as if it were not there.
pub fn drop_empty(object: &mut Map<String, Value>, body: &Body) {
    if body.empty_is_absent {
        drop_from(object, body.schema, body.not_empty);
    }
}

fn drop_from(object: &mut Map<String, Value>, schema: &Schema, not_empty: &[&str]) {
    let Schema::Object { members } = schema else {
        return;
    };
    object.retain(|name, value| {
        let Some(member) = members.iter().find(|member| member.name == name.as_str()) else {
            return true;
        };
        match value {
            Value::Array(items) => {
                if let Schema::Array { items: schema, .. } = member.schema {
                    let objects = items.iter_mut().filter_map(Value::as_object_mut);
                    objects.for_each(|item| drop_from(item, schema, not_empty));
                }
            }
            Value::Object(inner) => drop_from(inner, member.schema, not_empty),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        member.required || not_empty.contains(&member.name) || !is_empty(value, member.schema)
    });
}

fn is_empty(value: &Value, schema: &Schema) -> bool {
    match (schema, value) {
        (Schema::Array { .. }, Value::Array(items)) => items.is_empty(),
        (Schema::Map { .. }, Value::Object(entries)) => entries.is_empty(),
        _ => false,
    }
}

/// Adds to `errors` what is wrong with a body that is otherwise looked at by its schema.
pub fn check(object: &Map<String, Value>, body: &Body, errors: &mut Vec<FieldError>) {
    for name in body.not_empty {
        if object
            .get(*name)
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty)
        {
            let message = "must not be an empty list; leave it out to keep what is there";
            errors.push(FieldError::new(name, message));
        }
    }
    if !body.ids.is_empty() {
        check_ids(object, body.schema, body.ids, "", errors);
    }
}

/// Adds to `errors` that a change would change nothing; for a body in which nothing else is wrong. `sent`: the bytes that
/// it was read from, which may be none.
pub fn check_changes(object: &Map<String, Value>, body: &Body, sent: &[u8], errors: &mut Vec<FieldError>) {
    let Schema::Object { members } = body.schema else {
        return;
    };
    if says_something(object, body.schema) {
        return;
    }
    let names = members.iter().map(|member| member.name);
    let names: Vec<&str> = names.filter(|name| *name != CLIENT_TOKEN).collect();
    let why = if sent.is_empty() {
        "the body is missing, so nothing would change"
    } else {
        "nothing would change"
    };
    let message = format!("{why}; give at least one of {}", names.join(", "));
    errors.push(FieldError::new("", message));
}

/// Whether PCS is told anything: an object none of whose members it needs, and that has none, says nothing. What names
/// the request alone does not either.
fn says_something(object: &Map<String, Value>, schema: &Schema) -> bool {
    let Schema::Object { members } = schema else {
        return true;
    };
    members.iter().any(|member| {
        let given = object.get(member.name);
        let tells = given.is_some_and(|value| match value {
            Value::Object(inner) => says_something(inner, member.schema),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => true,
        });
        member.required || (tells && member.name != CLIENT_TOKEN)
    })
}

fn check_ids(
    object: &Map<String, Value>,
    schema: &Schema,
    ids: &[&str],
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let Schema::Object { members } = schema else {
        return;
    };
    for member in *members {
        let path = || join(path, member.name);
        match object.get(member.name) {
            _ if errors.len() > FieldError::MOST => return,
            Some(Value::String(text)) if ids.contains(&member.name) && !text.starts_with("pcs_") => {
                let message =
                    "must be an id (pcs_...), not a name; the answers of List and Get operations have both";
                errors.push(FieldError::new(&path(), message));
            }
            Some(Value::Object(inner)) => check_ids(inner, member.schema, ids, &path(), errors),
            Some(Value::Array(items)) => {
                let Schema::Array { items: schema, .. } = member.schema else {
                    continue;
                };
                for (index, item) in items.iter().enumerate() {
                    if let Value::Object(inner) = item {
                        check_ids(inner, schema, ids, &format!("{}[{index}]", path()), errors);
                    }
                }
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {}
        }
    }
}
