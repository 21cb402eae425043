//! The HTTP side: a request in, API Gateway's part, the function, an answer out.
//!
//! The function is `pcs_api::lambda::handle`, given the proxy event as its raw payload, exactly as the Lambda
//! runtime gives it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use jiff::Timestamp;
use lambda_http::aws_lambda_events::{apigw::ApiGatewayProxyResponse, encodings::Body};
use lambda_runtime::{Context, LambdaEvent};
use local_http::{Refusal, Service};
use pcs_api::{
    gateway::Gateway,
    lambda::{self, Reply},
};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use tokio::sync::Semaphore;

use crate::{
    api_gateway::ApiGateway,
    contract::Contract,
    credentials::Credentials,
    gateway_response::{GatewayAnswer, Rejection, ResponseType},
    proxy_event::Api,
    request::ReceivedRequest,
    resource_policy::ResourcePolicy,
};

/// The contract that the gateway was built from.
const CONTRACT: &str = include_str!("../../../openapi/pcs-api.yaml");
/// API Gateway's payload quota: 10 MB, not adjustable.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Lambda's quota: it refuses larger events with "Request must be smaller than 6291456 bytes".
const EVENT_BYTES_END: usize = 6 * 1024 * 1024;

/// How many invocations run at once. In AWS each has a processor's share of its own; here all share this machine, and a
/// call that waits for its turn is served, where one that got a thirtieth of a processor would run out of its time.
const INVOCATIONS_MAX: usize = 4;

/// API Gateway and the function behind it.
#[derive(Debug)]
pub struct Shell {
    front: ApiGateway,
    gateway: Gateway,
    function_timeout: Duration,
    turns: Arc<Semaphore>,
}

impl Shell {
    pub fn new(
        gateway: Gateway,
        api: Api,
        credentials: Credentials,
        function_timeout: Duration,
    ) -> Result<Shell, String> {
        let contract = Contract::parse(CONTRACT).map_err(|error| error.to_string())?;
        let policy = ResourcePolicy::api_user_role(&api.account_id);
        Ok(Shell {
            front: ApiGateway {
                api,
                contract,
                credentials,
                policy,
            },
            gateway,
            function_timeout,
            turns: Arc::new(Semaphore::new(INVOCATIONS_MAX)),
        })
    }

    async fn answer(self: Arc<Self>, request: Request<Bytes>, peer: SocketAddr) -> Response<Bytes> {
        if is_simple(&request) {
            let text = "A POST with a signed URL is taken with `Content-Type: application/json` alone, \
                        so that no web page can send it.";
            return self.rejected(&Rejection::access_denied(text), &uuid::Uuid::new_v4().to_string());
        }
        let (parts, body) = request.into_parts();
        let received = ReceivedRequest::from_parts(&parts, body, peer.ip());
        match self.front.admit(received, Timestamp::now()) {
            Err(answer) => rejected(&answer),
            Ok(event) => self.invoke(&event).await,
        }
    }

    /// A call waits for its turn as long as its client does. Once it has begun it goes to its end, as in Lambda, whether
    /// anybody waits or not: it may have changed something.
    async fn invoke(self: Arc<Self>, event: &Value) -> Response<Bytes> {
        let request_id = event
            .pointer("/requestContext/requestId")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let Ok(payload) = to_raw_value(event) else {
            return self.failed(&request_id);
        };
        if payload.get().len() >= EVENT_BYTES_END {
            return self.rejected(&Rejection::request_too_large(), &request_id);
        }
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
            return self.failed(&request_id);
        };
        let (shell, id) = (Arc::clone(&self), request_id.clone());
        let invoked = tokio::spawn(async move {
            let _turn = turn;
            shell.run(payload, &id).await
        });
        invoked.await.unwrap_or_else(|_| self.failed(&request_id))
    }

    async fn run(&self, payload: Box<RawValue>, request_id: &str) -> Response<Bytes> {
        let invocation = lambda::handle(&self.gateway, LambdaEvent::new(payload, self.context()));
        // Lambda ends a function at its time limit, and API Gateway tells the client no more than that.
        match tokio::time::timeout(self.function_timeout, invocation).await {
            Ok(Ok(Reply::Api(response))) => {
                returned(*response, request_id).unwrap_or_else(|| self.failed(request_id))
            }
            Ok(Ok(Reply::Sweep(_)) | Err(_)) | Err(_) => self.failed(request_id),
        }
    }

    /// Invokes the function with the schedule's event. Its failures are in its own log; nobody waits for an answer.
    pub(crate) async fn sweep(&self, event: &Value) {
        let Ok(payload) = to_raw_value(event) else { return };
        let invocation = lambda::handle(&self.gateway, LambdaEvent::new(payload, self.context()));
        match tokio::time::timeout(self.function_timeout, invocation).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the sweep failed"),
            Err(_) => tracing::error!("the sweep ran into the function's time limit"),
        }
    }

    /// Ends when no invocation is under way.
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(INVOCATIONS_MAX).unwrap_or(u32::MAX);
        let _all = self.turns.acquire_many(all).await;
    }

    fn context(&self) -> Context {
        let mut context = Context::default();
        context.request_id = uuid::Uuid::new_v4().to_string();
        context.deadline = self.deadline();
        context
    }

    /// What API Gateway answers when the function gave nothing usable.
    fn failed(&self, request_id: &str) -> Response<Bytes> {
        let rejection = Rejection::new(
            ResponseType::IntegrationFailure,
            "InternalServerErrorException",
            "Internal server error",
        );
        self.rejected(&rejection, request_id)
    }

    fn rejected(&self, rejection: &Rejection, request_id: &str) -> Response<Bytes> {
        rejected(&self.front.contract.responses.render(rejection, request_id))
    }

    /// Milliseconds since the epoch, as the runtime's header says it.
    fn deadline(&self) -> u64 {
        let at = SystemTime::now() + self.function_timeout;
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The API on a port.
#[derive(Clone)]
pub(crate) struct ApiPort(pub(crate) Arc<Shell>);

impl Service for ApiPort {
    fn body_bytes_max(&self, _: &Parts) -> usize {
        BODY_BYTES_MAX
    }

    async fn answer(&self, request: Request<Bytes>, peer: SocketAddr) -> Option<Response<Bytes>> {
        Some(Arc::clone(&self.0).answer(request, peer).await)
    }

    fn refuse(&self, refusal: &Refusal, _: Option<Parts>) -> Response<Bytes> {
        let rejection = match refusal {
            Refusal::TooLarge { most } => return rejected(&GatewayAnswer::content_length_exceeded(*most)),
            Refusal::ForeignHost(text) | Refusal::ForeignPage(text) => Rejection::access_denied(text),
            Refusal::Unreadable(StatusCode::URI_TOO_LONG) => Rejection::uri_too_long(),
            Refusal::Unreadable(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
                Rejection::headers_too_large()
            }
            Refusal::Unreadable(_) => Rejection::bad_request(),
        };
        self.0.rejected(&rejection, &uuid::Uuid::new_v4().to_string())
    }
}

/// Whether any web page could have sent this: the example keys are known to everybody, and a signed URL, however it
/// is written, needs no header that a browser would ask for first. Where a body says that it is JSON, the browser does
/// ask.
fn is_simple(request: &Request<Bytes>) -> bool {
    let is_signed_in_a_header = request.headers().contains_key(header::AUTHORIZATION);
    let has_query = request.uri().query().is_some();
    !is_signed_in_a_header && has_query && request.method() == Method::POST && local_http::is_simple(request)
}

/// API Gateway's own answer.
fn rejected(answer: &GatewayAnswer) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &answer.headers {
        if let Ok(value) = header::HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

/// The function's answer; `None` when API Gateway could not use it.
fn returned(answer: ApiGatewayProxyResponse, request_id: &str) -> Option<Response<Bytes>> {
    let body = match answer.body {
        None | Some(Body::Empty) => Bytes::new(),
        Some(Body::Text(text)) => Bytes::from(text),
        Some(Body::Binary(bytes)) => Bytes::from(bytes),
        Some(_) => return None,
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(u16::try_from(answer.status_code).ok()?).ok()?;
    *response.headers_mut() = answer.headers;
    response.headers_mut().extend(answer.multi_value_headers);
    response.headers_mut().insert(
        "x-amzn-requestid",
        header::HeaderValue::from_str(request_id).ok()?,
    );
    Some(response)
}
