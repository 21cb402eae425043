//! The policy in force as callers may see it, so that they know what would pass before they ask.

use serde_json::{Map, Value, json};

use super::{Policy, boundary::Boundary};
use crate::config::Regions;

/// Rule ids, as violations and `passedRules` name them, and what each asks for.
const RULES: [(&str, &str); 13] = [
    (
        "iam-admin-access",
        "Roles are made and changed (iam) only where iamAdminAccess is true.",
    ),
    (
        "own-role",
        "Policies are changed (iam) only on a role that this deployment made.",
    ),
    (
        "own-account",
        "The instance profile is one of the deployment's account and partition.",
    ),
    ("profile-exists", "The instance profile exists."),
    (
        "profile-arn",
        "The instance profile's ARN is the one in the request, path included.",
    ),
    ("one-role", "The instance profile holds exactly one role."),
    (
        "role-name",
        "The role's name starts with AWSPCS, or its path contains /aws-pcs/.",
    ),
    (
        "trust-policy",
        "The role trusts EC2 with sts:AssumeRole and nobody else.",
    ),
    (
        "permissions-boundary",
        "The role has the permissions boundary, if one is required.",
    ),
    (
        "allowlist",
        "Every managed policy of the role, or listed for it, is like a pattern of additionalIamPolicies.",
    ),
    (
        "inline-policy",
        "Inline policies of the role allow pcs:RegisterComputeNodeGroupInstance and nothing else.",
    ),
    (
        "lifecycle-script",
        "Lifecycle scripts have a checksum where lifecycleScripts asks for one.",
    ),
    (
        "instance-registration",
        "RegisterComputeNodeGroupInstance is possible only where instanceRegistration is true.",
    ),
];

impl Policy {
    /// The contract's `GetGuardrailsResponse`.
    pub fn describe(&self, regions: &Regions) -> Map<String, Value> {
        let mut guardrails = Map::new();
        guardrails.insert("accountId".to_owned(), json!(self.account_id));
        guardrails.insert("partition".to_owned(), json!(self.partition));
        guardrails.insert("regions".to_owned(), regions.names().into());
        let patterns: Vec<&str> = self.allowlist.patterns().collect();
        guardrails.insert("additionalIamPolicies".to_owned(), patterns.into());
        if let Boundary::Required(arn) = &self.boundary {
            guardrails.insert("permissionsBoundary".to_owned(), json!(arn));
        }
        guardrails.insert("iamAdminAccess".to_owned(), json!(self.iam_admin_access));
        guardrails.insert(
            "instanceRegistration".to_owned(),
            json!(self.instance_registration),
        );
        guardrails.insert(
            "lifecycleScripts".to_owned(),
            json!(self.lifecycle_scripts.name()),
        );
        let rules = RULES
            .iter()
            .map(|(rule, asks)| json!({"rule": rule, "description": asks}));
        guardrails.insert("rules".to_owned(), rules.collect());
        Map::from_iter([("guardrails".to_owned(), Value::Object(guardrails))])
    }
}
