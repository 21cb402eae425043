//! The rules for the role inside an instance profile: the one that every process on a compute node can use.

use serde_json::Value;

use super::Policy;
use crate::error::Violation;

/// The only action that an inline policy may allow: PCS's documented minimum for compute nodes.
const REGISTER: &str = "pcs:RegisterComputeNodeGroupInstance";

/// An instance profile as IAM returned it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileFacts {
    pub arn: String,
    pub profile_id: String,
    pub roles: Vec<RoleFacts>,
}

/// A role, read completely: every page of every list.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleFacts {
    pub arn: String,
    pub role_id: String,
    pub name: String,
    pub path: String,
    /// From `GetRole`: the role nested in a profile does not show it.
    pub boundary: Option<String>,
    /// Decoded trust policy; `Null` when it is not JSON.
    pub trust: Value,
    /// ARNs of the attached managed policies.
    pub attached: Vec<String>,
    /// Names and decoded documents of the inline policies; `Null` for a document that is not JSON.
    pub inline: Vec<(String, Value)>,
}

/// Everything that stands against letting nodes run with this profile.
pub fn violations(policy: &Policy, requested: &str, found: Option<&ProfileFacts>) -> Vec<Violation> {
    let own = format!(
        "arn:{}:iam::{}:instance-profile/",
        policy.partition, policy.account_id
    );
    if !requested.starts_with(&own) {
        return vec![violation(
            "own-account",
            requested,
            format!("the instance profile must be one of this account: {own}..."),
        )];
    }
    let Some(profile) = found else {
        return vec![violation(
            "profile-exists",
            requested,
            format!("the instance profile `{requested}` does not exist"),
        )];
    };
    // IAM looks a profile up by name; the path in the request may be another profile's.
    if profile.arn != requested {
        return vec![violation(
            "profile-arn",
            requested,
            format!("the instance profile's ARN is `{}`; name it exactly", profile.arn),
        )];
    }
    let [role] = profile.roles.as_slice() else {
        let message = format!(
            "the instance profile `{requested}` must hold exactly one role, holds {}",
            profile.roles.len()
        );
        return vec![violation("one-role", requested, message)];
    };
    let mut violations = Vec::new();
    violations.extend(name_rule(role));
    violations.extend(trust_rule(role, &policy.partition));
    violations.extend(boundary_rule(policy, role));
    violations.extend(
        role.attached
            .iter()
            .filter(|arn| !policy.allowlist.allows(arn))
            .map(|arn| Violation {
                allowed: policy.allowlist.patterns().map(str::to_owned).collect(),
                ..violation(
                    "allowlist",
                    arn,
                    format!(
                        "the role `{}` has the policy `{arn}`, which no allowed pattern matches; detach it",
                        role.name
                    ),
                )
            }),
    );
    violations.extend(role.inline.iter().filter(|(_, document)| !is_harmless(document)).map(|(name, _)| {
        let message = format!("the role `{}` has the inline policy `{name}`; only Allow statements for {REGISTER} may be inline", role.name);
        violation("inline-policy", name, message)
    }));
    violations
}

/// PCS accepts only such roles (PCS User Guide, "instance profiles"), and the function's `iam:PassRole` covers no
/// others.
fn name_rule(role: &RoleFacts) -> Option<Violation> {
    let fits = role.name.starts_with("AWSPCS") || role.path.contains("/aws-pcs/");
    (!fits).then(|| {
        let message = format!(
            "the name of the role `{}` must start with AWSPCS, or its path contain /aws-pcs/",
            role.name
        );
        violation("role-name", &role.arn, message)
    })
}

fn boundary_rule(policy: &Policy, role: &RoleFacts) -> Option<Violation> {
    let wanted = policy.boundary.missing_from(role.boundary.as_deref())?;
    let has = role
        .boundary
        .as_deref()
        .map_or_else(|| "no permissions boundary".to_owned(), |arn| format!("`{arn}`"));
    Some(Violation {
        allowed: vec![wanted.to_owned()],
        ..violation(
            "permissions-boundary",
            &role.arn,
            format!(
                "the role `{}` must have the permissions boundary `{wanted}`, has {has}",
                role.name
            ),
        )
    })
}

fn trust_rule(role: &RoleFacts, partition: &str) -> Option<Violation> {
    let statements = statements(&role.trust);
    let only_ec2 = !statements.is_empty()
        && statements.iter().all(|statement| {
            statement.get("Effect").and_then(Value::as_str) == Some("Allow")
                && statement.get("NotPrincipal").is_none()
                && statement.get("NotAction").is_none()
                && strings(statement.get("Action"))
                    .is_some_and(|actions| actions.iter().all(|a| a.eq_ignore_ascii_case("sts:AssumeRole")))
                && principal_is_ec2(statement.get("Principal"), partition)
        });
    (!only_ec2).then(|| {
        let message = format!(
            "the role `{}` must trust ec2.amazonaws.com with sts:AssumeRole and nobody else",
            role.name
        );
        violation("trust-policy", &role.arn, message)
    })
}

fn principal_is_ec2(principal: Option<&Value>, partition: &str) -> bool {
    let Some(principal) = principal.and_then(Value::as_object) else {
        return false;
    };
    let services = strings(principal.get("Service"));
    principal.len() == 1
        && services.is_some_and(|services| {
            services.iter().all(|service| {
                *service == "ec2.amazonaws.com"
                    || (partition == "aws-cn" && *service == "ec2.amazonaws.com.cn")
            })
        })
}

/// Whether an inline policy grants nothing but registration.
fn is_harmless(document: &Value) -> bool {
    let statements = statements(document);
    !statements.is_empty()
        && statements.iter().all(|statement| {
            statement.get("Effect").and_then(Value::as_str) == Some("Allow")
                && statement.get("NotAction").is_none()
                && strings(statement.get("Action"))
                    .is_some_and(|actions| actions.iter().all(|action| action.eq_ignore_ascii_case(REGISTER)))
        })
}

/// `Statement` may be one object or a list.
fn statements(document: &Value) -> Vec<&Value> {
    match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => Vec::new(),
    }
}

/// A string or a list of strings, at least one; `None` for anything else.
fn strings(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) if !list.is_empty() => list.iter().map(Value::as_str).collect(),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn violation(rule: &'static str, subject: &str, message: String) -> Violation {
    Violation {
        rule,
        subject: subject.to_owned(),
        message,
        allowed: Vec::new(),
    }
}
