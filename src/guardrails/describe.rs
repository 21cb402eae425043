//! The policy in force as callers may see it, so that they know what would pass before they ask.

use serde::Serialize;

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
        "Allow statements in inline policies of the role name actions of allowedInlineActions only, and have no \
         NotAction or NotResource.",
    ),
    (
        "script-source",
        "Scripts that PCS runs (node lifecycle actions, job submit plugins) have a checksum where lifecycleScripts asks \
         for one.",
    ),
    (
        "instance-registration",
        "RegisterComputeNodeGroupInstance is possible only where instanceRegistration is true.",
    ),
];

/// What `GET /v1/guardrails` answers, and most of what the audit's `configHash` is made of: its members stand in the
/// order of their names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guardrails<'a> {
    account_id: &'a str,
    additional_iam_policies: Vec<&'a str>,
    allowed_inline_actions: Vec<&'a str>,
    iam_admin_access: bool,
    instance_registration: bool,
    lifecycle_scripts: &'static str,
    partition: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions_boundary: Option<&'a str>,
    regions: Vec<&'a str>,
    rules: [Rule; RULES.len()],
}

#[derive(Debug, Serialize)]
struct Rule {
    description: &'static str,
    rule: &'static str,
}

impl Policy {
    /// The contract's `Guardrails`.
    pub fn describe<'a>(&'a self, regions: &'a Regions) -> Guardrails<'a> {
        Guardrails {
            account_id: &self.account_id,
            additional_iam_policies: self.allowlist.patterns().collect(),
            allowed_inline_actions: self.inline_actions.patterns().collect(),
            iam_admin_access: self.iam_admin_access,
            instance_registration: self.instance_registration,
            lifecycle_scripts: self.lifecycle_scripts.name(),
            partition: &self.partition,
            permissions_boundary: match &self.boundary {
                Boundary::Required(arn) => Some(arn),
                Boundary::NotConfigured => None,
            },
            regions: regions.names(),
            rules: RULES.map(|(rule, description)| Rule { description, rule }),
        }
    }
}
