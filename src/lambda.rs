//! Lambda event <-> `ApiRequest` / `ApiResponse`; the only file that knows event types.
//!
//! `lambda_http`'s event types are used, its conversion into `http::Request` never: it rebuilds the URL from the
//! Host header and panics on a bad one, collapses `%2e%2e`, and drops identity fields. The payload is taken raw and
//! deserialized here, so that a foreign shape is refused and recorded instead of failing inside the runtime.

use std::time::{Duration, SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use lambda_http::{
    aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayProxyResponse},
    http::{HeaderMap, HeaderName, HeaderValue},
};
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use tokio::time::Instant;

use crate::{
    gateway::Gateway,
    request::{ApiRequest, ApiResponse, Body, Context, Identity},
    sweep::Report,
};

/// Kept back from the function's own deadline for closing the record and answering.
const RESERVE: Duration = Duration::from_millis(1_500);

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
    if is_scheduled(event.payload.get()) {
        let swept = Box::pin(gateway.sweep(request_id, Timestamp::now(), deadline)).await;
        return swept
            .map(Reply::Sweep)
            .map_err(|error| SweepFailed(error.message()));
    }
    let request = request(event.payload.get());
    let answer = Box::pin(gateway.answer(&request, request_id, deadline)).await;
    Ok(Reply::Api(Box::new(response(answer))))
}

/// Why the sweep did not do its work.
#[derive(Debug)]
pub struct SweepFailed(String);

impl std::fmt::Display for SweepFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

fn deadline(at: SystemTime) -> Instant {
    let left = at.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left.saturating_sub(RESERVE)
}

/// The request in a REST proxy event. Anything else becomes a request that names neither API nor caller, which the
/// first step of the request path refuses and the audit records.
fn request(payload: &str) -> ApiRequest {
    let Ok(event) = serde_json::from_str::<ApiGatewayProxyRequest>(payload) else {
        tracing::warn!("the event is not one of API Gateway's REST proxy integration");
        return ApiRequest::default();
    };
    let context = event.request_context;
    let identity = context.identity;
    let query = if event.multi_value_query_string_parameters.is_empty() {
        event.query_string_parameters
    } else {
        event.multi_value_query_string_parameters
    };
    let headers = if event.multi_value_headers.is_empty() {
        &event.headers
    } else {
        &event.multi_value_headers
    };
    ApiRequest {
        method: event.http_method.as_str().to_owned(),
        resource: event.resource.unwrap_or_default(),
        path_parameters: event.path_parameters.into_iter().collect(),
        query: grouped(query.iter()),
        content_type: headers
            .get("content-type")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        body: body(event.body.unwrap_or_default(), event.is_base64_encoded),
        context: Context {
            account_id: context.account_id,
            api_id: context.apiid,
            stage: context.stage,
            request_id: context.request_id,
            extended_request_id: text(&context.other, "extendedRequestId"),
        },
        identity: Identity {
            account_id: identity.account_id,
            caller: identity.caller,
            user_arn: identity.user_arn,
            access_key: identity.access_key,
            organization_id: text(&identity.other, "principalOrgId"),
            source_ip: identity.source_ip,
            user_agent: identity.user_agent,
        },
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

/// Values by name, each name once, in the order of its first value.
fn grouped<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in pairs {
        match groups.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value.to_owned()),
            None => groups.push((name.to_owned(), vec![value.to_owned()])),
        }
    }
    groups
}

/// A field that the event type does not have; `null` counts as absent.
fn text(other: &serde_json::Map<String, Value>, name: &str) -> Option<String> {
    other.get(name).and_then(Value::as_str).map(str::to_owned)
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
        response.body = Some(body.to_string().into());
    }
    response.headers = headers;
    response
}
