//! A record's rows as attributes of DynamoDB items, and the keys they are found by. CloudTrail's field names where
//! CloudTrail has the field.
//!
//! Values that a caller chose are cut to CloudTrail's limit of 1 KB each, so that no request can be too big to
//! record. The body is not stored, only its length and SHA-256.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::{Entry, Outcome, Stage};
use crate::{
    guardrails::instance_role::{ProfileFacts, RoleFacts},
    operations::ResourceType,
    principal::Principal,
};

/// A row's attributes.
pub type Row = Vec<(&'static str, AttributeValue)>;

/// CloudTrail's limit for user agents, error messages and request ids.
const TEXT_BYTES_MAX: usize = 1024;
/// Attribute of an opening row that holds the index keys of the closing row.
const CLOSING_KEYS: &str = "closingKeys";
/// The time index is written to this many partitions per hour, so that no hour is one hot partition.
pub const TIME_SHARDS: u128 = 4;

/// Builds a row. Only the closing row, or a read's single one, is found through every index; an opening row is found
/// by event and by time, which is what the sweep needs to close what was left open.
pub fn build(entry: &Entry, stage: Stage, outcome: Option<&Outcome>, retention_days: u16) -> Row {
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
pub(in crate::audit) fn unknown(
    mut received: HashMap<String, AttributeValue>,
) -> HashMap<String, AttributeValue> {
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
