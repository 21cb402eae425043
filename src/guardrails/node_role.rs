//! The role that this API makes for a compute node group (`iam` in a request): what it is, what may be attached to
//! it, and the permission to write to IAM, which only this module gives.
//!
//! Everything about it is fixed here before the first write, from the deployment's policy and the request alone, so
//! that a repeated request finds the same names and can tell its own role from anybody else's.

mod removal;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use self::removal::{Candidate, Changed, ORPHANED_AFTER_SECONDS, Uses, permit_removal};
use super::{
    Check, Denial, Facts, Policy,
    boundary::Boundary,
    inline_policy,
    instance_role::{self, RoleFacts},
    script_source, verdict,
};
use crate::{error::Violation, router::Call};

/// Path of every role and instance profile that this API makes: PCS accepts roles with `/aws-pcs/` in their path,
/// and the function's own role may write below this one only.
pub const PATH: &str = "/aws-pcs/pcs-api/";
/// Tag with the REST API id of the deployment that made a role or profile.
pub const DEPLOYMENT_TAG: &str = "pcs-api:deployment";
/// Tag that binds a role or profile to the one request that it was made for.
pub const OPERATION_TAG: &str = "pcs-api:operation";
/// Tag with the Region of the compute node group that a role or profile was made for.
pub const REGION_TAG: &str = "pcs-api:region";
/// Tag with its name.
pub const GROUP_TAG: &str = "pcs-api:compute-node-group";
/// AWS's own policy for compute nodes, which grants what they need to register and nothing else. Every role that this
/// API makes has it.
const NODE_POLICY: &str = "AWSPCSComputeNodePolicy";
/// Name of the inline policy that stands in its place in roles that earlier versions made.
const INLINE_REGISTRATION: &str = "RegisterComputeNodeGroupInstance";

/// A role and an instance profile as they are to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRole {
    /// Of the role and of the profile: 39 characters, of IAM's 64.
    pub name: String,
    pub tags: Vec<(&'static str, String)>,
    pub trust: Value,
    /// ARN of the permissions boundary, set when the role is created.
    pub boundary: Option<String>,
    /// ARNs of the managed policies: AWS's for compute nodes, and those that the request lists.
    pub policies: Vec<String>,
    pub role_arn: String,
    pub profile_arn: String,
}

impl NodeRole {
    /// Value of one of the tags.
    pub fn tag(&self, key: &str) -> Option<&str> {
        let tag = self.tags.iter().find(|(name, _)| *name == key);
        tag.map(|(_, value)| value.as_str())
    }
}

/// Permission to make a role and its profile. Only this module makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct RolePermit {
    role: NodeRole,
    passed: Vec<&'static str>,
}

impl RolePermit {
    pub fn role(&self) -> &NodeRole {
        &self.role
    }

    /// To undo what was made.
    pub fn removal(&self) -> RemovalPermit {
        RemovalPermit {
            name: self.role.name.clone(),
            policies: self.role.policies.clone(),
            // It has one if an earlier version began this request.
            inline: vec![INLINE_REGISTRATION.to_owned()],
        }
    }

    /// The rules that were asked; all of them passed.
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }
}

/// Permission to remove a role and its profile. Only this module makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct RemovalPermit {
    name: String,
    policies: Vec<String>,
    inline: Vec<String>,
}

impl RemovalPermit {
    /// Name of the role and of the profile.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// ARNs of the managed policies that the role has, or may have.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Names of the inline policies that the role has, or may have.
    pub fn inline(&self) -> &[String] {
        &self.inline
    }

    /// With the policies that the role was found to have: ARNs of managed ones, names of inline ones. They are read
    /// only once the role may go: each read is a call to IAM.
    #[must_use]
    pub fn with_policies(self, policies: Vec<String>, inline: Vec<String>) -> RemovalPermit {
        RemovalPermit {
            policies,
            inline,
            ..self
        }
    }
}

/// ARN of a made role.
pub fn role_arn(policy: &Policy, name: &str) -> String {
    arn(policy, "role", name)
}

/// ARN of a made role's instance profile.
pub fn profile_arn(policy: &Policy, name: &str) -> String {
    arn(policy, "instance-profile", name)
}

/// Permission to change which managed policies a role has, and to change them back. Only this module makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachmentPermit {
    role_name: String,
    role_arn: String,
    attach: Vec<String>,
    detach: Vec<String>,
    restore: Vec<String>,
    passed: Vec<&'static str>,
}

impl AttachmentPermit {
    pub fn role_name(&self) -> &str {
        &self.role_name
    }

    pub fn role_arn(&self) -> &str {
        &self.role_arn
    }

    /// ARNs that the role lacks.
    pub fn attach(&self) -> &[String] {
        &self.attach
    }

    /// ARNs that the role has and is not to have.
    pub fn detach(&self) -> &[String] {
        &self.detach
    }

    /// Those of `detach` that may come back if PCS refuses the update: a policy that the allowlist no longer lets
    /// pass stays away.
    pub fn restore(&self) -> &[String] {
        &self.restore
    }

    /// The rules that were asked; all of them passed.
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }
}

/// Permits making the role that a `CreateComputeNodeGroup` asks for with `iam`. `token` is the scoped client token:
/// bound to account, principal, operation and Region.
pub fn permit_role(policy: &Policy, call: &Call, token: &str) -> Result<RolePermit, Denial> {
    let passed = verdict(request_checks(policy, call, &with_node_policy(policy, call)))?;
    let role = node_role(policy, call, token);
    Ok(RolePermit { role, passed })
}

/// What can be said against an `UpdateComputeNodeGroup` with `iam` before anything is read.
pub fn check_request(policy: &Policy, call: &Call) -> Result<(), Denial> {
    verdict(request_checks(policy, call, listed(call))).map(|_| ())
}

/// Permits changing the policies of the role that `facts` show, decided on the role as it will be.
pub fn permit_attachments(policy: &Policy, call: &Call, facts: &Facts) -> Result<AttachmentPermit, Denial> {
    let wanted = match facts.inspected() {
        Some((_, role)) if registers_inline(role) => listed(call).to_vec(),
        Some(_) | None => with_node_policy(policy, call),
    };
    let mut checks = request_checks(policy, call, &wanted);
    let mut after = facts.clone();
    if let Facts::Profile {
        found: Some(profile), ..
    } = &mut after
    {
        for role in &mut profile.roles {
            role.attached.clone_from(&wanted);
        }
    }
    checks.extend(own_role(policy, facts));
    if let Facts::Profile { requested, found } = &after {
        let of_the_role = instance_role::checks(policy, requested, found.as_ref());
        // The policies have been held against the allowlist already.
        checks.extend(of_the_role.into_iter().filter(|check| check.rule != "allowlist"));
    }
    let passed = verdict(checks)?;
    let Some((_, role)) = facts.inspected() else {
        return Err(Denial {
            violations: vec![violation(
                "facts",
                "",
                "the compute node group's role was not inspected",
            )],
            passed,
        });
    };
    let without = |all: &[String], known: &[String]| -> Vec<String> {
        all.iter().filter(|arn| !known.contains(arn)).cloned().collect()
    };
    let detach = without(&role.attached, &wanted);
    Ok(AttachmentPermit {
        role_name: role.name.clone(),
        role_arn: role.arn.clone(),
        attach: without(&wanted, &role.attached),
        restore: detach
            .iter()
            .filter(|arn| policy.allowlist.allows(arn))
            .cloned()
            .collect(),
        detach,
        passed,
    })
}

/// What can be said without knowing a role: `policies` are those that it is to have.
fn request_checks(policy: &Policy, call: &Call, policies: &[String]) -> Vec<Check> {
    let refused = policies.iter().filter(|arn| !policy.allowlist.allows(arn));
    let refused = refused.map(|arn| Violation {
        allowed: policy.allowlist.patterns().map(str::to_owned).collect(),
        ..violation("allowlist", arn, &not_allowed(policy, arn))
    });
    let mut checks = vec![
        Check::new("iam-admin-access", admin_access(policy)),
        Check::new("allowlist", refused),
    ];
    checks.extend(script_source::check(
        policy.lifecycle_scripts,
        &policy.partition,
        &call.input,
    ));
    checks
}

/// The template's lists have the policy of compute nodes; one that was written by hand may not.
fn not_allowed(policy: &Policy, arn: &str) -> String {
    if arn == node_policy(policy) {
        return format!(
            "roles that this API makes have the policy `{arn}`, which no allowed pattern matches; have an administrator \
             add it to AdditionalIamPolicies"
        );
    }
    format!("no allowed pattern matches the policy `{arn}`; leave it out")
}

fn admin_access(policy: &Policy) -> Option<Violation> {
    (!policy.iam_admin_access).then(|| {
        violation(
            "iam-admin-access",
            "iam",
            "this deployment makes no roles; name an instance profile with iamInstanceProfileArn, or have an \
             administrator set EnableIamAdminAccess=true",
        )
    })
}

/// Whether the role is one that this deployment made. Not asked when it is not clear which role is meant.
fn own_role(policy: &Policy, facts: &Facts) -> Option<Check> {
    let (profile, role) = facts.inspected()?;
    let ours = profile.arn.starts_with(&arn(policy, "instance-profile", ""))
        && role.path == PATH
        && role.deployment.as_deref() == Some(&policy.deployment_id);
    let violation = (!ours).then(|| {
        let name = &role.name;
        let message = format!(
            "the role `{name}` was not made by this API, so its policies are not changed here; change the role \
             where it is managed, or name another instance profile with iamInstanceProfileArn"
        );
        violation("own-role", &role.arn, &message)
    });
    Some(Check::new("own-role", violation))
}

fn node_role(policy: &Policy, call: &Call, token: &str) -> NodeRole {
    let digest: String = digest(&["node-role", &policy.deployment_id, token])
        .chars()
        .take(32)
        .collect();
    let name = format!("AWSPCS-{digest}");
    let mut listed: Vec<&String> = listed(call).iter().collect();
    listed.sort_unstable();
    // A token that comes back with another request must not find this one's role.
    let request = json!([call.input, listed]).to_string();
    let text = |name: &str| call.input.get(name).and_then(Value::as_str).unwrap_or_default();
    NodeRole {
        tags: vec![
            (DEPLOYMENT_TAG, policy.deployment_id.clone()),
            (OPERATION_TAG, self::digest(&[token, &request])),
            ("pcs-api:cluster", text("clusterIdentifier").to_owned()),
            (GROUP_TAG, text("computeNodeGroupName").to_owned()),
            (REGION_TAG, call.region.clone()),
        ],
        trust: json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }],
        }),
        boundary: match &policy.boundary {
            Boundary::NotConfigured => None,
            Boundary::Required(arn) => Some(arn.clone()),
        },
        policies: with_node_policy(policy, call),
        role_arn: role_arn(policy, &name),
        profile_arn: profile_arn(policy, &name),
        name,
    }
}

fn listed(call: &Call) -> &[String] {
    call.additional_iam_policies.as_deref().unwrap_or_default()
}

/// ARNs that a made role is to have, each once: those listed, in their order, and the one of compute nodes.
fn with_node_policy(policy: &Policy, call: &Call) -> Vec<String> {
    let node_policy = node_policy(policy);
    let mut all = listed(call).to_vec();
    if !all.contains(&node_policy) {
        all.push(node_policy);
    }
    all
}

fn node_policy(policy: &Policy) -> String {
    format!("arn:{}:iam::aws:policy/{NODE_POLICY}", policy.partition)
}

/// Whether nodes register by an inline policy, as in a role of an earlier version, which may have all of IAM's ten
/// places for managed ones taken.
fn registers_inline(role: &RoleFacts) -> bool {
    role.inline
        .iter()
        .any(|(_, document)| inline_policy::lets_register(document))
}

fn arn(policy: &Policy, kind: &str, name: &str) -> String {
    let (partition, account) = (&policy.partition, &policy.account_id);
    format!("arn:{partition}:iam::{account}:{kind}{PATH}{name}")
}

/// SHA-256 over all parts, each with its length, so that no two lists of parts are alike.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    crate::hex(&hash.finalize())
}

fn violation(rule: &'static str, subject: &str, message: &str) -> Violation {
    Violation {
        rule,
        subject: subject.to_owned(),
        message: message.to_owned(),
        allowed: Vec::new(),
    }
}
