//! A call as CloudTrail would write it, for tools that know CloudTrail.
//!
//! Names and shapes are those of CloudTrail's record contents. `eventCategory` and `eventType` are what CloudTrail
//! gives events that are not AWS's own (its "integrations event schema"): nobody should take these records for AWS's.
//! What CloudTrail has no field for is in `additionalEventData`.

use pcs_api::audit::{chain::Item, event};
use serde_json::{Map, Value, json};

use crate::plain;

const EVENT_VERSION: &str = "1.11";
/// Attributes that go into `additionalEventData` under their own name.
const ADDITIONAL: [&str; 17] = [
    "decision",
    "httpStatus",
    "stage",
    "dryRun",
    "durationMilliseconds",
    "violations",
    "inspected",
    "nodeRoleArn",
    "downstream",
    "httpMethod",
    "resourcePath",
    "bodyBytes",
    "bodySha256",
    "extendedRequestID",
    "lambdaRequestId",
    "gatewayVersion",
    "configHash",
];

/// One record of a call's rows, which are in the order of their sort keys; `None` if they are of no call.
pub fn record(rows: &[Item]) -> Option<Value> {
    let first = rows.first()?;
    let id = plain::text(first, "eventId")?;
    // Steps and copies say nothing that opening and closing rows do not, but for what happened.
    let merged: Map<String, Value> = rows
        .iter()
        .filter(|row| !is_step(row))
        .flat_map(event::row)
        .collect();
    let get = |name: &str| merged.get(name).cloned().unwrap_or_default();
    let read_only = get("readOnly");
    let mut record = Map::new();
    let mut set = |name: &str, value: Value| record.insert(name.to_owned(), value);
    set("eventVersion", EVENT_VERSION.into());
    set("userIdentity", user_identity(&merged));
    set("eventTime", seconds(&get("eventTime")));
    set("eventSource", get("eventSource"));
    set("eventName", get("eventName"));
    set("awsRegion", get("awsRegion"));
    set("sourceIPAddress", get("sourceIPAddress"));
    set("userAgent", get("userAgent"));
    for name in ["errorCode", "errorMessage"] {
        if let Some(value) = merged.get(name) {
            set(name, value.clone());
        }
    }
    set("requestParameters", recorded(rows, "requestParameters"));
    let answered = if read_only == true {
        Value::Null
    } else {
        recorded(rows, "responseElements")
    };
    set("responseElements", answered);
    set("additionalEventData", additional(&merged, rows));
    set("requestID", get("requestID"));
    set("eventID", id.into());
    set("readOnly", read_only);
    if let Some(resource) = merged
        .get("resourceArn")
        .and_then(Value::as_str)
        .and_then(resource)
    {
        set("resources", json!([resource]));
    }
    set("eventType", "ActivityLog".into());
    set("recipientAccountId", account(&merged));
    set("eventCategory", "ActivityAuditLog".into());
    Some(Value::Object(record))
}

fn is_step(row: &Item) -> bool {
    plain::text(row, "sk").is_some_and(|sk| sk.starts_with("1#"))
}

/// The principal with its session, as CloudTrail writes both, and the role behind an assumed one as far as the
/// session's ARN tells: it has the role's name and not its path.
fn user_identity(merged: &Map<String, Value>) -> Value {
    let Some(identity) = merged.get("userIdentity").and_then(Value::as_object) else {
        // What the schedule starts has no caller; a request without identity was refused.
        return if merged
            .get("httpMethod")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            json!({"type": "AWSService", "invokedBy": "events.amazonaws.com"})
        } else {
            json!({"type": "Unknown"})
        };
    };
    let text = |name: &str| identity.get(name).and_then(Value::as_str);
    let mut told = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            told.insert(name.to_owned(), value);
        }
    };
    let principal = text("principalId").map(|id| match text("sessionName") {
        Some(session) => format!("{id}:{session}"),
        None => id.to_owned(),
    });
    set("type", text("type").map(Value::from));
    set("principalId", principal.map(Value::from));
    for name in ["arn", "accountId", "accessKeyId"] {
        set(name, text(name).map(Value::from));
    }
    let arn = text("arn").unwrap_or_default();
    if let Some(user) = arn.split_once(":user/") {
        set("userName", user.1.rsplit('/').next().map(Value::from));
    }
    if let Some((_, session)) = arn.split_once(":assumed-role/") {
        let issuer = json!({
            "type": "Role",
            "principalId": text("principalId"),
            "accountId": text("accountId"),
            "userName": session.split('/').next(),
        });
        set("sessionContext", Some(json!({ "sessionIssuer": issuer })));
    }
    Value::Object(told)
}

/// CloudTrail's times have no fractions; `additionalEventData.eventTime` has them.
fn seconds(time: &Value) -> Value {
    let time = time.as_str().unwrap_or_default();
    time.split_once('.')
        .map_or(time.to_owned(), |(time, _)| format!("{time}Z"))
        .into()
}

/// The JSON that was recorded; if it was cut, its beginning and what the whole was.
fn recorded(rows: &[Item], name: &str) -> Value {
    let Some(row) = rows.iter().find(|row| row.contains_key(name)) else {
        return Value::Null;
    };
    let row = event::row(row);
    let value = row.get(name).cloned().unwrap_or_default();
    match row.get("truncated") {
        Some(cut) if cut.get("attribute").and_then(Value::as_str) == Some(name) => {
            json!({"truncated": cut, "beginning": value})
        }
        Some(_) | None => value,
    }
}

fn additional(merged: &Map<String, Value>, rows: &[Item]) -> Value {
    let own = ADDITIONAL
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), merged.get(name)?.clone())));
    let mut additional: Map<String, Value> = own.collect();
    additional.insert(
        "eventTime".to_owned(),
        merged.get("eventTime").cloned().unwrap_or_default(),
    );
    if let Some(names) = merged.get("resources") {
        additional.insert("resourceIdentifiers".to_owned(), names.clone());
    }
    if let Some(organization) = merged
        .get("userIdentity")
        .and_then(|identity| identity.get("organizationId"))
    {
        additional.insert("principalOrgId".to_owned(), organization.clone());
    }
    let steps: Vec<Value> = rows
        .iter()
        .filter(|row| is_step(row))
        .map(|row| {
            let row = event::row(row);
            let told = ["step", "nodeRoleArn", "violations", "inspected"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), row.get(name)?.clone())));
            Value::Object(told.collect())
        })
        .collect();
    if !steps.is_empty() {
        additional.insert("steps".to_owned(), steps.into());
    }
    Value::Object(additional)
}

/// CloudTrail's form of a resource; the types are those of `CloudFormation`.
fn resource(arn: &str) -> Option<Value> {
    let (_, path) = arn.split_once(":cluster/")?;
    let kind = match path.split('/').nth(1) {
        None => "AWS::PCS::Cluster",
        Some("computenodegroup") => "AWS::PCS::ComputeNodeGroup",
        Some("queue") => "AWS::PCS::Queue",
        Some(_) => return None,
    };
    Some(json!({"ARN": arn, "accountId": account_of(arn), "type": kind}))
}

/// The account that this API is in: callers may be of another. Known where a row names something in it.
fn account(merged: &Map<String, Value>) -> Value {
    let inspected = merged
        .get("inspected")
        .and_then(|inspected| inspected.get("roleArn"));
    [merged.get("resourceArn"), inspected, merged.get("nodeRoleArn")]
        .into_iter()
        .flatten()
        .find_map(|arn| account_of(arn.as_str()?))
        .into()
}

fn account_of(arn: &str) -> Option<String> {
    let account = arn.split(':').nth(4)?;
    (!account.is_empty()).then(|| account.to_owned())
}
