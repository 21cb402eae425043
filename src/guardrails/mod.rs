//! The decision, as a function: `decide(policy, call, facts)`. No I/O, no clock, no environment, no AWS types, so
//! it cannot fail in any way but refuse, and a test is a table.
//!
//! A refusal carries every violation. A `Permit` can be made here only, and owns the call it is for: the upstream
//! call takes nothing else.

pub mod allowlist;
pub mod arn_like;
pub mod boundary;
pub mod describe;
pub mod inline_policy;
pub mod instance_role;
pub mod node_role;
pub mod policy_document;
mod s3_location;
pub mod script_source;
mod wide_policies;

use serde_json::{Map, Value};

use crate::{
    error::Violation,
    operations::{Action, Operation},
    router::Call,
};

use allowlist::Allowlist;
use boundary::Boundary;
use inline_policy::InlineActions;
use instance_role::{ProfileFacts, RoleFacts};
use script_source::LifecycleScripts;

/// The rules in force, from the configuration.
#[derive(Debug, Clone)]
pub struct Policy {
    pub account_id: String,
    pub partition: String,
    /// REST API id: marks what this deployment makes in the account.
    pub deployment_id: String,
    pub allowlist: Allowlist,
    /// What an inline policy may allow.
    pub inline_actions: InlineActions,
    pub boundary: Boundary,
    /// Whether requests may have a role made (`EnableIamAdminAccess`).
    pub iam_admin_access: bool,
    pub instance_registration: bool,
    /// Which scripts that PCS runs need a checksum.
    pub lifecycle_scripts: LifecycleScripts,
}

/// What must be read before a call can be decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Needs {
    Nothing,
    /// The profile with this ARN, and its role.
    Profile(String),
    /// The request leaves the profile alone: the one that the compute node group has now, and its role.
    CurrentProfile(Permit),
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Facts {
    NotNeeded,
    /// `found` is `None` when IAM has no such profile in this account.
    Profile {
        requested: String,
        found: Option<ProfileFacts>,
    },
}

impl Facts {
    /// The one role that was inspected, with the profile that holds it.
    pub fn inspected(&self) -> Option<(&ProfileFacts, &RoleFacts)> {
        match self {
            Facts::Profile {
                found: Some(profile), ..
            } => match profile.roles.as_slice() {
                [role] => Some((profile, role)),
                _ => None,
            },
            Facts::Profile { found: None, .. } | Facts::NotNeeded => None,
        }
    }
}

/// A decided call. Only this module makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Permit {
    action: Action,
    call: Call,
    passed: Vec<&'static str>,
}

impl Permit {
    pub fn action(&self) -> Action {
        self.action
    }

    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The rules that were asked; all of them passed.
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }
}

/// Why a call is not permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub violations: Vec<Violation>,
    /// The rules that were asked and passed.
    pub passed: Vec<&'static str>,
}

/// A rule and what breaks it: nothing, if it passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub rule: &'static str,
    pub violations: Vec<Violation>,
}

impl Check {
    pub fn new(rule: &'static str, violations: impl IntoIterator<Item = Violation>) -> Check {
        Check {
            rule,
            violations: violations.into_iter().collect(),
        }
    }
}

/// What `decide` will want to know about this call.
pub fn needs(action: Action, call: &Call) -> Needs {
    match action {
        Action::CreateComputeNodeGroup | Action::UpdateComputeNodeGroup => {
            match call.input.get("iamInstanceProfileArn").and_then(Value::as_str) {
                Some(arn) => Needs::Profile(arn.to_owned()),
                None => Needs::CurrentProfile(Permit {
                    action: Action::GetComputeNodeGroup,
                    call: read_of_the_group(call),
                    passed: Vec::new(),
                }),
            }
        }
        Action::ListClusters
        | Action::CreateCluster
        | Action::GetCluster
        | Action::UpdateCluster
        | Action::DeleteCluster
        | Action::ListComputeNodeGroups
        | Action::GetComputeNodeGroup
        | Action::DeleteComputeNodeGroup
        | Action::ListQueues
        | Action::CreateQueue
        | Action::GetQueue
        | Action::UpdateQueue
        | Action::DeleteQueue
        | Action::ListTagsForResource
        | Action::TagResource
        | Action::UntagResource
        | Action::RegisterComputeNodeGroupInstance => Needs::Nothing,
    }
}

/// A read of the group that an update names: it decides nothing and changes nothing, so it needs no facts itself.
fn read_of_the_group(update: &Call) -> Call {
    let names = ["clusterIdentifier", "computeNodeGroupIdentifier"];
    let input: Map<String, Value> = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), update.input.get(*name)?.clone())))
        .collect();
    Call {
        region: update.region.clone(),
        dryrun: false,
        input,
        client_token: None,
        additional_iam_policies: None,
    }
}

/// Permits a read that the gateway makes for itself; `None` for anything that changes something.
pub fn permit_read(action: Action, region: &str, input: Map<String, Value>) -> Option<Permit> {
    let call = Call {
        region: region.to_owned(),
        dryrun: false,
        input,
        client_token: None,
        additional_iam_policies: None,
    };
    (!Operation::Pcs(action).is_mutation()).then(|| Permit {
        action,
        call,
        passed: Vec::new(),
    })
}

/// Permits the call or names everything that stands against it. Facts that a call needs and that are not there
/// refuse it.
pub fn decide(policy: &Policy, action: Action, call: Call, facts: &Facts) -> Result<Permit, Denial> {
    let passed = verdict(checks(policy, action, &call, facts))?;
    Ok(Permit { action, call, passed })
}

/// The names of the rules, if all of them passed.
fn verdict(checks: Vec<Check>) -> Result<Vec<&'static str>, Denial> {
    let passed = checks
        .iter()
        .filter(|check| check.violations.is_empty())
        .map(|check| check.rule)
        .collect();
    let violations: Vec<Violation> = checks.into_iter().flat_map(|check| check.violations).collect();
    if violations.is_empty() {
        Ok(passed)
    } else {
        Err(Denial { violations, passed })
    }
}

/// What stands against nodes running with this profile, whoever asks for it.
pub fn violations_of(policy: &Policy, facts: &Facts) -> Vec<Violation> {
    match facts {
        Facts::NotNeeded => Vec::new(),
        Facts::Profile { requested, found } => instance_role::checks(policy, requested, found.as_ref())
            .into_iter()
            .flat_map(|check| check.violations)
            .collect(),
    }
}

fn checks(policy: &Policy, action: Action, call: &Call, facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    if action == Action::RegisterComputeNodeGroupInstance {
        checks.push(Check::new("instance-registration", registration(policy)));
    }
    checks.extend(script_source::check(
        policy.lifecycle_scripts,
        &policy.partition,
        &call.input,
    ));
    if call.additional_iam_policies.is_some() {
        // PCS knows no `iam`: such a call becomes one that names the profile, or it goes nowhere.
        checks.push(Check::new("facts", Some(not_inspected(action))));
    }
    match (needs(action, call), facts) {
        (Needs::Nothing, _) => {}
        (Needs::Profile(arn), Facts::Profile { requested, found }) if arn == *requested => {
            checks.extend(instance_role::checks(policy, requested, found.as_ref()));
        }
        (Needs::CurrentProfile(_), Facts::Profile { requested, found }) => {
            checks.extend(instance_role::checks(policy, requested, found.as_ref()));
        }
        (Needs::Profile(_) | Needs::CurrentProfile(_), _) => {
            checks.push(Check::new("facts", Some(not_inspected(action))));
        }
    }
    checks
}

fn not_inspected(action: Action) -> Violation {
    Violation {
        rule: "facts",
        subject: action.name().to_owned(),
        message: "the instance profile's role was not inspected".to_owned(),
        allowed: Vec::new(),
    }
}

fn registration(policy: &Policy) -> Option<Violation> {
    (!policy.instance_registration).then(|| Violation {
        rule: "instance-registration",
        subject: Action::RegisterComputeNodeGroupInstance.name().to_owned(),
        message: "instance registration returns the cluster's shared Slurm secret and is off in this deployment; \
                  nodes register with PCS themselves, or an administrator sets EnableInstanceRegistration=true"
            .to_owned(),
        allowed: Vec::new(),
    })
}
