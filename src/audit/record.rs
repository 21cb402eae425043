//! What a row says, and the keys it is found by. CloudTrail's field names where CloudTrail has the field.
//!
//! Values that a caller chose are cut to CloudTrail's limit of 1 KB each, so that no request can be too big to
//! record. The body is not stored, only its length and SHA-256.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use ulid::Ulid;

use crate::{
    guardrails::{
        Facts,
        instance_role::{ProfileFacts, RoleFacts},
    },
    operations::{Operation, ResourceType},
    principal::Principal,
    request::ApiRequest,
    router::Call,
};

/// A row's attributes.
pub type Row = Vec<(&'static str, AttributeValue)>;

/// CloudTrail's limit for user agents, error messages and request ids.
const TEXT_BYTES_MAX: usize = 1024;
/// Attribute of an opening row that holds the index keys of the closing row.
const CLOSING_KEYS: &str = "closingKeys";
/// The time index is written to this many partitions per hour, so that no hour is one hot partition.
pub const TIME_SHARDS: u128 = 4;

/// Which row of a call's record this is; the sort key keeps them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Read,
    Received,
    /// Something that happened in between; numbered from 1.
    Step {
        number: u8,
        what: Step,
    },
    Complete,
    Panic,
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
            Stage::Step { number, .. } => format!("1#STEP#{number:02}"),
            Stage::Complete => "9#COMPLETE".to_owned(),
            Stage::Panic => "9#PANIC".to_owned(),
        }
    }

    /// Whether this row is the one that lists show.
    fn is_listed(self) -> bool {
        match self {
            Stage::Read | Stage::Complete | Stage::Panic => true,
            Stage::Received | Stage::Step { .. } => false,
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
    fn name(self) -> &'static str {
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
    /// ARN of what was created or named, once PCS told it.
    resource_arn: Option<String>,
    /// Name of what is no caller's operation.
    pub task: Option<&'static str>,
    /// ARN of the role that is made or changed for this call; what a sweep looks for if the call never ends.
    pub node_role: Option<String>,
    /// What the decision was about.
    pub inspected: Facts,
    pub decision: Decision,
    pub violations: Vec<crate::error::Violation>,
    pub downstream: Vec<Downstream>,
    steps: u8,
}

impl Entry {
    /// Begins the record of a request; nothing is written yet.
    pub fn begin(request: &ApiRequest, lambda_request_id: &str) -> Entry {
        let body = request.body.bytes();
        Entry {
            event_id: Ulid::generate(),
            received: Timestamp::now(),
            clock: Instant::now(),
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
            resource_arn: None,
            task: None,
            node_role: None,
            inspected: Facts::NotNeeded,
            decision: Decision::Error,
            violations: Vec::new(),
            downstream: Vec::new(),
            steps: 0,
        }
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
    }

    /// Notes the ARN in PCS's answer: `{"cluster": {"arn": ..}}` and the like.
    pub fn answered_with(&mut self, output: &Map<String, Value>) {
        let arn = output.values().find_map(|resource| resource.get("arn")?.as_str());
        self.resource_arn = arn.map(str::to_owned).or(self.resource_arn.take());
    }

    /// Numbers the next step row.
    pub fn next_step(&mut self, what: Step) -> Stage {
        self.steps = self.steps.saturating_add(1);
        Stage::Step {
            number: self.steps,
            what,
        }
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

/// Builds a row. Only the closing row, or a read's single one, is found through every index; an opening row is found
/// by event and by time, which is what the sweep needs to close what was left open.
pub fn row(entry: &Entry, stage: Stage, outcome: Option<&Outcome>, retention_days: u16) -> Row {
    let id = entry.event_id.to_string();
    let at = format!("{:.3}#{id}", entry.received);
    let expires = expires(entry.received, retention_days);
    let mut row = vec![
        ("pk", text(&format!("E#{id}"))),
        ("sk", text(&stage.sort_key())),
        ("at", text(&at)),
        (
            "byTime",
            text(&time_key(entry.received, entry.event_id.random() % TIME_SHARDS)),
        ),
        ("expires", AttributeValue::N(expires.to_string())),
        ("eventId", text(&id)),
        ("eventTime", text(&format!("{:.3}", entry.received))),
        ("eventSource", text("pcs-api")),
        ("gatewayVersion", text(env!("CARGO_PKG_VERSION"))),
        ("lambdaRequestId", text(&entry.lambda_request_id)),
        ("httpMethod", text(&entry.method)),
        ("resourcePath", text(&entry.resource_path)),
        ("readOnly", AttributeValue::Bool(!entry.is_mutation())),
        ("dryRun", AttributeValue::Bool(entry.dryrun)),
        ("bodyBytes", AttributeValue::N(entry.body_bytes.to_string())),
    ];
    let optional = [
        ("eventName", entry.operation_name()),
        ("awsRegion", entry.region.as_deref()),
        ("requestID", entry.request_id.as_deref()),
        ("extendedRequestID", entry.extended_request_id.as_deref()),
        ("sourceIPAddress", entry.source_ip.as_deref()),
        ("userAgent", entry.user_agent.as_deref()),
        ("bodySha256", entry.body_sha256.as_deref()),
        ("resourceArn", entry.resource_arn.as_deref()),
        ("nodeRoleArn", entry.node_role.as_deref()),
    ];
    row.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, text(value?)))),
    );
    if !entry.identifiers.is_empty() {
        row.push(("resources", list(entry.identifiers.iter().map(|id| text(id)))));
    }
    row.extend(
        entry
            .principal
            .as_ref()
            .map(|principal| ("userIdentity", user_identity(principal))),
    );
    if stage.is_listed() {
        row.extend(indexes(entry, &at));
        row.push(("decision", text(entry.decision.name())));
    }
    if stage == Stage::Received {
        // The sweep needs them if nobody else closes this record.
        row.push((CLOSING_KEYS, map(indexes(entry, &at))));
    }
    if let Stage::Step { what, .. } = stage {
        row.push(("step", text(what.name())));
        row.extend(violations(entry));
    }
    row.extend(
        entry
            .inspected
            .inspected()
            .map(|(profile, role)| ("inspected", inspected(profile, role))),
    );
    row.extend(outcome.into_iter().flat_map(|outcome| closing(entry, outcome)));
    row
}

fn user_identity(principal: &Principal) -> AttributeValue {
    let fields = [
        ("type", Some(principal.kind.name())),
        ("principalId", Some(principal.principal_id.as_str())),
        ("arn", Some(principal.arn.as_str())),
        ("accountId", Some(principal.account_id.as_str())),
        ("accessKeyId", principal.access_key_id.as_deref()),
        ("sessionName", principal.session_name.as_deref()),
        ("organizationId", principal.organization_id.as_deref()),
    ];
    map(fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, text(value?)))))
}

/// Ids beside names, so that a role made anew under the same name is told apart.
fn inspected(profile: &ProfileFacts, role: &RoleFacts) -> AttributeValue {
    let fields = [
        ("instanceProfileArn", Some(profile.arn.as_str())),
        ("instanceProfileId", Some(profile.profile_id.as_str())),
        ("roleArn", Some(role.arn.as_str())),
        ("roleId", Some(role.role_id.as_str())),
        ("permissionsBoundaryArn", role.boundary.as_deref()),
        ("permissionsBoundaryVersion", role.boundary_version.as_deref()),
        ("policySetHash", Some(&role.policy_set_hash())),
    ]
    .map(|(name, value)| (name, value.map(text)));
    map(fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?))))
}

fn indexes(entry: &Entry, at: &str) -> Row {
    let mut keys = Vec::new();
    let month: String = at.chars().take("2026-11".len()).collect();
    if let Some(principal) = &entry.principal {
        keys.push((
            "byPrincipal",
            text(&format!(
                "P#{}#{}#{month}",
                principal.account_id, principal.principal_id
            )),
        ));
    }
    if let (Some(operation), Some(region)) = (entry.operation, &entry.region) {
        let resource = operation.resource_type();
        if resource != ResourceType::Account {
            let identifier = entry.identifiers.join("/");
            keys.push((
                "byResource",
                text(&format!("R#{}#{region}#{identifier}", resource.name())),
            ));
        }
    }
    if let Some(request_id) = &entry.request_id {
        keys.push(("byRequest", text(&format!("Q#{request_id}"))));
    }
    keys
}

fn closing(entry: &Entry, outcome: &Outcome) -> Row {
    let milliseconds = entry.elapsed().as_millis().to_string();
    let mut row = vec![
        ("httpStatus", AttributeValue::N(outcome.status.to_string())),
        ("durationMilliseconds", AttributeValue::N(milliseconds)),
    ];
    row.extend(outcome.error_code.map(|code| ("errorCode", text(code))));
    row.extend(
        outcome
            .error_message
            .as_deref()
            .map(|message| ("errorMessage", text(message))),
    );
    row.extend(violations(entry));
    if !entry.downstream.is_empty() {
        let calls = entry.downstream.iter().map(|call| {
            let optional = [
                ("requestId", call.request_id.as_deref()),
                ("errorCode", call.error_code.as_deref()),
            ];
            let optional = optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, text(value?))));
            map([("service", text(call.service)), ("action", text(call.action))]
                .into_iter()
                .chain(optional))
        });
        row.push(("downstream", list(calls)));
    }
    row
}

fn violations(entry: &Entry) -> Option<(&'static str, AttributeValue)> {
    let violations = entry.violations.iter().map(|violation| {
        map([
            ("rule", text(violation.rule)),
            ("subject", text(&violation.subject)),
            ("message", text(&violation.message)),
        ])
    });
    (!entry.violations.is_empty()).then(|| ("violations", list(violations)))
}

/// Key of the time index for the hour of `time`.
pub fn time_key(time: Timestamp, shard: u128) -> String {
    let hour: String = time.to_string().chars().take("2026-11-21T01".len()).collect();
    format!("T#{hour}#{shard}")
}

/// Seconds since the epoch, as DynamoDB's time to live reads them.
pub fn expires(from: Timestamp, retention_days: u16) -> i64 {
    from.as_second() + i64::from(retention_days) * 24 * 60 * 60
}

/// The closing row that a call could not write, made from its opening row. What happened is not known, and the row
/// says so.
pub(super) fn unknown(mut received: HashMap<String, AttributeValue>) -> HashMap<String, AttributeValue> {
    if let Some(AttributeValue::M(keys)) = received.remove(CLOSING_KEYS) {
        received.extend(keys);
    }
    for (name, value) in [
        ("sk", Stage::Complete.sort_key().as_str()),
        ("decision", "UNKNOWN"),
        ("errorCode", "OutcomeUnknown"),
        (
            "errorMessage",
            "the function ended before it recorded the outcome; PCS may have carried out the call",
        ),
    ] {
        received.insert(name.to_owned(), text(value));
    }
    received
}

/// A string attribute of at most `TEXT_BYTES_MAX` bytes, cut on a character boundary.
fn text(value: &str) -> AttributeValue {
    let mut cut = String::new();
    for character in value.chars() {
        if cut.len() + character.len_utf8() > TEXT_BYTES_MAX {
            break;
        }
        cut.push(character);
    }
    AttributeValue::S(cut)
}

fn list(values: impl Iterator<Item = AttributeValue>) -> AttributeValue {
    AttributeValue::L(values.collect())
}

fn map(fields: impl IntoIterator<Item = (&'static str, AttributeValue)>) -> AttributeValue {
    AttributeValue::M(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}
