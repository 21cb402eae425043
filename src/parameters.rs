//! Path and query parameters: read into the input beside the body, each checked by its schema.
//!
//! Clients write lists and nested values into a query in many ways. Those that are not the contract's are refused with
//! the way that is: nothing that a caller sent is ignored.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{
    contract::{Location, Parameter, Route, Schema},
    error::FieldError,
    request::ApiRequest,
    validate,
};

/// What a presigned URL carries is API Gateway's business, and already verified ("Authenticating Requests: Using Query
/// Parameters").
const PRESIGNED: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// Adds the parameters to `input`, and to `errors` what is wrong with them.
pub fn read(
    route: &Route,
    request: &ApiRequest,
    input: &mut Map<String, Value>,
    errors: &mut Vec<FieldError>,
) {
    for parameter in route.parameters {
        let values = given(parameter, request);
        if values.is_empty() {
            if parameter.required {
                errors.push(FieldError::new(parameter.name, "is required"));
            }
            continue;
        }
        match parse(parameter, &values) {
            Err(message) => errors.push(FieldError::new(parameter.name, message)),
            Ok(value) => {
                validate::check(&value, parameter.schema, parameter.name, errors);
                input.insert(parameter.name.to_owned(), value);
            }
        }
    }
    let in_query = |parameter: &&Parameter| parameter.location == Location::Query;
    let known: Vec<&Parameter> = route.parameters.iter().filter(in_query).collect();
    for (name, _) in &request.query {
        if errors.len() > FieldError::MOST {
            return;
        }
        let is_known =
            PRESIGNED.contains(&name.as_str()) || known.iter().any(|parameter| parameter.name == name);
        match (is_known, name.as_str()) {
            (true, _) => {}
            (false, "") => errors.push(FieldError::new("", "a query parameter has no name; leave it out")),
            (false, name) => errors.push(FieldError::new(name, unknown(name, &known))),
        }
    }
}

fn given<'a>(parameter: &Parameter, request: &'a ApiRequest) -> Vec<&'a str> {
    match parameter.location {
        Location::Path => request
            .path_parameters
            .iter()
            .filter(|(name, _)| name == parameter.name)
            .map(|(_, value)| value.as_str())
            .collect(),
        Location::Query => request
            .query
            .iter()
            .filter(|(name, _)| name == parameter.name)
            .flat_map(|(_, values)| values.iter().map(String::as_str))
            .collect(),
    }
}

fn parse(parameter: &Parameter, values: &[&str]) -> Result<Value, String> {
    if let Schema::Array { items, .. } = parameter.schema {
        return parse_list(parameter.name, items, values);
    }
    let [value] = values else {
        return Err(format!("is given {} times; give it once", values.len()));
    };
    match parameter.schema {
        Schema::Integer { minimum, maximum } => value.parse::<i64>().map(Value::from).map_err(|_| {
            let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                validate::range_fault(*minimum, *maximum)
            } else {
                validate::NO_INTEGER.to_owned()
            }
        }),
        Schema::Boolean => value
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| "must be true or false".to_owned()),
        Schema::String { .. } | Schema::Array { .. } | Schema::Map { .. } | Schema::Object { .. } => {
            Ok(Value::from(*value))
        }
    }
}

/// What clients without `explode` put between the values of a list, and its name in a sentence.
const SEPARATORS: [(char, &str); 3] = [(',', "a comma"), ('|', "a `|`"), (';', "a semicolon")];

/// Each value once. A single value that looks like several joined, or like a list in JSON, may also be one: PCS's model
/// lets a tag's key have every character. Whoever means one value says so by giving it twice.
fn parse_list(name: &str, items: &Schema, values: &[&str]) -> Result<Value, String> {
    if let [value] = values
        && let Some(what) = looks_joined(value)
    {
        let mut faults = Vec::new();
        validate::check(&Value::from(*value), items, name, &mut faults);
        let meant = if faults.is_empty() {
            ", or give the value twice if it is one"
        } else {
            ""
        };
        return Err(format!(
            "{what}; repeat the parameter for each value (`{name}=a&{name}=b`){meant}"
        ));
    }
    let mut seen = BTreeSet::new();
    let values = values.iter().filter(|value| seen.insert(**value));
    Ok(values.map(|value| Value::from(*value)).collect())
}

fn looks_joined(value: &str) -> Option<String> {
    if value.starts_with('[') {
        return Some("begins with `[`, as a list in JSON does".to_owned());
    }
    let separator = SEPARATORS
        .iter()
        .find(|(separator, _)| value.contains(*separator));
    separator.map(|(_, name)| format!("has {name}"))
}

fn unknown(name: &str, known: &[&Parameter]) -> String {
    // `tagKeys[]`, `tagKeys[0]`, `filter[name]`.
    let base = name.split(['[', '%']).next().unwrap_or(name);
    let bracketed = known.iter().find(|parameter| parameter.name == base);
    match bracketed.map(|parameter| parameter.schema) {
        Some(Schema::Array { .. }) => format!(
            "is not a parameter; write `{base}` without brackets and repeat it for each value (`{base}=a&{base}=b`)"
        ),
        Some(_) => format!("is not a parameter; write `{base}` without brackets"),
        None => {
            let names: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
            validate::unknown("is not a query parameter of this operation", name, &names)
        }
    }
}
