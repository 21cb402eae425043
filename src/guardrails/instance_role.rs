//! The rules for the role inside an instance profile: the one that every process on a compute node can use.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Check, Policy, policy_document};
use crate::error::Violation;

/// What to change in a document that cannot be judged.
const MEND: &str = "write the policy with each element once, named as in IAM's grammar";

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
    /// REST API id of the deployment of this API that made the role, by its tag.
    pub deployment: Option<String>,
    /// ARN, from `GetRole`: the role nested in a profile does not show it.
    pub boundary: Option<String>,
    /// Default version of the boundary policy, which is what bounds.
    pub boundary_version: Option<String>,
    /// Decoded trust policy, as `policy_document` reads it.
    pub trust: Value,
    /// ARNs of the attached managed policies, sorted.
    pub attached: Vec<String>,
    /// Names and decoded documents of the inline policies, sorted by name, as `policy_document` reads
    /// them.
    pub inline: Vec<(String, Value)>,
}

impl RoleFacts {
    /// SHA-256 over all that says what the role may do and who may assume it: equal hashes, equal role.
    pub fn policy_set_hash(&self) -> String {
        let inline: Value = self
            .inline
            .iter()
            .map(|(name, document)| json!([name, document]))
            .collect();
        let all = json!({ "trust": self.trust, "attached": self.attached, "inline": inline });
        crate::hex(&Sha256::digest(all.to_string()))
    }
}

/// Every rule for letting nodes run with this profile, with what breaks it. Rules for the role are not asked when
/// it is not clear which role is meant, nor of a role that no node can ever run with: what breaks them would tell any
/// caller the policies of any role in the account.
pub fn checks(policy: &Policy, requested: &str, found: Option<&ProfileFacts>) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(role) = identify(policy, requested, found, &mut checks) {
        let misnamed = name_rule(role);
        let is_candidate = misnamed.is_none();
        checks.push(Check::new("role-name", misnamed));
        if !is_candidate {
            return checks;
        }
        checks.push(Check::new("trust-policy", trust_rule(role, &policy.partition)));
        checks.push(Check::new("permissions-boundary", boundary_rule(policy, role)));
        checks.push(Check::new("allowlist", allowlist_rule(policy, role)));
        checks.push(Check::new("inline-policy", inline_rule(policy, role)));
    }
    checks
}

/// The role in the profile, if the profile is the one that was named and holds exactly one.
fn identify<'f>(
    policy: &Policy,
    requested: &str,
    found: Option<&'f ProfileFacts>,
    checks: &mut Vec<Check>,
) -> Option<&'f RoleFacts> {
    let mut gate = |rule, holds: bool, message: String| {
        let violation = (!holds).then(|| violation(rule, requested, message));
        checks.push(Check::new(rule, violation));
        holds.then_some(())
    };
    let own = format!(
        "arn:{}:iam::{}:instance-profile/",
        policy.partition, policy.account_id
    );
    let message = format!("the instance profile must be one of this account: {own}...");
    gate("own-account", requested.starts_with(&own), message)?;
    gate(
        "profile-exists",
        found.is_some(),
        format!("the instance profile `{requested}` does not exist"),
    )?;
    let profile = found?;
    // IAM looks a profile up by name; the path in the request may be another profile's. A guess is not told the true one.
    let message = format!(
        "the instance profile has another ARN than `{requested}`; give its own, with its path and in its case"
    );
    gate("profile-arn", profile.arn == requested, message)?;
    let count = profile.roles.len();
    let message = format!("the instance profile `{requested}` must hold exactly one role, holds {count}");
    gate("one-role", count == 1, message)?;
    profile.roles.first()
}

/// PCS accepts only such roles (PCS User Guide, "instance profiles"), and the function's `iam:PassRole` covers no
/// others.
fn name_rule(role: &RoleFacts) -> Option<Violation> {
    let fits = role.name.starts_with("AWSPCS") || role.path.contains("/aws-pcs/");
    (!fits).then(|| {
        let name = &role.name;
        let message =
            format!("the name of the role `{name}` must start with AWSPCS, or its path contain /aws-pcs/");
        // Not its ARN: the path of a role that no node can have is nothing that the caller gave.
        violation("role-name", name, message)
    })
}

fn trust_rule(role: &RoleFacts, partition: &str) -> Option<Violation> {
    let name = &role.name;
    if let Some(fault) = policy_document::fault(&role.trust) {
        let message = format!("the trust policy of the role `{name}` {fault}; {MEND}");
        return Some(violation("trust-policy", &role.arn, message));
    }
    // A Deny only takes away.
    let mut allows = statements(&role.trust);
    allows.retain(|statement| statement.get("Effect").and_then(Value::as_str) != Some("Deny"));
    let only_ec2 = !allows.is_empty()
        && allows.iter().all(|statement| {
            allows_only(statement, "sts:AssumeRole")
                && statement.get("NotPrincipal").is_none()
                && principal_is_ec2(statement.get("Principal"), partition)
        });
    (!only_ec2).then(|| {
        let message =
            format!("the role `{name}` must trust ec2.amazonaws.com with sts:AssumeRole and nobody else");
        violation("trust-policy", &role.arn, message)
    })
}

fn boundary_rule(policy: &Policy, role: &RoleFacts) -> Option<Violation> {
    let wanted = policy.boundary.missing_from(role.boundary.as_deref())?;
    let has = role
        .boundary
        .as_deref()
        .map_or_else(|| "no permissions boundary".to_owned(), |arn| format!("`{arn}`"));
    let message = format!(
        "the role `{}` must have the permissions boundary `{wanted}`, has {has}",
        role.name
    );
    Some(Violation {
        allowed: vec![wanted.to_owned()],
        ..violation("permissions-boundary", &role.arn, message)
    })
}

fn allowlist_rule(policy: &Policy, role: &RoleFacts) -> Vec<Violation> {
    let refused = role.attached.iter().filter(|arn| !policy.allowlist.allows(arn));
    let violations = refused.map(|arn| {
        let name = &role.name;
        let message =
            format!("the role `{name}` has the policy `{arn}`, which no allowed pattern matches; detach it");
        let allowed = policy.allowlist.patterns().map(str::to_owned).collect();
        Violation {
            allowed,
            ..violation("allowlist", arn, message)
        }
    });
    violations.collect()
}

fn inline_rule(policy: &Policy, role: &RoleFacts) -> Vec<Violation> {
    let allowed: Vec<String> = policy.inline_actions.patterns().map(str::to_owned).collect();
    let name = &role.name;
    let judged = role.inline.iter().map(|(inline, document)| {
        if let Some(fault) = policy_document::fault(document) {
            let message = format!("the inline policy `{inline}` of the role `{name}` {fault}; {MEND}");
            return Some(violation("inline-policy", inline, message));
        }
        if policy.inline_actions.allow(&statements(document)) {
            return None;
        }
        let message = format!(
            "the role `{name}` has the inline policy `{inline}`; its Allow statements may name these actions only, \
             without NotAction and NotResource: {}",
            allowed.join(", ")
        );
        Some(Violation {
            allowed: allowed.clone(),
            ..violation("inline-policy", inline, message)
        })
    });
    judged.flatten().collect()
}

/// Whether a statement is an Allow of this one action. Action names are not case-sensitive.
fn allows_only(statement: &Value, action: &str) -> bool {
    statement.get("Effect").and_then(Value::as_str) == Some("Allow")
        && statement.get("NotAction").is_none()
        && strings(statement.get("Action"))
            .is_some_and(|all| all.iter().all(|a| a.eq_ignore_ascii_case(action)))
}

fn principal_is_ec2(principal: Option<&Value>, partition: &str) -> bool {
    let Some(principal) = principal.and_then(Value::as_object) else {
        return false;
    };
    let is_ec2 = |service: &&str| {
        *service == "ec2.amazonaws.com" || (partition == "aws-cn" && *service == "ec2.amazonaws.com.cn")
    };
    principal.len() == 1
        && strings(principal.get("Service")).is_some_and(|services| services.iter().all(is_ec2))
}

/// `Statement` may be one object or a list.
pub(super) fn statements(document: &Value) -> Vec<&Value> {
    match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => Vec::new(),
    }
}

/// A string or a list of strings, at least one; `None` for anything else.
pub(super) fn strings(value: Option<&Value>) -> Option<Vec<&str>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(statements: &Value) -> bool {
        let role = RoleFacts {
            arn: "arn:aws:iam::123456789012:role/AWSPCS-x".to_owned(),
            role_id: String::new(),
            name: "AWSPCS-x".to_owned(),
            path: "/".to_owned(),
            deployment: None,
            boundary: None,
            boundary_version: None,
            trust: json!({"Version": "2012-10-17", "Statement": statements}),
            attached: Vec::new(),
            inline: Vec::new(),
        };
        trust_rule(&role, "aws").is_none()
    }

    #[test]
    fn a_deny_in_a_trust_policy_takes_only_away() {
        let ec2 = json!({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"});
        let deny = json!({
            "Effect": "Deny", "Principal": "*", "Action": "sts:*",
            "Condition": {"StringNotEquals": {"aws:SourceAccount": "123456789012"}},
        });
        let all = json!({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"});
        let odd = json!({"Effect": "deny", "Principal": "*", "Action": "sts:AssumeRole"});
        assert!(trusted(&json!([ec2])) && trusted(&json!([ec2, deny])) && trusted(&json!([deny, ec2])));
        assert!(!trusted(&json!([deny])) && !trusted(&json!(deny)) && !trusted(&json!([])));
        assert!(!trusted(&json!([ec2, deny, all])) && !trusted(&json!([ec2, odd])));
    }
}
