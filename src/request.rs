//! A request and an answer of this API, free of event types: what `lambda.rs` makes and everything else reads.

use serde_json::Value;
use tokio::time::Instant;

/// What API Gateway vouches for: the request, who signed it, and through which API it came.
#[derive(Debug, Clone, Default)]
pub struct ApiRequest {
    /// Upper-case HTTP method.
    pub method: String,
    /// API Gateway's resource path with templates: `/v1/clusters/{clusterIdentifier}`.
    pub resource: String,
    /// The path as it was sent, not decoded: what rules of `execute-api` by path are about. Through a custom domain it
    /// begins with the base path.
    pub path: Option<String>,
    /// Decoded values of the templates.
    pub path_parameters: Vec<(String, String)>,
    /// Decoded query parameters, every value in the order given.
    pub query: Vec<(String, Vec<String>)>,
    pub content_type: Option<String>,
    /// Whether the header `X-HTTP-Method-Override` came with it, by which API Gateway takes another method than the one
    /// that was signed. AWS does not say for which of the two the caller's policies were asked ("Amazon API Gateway
    /// important notes").
    pub overrides_method: bool,
    pub body: Body,
    pub context: Context,
    pub identity: Identity,
}

/// A request's body as it was sent; API Gateway wraps what is not UTF-8 in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Empty when there was none.
    Bytes(Vec<u8>),
    /// The event called it base64, and it is not.
    NotBase64(String),
}

impl Body {
    /// What is known of it.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Bytes(bytes) => bytes,
            Body::NotBase64(text) => text.as_bytes(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Body::Bytes(Vec::new())
    }
}

/// `requestContext` without the identity.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Account that owns the API.
    pub account_id: Option<String>,
    pub api_id: Option<String>,
    pub stage: Option<String>,
    /// API Gateway's request id: not unique (the console's test call has a constant one).
    pub request_id: Option<String>,
    pub extended_request_id: Option<String>,
}

/// `requestContext.identity` as it came: `principal.rs` decides what it proves.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    pub account_id: Option<String>,
    /// Unique id of who signed.
    pub caller: Option<String>,
    /// Unique id of whose policies were asked: the same.
    pub user: Option<String>,
    pub user_arn: Option<String>,
    pub access_key: Option<String>,
    pub organization_id: Option<String>,
    /// `authenticated` or `unauthenticated`, of keys that a Cognito identity pool gave.
    pub cognito_authentication_type: Option<String>,
    /// Who the pool says it is, authenticated or not.
    pub cognito_identity_id: Option<String>,
    pub source_ip: Option<String>,
    pub user_agent: Option<String>,
}

/// When an invocation must be through; both follow from the moment at which Lambda ends the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// AWS must have answered.
    pub work: Instant,
    /// The answer must be on its way, recorded or not.
    pub release: Instant,
}

/// An answer, before it is a Lambda response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiResponse {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// `None` for 204.
    pub body: Option<Value>,
}
