//! `iam` of a compute node group's request: what the contract's schemas cannot say about it. They know no "one of
//! these", no "needs that" and no "each once" that API Gateway would import.

use serde_json::{Map, Value};

use crate::{
    error::FieldError,
    operations::{Action, Operation},
};

const PROFILE: &str = "iamInstanceProfileArn";
const IAM: &str = "iam";
const POLICIES: &str = "additionalIamPolicies";
/// A longer list is refused by the schema; comparing its items would follow the attacker's size.
const COMPARED: usize = 9;

/// Adds to `errors` what is wrong with where the role of the group comes from.
pub fn check(operation: Operation, body: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let both = "name an existing instance profile with `iamInstanceProfileArn`, or have one made with `iam`";
    // What is null is told to be left out, and then it is.
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    match (given(PROFILE).is_some(), given(IAM)) {
        (true, Some(_)) => errors.push(FieldError::new(
            IAM,
            format!("cannot go with `iamInstanceProfileArn`: {both}"),
        )),
        (false, None) if operation == Operation::Pcs(Action::CreateComputeNodeGroup) => {
            errors.push(FieldError::new(
                PROFILE,
                format!("is required unless `iam` is given: {both}"),
            ));
        }
        (true | false, None) | (false, Some(_)) => {}
    }
    let Some(iam) = given(IAM) else { return };
    if !body.contains_key("clientToken") {
        let message =
            "is required with `iam`: making a role takes steps, and only the same token can resume them";
        errors.push(FieldError::new("clientToken", message));
    }
    let listed = iam.get(POLICIES).and_then(Value::as_array);
    let mut seen: Vec<String> = Vec::new();
    for (index, arn) in listed.into_iter().flatten().take(COMPARED).enumerate() {
        // Names of IAM policies differ in more than case.
        let arn = arn.as_str().unwrap_or_default().to_ascii_lowercase();
        if let Some(first) = seen.iter().position(|known| *known == arn) {
            let message = format!("is the same policy as `{IAM}.{POLICIES}[{first}]`; list it once");
            errors.push(FieldError::new(&format!("{IAM}.{POLICIES}[{index}]"), message));
        }
        seen.push(arn);
    }
}

/// Takes `iam` out of the input: it is no member of PCS's.
pub fn take(input: &mut Map<String, Value>) -> Option<Vec<String>> {
    let iam = input.remove(IAM)?;
    let listed = iam.get(POLICIES).and_then(Value::as_array);
    let arns = listed.into_iter().flatten().filter_map(Value::as_str);
    Some(arns.map(str::to_owned).collect())
}
