//! Whether a text is a policy document that IAM takes: its JSON, its elements, and which of them belong where.
//!
//! The rules are those of "Grammar of the IAM JSON policy language" (IAM User Guide). Whether actions,
//! condition keys, resources and principals exist is not looked at.

use serde_json::{Map, Value};

use crate::error::IamError;

type Statement = Map<String, Value>;

/// What a document is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Says what its bearer may do: inline and managed policies.
    Identity,
    /// Says who may assume a role.
    Trust,
}

const TOP_ELEMENTS: [&str; 3] = ["Version", "Id", "Statement"];
const STATEMENT_ELEMENTS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];
const PRINCIPAL_TYPES: [&str; 4] = ["AWS", "Service", "Federated", "CanonicalUser"];
const SYNTAX: &str = "Syntax errors in policy.";

/// `Err` is IAM's `MalformedPolicyDocument` with the first thing that is wrong.
pub(crate) fn check(text: &str, purpose: Use) -> Result<(), IamError> {
    check_document(text, purpose).map_err(IamError::malformed_policy_document)
}

fn check_document(text: &str, purpose: Use) -> Result<(), String> {
    let invalid = match purpose {
        Use::Identity => SYNTAX,
        Use::Trust => "This policy contains invalid Json",
    };
    let document: Map<String, Value> = serde_json::from_str(text).map_err(|_| invalid.to_owned())?;
    if document.keys().any(|key| !TOP_ELEMENTS.contains(&key.as_str())) {
        return Err(SYNTAX.to_owned());
    }
    if document.get("Id").is_some_and(|id| !id.is_string()) {
        return Err(SYNTAX.to_owned());
    }
    check_version(document.get("Version"), purpose)?;
    let statements = statements(document.get("Statement")).ok_or(SYNTAX)?;
    let mut sids = Vec::new();
    for statement in statements {
        check_statement(statement, purpose)?;
        if let Some(sid) = statement
            .get("Sid")
            .and_then(Value::as_str)
            .filter(|sid| !sid.is_empty())
        {
            if sids.contains(&sid) {
                return Err("Statement IDs (SID) in a single policy must be unique.".to_owned());
            }
            sids.push(sid);
        }
    }
    Ok(())
}

/// A trust policy may be of either version; the console long wrote the older one.
fn check_version(version: Option<&Value>, purpose: Use) -> Result<(), String> {
    match (version.map(Value::as_str), purpose) {
        (Some(Some("2012-10-17")), _) | (Some(Some("2008-10-17")) | None, Use::Trust) => Ok(()),
        (Some(Some("2008-10-17")) | None, Use::Identity) => {
            Err("Policy document must be version 2012-10-17 or greater.".to_owned())
        }
        (Some(_), _) => Err(SYNTAX.to_owned()),
    }
}

fn statements(value: Option<&Value>) -> Option<Vec<&Statement>> {
    match value? {
        Value::Object(one) => Some(vec![one]),
        Value::Array(several) if !several.is_empty() => several.iter().map(Value::as_object).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

fn check_statement(statement: &Statement, purpose: Use) -> Result<(), String> {
    let known = |key: &String| STATEMENT_ELEMENTS.contains(&key.as_str());
    let effect = statement.get("Effect").and_then(Value::as_str);
    if !statement.keys().all(known) || !matches!(effect, Some("Allow" | "Deny")) {
        return Err(SYNTAX.to_owned());
    }
    check_sid(statement.get("Sid"))?;
    let conditions = statement.get("Condition");
    let sound = |value: &Value| {
        value
            .as_object()
            .is_some_and(|all| all.values().all(Value::is_object))
    };
    if conditions.is_some_and(|value| !sound(value)) {
        return Err(SYNTAX.to_owned());
    }
    let actions = either(statement, "Action", "NotAction")?.unwrap_or_default();
    if actions.is_empty() {
        return Err("Policy statement must contain actions.".to_owned());
    }
    actions.iter().try_for_each(|action| check_action(action))?;
    match purpose {
        Use::Identity => check_identity(statement),
        Use::Trust => check_trust(statement, &actions),
    }
}

fn check_sid(sid: Option<&Value>) -> Result<(), String> {
    let Some(sid) = sid else { return Ok(()) };
    let sid = sid.as_str().ok_or(SYNTAX)?;
    if sid.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression \
         [0-9A-Za-z]*"
            .to_owned(),
    )
}

/// The strings of whichever of two elements that exclude each other is there.
fn either<'a>(statement: &'a Statement, one: &str, other: &str) -> Result<Option<Vec<&'a str>>, String> {
    match (statement.get(one), statement.get(other)) {
        (Some(_), Some(_)) => Err(SYNTAX.to_owned()),
        (Some(value), None) | (None, Some(value)) => Ok(Some(strings(value).ok_or(SYNTAX)?)),
        (None, None) => Ok(None),
    }
}

/// A string, or a list of them.
fn strings(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(several) => several.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn check_action(action: &str) -> Result<(), String> {
    let Some((vendor, name)) = action.split_once(':') else {
        return if action == "*" {
            Ok(())
        } else {
            Err("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned())
        };
    };
    if name.contains(':') {
        return Err("Actions/Condition can contain only one colon.".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if vendor == "*" || vendor.chars().all(allowed) {
        return Ok(());
    }
    Err(format!("Vendor {vendor} is not valid"))
}

fn check_identity(statement: &Statement) -> Result<(), String> {
    if statement.contains_key("Principal") || statement.contains_key("NotPrincipal") {
        return Err("Policy document should not specify a principal.".to_owned());
    }
    let resources = either(statement, "Resource", "NotResource")?.unwrap_or_default();
    if resources.is_empty() {
        return Err("Policy statement must contain resources.".to_owned());
    }
    let in_form = |resource: &str| {
        let mut parts = resource.split(':');
        resource == "*"
            || parts.next() == Some("arn")
                && parts.next().is_some_and(|partition| !partition.is_empty())
                && parts.next().is_some_and(|service| !service.is_empty())
    };
    match resources.into_iter().find(|resource| !in_form(resource)) {
        Some(resource) => Err(format!("Resource {resource} must be in ARN format or \"*\".")),
        None => Ok(()),
    }
}

fn check_trust(statement: &Statement, actions: &[&str]) -> Result<(), String> {
    if statement.contains_key("Resource") || statement.contains_key("NotResource") {
        return Err("Has prohibited field Resource".to_owned());
    }
    match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(_), Some(_)) => return Err(SYNTAX.to_owned()),
        (None, None) => return Err("Missing required field Principal".to_owned()),
        (Some(principal), None) | (None, Some(principal)) => check_principal(principal)?,
    }
    let of_sts = |action: &&str| action.to_ascii_lowercase().starts_with("sts:");
    if actions.iter().all(of_sts) {
        return Ok(());
    }
    Err("AssumeRole policy may only specify STS AssumeRole actions.".to_owned())
}

fn check_principal(principal: &Value) -> Result<(), String> {
    if principal.as_str() == Some("*") {
        return Ok(());
    }
    let named = principal.as_object().filter(|types| !types.is_empty());
    let sound = named.is_some_and(|types| {
        types.iter().all(|(kind, names)| {
            PRINCIPAL_TYPES.contains(&kind.as_str()) && strings(names).is_some_and(|names| !names.is_empty())
        })
    });
    if sound {
        return Ok(());
    }
    Err("Invalid principal in policy.".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(statement: &Value, purpose: Use) -> Result<(), String> {
        let document = json!({"Version": "2012-10-17", "Statement": statement});
        check_document(&document.to_string(), purpose)
    }

    #[test]
    fn identity_policies() {
        let taken = |statement| assert_eq!(verdict(&statement, Use::Identity), Ok(()));
        taken(json!({"Effect": "Allow", "Action": "*", "Resource": "*"}));
        taken(
            json!([{"Sid": "", "Effect": "Deny", "NotAction": ["s3:Get*"], "NotResource": ["arn:aws:s3:::b/*"]}]),
        );
        taken(
            json!({"Effect": "Allow", "Action": "s3:Get", "Resource": "arn:*:s3:::b",
                     "Condition": {"StringEquals": {"aws:PrincipalTag/team": ["a"]}}}),
        );
    }

    #[test]
    fn what_is_not_an_identity_policy() {
        // The examples of "Grammar of the IAM JSON policy language" and of moto's own tests of IAM.
        for (statement, message) in [
            (json!([]), "Syntax"),
            (json!("Allow"), "Syntax"),
            (
                json!({"Effect": "allow", "Action": "s3:Get", "Resource": "*"}),
                "Syntax",
            ),
            (json!({"Effect": "Allow", "Action": 5, "Resource": "*"}), "Syntax"),
            (
                json!({"Effect": "Allow", "Action": "s3:Get", "NotAction": "s3:Put", "Resource": "*"}),
                "Syntax",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:Get", "Resource": "*", "Extra": 1}),
                "Syntax",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:Get", "Resource": "*", "Condition": "x"}),
                "Syntax",
            ),
            (
                json!({"Effect": "Allow", "Resource": "*"}),
                "must contain actions",
            ),
            (
                json!({"Effect": "Allow", "Action": [], "Resource": "*"}),
                "must contain actions",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:Get"}),
                "must contain resources",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3Get", "Resource": "*"}),
                "prefaced by a vendor",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:Get:x", "Resource": "*"}),
                "only one colon",
            ),
            (
                json!({"Effect": "Allow", "Action": "s 3:Get", "Resource": "*"}),
                "Vendor s 3",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:Get", "Resource": "bucket"}),
                "ARN format",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:Get", "Resource": "*", "Principal": "*"}),
                "a principal",
            ),
            (
                json!({"Sid": "a-b", "Effect": "Allow", "Action": "s3:Get", "Resource": "*"}),
                "alpha-numeric",
            ),
            (
                json!([{"Sid": "a", "Effect": "Allow", "Action": "s3:Get", "Resource": "*"},
                    {"Sid": "a", "Effect": "Allow", "Action": "s3:Put", "Resource": "*"}]),
                "unique",
            ),
        ] {
            let found = verdict(&statement, Use::Identity).unwrap_err();
            assert!(found.contains(message), "{statement}: {found}");
        }
    }

    #[test]
    fn trust_policies() {
        let ec2 = json!({"Service": "ec2.amazonaws.com"});
        let taken = |statement| assert_eq!(verdict(&statement, Use::Trust), Ok(()));
        taken(json!({"Effect": "Allow", "Principal": ec2, "Action": "sts:AssumeRole"}));
        taken(
            json!({"Effect": "Allow", "Principal": {"AWS": ["123456789012"]}, "Action": ["sts:AssumeRole", "sts:TagSession"]}),
        );
        for (statement, message) in [
            (
                json!({"Effect": "Allow", "Action": "sts:AssumeRole"}),
                "required field Principal",
            ),
            (
                json!({"Effect": "Allow", "Principal": {"Host": "x"}, "Action": "sts:AssumeRole"}),
                "Invalid principal",
            ),
            (
                json!({"Effect": "Allow", "Principal": {}, "Action": "sts:AssumeRole"}),
                "Invalid principal",
            ),
            (
                json!({"Effect": "Allow", "Principal": ec2, "Action": "s3:Get"}),
                "STS AssumeRole actions",
            ),
            (
                json!({"Effect": "Allow", "Principal": ec2, "Action": "sts:AssumeRole", "Resource": "*"}),
                "prohibited",
            ),
        ] {
            let found = verdict(&statement, Use::Trust).unwrap_err();
            assert!(found.contains(message), "{statement}: {found}");
        }
    }

    #[test]
    fn versions_and_text() {
        let statement = json!({"Effect": "Allow", "Action": "s3:Get", "Resource": "*"});
        let older = json!({"Version": "2008-10-17", "Statement": statement}).to_string();
        assert!(
            check(&older, Use::Identity)
                .unwrap_err()
                .message
                .contains("2012-10-17 or greater")
        );
        assert!(check(&json!({"Statement": statement}).to_string(), Use::Identity).is_err());
        let trust = json!({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"});
        assert!(
            check(
                &json!({"Version": "2008-10-17", "Statement": trust}).to_string(),
                Use::Trust
            )
            .is_ok()
        );
        for text in [
            "",
            "{",
            "[]",
            "\"\"",
            "{\"Version\":\"2012-10-17\"}",
            "{\"Version\":\"2015-10-17\",\"Statement\":[]}",
        ] {
            let error = check(text, Use::Identity).unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.status.as_u16()),
                ("MalformedPolicyDocument", 400),
                "{text}"
            );
        }
    }
}
