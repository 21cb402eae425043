//! Answers against the output and error shapes of PCS's model, for every answer of every test here. It reads
//! the model file by itself and shares no code with the crate.

use std::sync::LazyLock;

use http::Response;
use serde_json::Value;

static MODEL: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../model/pcs-2023-02-10.json")).unwrap());

/// What the layers in front of PCS answer with; no shape of PCS models them.
const UNMODELLED: [&str; 8] = [
    "IncompleteSignature",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "RequestEntityTooLargeException",
    "SerializationException",
    "UnknownOperationException",
    "UnrecognizedClientException",
];

/// Fails unless the answer has the shape that the model gives it.
pub fn check<B: AsRef<[u8]>>(action: &str, response: &Response<B>) {
    let body: Value = serde_json::from_slice(response.body().as_ref()).unwrap();
    let operation = &MODEL["operations"][action];
    let mut faults = Vec::new();
    if response.status().is_success() {
        walk(operation["output"].as_str().unwrap(), &body, action, &mut faults);
    } else {
        error(operation, body.clone(), &mut faults);
    }
    assert!(faults.is_empty(), "{action}: {faults:?} in {body}");
}

fn error(operation: &Value, mut body: Value, faults: &mut Vec<String>) {
    let code = body.as_object_mut().unwrap().remove("__type").unwrap();
    let code = code.as_str().unwrap();
    if UNMODELLED.contains(&code) {
        return;
    }
    if MODEL["shapes"].get(code).is_none() {
        // Ordered by a test under a name of its own.
        return;
    }
    // Every AWS service validates and throttles, whether or not an action models it.
    let always = ["ValidationException", "ThrottlingException"].contains(&code);
    if !always && !operation["errors"].as_array().unwrap().iter().any(|e| e == code) {
        faults.push(format!("{code} is not modelled for it"));
    }
    walk(code, &body, code, faults);
}

fn walk(shape: &str, value: &Value, at: &str, faults: &mut Vec<String>) {
    let shape = &MODEL["shapes"][shape];
    let mut fault = |what: &str| faults.push(format!("{at}: {what}"));
    match (shape["type"].as_str().unwrap(), value) {
        ("structure", Value::Object(given)) => {
            for name in shape["required"].as_array().into_iter().flatten() {
                if !given.contains_key(name.as_str().unwrap()) {
                    fault(&format!("{name} is missing"));
                }
            }
            for (name, member) in given {
                match shape["members"][name].as_str() {
                    Some(known) => walk(known, member, &format!("{at}.{name}"), faults),
                    None => faults.push(format!("{at}.{name} is unknown")),
                }
            }
        }
        ("list", Value::Array(entries)) => {
            bounds(shape, entries.len(), &mut fault);
            for entry in entries {
                walk(shape["member"].as_str().unwrap(), entry, at, faults);
            }
        }
        ("map", Value::Object(entries)) => {
            bounds(shape, entries.len(), &mut fault);
            for entry in entries.values() {
                walk(shape["value"].as_str().unwrap(), entry, at, faults);
            }
        }
        ("string", Value::String(text)) => {
            bounds(shape, text.chars().count(), &mut fault);
            let values = shape["enum"].as_array();
            if values.is_some_and(|values| !values.contains(value)) {
                fault(&format!("{text} is not in the enum"));
            }
        }
        ("integer" | "long", Value::Number(number)) if number.is_i64() => {
            let number = number.as_i64().unwrap();
            if shape["min"].as_i64().is_some_and(|min| number < min)
                || shape["max"].as_i64().is_some_and(|max| number > max)
            {
                fault(&format!("{number} is out of range"));
            }
        }
        ("boolean", Value::Bool(_)) => {}
        // As in AWS's CloudTrail sample: 2024-07-16T17:13:09.276069393Z
        ("timestamp", Value::String(text)) if text.ends_with('Z') && text.find('T') == Some(10) => {}
        (kind, _) => fault(&format!("is no {kind}")),
    }
}

fn bounds(shape: &Value, size: usize, fault: &mut impl FnMut(&str)) {
    let limit = |name: &str| shape[name].as_u64().and_then(|n| usize::try_from(n).ok());
    if limit("min").is_some_and(|min| size < min) || limit("max").is_some_and(|max| size > max) {
        fault(&format!("has {size} entries or characters"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::walk;

    #[test]
    fn the_checker_sees_what_is_wrong() {
        let mut faults = Vec::new();
        let cluster = json!({"clusters": [{"name": 1, "id": "i", "arn": "a", "createdAt": "2024",
            "modifiedAt": "2024-07-16T17:13:09.276069393Z", "status": "READY", "extra": 1}]});
        walk("ListClustersResponse", &cluster, "", &mut faults);
        assert_eq!(faults.len(), 4, "{faults:?}");
        let missing = json!({"clusters": [{}]});
        faults.clear();
        walk("ListClustersResponse", &missing, "", &mut faults);
        assert_eq!(faults.len(), 6, "{faults:?}");
    }
}
