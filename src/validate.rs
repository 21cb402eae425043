//! Checks JSON against the contract's schemas and reports every violation with its path, not the first one.

use serde_json::{Map, Value};

use crate::{
    contract::{Member, Schema},
    error::FieldError,
};

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
            let message = string_fault(text, *min_length, *max_length, choices).or_else(|| {
                pattern
                    .filter(|p| !p.matches(text))
                    .map(|p| format!("must be {} (pattern `{}`)", p.form, p.source))
            });
            errors.extend(message.map(|message| FieldError::new(path, message)));
        }
        (Schema::Integer { minimum, maximum }, Value::Number(number)) => match number.as_i64() {
            Some(number) if (*minimum..=*maximum).contains(&number) => {}
            Some(_) => errors.push(FieldError::new(path, range_fault(*minimum, *maximum))),
            None => errors.push(FieldError::new(path, "must be an integer")),
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
            errors.extend(
                count_fault(values.len(), *min_items, *max_items, "items").map(|m| FieldError::new(path, m)),
            );
            for (index, item) in values.iter().enumerate() {
                check(item, items, &format!("{path}[{index}]"), errors);
            }
        }
        (Schema::Map { .. }, Value::Object(entries)) => check_map(entries, schema, path, errors),
        (Schema::Object { members }, Value::Object(object)) => check_object(object, members, path, errors),
        (_, Value::Null) => errors.push(FieldError::new(path, "must not be null; leave it out instead")),
        _ => errors.push(FieldError::new(path, format!("must be {}", wanted(schema)))),
    }
}

fn check_object(object: &Map<String, Value>, members: &[Member], path: &str, errors: &mut Vec<FieldError>) {
    for member in members {
        match object.get(member.name) {
            Some(value) => check(value, member.schema, &join(path, member.name), errors),
            None if member.required => errors.push(FieldError::new(&join(path, member.name), "is required")),
            None => {}
        }
    }
    for name in object
        .keys()
        .filter(|name| !members.iter().any(|member| member.name == name.as_str()))
    {
        let known: Vec<&str> = members.iter().map(|member| member.name).collect();
        let message = format!("is not known here; known are {}", known.join(", "));
        errors.push(FieldError::new(&join(path, name), message));
        if errors.len() > FieldError::MOST {
            return;
        }
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
    errors.extend(
        count_fault(entries.len(), *min_entries, *max_entries, "entries").map(|m| FieldError::new(path, m)),
    );
    for (key, value) in entries {
        let path = join(path, key);
        if let Some(fault) = string_fault(key, *key_min_length, *key_max_length, &[]) {
            errors.push(FieldError::new(&path, format!("the key {fault}")));
        }
        check(value, values, &path, errors);
    }
}

fn string_fault(text: &str, min: u32, max: u32, choices: &[&str]) -> Option<String> {
    if !choices.is_empty() && !choices.contains(&text) {
        return Some(format!("must be one of {}", choices.join(", ")));
    }
    count_fault(text.chars().count(), min, max, "characters")
}

fn count_fault(count: usize, min: u32, max: u32, unit: &str) -> Option<String> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if (min..=max).contains(&count) {
        return None;
    }
    Some(match (min, max) {
        (min, u32::MAX) => format!("must have at least {min} {unit}, has {count}"),
        (0, max) => format!("must have at most {max} {unit}, has {count}"),
        (min, max) => format!("must have {min} to {max} {unit}, has {count}"),
    })
}

fn range_fault(minimum: i64, maximum: i64) -> String {
    match (minimum, maximum) {
        (minimum, i64::MAX) => format!("must be {minimum} or more"),
        (i64::MIN, maximum) => format!("must be {maximum} or less"),
        (minimum, maximum) => format!("must be between {minimum} and {maximum}"),
    }
}

fn wanted(schema: &Schema) -> &'static str {
    match schema {
        Schema::String { .. } => "a string",
        Schema::Integer { .. } => "an integer",
        Schema::Boolean => "true or false",
        Schema::Array { .. } => "a list",
        Schema::Map { .. } | Schema::Object { .. } => "an object",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        contract,
        operations::{Action, Operation},
    };

    /// Paths and messages of what is wrong with a body.
    fn faults(operation: Operation, body: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        check(body, contract::route(operation).body.unwrap(), "", &mut errors);
        errors
            .into_iter()
            .map(|error| format!("{} {}", error.path, error.message))
            .collect()
    }

    fn group(changes: &Value) -> Value {
        let mut body = json!({
            "computeNodeGroupName": "compute",
            "subnetIds": ["subnet-0123456789abcdef0"],
            "iamInstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/AWSPCS-compute-node",
            "scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": 4},
            "instanceConfigs": [{"instanceType": "c6i.xlarge"}],
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    #[track_caller]
    fn check_group(changes: &Value, expected: &[&str]) {
        assert_eq!(
            faults(Operation::Pcs(Action::CreateComputeNodeGroup), &group(changes)),
            expected
        );
    }

    #[test]
    fn a_good_body_has_no_faults() {
        check_group(&json!({}), &[]);
        check_group(&json!({"tags": {"team": ""}, "amiId": "ami-0a"}), &[]);
    }

    #[test]
    fn each_kind_of_fault_has_its_sentence() {
        check_group(
            &json!({"scalingConfiguration": {"minInstanceCount": -1}}),
            &[
                "scalingConfiguration.maxInstanceCount is required",
                "scalingConfiguration.minInstanceCount must be 0 or more",
            ],
        );
        check_group(
            &json!({"purchaseOption": "CHEAP"}),
            &[
                "purchaseOption must be one of ONDEMAND, SPOT, CAPACITY_BLOCK, INTERRUPTIBLE_CAPACITY_RESERVATION",
            ],
        );
        check_group(
            &json!({"sshKeyName": ""}),
            &["sshKeyName must have 1 to 255 characters, has 0"],
        );
        check_group(&json!({"tags": {}}), &["tags must have 1 to 200 entries, has 0"]);
        check_group(
            &json!({"tags": {"": "x"}}),
            &["tags. the key must have 1 to 128 characters, has 0"],
        );
        check_group(&json!({"tags": {"k": 1}}), &["tags.k must be a string"]);
        check_group(
            &json!({"amiId": null}),
            &["amiId must not be null; leave it out instead"],
        );
        check_group(
            &json!({"subnetIds": "subnet-0123456789abcdef0"}),
            &["subnetIds must be a list"],
        );
        check_group(
            &json!({"instanceConfigs": [{"instanceTyp": "c6i.xlarge"}]}),
            &["instanceConfigs[0].instanceTyp is not known here; known are instanceType"],
        );
        let scaling = json!({"minInstanceCount": 0.5, "maxInstanceCount": 18_446_744_073_709_551_615_u64});
        check_group(
            &json!({"scalingConfiguration": scaling}),
            &[
                "scalingConfiguration.maxInstanceCount must be an integer",
                "scalingConfiguration.minInstanceCount must be an integer",
            ],
        );
    }

    /// Lengths count characters, as the model does: 256 of them in a tag's value, whatever their bytes.
    #[test]
    fn lengths_count_characters() {
        check_group(&json!({"tags": {"k": "é".repeat(256)}}), &[]);
        check_group(
            &json!({"tags": {"k": "é".repeat(257)}}),
            &["tags.k must have at most 256 characters, has 257"],
        );
    }

    #[test]
    fn the_number_of_faults_is_bounded() {
        let many: Map<String, Value> = (0..10_000).map(|n| (format!("x{n}"), Value::Null)).collect();
        assert!(
            faults(
                Operation::Pcs(Action::CreateComputeNodeGroup),
                &Value::Object(many)
            )
            .len()
                <= FieldError::MOST + 1
        );
    }

    /// The longest pattern of the contract, whose DFA cannot be built, and its limits.
    #[test]
    fn instance_profile_arns_are_matched_whole() {
        let arn = |rest: &str| format!("arn:aws:iam::123456789012:instance-profile/{rest}");
        for (rest, good) in [
            ("AWSPCS-x".to_owned(), true),
            (format!("{}/x", "a".repeat(510)), true),
            (format!("{}/x", "a".repeat(511)), false),
            ("x".repeat(128), true),
            ("x".repeat(129), false),
            ("x y".to_owned(), false),
            ("x\n".to_owned(), false),
            (String::new(), false),
        ] {
            let found = faults(
                Operation::Pcs(Action::CreateComputeNodeGroup),
                &group(&json!({"iamInstanceProfileArn": arn(&rest)})),
            );
            assert_eq!(found.is_empty(), good, "{rest}: {found:?}");
        }
    }
}
