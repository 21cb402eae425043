//! Lambda event <-> `ApiRequest` / `ApiResponse`; the only file that knows event types.
//!
//! `lambda_http`'s type of the answer is used, its conversion into `http::Request` never: it rebuilds the URL from the
//! Host header and panics on a bad one, collapses `%2e%2e`, and drops identity fields. The payload is taken raw and
//! deserialized here, so that a foreign shape is refused and recorded instead of failing inside the runtime.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use lambda_http::{
    aws_lambda_events::apigw::ApiGatewayProxyResponse,
    http::{HeaderMap, HeaderName, HeaderValue},
};
use lambda_runtime::LambdaEvent;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use tokio::time::Instant;

use crate::{
    gateway::Gateway,
    metrics::{self, Metric},
    request::{ApiRequest, ApiResponse, Body, Context, Deadline, Identity},
    sweep::Report,
};

/// Kept back from the function's own deadline for closing the record and answering.
const RESERVE: Duration = Duration::from_millis(1_500);
/// Of that, kept back from closing the record: writing the answer down and handing it to Lambda, with the part of a
/// processor that the function has.
const RELEASE: Duration = Duration::from_millis(250);

/// What an invocation returns: to API Gateway, or to the schedule.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Reply {
    Api(Box<ApiGatewayProxyResponse>),
    Sweep(Report),
}

/// Handles one invocation. Only a failed sweep is an error, so that the schedule's retries and alarms see it; a
/// request is always answered.
pub async fn handle(gateway: &Gateway, event: LambdaEvent<Box<RawValue>>) -> Result<Reply, SweepFailed> {
    let deadline = deadline(event.context.deadline());
    let request_id = &event.context.request_id;
    let payload = event.payload.get();
    let request = match read(payload) {
        Ok(request) => request,
        Err(_) if is_scheduled(payload) => {
            let swept = Box::pin(gateway.sweep(request_id, Timestamp::now(), deadline.work)).await;
            return swept
                .map(Reply::Sweep)
                .map_err(|error| SweepFailed(error.message()));
        }
        Err(_) if is_tick(payload) => {
            let swept = Box::pin(gateway.go_on(request_id, Timestamp::now(), deadline.work)).await;
            // Nobody retries it: the next minute comes. What keeps on failing, the hourly sweep tells too.
            let swept = swept.inspect_err(|_| metrics::count(Metric::SweepIncomplete));
            return Ok(Reply::Sweep(swept.unwrap_or_default()));
        }
        // It becomes a request that names neither API nor caller, which the first step of the request path refuses
        // and the audit records.
        Err(_) => {
            tracing::warn!("the event is not one of API Gateway's REST proxy integration");
            ApiRequest::default()
        }
    };
    let answer = Box::pin(gateway.answer(&request, request_id, deadline)).await;
    Ok(Reply::Api(Box::new(response(answer))))
}

/// Why the sweep did not do its work.
#[derive(Debug)]
pub struct SweepFailed(String);

impl fmt::Display for SweepFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sweep failed: {}", self.0)
    }
}

impl std::error::Error for SweepFailed {}

/// Whether this is EventBridge's scheduled event. Whoever may invoke the function can send one too; the sweep takes
/// no input, so there is nothing to gain.
fn is_scheduled(payload: &str) -> bool {
    #[derive(Deserialize)]
    struct Scheduled<'a> {
        source: &'a str,
        #[serde(rename = "detail-type")]
        detail_type: &'a str,
    }
    serde_json::from_str::<Scheduled>(payload)
        .is_ok_and(|event| event.source == "aws.events" && event.detail_type == "Scheduled Event")
}

/// Whether this is the constant input of the rule that comes every minute. Takes no input either.
fn is_tick(payload: &str) -> bool {
    #[derive(Deserialize)]
    struct Tick<'a> {
        task: &'a str,
    }
    serde_json::from_str::<Tick>(payload).is_ok_and(|tick| tick.task == "continue")
}

fn deadline(at: SystemTime) -> Deadline {
    let left = at.duration_since(SystemTime::now()).unwrap_or_default();
    let now = Instant::now();
    Deadline {
        work: now + left.saturating_sub(RESERVE),
        release: now + left.saturating_sub(RELEASE),
    }
}

/// The request in a REST proxy event.
fn read(payload: &str) -> serde_json::Result<ApiRequest> {
    let event: Event = serde_json::from_str(payload)?;
    let context = event.request_context;
    let identity = context.identity.unwrap_or_default();
    let single = event.query_string_parameters.unwrap_or_default().into_iter();
    let query = match event.multi_value_query_string_parameters {
        Some(values) if !values.is_empty() => values.into_iter().collect(),
        Some(_) | None => single.map(|(name, value)| (name, vec![value])).collect(),
    };
    let headers = [event.multi_value_headers, event.headers];
    let headers: Vec<Headers> = headers.into_iter().flatten().collect();
    Ok(ApiRequest {
        method: event.http_method,
        resource: event.resource.unwrap_or_default(),
        path: event.path,
        path_parameters: event.path_parameters.unwrap_or_default().into_iter().collect(),
        query,
        overrides_method: headers.iter().any(|headers| headers.overrides_method),
        content_type: headers.into_iter().find_map(|headers| headers.content_type),
        body: body(
            event.body.unwrap_or_default(),
            event.is_base64_encoded.unwrap_or_default(),
        ),
        context: Context {
            account_id: context.account_id,
            api_id: context.api_id,
            stage: context.stage,
            request_id: context.request_id,
            extended_request_id: text(context.extended_request_id),
        },
        identity: Identity {
            account_id: identity.account_id,
            caller: identity.caller,
            user: identity.user,
            user_arn: identity.user_arn,
            access_key: identity.access_key,
            organization_id: text(identity.principal_org_id),
            cognito_authentication_type: identity.cognito_authentication_type,
            cognito_identity_id: identity.cognito_identity_id,
            source_ip: identity.source_ip,
            user_agent: identity.user_agent,
        },
    })
}

/// What is read of the event. `ApiGatewayProxyRequest` would keep every header twice and, with the feature
/// `catch-all-fields`, everything once more on the way: half of a refusal's own time.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    resource: Option<String>,
    path: Option<String>,
    http_method: String,
    headers: Option<Headers>,
    multi_value_headers: Option<Headers>,
    query_string_parameters: Option<BTreeMap<String, String>>,
    multi_value_query_string_parameters: Option<BTreeMap<String, Vec<String>>>,
    path_parameters: Option<BTreeMap<String, String>>,
    request_context: EventContext,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventContext {
    account_id: Option<String>,
    api_id: Option<String>,
    stage: Option<String>,
    request_id: Option<String>,
    // Here and below: not in AWS's description of the event; anything but text counts as absent.
    extended_request_id: Option<Value>,
    identity: Option<EventIdentity>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventIdentity {
    account_id: Option<String>,
    caller: Option<String>,
    user: Option<String>,
    user_arn: Option<String>,
    access_key: Option<String>,
    principal_org_id: Option<Value>,
    cognito_authentication_type: Option<String>,
    cognito_identity_id: Option<String>,
    source_ip: Option<String>,
    user_agent: Option<String>,
}

fn text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The headers that are looked at, in any case; of several values the first.
#[derive(Default)]
struct Headers {
    content_type: Option<String>,
    /// Whether it is there, whatever its value.
    overrides_method: bool,
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("headers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut headers: A) -> Result<Headers, A::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Values {
            One(String),
            All(Vec<String>),
        }
        let mut found = Headers::default();
        while let Some(name) = headers.next_key::<Cow<'de, str>>()? {
            if found.content_type.is_none() && name.eq_ignore_ascii_case("content-type") {
                found.content_type = match headers.next_value()? {
                    Values::One(value) => Some(value),
                    Values::All(values) => values.into_iter().next(),
                };
            } else {
                found.overrides_method |= name.eq_ignore_ascii_case("x-http-method-override");
                headers.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

fn body(text: String, is_base64: bool) -> Body {
    if !is_base64 {
        return Body::Bytes(text.into_bytes());
    }
    BASE64_STANDARD
        .decode(&text)
        .map_or(Body::NotBase64(text), Body::Bytes)
}

fn response(answer: ApiResponse) -> ApiGatewayProxyResponse {
    let mut headers = HeaderMap::new();
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&value),
        ) {
            headers.insert(name, value);
        }
    }
    let mut response = ApiGatewayProxyResponse::default();
    response.status_code = i64::from(answer.status);
    if let Some(body) = answer.body {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        // `Display` would do the same through a formatter, in half as much time again.
        response.body = Some(serde_json::to_string(&body).unwrap_or_default().into());
    }
    response.headers = headers;
    response
}
