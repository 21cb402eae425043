//! The event that API Gateway makes of a request for a Lambda proxy integration (REST, payload format 1.0).
//!
//! Faithful in what a function must cope with: `path` stays percent-encoded while parameters are decoded,
//! single-value maps keep the last value, nothing is an empty object.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::contract::Route;
use crate::credentials::Credential;
use crate::gateway_response::Rejection;
use crate::request::ReceivedRequest;

/// The API that events say they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    pub account_id: String,
    pub api_id: String,
    pub stage: String,
    pub region: String,
    /// Where this gateway listens, to recognize a host that was signed without it, or with it.
    pub port: Option<u16>,
}

impl Api {
    /// The one on this machine.
    pub fn local(region: &str) -> Self {
        Self {
            account_id: "123456789012".to_owned(),
            api_id: "a1b2c3d4e5".to_owned(),
            stage: "prod".to_owned(),
            region: region.to_owned(),
            port: None,
        }
    }

    fn domain_name(&self) -> String {
        format!("{}.execute-api.{}.amazonaws.com", self.api_id, self.region)
    }
}

/// A route and the path parameters, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match<'r> {
    pub route: &'r Route,
    pub parameters: BTreeMap<String, String>,
}

/// The route for a method and a raw path, or what API Gateway says when there is none: the same as to a request
/// without a signature. A literal segment wins over a parameter; a parameter is one segment, never empty.
pub fn match_route<'r>(routes: &'r [Route], method: &str, path: &str) -> Result<Match<'r>, Rejection> {
    let candidates = routes.iter().filter(|route| route.method == method);
    let mut found: Vec<(usize, Match<'r>)> = candidates
        .filter_map(|route| {
            let parameters = path_parameters(&route.template, path)?;
            Some((parameters.len(), Match { route, parameters }))
        })
        .collect();
    found.sort_by_key(|(parameters, _)| *parameters);
    found
        .into_iter()
        .next()
        .map(|(_, matched)| matched)
        .ok_or_else(Rejection::missing_authentication_token)
}

fn path_parameters(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut segments = path.split('/');
    let mut parameters = BTreeMap::new();
    for expected in template.split('/') {
        let segment = segments.next()?;
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => {
                let value = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
                parameters.insert(name.to_owned(), value.into_owned());
            }
            None if expected == segment => {}
            Some(_) | None => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
}

/// The event for an authorized request. `request_id` is the id that a rejection would have carried.
pub fn proxy_event(
    request: &ReceivedRequest,
    matched: &Match<'_>,
    credential: &Credential,
    api: &Api,
    request_id: &str,
    now: Timestamp,
) -> Value {
    let headers = Multimap::new(headers(request, now));
    let query = Multimap::new(query(request));
    let (body, is_base64_encoded) = body(request.body());
    json!({
        "resource": matched.route.template,
        "path": request.path(),
        "httpMethod": request.method(),
        "headers": headers.last_values(),
        "multiValueHeaders": headers.all_values(),
        "queryStringParameters": query.last_values(),
        "multiValueQueryStringParameters": query.all_values(),
        "pathParameters": null_if_empty(&matched.parameters),
        "stageVariables": null,
        "requestContext": request_context(request, matched, credential, api, request_id, now),
        "body": body,
        "isBase64Encoded": is_base64_encoded,
    })
}

fn request_context(
    request: &ReceivedRequest,
    matched: &Match<'_>,
    credential: &Credential,
    api: &Api,
    request_id: &str,
    now: Timestamp,
) -> Value {
    let identity = &credential.identity;
    let mut context = json!({
        "resourceId": resource_id(&matched.route.template),
        "resourcePath": matched.route.template,
        "httpMethod": request.method(),
        "extendedRequestId": extended_request_id(),
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "path": format!("/{}{}", api.stage, request.path()),
        "accountId": api.account_id,
        "protocol": "HTTP/1.1",
        "stage": api.stage,
        "domainPrefix": api.api_id,
        "requestTimeEpoch": now.as_millisecond(),
        "requestId": request_id,
        "identity": {
            "cognitoIdentityPoolId": null,
            "accountId": identity.account_id,
            "cognitoIdentityId": null,
            "caller": identity.caller(),
            "sourceIp": request.source_ip().to_string(),
            "principalOrgId": identity.principal_org_id,
            "accessKey": credential.access_key_id,
            "cognitoAuthenticationType": null,
            "cognitoAuthenticationProvider": null,
            "userArn": identity.arn,
            "userAgent": request.header_values("user-agent").last(),
            "user": identity.caller(),
        },
        "domainName": api.domain_name(),
        "apiId": api.api_id,
    });
    // Only there for operations that have one.
    if let (Some(operation), Some(context)) = (&matched.route.operation, context.as_object_mut()) {
        context.insert("operationName".to_owned(), operation.as_str().into());
    }
    context
}

/// Headers that end at API Gateway: hop by hop, framing, and the ones that it sets itself.
fn is_passed_on(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        // Dropped only where it holds a signature: API Gateway leaves other schemes to the function.
        "authorization" => !value.starts_with("AWS4-HMAC-SHA256"),
        "connection" | "content-length" | "expect" | "keep-alive" | "proxy-authenticate"
        | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "x-forwarded-for"
        | "x-forwarded-port" | "x-forwarded-proto" | "x-amzn-trace-id" => false,
        _ => true,
    }
}

fn headers(request: &ReceivedRequest, now: Timestamp) -> Vec<(String, String)> {
    let passed = request
        .headers()
        .iter()
        .filter(|(name, value)| is_passed_on(name, value));
    let mut headers: Vec<_> = passed.cloned().collect();
    // The peer is appended to what the client says, which is why only the last address can be believed.
    let mut forwarded: Vec<String> = request
        .header_values("x-forwarded-for")
        .map(str::to_owned)
        .collect();
    forwarded.push(request.source_ip().to_string());
    let trace_id = request.header_values("x-amzn-trace-id").last();
    for (name, value) in [
        ("X-Forwarded-For", forwarded.join(", ")),
        ("X-Forwarded-Port", "443".to_owned()),
        ("X-Forwarded-Proto", "https".to_owned()),
        (
            "X-Amzn-Trace-Id",
            trace_id.map_or_else(|| new_trace_id(now), str::to_owned),
        ),
    ] {
        headers.push((name.to_owned(), value));
    }
    headers
}

/// API Gateway's known issues: a semicolon separates parameters as an ampersand does.
fn query(request: &ReceivedRequest) -> Vec<(String, String)> {
    let pieces = request.query().split(['&', ';']);
    let pairs = pieces.flat_map(|piece| form_urlencoded::parse(piece.as_bytes()));
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// The body and whether it is base64: text as it is, anything else encoded, nothing as null.
fn body(bytes: &[u8]) -> (Value, bool) {
    match std::str::from_utf8(bytes) {
        Ok("") => (Value::Null, false),
        Ok(text) => (text.into(), false),
        Err(_) => (STANDARD.encode(bytes).into(), true),
    }
}

/// The two views that an event has of names with many values.
struct Multimap(BTreeMap<String, Vec<String>>);

impl Multimap {
    fn new(pairs: Vec<(String, String)>) -> Self {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in pairs {
            map.entry(name).or_default().push(value);
        }
        Self(map)
    }

    fn all_values(&self) -> Value {
        null_if_empty(&self.0)
    }

    fn last_values(&self) -> Value {
        let last: Map<String, Value> = self
            .0
            .iter()
            .map(|(name, values)| (name.clone(), values.last().cloned().into()))
            .collect();
        if last.is_empty() {
            Value::Null
        } else {
            Value::Object(last)
        }
    }
}

fn null_if_empty<V: Clone + Into<Value>>(map: &BTreeMap<String, V>) -> Value {
    if map.is_empty() {
        return Value::Null;
    }
    map.iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect::<Map<_, _>>()
        .into()
}

/// Six characters, the same for the same template.
fn resource_id(template: &str) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let digest = Sha256::digest(template);
    let characters = digest
        .iter()
        .take(6)
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 36)));
    characters.map(|byte| char::from(*byte)).collect()
}

/// Sixteen characters of base64, one of them padding, as API Gateway's are.
fn extended_request_id() -> String {
    let random = Uuid::new_v4();
    URL_SAFE.encode(random.as_bytes().get(..11).unwrap_or_default())
}

fn new_trace_id(now: Timestamp) -> String {
    let random: String = Uuid::new_v4().simple().to_string().chars().take(24).collect();
    format!("Root=1-{:08x}-{random}", now.as_second())
}

#[cfg(test)]
mod tests;
