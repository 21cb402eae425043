//! What is known of a call, filled in as the request path goes on, and which rows a record has.

pub mod row;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use ulid::Ulid;

use super::{
    new_id,
    redact::{ANSWER_BYTES_MAX, REDACTED, REQUEST_BYTES_MAX, Recording, known_path, redact, within},
};
use crate::{
    contract::{self, Recorded},
    guardrails::Facts,
    operations::Operation,
    principal::Principal,
    request::{ApiRequest, Deadline},
    router::Call,
};

/// Which row of a call's record this is; the sort key keeps them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Read,
    Received,
    /// Something that happened in between; numbered from 1.
    Step {
        number: u32,
        what: Step,
    },
    /// The only row of a call that was refused before it was opened.
    Refused,
    Complete,
    Panic,
    /// The closing row once more, for those who look for the cluster by the id that only PCS's answer told.
    Identified,
}

/// What happened between the opening and the closing row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The instance profile's role was not the same after PCS had been asked as before.
    GuardrailDrift,
    /// It could not be read again.
    GuardrailRecheckFailed,
    /// A role was made for the request.
    RoleCreated,
    /// The role of an earlier try of the same request was found.
    RoleAdopted,
    /// The role has its inline and managed policies.
    RolePoliciesSet,
    InstanceProfileCreated,
    InstanceProfileAdopted,
    RoleAddedToInstanceProfile,
    /// PCS or IAM refused the request for good; the role and the profile made for it are gone.
    RoleRemoved,
    /// The policies of a role that was made before were changed.
    RolePoliciesChanged,
    /// PCS or IAM refused the update for good; the policies are what they were, but for any no longer allowed.
    RolePoliciesRestored,
    /// Something made for the request could not be undone, or nobody could tell whether it is in use.
    Orphan,
}

impl Step {
    /// As the row and the log line say it; alarms look for it.
    pub fn name(self) -> &'static str {
        match self {
            Step::GuardrailDrift => "GUARDRAIL_DRIFT",
            Step::GuardrailRecheckFailed => "GUARDRAIL_RECHECK_FAILED",
            Step::RoleCreated => "ROLE_CREATED",
            Step::RoleAdopted => "ROLE_ADOPTED",
            Step::RolePoliciesSet => "ROLE_POLICIES_SET",
            Step::InstanceProfileCreated => "INSTANCE_PROFILE_CREATED",
            Step::InstanceProfileAdopted => "INSTANCE_PROFILE_ADOPTED",
            Step::RoleAddedToInstanceProfile => "ROLE_ADDED_TO_INSTANCE_PROFILE",
            Step::RoleRemoved => "ROLE_REMOVED",
            Step::RolePoliciesChanged => "ROLE_POLICIES_CHANGED",
            Step::RolePoliciesRestored => "ROLE_POLICIES_RESTORED",
            Step::Orphan => "ORPHAN",
        }
    }

    /// Whether it is about what a role was, and what it became.
    fn is_about_roles(self) -> bool {
        matches!(self, Step::GuardrailDrift | Step::GuardrailRecheckFailed)
    }

    /// Whether somebody should look.
    pub fn is_alarm(self) -> bool {
        match self {
            Step::GuardrailDrift | Step::GuardrailRecheckFailed | Step::Orphan => true,
            Step::RoleCreated
            | Step::RoleAdopted
            | Step::RolePoliciesSet
            | Step::InstanceProfileCreated
            | Step::InstanceProfileAdopted
            | Step::RoleAddedToInstanceProfile
            | Step::RoleRemoved
            | Step::RolePoliciesChanged
            | Step::RolePoliciesRestored => false,
        }
    }
}

impl Stage {
    pub fn sort_key(self) -> String {
        match self {
            Stage::Read => "0#READ".to_owned(),
            Stage::Received => "0#RECEIVED".to_owned(),
            Stage::Step { number, .. } => format!("1#STEP#{}", rising(number)),
            Stage::Identified => "8#IDENTIFIED".to_owned(),
            Stage::Refused | Stage::Complete => "9#COMPLETE".to_owned(),
            Stage::Panic => "9#PANIC".to_owned(),
        }
    }

    /// As rows and lists say it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Read => "READ",
            Stage::Received => "RECEIVED",
            Stage::Step { .. } => "STEP",
            Stage::Refused | Stage::Complete | Stage::Identified => "COMPLETE",
            Stage::Panic => "PANIC",
        }
    }

    /// Whether it is the first row of its record, which says what was asked.
    fn is_first(self) -> bool {
        match self {
            Stage::Read | Stage::Received | Stage::Refused => true,
            Stage::Step { .. } | Stage::Complete | Stage::Panic | Stage::Identified => false,
        }
    }

    /// Whether this row shows what a role was, or what it became.
    fn compares_roles(self) -> bool {
        match self {
            Stage::Step { what, .. } => what.is_about_roles(),
            Stage::Complete | Stage::Panic | Stage::Identified => true,
            Stage::Read | Stage::Received | Stage::Refused => false,
        }
    }

    /// Whether this row is the one that lists show.
    fn is_listed(self) -> bool {
        match self {
            Stage::Read | Stage::Refused | Stage::Complete | Stage::Panic => true,
            Stage::Received | Stage::Step { .. } | Stage::Identified => false,
        }
    }
}

/// Whether the guardrails let the call pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allow,
    Deny,
    /// It never came to a decision: the request was invalid, or what a decision needs could not be had.
    Error,
}

impl Decision {
    pub fn name(self) -> &'static str {
        match self {
            Decision::Allow => "ALLOW",
            Decision::Deny => "DENY",
            Decision::Error => "ERROR",
        }
    }
}

/// One call to an AWS service made for this call; joins our record to that service's CloudTrail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downstream {
    pub service: &'static str,
    pub action: &'static str,
    pub request_id: Option<String>,
    /// Error code, or `None` for success.
    pub error_code: Option<String>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub status: u16,
    pub error_code: Option<&'static str>,
    pub error_message: Option<String>,
    pub panicked: bool,
}

/// Everything known about a call so far; filled in as the request path goes on.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Ours: API Gateway's request id is not unique.
    pub event_id: Ulid,
    received: Timestamp,
    clock: Instant,
    /// `None` of what no caller waits for.
    deadline: Option<Deadline>,
    request_id: Option<String>,
    extended_request_id: Option<String>,
    lambda_request_id: String,
    method: String,
    resource_path: String,
    source_ip: Option<String>,
    user_agent: Option<String>,
    body_bytes: usize,
    body_sha256: Option<String>,
    principal: Option<Principal>,
    operation: Option<Operation>,
    region: Option<String>,
    dryrun: bool,
    /// Identifiers as the caller gave them: cluster first, then what is inside it.
    identifiers: Vec<String>,
    request_parameters: Option<Recording>,
    response_elements: Option<Recording>,
    /// ARN of what was created or named, once PCS told it.
    resource_arn: Option<String>,
    /// Name of what is no caller's operation.
    pub task: Option<&'static str>,
    /// ARN of the role that is made or changed for this call; what a sweep looks for if the call never ends.
    pub node_role: Option<String>,
    /// What the decision was about.
    pub inspected: Facts,
    /// Whether that changed afterwards, or had changed when a sweep looked, or could not be read again.
    pub doubted: bool,
    pub decision: Decision,
    pub violations: Vec<crate::error::Violation>,
    pub downstream: Vec<Downstream>,
    steps: u32,
}

impl Entry {
    /// Begins the record of a request that came at `received`; nothing is written yet.
    pub fn begin(request: &ApiRequest, lambda_request_id: &str, received: Timestamp) -> Entry {
        let body = request.body.bytes();
        Entry {
            event_id: new_id(received),
            received,
            clock: Instant::now(),
            deadline: None,
            request_id: request.context.request_id.clone(),
            extended_request_id: request.context.extended_request_id.clone(),
            lambda_request_id: lambda_request_id.to_owned(),
            method: request.method.clone(),
            resource_path: request.resource.clone(),
            source_ip: request.identity.source_ip.clone(),
            user_agent: request.identity.user_agent.clone(),
            body_bytes: body.len(),
            body_sha256: (!body.is_empty()).then(|| crate::hex(&Sha256::digest(body))),
            principal: None,
            operation: None,
            region: None,
            dryrun: false,
            identifiers: identifiers(|name| {
                request
                    .path_parameters
                    .iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value.clone())
            }),
            request_parameters: None,
            response_elements: None,
            resource_arn: None,
            task: None,
            node_role: None,
            inspected: Facts::NotNeeded,
            doubted: false,
            decision: Decision::Error,
            violations: Vec::new(),
            downstream: Vec::new(),
            steps: 0,
        }
    }

    /// Nothing of the record is waited for longer.
    #[must_use]
    pub fn until(mut self, deadline: Deadline) -> Entry {
        self.deadline = Some(deadline);
        self
    }

    /// Until when the opening row is waited for, at most for `patience`: without time to work it is of no use.
    pub fn opened_by(&self, patience: Duration) -> Instant {
        let by = Instant::now() + patience;
        self.deadline.map_or(by, |deadline| by.min(deadline.work))
    }

    /// The same for the rows of the end, after which only the answer is left.
    pub fn closed_by(&self, patience: Duration) -> Instant {
        let by = Instant::now() + patience;
        self.deadline.map_or(by, |deadline| by.min(deadline.release))
    }

    /// The same for a row in between. It takes half of what is left at most, so that something is always left for
    /// those that follow.
    pub fn stepped_by(&self, patience: Duration) -> Instant {
        let now = Instant::now();
        self.deadline.map_or(now + patience, |deadline| {
            now + patience.min(deadline.release.saturating_duration_since(now) / 2)
        })
    }

    pub fn called_by(&mut self, principal: &Principal) {
        self.principal = Some(principal.clone());
    }

    pub fn routed_to(&mut self, operation: Operation) {
        self.operation = Some(operation);
    }

    pub fn read_as(&mut self, call: &Call) {
        self.region = Some(call.region.clone());
        self.dryrun = call.dryrun;
        self.identifiers =
            identifiers(|name| call.input.get(name).and_then(Value::as_str).map(str::to_owned));
        if let Some(operation) = self.operation {
            let recorded = contract::route(operation).recorded_input;
            self.request_parameters = Some(recording(&call.as_sent(), recorded, REQUEST_BYTES_MAX));
        }
    }

    /// A field's path in an upstream error, as far as it may be recorded.
    pub fn recorded_path(&self, path: &str) -> String {
        self.operation.map_or_else(
            || REDACTED.to_owned(),
            |operation| known_path(path, contract::route(operation).recorded_input),
        )
    }

    /// Notes PCS's answer to the call itself. CloudTrail keeps no answers of reads either.
    pub fn answered_with(&mut self, output: &Map<String, Value>) {
        self.is_about(output);
        if let Some(operation) = self.operation.filter(|operation| operation.is_mutation()) {
            let recorded = contract::route(operation).recorded_output;
            let answer = Value::Object(output.clone());
            self.response_elements = Some(recording(&answer, recorded, ANSWER_BYTES_MAX));
        }
    }

    /// Notes the ARN in an answer of PCS: `{"cluster": {"arn": ..}}` and the like.
    pub fn is_about(&mut self, output: &Map<String, Value>) {
        let arn = output.values().find_map(|resource| resource.get("arn")?.as_str());
        self.resource_arn = arn.map(str::to_owned).or(self.resource_arn.take());
    }

    /// Notes the Region of what a sweep found.
    pub fn is_in(&mut self, region: &str) {
        self.region = Some(region.to_owned());
    }

    /// Numbers the next step as the one after the last of `other`, which is this record about something else.
    pub fn numbers_after(&mut self, other: &Entry) {
        self.steps = other.steps;
    }

    /// Numbers the next step row.
    pub fn next_step(&mut self, what: Step) -> Stage {
        self.doubted |= what.is_about_roles();
        self.steps = self.steps.saturating_add(1);
        Stage::Step {
            number: self.steps,
            what,
        }
    }

    /// The cluster that the call is about, by the name or id that the caller used.
    pub fn cluster(&self) -> Option<&str> {
        self.identifiers.first().map(|identifier| cluster_of(identifier))
    }

    /// Id of the cluster in PCS's answer, if a caller's mutation got one and named the cluster otherwise.
    pub fn cluster_answered(&self) -> Option<&str> {
        let id = cluster_of(self.resource_arn.as_deref()?);
        let is_new = self.cluster() != Some(id);
        (is_new && self.operation.is_some() && self.is_mutation()).then_some(id)
    }

    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// An operation that is not known is treated as the more dangerous kind.
    pub fn is_mutation(&self) -> bool {
        self.operation.is_none_or(Operation::is_mutation)
    }

    pub fn is_read_that_succeeded(&self, outcome: &Outcome) -> bool {
        !self.is_mutation() && outcome.error_code.is_none() && !outcome.panicked
    }

    /// The id that callers see in errors: API Gateway's, or ours when there is none.
    pub fn request_id(&self) -> String {
        self.request_id
            .clone()
            .unwrap_or_else(|| self.event_id.to_string())
    }

    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// CloudTrail's `eventName`.
    pub fn operation_name(&self) -> Option<&'static str> {
        self.operation.map(Operation::name).or(self.task)
    }
}

/// The number as text that sorts as numbers do: two digits as they are, and before more of them a letter that says how
/// many (`A100`, `B1000`). Letters sort after digits, and no row of earlier versions has one here.
fn rising(number: u32) -> String {
    let digits = format!("{number:02}");
    let lengths = ["", "A", "B", "C", "D", "E", "F", "G", "H"];
    let length = lengths.get(digits.len().saturating_sub(2)).unwrap_or(&"H");
    format!("{length}{digits}")
}

fn recording(value: &Value, recorded: &Recorded, budget: usize) -> Recording {
    within(redact(value, recorded).to_string(), budget)
}

/// The cluster's id in the ARN of the cluster or of something inside it; anything else stays as it is.
fn cluster_of(identifier: &str) -> &str {
    let inside = identifier
        .starts_with("arn:")
        .then(|| identifier.split_once(":cluster/"))
        .flatten();
    inside.map_or(identifier, |(_, path)| {
        path.split_once('/').map_or(path, |(cluster, _)| cluster)
    })
}

/// The members that say what a call is about, outermost first. Only one child is ever named.
fn identifiers(value: impl Fn(&str) -> Option<String>) -> Vec<String> {
    [
        "clusterIdentifier",
        "clusterName",
        "computeNodeGroupIdentifier",
        "computeNodeGroupName",
        "queueIdentifier",
        "queueName",
        "resourceArn",
    ]
    .into_iter()
    .filter_map(value)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> String {
        let what = Step::RoleRemoved;
        Stage::Step { number, what }.sort_key()
    }

    #[test]
    fn steps_sort_as_they_happened_however_many_there_are() {
        let numbers = (1..2_000).chain([9_999, 10_000, 99_999, 100_000, 1_000_000, u32::MAX]);
        let keys: Vec<String> = numbers.map(key).collect();
        for pair in keys.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
        assert!(Stage::Received.sort_key() < keys[0]);
        assert!(keys[keys.len() - 1] < Stage::Identified.sort_key());
    }

    #[test]
    fn steps_of_earlier_versions_keep_their_keys_and_share_none() {
        // As versions before 100 steps were thought of wrote them.
        let before: Vec<String> = (1..=255).map(|number| format!("1#STEP#{number:02}")).collect();
        for number in 1..=99 {
            assert_eq!(key(number), before[number as usize - 1]);
        }
        for number in 100..2_000 {
            assert!(!before.contains(&key(number)), "{number}");
        }
    }

    #[test]
    fn more_than_255_steps_have_a_row_each() {
        let mut entry = Entry::begin(&ApiRequest::default(), "", Timestamp::UNIX_EPOCH);
        let keys: std::collections::BTreeSet<String> = (0..700)
            .map(|_| entry.next_step(Step::Orphan).sort_key())
            .collect();
        assert_eq!(keys.len(), 700);
    }
}
