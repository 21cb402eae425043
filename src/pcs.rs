//! The upstream call: JSON in, JSON out.
//!
//! `aws-sdk-pcs` is the transport (endpoints, signing, retries, timeouts), not the data model: its types lag behind
//! the service and would drop what they do not know (`launchTemplateMode`, `securityGroupIds`, `sshKeyName` in
//! 1.97) and invent what is absent. So an interceptor replaces the request's body before it is signed and keeps the
//! answer's bytes; PCS speaks awsJson 1.0, where an action's input and output are one JSON object each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_pcs::{config::Region, error::ProvideErrorMetadata, operation::RequestId};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connection::CaptureSmithyConnection,
        interceptors::{
            Intercept,
            context::{
                AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
                BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
            },
        },
        result::SdkError,
        runtime_components::RuntimeComponents,
    },
    http::Response,
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::{
    audit::Opened,
    aws::Clients,
    guardrails::Permit,
    operations::{Action, Operation},
};

/// What PCS answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub output: Map<String, Value>,
    pub request_id: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// PCS refused with an error of its own.
    Service {
        code: String,
        message: String,
        body: Map<String, Value>,
        request_id: Option<String>,
        /// An earlier attempt of the same call was sent and not refused: PCS may have acted, and refuse the repetition
        /// because of that.
        in_doubt: bool,
    },
    /// The account has not enabled the Region: PCS does not know the function's credentials there.
    RegionNotEnabled {
        code: String,
        request_id: Option<String>,
    },
    /// PCS answered something that is not awsJson.
    Garbage { request_id: Option<String> },
    /// No connection: PCS was sent nothing.
    Unreachable,
    /// The connection broke before the answer. `may_have_acted`: the call was one that changes something.
    Unanswered { may_have_acted: bool },
    /// No answer before the deadline. `sent`: PCS may have acted.
    OutOfTime { sent: bool },
}

impl Failure {
    /// Whether PCS may have carried out the call.
    pub fn may_have_acted(&self) -> bool {
        match self {
            Failure::Service { in_doubt: acted, .. }
            | Failure::Unanswered {
                may_have_acted: acted,
            }
            | Failure::OutOfTime { sent: acted } => *acted,
            Failure::Garbage { .. } => true,
            Failure::RegionNotEnabled { .. } | Failure::Unreachable => false,
        }
    }
}

/// Carries out what was permitted and recorded; `_opened` is the proof of the record.
pub async fn call(
    clients: &Clients,
    permit: &Permit,
    _opened: &Opened,
    client_token: Option<String>,
    deadline: Instant,
) -> Result<Answer, Failure> {
    let call = permit.call();
    let mut input = call.input.clone();
    if let Some(token) = client_token {
        input.insert("clientToken".to_owned(), token.into());
    }
    if Instant::now() >= deadline {
        return Err(Failure::OutOfTime { sent: false });
    }
    let exchange = Exchange {
        input: Arc::new(Value::Object(input).to_string()),
        output: Arc::default(),
        attempts: Arc::default(),
    };
    let sent = send(clients.pcs(), permit.action(), &call.region, &exchange);
    let sent = timeout_at(deadline, sent)
        .await
        .unwrap_or(Err(Failure::OutOfTime { sent: true }));
    let request_id = sent.map_err(|failure| {
        let is_mutation = Operation::Pcs(permit.action()).is_mutation();
        let failure = in_doubt(failure, exchange.may_have_acted(), is_mutation);
        in_region(failure, clients, &call.region)
    })?;
    match exchange.output() {
        Some(output) => Ok(Answer { output, request_id }),
        None => Err(Failure::Garbage { request_id }),
    }
}

/// One arm per action is all that the SDK's types ask for.
async fn send(
    client: &aws_sdk_pcs::Client,
    action: Action,
    region: &str,
    exchange: &Exchange,
) -> Result<Option<String>, Failure> {
    macro_rules! action {
        ($action:ident) => {{
            let mut request = client.$action().customize().interceptor(exchange.clone());
            if client.config().region().map(AsRef::as_ref) != Some(region) {
                let region = Region::new(region.to_owned());
                request = request.config_override(aws_sdk_pcs::config::Builder::new().region(region));
            }
            // Boxed: 19 unboxed futures would make every caller's future as large as all of them.
            Box::pin(request.send())
                .await
                .map(|output| output.request_id().map(str::to_owned))
                .map_err(failure)
        }};
    }
    match action {
        Action::ListClusters => action!(list_clusters),
        Action::CreateCluster => action!(create_cluster),
        Action::GetCluster => action!(get_cluster),
        Action::UpdateCluster => action!(update_cluster),
        Action::DeleteCluster => action!(delete_cluster),
        Action::ListComputeNodeGroups => action!(list_compute_node_groups),
        Action::CreateComputeNodeGroup => action!(create_compute_node_group),
        Action::GetComputeNodeGroup => action!(get_compute_node_group),
        Action::UpdateComputeNodeGroup => action!(update_compute_node_group),
        Action::DeleteComputeNodeGroup => action!(delete_compute_node_group),
        Action::ListQueues => action!(list_queues),
        Action::CreateQueue => action!(create_queue),
        Action::GetQueue => action!(get_queue),
        Action::UpdateQueue => action!(update_queue),
        Action::DeleteQueue => action!(delete_queue),
        Action::ListTagsForResource => action!(list_tags_for_resource),
        Action::TagResource => action!(tag_resource),
        Action::UntagResource => action!(untag_resource),
        Action::RegisterComputeNodeGroupInstance => action!(register_compute_node_group_instance),
    }
}

/// Credentials that are good in the function's own Region are unknown in one that the account has not enabled ("Enable
/// or disable AWS Regions in your account": an error there says that the token is not valid).
fn in_region(failure: Failure, clients: &Clients, region: &str) -> Failure {
    const UNKNOWN: [&str; 3] = [
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "OptInRequired",
    ];
    let own = clients.pcs().config().region().map(AsRef::as_ref);
    if let Failure::Service { code, request_id, .. } = &failure
        && own != Some(region)
        && UNKNOWN.contains(&code.as_str())
    {
        return Failure::RegionNotEnabled {
            code: code.clone(),
            request_id: request_id.clone(),
        };
    }
    failure
}

/// What is known of a failure from all attempts at the call: the last one alone does not tell what an earlier one did.
fn in_doubt(mut failure: Failure, is_in_doubt: bool, is_mutation: bool) -> Failure {
    match &mut failure {
        Failure::Service { in_doubt, .. } => *in_doubt = is_in_doubt && is_mutation,
        Failure::OutOfTime { sent } => *sent = is_in_doubt,
        Failure::Unreachable if is_in_doubt => {
            failure = Failure::Unanswered {
                may_have_acted: is_mutation,
            };
        }
        Failure::Unreachable
        | Failure::Unanswered { .. }
        | Failure::Garbage { .. }
        | Failure::RegionNotEnabled { .. } => {}
    }
    failure
}

fn failure<E: ProvideErrorMetadata>(error: SdkError<E, Response>) -> Failure {
    match error {
        SdkError::ServiceError(context) => {
            let body = context
                .raw()
                .body()
                .bytes()
                .and_then(read_object)
                .unwrap_or_default();
            let meta = context.err().meta();
            let request_id = meta.request_id().map(str::to_owned);
            match meta.code() {
                // An answer without a code does not come from PCS, whatever its status says.
                None => Failure::Garbage { request_id },
                Some(code) => Failure::Service {
                    code: shape(code).to_owned(),
                    message: meta.message().unwrap_or_default().to_owned(),
                    body,
                    request_id,
                    in_doubt: false,
                },
            }
        }
        SdkError::ResponseError(context) => {
            let request_id = context.raw().headers().get("x-amzn-requestid").map(str::to_owned);
            Failure::Garbage { request_id }
        }
        SdkError::TimeoutError(_) => Failure::OutOfTime { sent: true },
        // `SdkError` is non-exhaustive; whatever else there is, no answer came.
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) | _ => Failure::Unreachable,
    }
}

fn read_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    // An action without output may answer with an empty body.
    if bytes.is_empty() {
        return Some(Map::new());
    }
    serde_json::from_slice(bytes).ok()
}

/// Puts our body into the SDK's request, keeps the body of the answer, and what became of each attempt.
#[derive(Debug, Clone)]
struct Exchange {
    input: Arc<String>,
    output: Arc<Mutex<Option<Map<String, Value>>>>,
    attempts: Arc<Mutex<Attempts>>,
}

#[derive(Debug, Default)]
struct Attempts {
    /// Of the attempt under way; it has a connection from the moment on that something is sent.
    under_way: Option<CaptureSmithyConnection>,
    /// One was sent, and was not refused.
    in_doubt: bool,
}

impl Attempts {
    fn was_sent(&self) -> bool {
        let connection = self.under_way.as_ref();
        connection.is_some_and(|connection| connection.get().is_some())
    }
}

impl Exchange {
    fn output(&self) -> Option<Map<String, Value>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an attempt was sent and not refused, the one that was given up included.
    fn may_have_acted(&self) -> bool {
        let attempts = self.attempts();
        attempts.in_doubt || attempts.was_sent()
    }
}

/// Whether the answer says that PCS did not act. One that says it failed, or that is not PCS's, does not.
fn is_refusal(answer: &Response) -> bool {
    const FAILED: [&str; 2] = ["Internal", "Unavailable"];
    if answer.status().is_server_error() {
        return false;
    }
    let body = answer.body().bytes().and_then(read_object).unwrap_or_default();
    let code = body.get("__type").or_else(|| body.get("code"));
    let code = code
        .and_then(Value::as_str)
        .or_else(|| answer.headers().get("x-amzn-errortype"));
    code.is_some_and(|code| !FAILED.iter().any(|word| shape(code).contains(word)))
}

/// Some services prefix the shape's namespace: `com.amazonaws.pcs#ConflictException`.
fn shape(code: &str) -> &str {
    code.rsplit('#').next().unwrap_or(code)
}

impl Intercept for Exchange {
    fn name(&self) -> &'static str {
        "JsonExchange"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        request
            .headers_mut()
            .insert("content-length", self.input.len().to_string());
        *request.body_mut() = SdkBody::from(self.input.as_str());
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.attempts().under_way = config.load::<CaptureSmithyConnection>().cloned();
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let output = context.response().body().bytes().and_then(read_object);
        *self.output.lock().unwrap_or_else(PoisonError::into_inner) = output;
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut attempts = self.attempts();
        if attempts.was_sent() && !context.response().is_some_and(is_refusal) {
            attempts.in_doubt = true;
        }
        attempts.under_way = None;
        Ok(())
    }
}
