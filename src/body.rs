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
    check_empty(object, body.schema, body, "", errors);
    check_alone(object, body, errors);
    if !body.ids.is_empty() {
        check_ids(object, body.schema, body.ids, "", errors);
    }
    check_between(object, body, "", errors);
}

fn check_empty(
    object: &Map<String, Value>,
    schema: &Schema,
    body: &Body,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let Schema::Object { members } = schema else {
        return;
    };
    for member in *members {
        let Some(value) = object.get(member.name) else {
            continue;
        };
        if errors.len() > FieldError::MOST {
            return;
        }
        let path = join(path, member.name);
        let fault = body
            .not_empty
            .contains(&member.name)
            .then(|| empty_fault(value, member.schema, body));
        match (fault.flatten(), value) {
            (Some(message), _) => errors.push(FieldError::new(&path, message)),
            (None, Value::Object(inner)) => check_empty(inner, member.schema, body, &path, errors),
            (None, Value::Array(items)) => check_items(items, member.schema, body, &path, errors),
            (None, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {}
        }
    }
}

/// What is wrong with an empty list or object; the contract's schema tells it of lists that it bounds.
fn empty_fault(value: &Value, schema: &Schema, body: &Body) -> Option<String> {
    match (schema, value) {
        (Schema::Array { min_items: 0, .. }, Value::Array(items)) if items.is_empty() => {
            Some(if body.empty_is_absent {
                "must have at least 1 item, has 0".to_owned()
            } else {
                "must not be an empty list; leave it out to keep what is there".to_owned()
            })
        }
        (Schema::Object { .. }, Value::Object(inner)) if inner.is_empty() => {
            Some(format!("must not be an empty object; {}", give(schema, false)))
        }
        _ => None,
    }
}

/// An item that says nothing means nothing, in whichever list.
fn check_items(items: &[Value], schema: &Schema, body: &Body, path: &str, errors: &mut Vec<FieldError>) {
    let Schema::Array {
        items: schema,
        max_items,
        ..
    } = schema
    else {
        return;
    };
    let most = usize::try_from(*max_items).unwrap_or(usize::MAX);
    for (index, item) in items.iter().take(most).enumerate() {
        let Value::Object(inner) = item else { continue };
        if errors.len() > FieldError::MOST {
            return;
        }
        let path = || format!("{path}[{index}]");
        match schema {
            // The schema tells what is missing.
            Schema::Object { members }
                if inner.is_empty() && members.iter().any(|member| member.required) => {}
            Schema::Object { .. } if inner.is_empty() => {
                let message = format!("must not be an empty object; {}", give(schema, false));
                errors.push(FieldError::new(&path(), message));
            }
            Schema::Map { min_entries: 0, .. } if inner.is_empty() => {
                errors.push(FieldError::new(
                    &path(),
                    "must not be an empty object; give an entry",
                ));
            }
            Schema::Object { .. } => check_empty(inner, schema, body, &path(), errors),
            Schema::String { .. }
            | Schema::Integer { .. }
            | Schema::Boolean
            | Schema::Array { .. }
            | Schema::Map { .. } => {}
        }
    }
}

/// An empty list that may mean "remove all" is meant when nothing else is changed with it.
fn check_alone(object: &Map<String, Value>, body: &Body, errors: &mut Vec<FieldError>) {
    if body.empty_alone.is_empty() {
        return;
    }
    let mut changes = Vec::new();
    list_changes(object, body.schema, "", &mut changes);
    if changes.len() < 2 {
        return;
    }
    for (path, name, value) in changes {
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        if is_empty && body.empty_alone.contains(&name) {
            let message = "is empty beside other changes: leave it out to keep what is there, or send it alone to remove all";
            errors.push(FieldError::new(&path, message));
        }
    }
}

/// What a body changes: the members that are no objects of the contract, with their paths and names.
fn list_changes<'a>(
    object: &'a Map<String, Value>,
    schema: &Schema,
    path: &str,
    changes: &mut Vec<(String, &'static str, &'a Value)>,
) {
    let Schema::Object { members } = schema else {
        return;
    };
    for member in members.iter().filter(|member| member.name != CLIENT_TOKEN) {
        let path = join(path, member.name);
        match (object.get(member.name), member.schema) {
            (Some(Value::Object(inner)), Schema::Object { .. }) => {
                list_changes(inner, member.schema, &path, changes);
            }
            (Some(value), _) => changes.push((path, member.name, value)),
            (None, _) => {}
        }
    }
}

/// Adds to `errors` that a change would change nothing; for a body in which nothing else is wrong. `is_missing`: nothing
/// was sent.
pub fn check_changes(
    object: &Map<String, Value>,
    body: &Body,
    is_missing: bool,
    errors: &mut Vec<FieldError>,
) {
    if says_something(object, body.schema) {
        return;
    }
    if is_missing {
        let message = format!(
            "the body is missing, so nothing would change; {}",
            give(body.schema, true)
        );
        errors.push(FieldError::new("", message));
    } else {
        tell_silent(object, body.schema, "", errors);
    }
}

/// Names the innermost objects that say nothing, and what they can say.
fn tell_silent(object: &Map<String, Value>, schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    let Schema::Object { members } = schema else {
        return;
    };
    let before = errors.len();
    for member in *members {
        if let Some(Value::Object(inner)) = object.get(member.name) {
            tell_silent(inner, member.schema, &join(path, member.name), errors);
        }
    }
    if errors.len() == before {
        let is_whole = path.is_empty();
        let why = if is_whole { "" } else { "is empty, so " };
        let message = format!("{why}nothing would change; {}", give(schema, is_whole));
        errors.push(FieldError::new(path, message));
    }
}

/// Which members there are to give.
fn give(schema: &Schema, is_whole: bool) -> String {
    let Schema::Object { members } = schema else {
        return String::new();
    };
    let names = members.iter().map(|member| member.name);
    let names: Vec<&str> = names.filter(|name| !is_whole || *name != CLIENT_TOKEN).collect();
    match names.as_slice() {
        [only] => format!("give {only}"),
        names => format!("give at least one of {}", names.join(", ")),
    }
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

/// What two members, or a key and its map, say of each other. Lists have nothing of the kind.
fn check_between(object: &Map<String, Value>, body: &Body, path: &str, errors: &mut Vec<FieldError>) {
    if errors.len() > FieldError::MOST {
        return;
    }
    let number = |name: &str| object.get(name).and_then(Value::as_i64);
    for (lower, upper) in body.at_most {
        if let (Some(low), Some(high)) = (number(lower), number(upper))
            && low > high
        {
            let message = format!("must not be above `{upper}`");
            errors.push(FieldError::new(&join(path, lower), message));
        }
    }
    for (name, value) in object {
        let Value::Object(inner) = value else { continue };
        let path = join(path, name);
        match body.reserved_prefix.iter().find(|(map, _)| map == name) {
            Some((_, prefix)) => check_keys(inner, prefix, &path, errors),
            None => check_between(inner, body, &path, errors),
        }
    }
}

fn check_keys(map: &Map<String, Value>, prefix: &str, path: &str, errors: &mut Vec<FieldError>) {
    let is_reserved = |key: &&String| {
        let start = key.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    for key in map.keys().filter(is_reserved) {
        if errors.len() > FieldError::MOST {
            return;
        }
        let message = format!("begins with `{prefix}`, as AWS's own keys do; choose another key");
        errors.push(FieldError::new(&join(path, key), message));
    }
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
