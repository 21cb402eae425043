//! A record's rows as attributes of DynamoDB items, and the keys they are found by. CloudTrail's field names where
//! CloudTrail has the field.
//!
//! Values that a caller chose are cut to CloudTrail's limit of 1 KB each, and lists have an end, so that no request
//! can be too big to record. Of the body the members that the contract calls safe are stored (`redact.rs`), and of
//! the whole its length and SHA-256.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::{Entry, Outcome, Stage};
use crate::{
    audit::{chain::Item, redact::Recording},
    guardrails::instance_role::{ProfileFacts, RoleFacts},
    principal::Principal,
};

type Fields = Vec<(&'static str, AttributeValue)>;

/// What every index holds of a row: enough for a list. The template's and `pcs-local`'s tables are made with it.
/// DynamoDB takes 20 attributes in an index, and 100 in all indexes of a table.
pub const SUMMARY: [&str; 17] = [
    "eventId",
    "eventTime",
    "eventName",
    "stage",
    "decision",
    "httpStatus",
    "errorCode",
    "readOnly",
    "dryRun",
    "awsRegion",
    "userIdentity",
    "sourceIPAddress",
    "requestID",
    "resources",
    "resourceArn",
    "durationMilliseconds",
    "expires",
];
/// What the time index holds besides: what the hourly digest is made of.
pub const DIGESTED: [&str; 3] = ["rowHash", "chainId", "chainSeq"];

/// CloudTrail's `eventSource`, for what is recorded here.
pub const EVENT_SOURCE: &str = "pcs-api";
/// CloudTrail's limit for user agents, error messages and request ids.
const TEXT_BYTES_MAX: usize = 1024;
/// Limits that together with both recordings stay below DynamoDB's 400 KB for a row. A role has up to 20 managed
/// policies, and its inline policies cost a call each.
const VIOLATIONS_MAX: usize = 50;
const DOWNSTREAM_MAX: usize = 250;
/// Of each kind. IAM's names have up to 128 characters, its ARNs more.
const POLICIES_MAX: usize = 100;
/// AWS's request ids and error codes are shorter; what claims to be one may not be.
const CODE_BYTES_MAX: usize = 128;
/// More attributes than a row has, so that making one grows nothing.
const FIELDS_MOST: usize = 48;
/// Attribute of an opening row that holds the index keys of the closing row.
const CLOSING_KEYS: &str = "closingKeys";
/// The time index is written to this many partitions per hour, so that no hour is one hot partition.
pub const TIME_SHARDS: u128 = 4;

/// What is the same in all rows of one deployment.
#[derive(Debug, Clone, Copy)]
pub struct Common<'a> {
    pub config_hash: &'a str,
    pub retention_days: u16,
}

/// Builds a row, not yet linked into a chain. Only the closing row, or a read's single one, is found through every
/// index; an opening row is found by event and by time, which is what the sweep needs to close what was left open.
pub fn build(entry: &Entry, stage: Stage, outcome: Option<&Outcome>, common: Common) -> Item {
    let id = entry.event_id.to_string();
    let at = format!("{:.3}#{id}", entry.received);
    let expires = expires(entry.received, common.retention_days);
    let mut row = Vec::with_capacity(FIELDS_MOST);
    row.extend([
        ("pk", text(&format!("E#{id}"))),
        ("sk", text(&stage.sort_key())),
        ("at", text(&at)),
        (
            "byTime",
            text(&time_key(entry.received, entry.event_id.random() % TIME_SHARDS)),
        ),
        ("expires", AttributeValue::N(expires.to_string())),
        ("stage", text(stage.name())),
    ]);
    row.extend(call(entry, &id, common));
    if stage.is_listed() {
        row.extend(indexes(entry, &at));
        row.push(("decision", text(entry.decision.name())));
    }
    match stage {
        // The sweep needs them if nobody else closes this record.
        Stage::Received => row.push((CLOSING_KEYS, map(indexes(entry, &at)))),
        Stage::Step { what, .. } => {
            row.push(("step", text(what.name())));
            row.extend(violations(entry));
        }
        Stage::Identified => {
            row.extend(
                entry
                    .cluster_answered()
                    .map(|id| ("byResource", text(&resource_key(id)))),
            );
            row.push(("decision", text(entry.decision.name())));
        }
        Stage::Read | Stage::Refused | Stage::Complete | Stage::Panic => {}
    }
    if stage.is_first() {
        row.extend(written("requestParameters", entry.request_parameters.as_ref()));
    }
    let with_policies = entry.doubted && stage.compares_roles();
    row.extend(
        entry
            .inspected
            .inspected()
            .map(|(profile, role)| ("inspected", inspected(profile, role, with_policies))),
    );
    row.extend(outcome.into_iter().flat_map(|outcome| closing(entry, outcome)));
    if stage == Stage::Complete {
        row.extend(written("responseElements", entry.response_elements.as_ref()));
    }
    item(row)
}

/// What is known of the call itself.
fn call(entry: &Entry, id: &str, common: Common) -> Fields {
    let mut row = vec![
        ("eventId", text(id)),
        ("eventTime", text(&format!("{:.3}", entry.received))),
        ("eventSource", text(EVENT_SOURCE)),
        ("gatewayVersion", text(env!("CARGO_PKG_VERSION"))),
        ("configHash", text(common.config_hash)),
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
    row
}

/// Redacted JSON, as text: a cut one could not be anything else.
fn written(name: &'static str, recorded: Option<&Recording>) -> Fields {
    let Some(recorded) = recorded else {
        return Vec::new();
    };
    let mut fields = vec![(name, AttributeValue::S(recorded.json.clone()))];
    if let Some(cut) = &recorded.cut {
        let whole = [
            ("attribute", text(name)),
            ("bytes", AttributeValue::N(cut.bytes.to_string())),
            ("sha256", text(&cut.sha256)),
        ];
        fields.push(("truncated", map(whole)));
    }
    fields
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

/// Ids beside names, so that a role made anew under the same name is told apart. Where a role changed, with its
/// policies by name, so that what was decided on can be held beside what was found.
fn inspected(profile: &ProfileFacts, role: &RoleFacts, with_policies: bool) -> AttributeValue {
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
    let policies = with_policies.then(|| {
        let inline = role.inline.iter().map(|(name, _)| text(name));
        [
            (
                "attachedPolicies",
                list(role.attached.iter().take(POLICIES_MAX).map(|arn| text(arn))),
            ),
            ("inlinePolicies", list(inline.take(POLICIES_MAX))),
        ]
    });
    map(fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .chain(policies.into_iter().flatten()))
}

fn indexes(entry: &Entry, at: &str) -> Fields {
    let mut keys = Vec::new();
    let month: String = at.chars().take("2026-11".len()).collect();
    if let Some(principal) = &entry.principal {
        let key = principal_key(&principal.principal_id, &month);
        keys.push(("byPrincipal", text(&key)));
    }
    if let Some(cluster) = entry.cluster() {
        keys.push(("byResource", text(&resource_key(cluster))));
    }
    if let Some(request_id) = &entry.request_id {
        keys.push(("byRequest", text(&request_key(request_id))));
    }
    keys
}

/// Key of the principal index: the unique id of the user or role, without the session, in a month (`2026-11`).
pub fn principal_key(principal_id: &str, month: &str) -> String {
    format!("P#{}#{month}", cut(principal_id))
}

// A key is cut as a whole, as `text` cuts it: what is asked for is then what was written.

/// Key of the resource index: everything that concerns a cluster, what is inside it included, by the name or id that
/// the caller used.
pub fn resource_key(cluster: &str) -> String {
    cut(&format!("R#{cluster}")).to_owned()
}

/// Key of the request index: API Gateway's request id.
pub fn request_key(request_id: &str) -> String {
    cut(&format!("Q#{request_id}")).to_owned()
}

/// Keys of a row that belongs to no call. It is in the time index too, so that the digests cover the whole table.
pub fn keys(pk: &str, sk: &str, now: Timestamp, retention_days: u16) -> Item {
    item(vec![
        ("pk", text(pk)),
        ("sk", text(sk)),
        ("at", text(&format!("{now:.3}#{pk}#{sk}"))),
        ("byTime", text(&time_key(now, 0))),
        (
            "expires",
            AttributeValue::N(expires(now, retention_days).to_string()),
        ),
        ("stage", text(pk)),
    ])
}

fn item(fields: Fields) -> Item {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn closing(entry: &Entry, outcome: &Outcome) -> Fields {
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
        let calls = entry.downstream.iter().take(DOWNSTREAM_MAX).map(|call| {
            let optional = [
                ("requestId", call.request_id.as_deref()),
                ("errorCode", call.error_code.as_deref()),
            ];
            let optional = optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, short(value?))));
            map([("service", text(call.service)), ("action", text(call.action))]
                .into_iter()
                .chain(optional))
        });
        row.push(("downstream", list(calls)));
    }
    row
}

fn violations(entry: &Entry) -> Option<(&'static str, AttributeValue)> {
    let violations = entry.violations.iter().take(VIOLATIONS_MAX).map(|violation| {
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
    format!("T#{}#{shard}", hour(time))
}

/// Beginning of the hour of `time`.
pub fn hour_of(time: Timestamp) -> Timestamp {
    const SECONDS: i64 = 60 * 60;
    Timestamp::from_second(time.as_second().div_euclid(SECONDS) * SECONDS).unwrap_or(time)
}

/// `2026-11-21T01`.
pub fn hour(time: Timestamp) -> String {
    time.to_string().chars().take("2026-11-21T01".len()).collect()
}

/// Seconds since the epoch, as DynamoDB's time to live reads them.
pub fn expires(from: Timestamp, retention_days: u16) -> i64 {
    from.as_second() + i64::from(retention_days) * 24 * 60 * 60
}

/// The closing row that a call could not write, made from its opening row. What happened is not known, and the row
/// says so.
pub(in crate::audit) fn unknown(mut received: Item) -> Item {
    if let Some(AttributeValue::M(keys)) = received.remove(CLOSING_KEYS) {
        received.extend(keys);
    }
    for (name, value) in [
        ("sk", Stage::Complete.sort_key().as_str()),
        ("stage", Stage::Complete.name()),
        ("decision", "UNKNOWN"),
        ("errorCode", "OutcomeUnknown"),
        (
            "errorMessage",
            "the function ended before it recorded the outcome; PCS may have carried out the call",
        ),
    ] {
        received.insert(name.to_owned(), text(value));
    }
    // They are in the opening row; and its place in the chain is its own.
    for name in ["requestParameters", "truncated", "unacknowledged", "underWay"] {
        received.remove(name);
    }
    received
}

/// A string attribute of at most `TEXT_BYTES_MAX` bytes.
fn text(value: &str) -> AttributeValue {
    AttributeValue::S(cut(value).to_owned())
}

fn short(value: &str) -> AttributeValue {
    AttributeValue::S(within(value, CODE_BYTES_MAX).to_owned())
}

fn cut(value: &str) -> &str {
    within(value, TEXT_BYTES_MAX)
}

/// Cut to so many bytes on a character boundary.
fn within(value: &str, bytes: usize) -> &str {
    value.get(..value.floor_char_boundary(bytes)).unwrap_or(value)
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
