use serde_json::json;

use super::*;
use crate::{
    contract,
    operations::{Action, Operation},
};

/// Paths and messages of what is wrong with a body.
fn faults(operation: Operation, body: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    let schema = contract::route(operation).body.unwrap().schema;
    check(body, schema, "", &mut errors);
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
            "scalingConfiguration.minInstanceCount must be between 0 and 2147483647",
        ],
    );
    check_group(
        &json!({"purchaseOption": "CHEAP"}),
        &["purchaseOption must be one of ONDEMAND, SPOT, CAPACITY_BLOCK, INTERRUPTIBLE_CAPACITY_RESERVATION"],
    );
    check_group(
        &json!({"sshKeyName": ""}),
        &["sshKeyName must have 1 to 255 characters, has 0"],
    );
    check_group(&json!({"tags": {}}), &["tags must have 1 to 200 entries, has 0"]);
    check_group(
        &json!({"tags": {"": "x"}}),
        &["tags must have no entry without a key; a key has 1 to 128 characters"],
    );
    check_group(&json!({"tags": {"k": 1}}), &["tags.k must be a string"]);
    check_group(
        &json!({"amiId": null}),
        &["amiId must not be null; leave it out instead"],
    );
    check_group(
        &json!({"subnetIds": null}),
        &["subnetIds is required and must not be null"],
    );
    check_group(
        &json!({"scalingConfiguration": {"minInstanceCount": 2_147_483_648_u64, "maxInstanceCount": 2_147_483_647}}),
        &["scalingConfiguration.minInstanceCount must be between 0 and 2147483647"],
    );
    check_group(
        &json!({"subnetIds": "subnet-0123456789abcdef0"}),
        &["subnetIds must be a list"],
    );
    check_group(
        &json!({"instanceConfigs": [{"instanceTyp": "c6i.xlarge"}]}),
        &["instanceConfigs[0].instanceTyp is not known here; known is instanceType"],
    );
    let scaling = json!({"minInstanceCount": 0.5, "maxInstanceCount": 18_446_744_073_709_551_615_u64});
    check_group(
        &json!({"scalingConfiguration": scaling}),
        &[
            "scalingConfiguration.maxInstanceCount must be between 0 and 2147483647",
            "scalingConfiguration.minInstanceCount must be an integer, written without a fraction or an exponent",
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

/// Every text, number and list of the contract, with the path to it.
fn schemas(schema: &'static Schema, path: &str, found: &mut Vec<(String, &'static Schema)>) {
    found.push((path.to_owned(), schema));
    match schema {
        Schema::Array { items, .. } => schemas(items, &format!("{path}[0]"), found),
        Schema::Map { values, .. } => schemas(values, &format!("{path}.k"), found),
        Schema::Object { members } => {
            for member in *members {
                schemas(member.schema, &join(path, member.name), found);
            }
        }
        Schema::String { .. } | Schema::Integer { .. } | Schema::Boolean => {}
    }
}

/// Values just beyond each bound of a schema, and of every other type.
fn wrong_values(schema: &Schema) -> Vec<Value> {
    let number = |count: u32| usize::try_from(count).unwrap();
    let mut values = vec![
        json!(null),
        json!(1.5),
        json!(true),
        json!("#"),
        json!([]),
        json!({}),
        json!(u64::MAX),
    ];
    let mut counts = |min: u32, max: u32, of: &dyn Fn(usize) -> Value| {
        values.extend(min.checked_sub(1).map(|less| of(number(less))));
        values.extend(max.checked_add(1).map(|more| of(number(more))));
    };
    match schema {
        Schema::String {
            min_length,
            max_length,
            ..
        } => {
            counts(*min_length, *max_length, &|length| json!("a".repeat(length)));
            counts(*min_length, *max_length, &|length| json!("#".repeat(length)));
        }
        Schema::Array {
            min_items, max_items, ..
        } => {
            counts(*min_items, *max_items, &|length| json!(vec![Value::Null; length]));
        }
        Schema::Map {
            min_entries,
            max_entries,
            key_min_length,
            key_max_length,
            ..
        } => {
            let entries = |length: usize| (0..length).map(|n| (format!("k{n}"), json!("v"))).collect();
            counts(*min_entries, *max_entries, &|length| {
                Value::Object(entries(length))
            });
            counts(
                *key_min_length,
                *key_max_length,
                &|length| json!({"k".repeat(length): "v"}),
            );
        }
        Schema::Integer { minimum, maximum } => {
            values.extend(minimum.checked_sub(1).map(Value::from));
            values.extend(maximum.checked_add(1).map(Value::from));
        }
        Schema::Object { .. } => values.push(json!({"unknown": 1})),
        Schema::Boolean => {}
    }
    values
}

/// Whether a sentence says one thing of several, or several of one.
fn is_wrong_grammar(message: &str) -> bool {
    let words: Vec<&str> = message
        .split([' ', ',', ';'])
        .filter(|word| !word.is_empty())
        .collect();
    let one_of_one = |unit: &str| words.windows(2).any(|pair| pair == ["1", unit]);
    let same_ends = words
        .windows(3)
        .any(|three| matches!(three, [one, "to" | "and", other] if one == other));
    let form = message.split(" (pattern `").next().unwrap_or_default();
    same_ends
        || ["characters", "items", "entries"].into_iter().any(one_of_one)
        || message.contains("at most 0")
        || message.contains("at least 0")
        || message.contains("  ")
        || message.ends_with(['.', ' '])
        || (form.starts_with("must be one of ") && !form.contains(", "))
        || !["must ", "is ", "the key must "]
            .into_iter()
            .any(|start| message.starts_with(start))
}

#[test]
fn every_sentence_about_every_bound_of_the_contract_reads_well() {
    let mut all = Vec::new();
    for operation in Operation::all() {
        let route = contract::route(operation);
        if let Some(body) = route.body {
            schemas(body.schema, "", &mut all);
        }
        for parameter in route.parameters {
            schemas(parameter.schema, parameter.name, &mut all);
        }
    }
    let mut messages = std::collections::BTreeSet::new();
    for (path, schema) in all {
        for value in wrong_values(schema) {
            let mut errors = Vec::new();
            check(&value, schema, &path, &mut errors);
            messages.extend(errors.into_iter().map(|error| error.message));
        }
    }
    assert!(messages.len() > 60, "{messages:#?}");
    let wrong: Vec<&String> = messages
        .iter()
        .filter(|message| is_wrong_grammar(message))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn bounds_are_told_in_the_singular_and_exactly() {
    for (fault, expected) in [
        (count_fault(0, 1, 1, ITEMS), "must have exactly 1 item, has 0"),
        (count_fault(2, 0, 1, ITEMS), "must have at most 1 item, has 2"),
        (
            count_fault(0, 1, u32::MAX, ENTRIES),
            "must have at least 1 entry, has 0",
        ),
        (
            count_fault(63, 64, 64, CHARACTERS),
            "must have exactly 64 characters, has 63",
        ),
        (
            count_fault(2, 3, 40, CHARACTERS),
            "must have 3 to 40 characters, has 2",
        ),
    ] {
        assert_eq!(fault.as_deref(), Some(expected));
    }
    assert_eq!(range_fault(5, 5), "must be 5");
    assert_eq!(choices_fault("PBS", &["SLURM"]).as_deref(), Some("must be SLURM"));
}

/// A length says nothing to whoever wrote another thing altogether.
#[test]
fn the_form_that_passes_comes_before_the_length() {
    let script = |checksum: String| {
        let source = json!({"scriptLocation": "s3://bucket/key", "checksum": checksum});
        let script = json!([{"name": "a", "scriptSource": source}]);
        group(&json!({"nodeLifecycleActions": {"stages": {"nodeReady": script}}}))
    };
    for length in [0, 1, 63, 65, 5000] {
        let found = faults(
            Operation::Pcs(Action::CreateComputeNodeGroup),
            &script("a".repeat(length)),
        );
        let [only] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert!(
            only.contains("must be a SHA-256 in 64 hexadecimal digits") && !only.contains("characters"),
            "{only}"
        );
    }
    check_group(
        &json!({"computeNodeGroupName": "a"}),
        &[
            "computeNodeGroupName must be letters, digits and hyphens, beginning with a letter and not with pcs_ \
             (pattern `^(?!pcs_)[A-Za-z][A-Za-z0-9-]+$`), and must have 3 to 25 characters, has 1",
        ],
    );
    check_group(
        &json!({"computeNodeGroupName": "a".repeat(26)}),
        &["computeNodeGroupName must have 3 to 25 characters, has 26"],
    );
}

#[test]
fn what_is_meant_is_guessed_where_it_is_near() {
    check_group(
        &json!({"instanceconfigs": []}),
        &[
            "instanceconfigs is not known here (did you mean instanceConfigs?); known are amiId, clientToken, computeNodeGroupName, \
             customLaunchTemplate, iam, iamInstanceProfileArn, instanceConfigs, instanceHealthChecks, \
             launchTemplateMode, nodeLifecycleActions, purchaseOption, scalingConfiguration, securityGroupIds, \
             slurmConfiguration, spotOptions, sshKeyName, subnetIds, tags",
        ],
    );
    let found = faults(
        Operation::Pcs(Action::CreateComputeNodeGroup),
        &group(&json!({"purchaseOption": "on-demand"})),
    );
    assert!(found[0].contains("(did you mean ONDEMAND?)"), "{found:?}");
}
