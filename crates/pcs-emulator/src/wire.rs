//! `awsJson1_0` on HTTP: a request into an action and a JSON object, an answer into a response.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::action::Action;
use crate::error::Error;
use crate::options::Options;

/// Larger bodies are refused unread.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;
const CONTENT: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");

/// What to do with a request's connection.
#[derive(Debug)]
pub enum Reply {
    /// Answer at once.
    Respond(Response<Bytes>),
    /// Wait, then answer.
    RespondAfter(Duration, Response<Bytes>),
    /// End the connection without an answer; `applied` says whether the call took effect.
    Drop { applied: bool },
}

impl Reply {
    pub(crate) fn into_response(self) -> Option<Response<Bytes>> {
        match self {
            Reply::Respond(response) | Reply::RespondAfter(_, response) => Some(response),
            Reply::Drop { .. } => None,
        }
    }

    /// The answer, unless there is none.
    pub(crate) fn response(&self) -> Option<&Response<Bytes>> {
        match self {
            Reply::Respond(response) | Reply::RespondAfter(_, response) => Some(response),
            Reply::Drop { .. } => None,
        }
    }
}

/// Who signed a request; by its word, unless signatures are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) access_key_id: String,
    pub(crate) account: String,
    pub(crate) region: String,
}

impl Caller {
    /// The caller of a request whose signature could not be read.
    pub(crate) fn unknown() -> Caller {
        Caller {
            access_key_id: String::new(),
            account: String::new(),
            region: String::new(),
        }
    }
}

/// The name after the last dot of `X-Amz-Target`: PCS's own agent sends a longer namespace than the SDKs.
pub(crate) fn target(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-target")?.to_str().ok()?.rsplit('.').next()
}

/// PCS has one route.
pub(crate) fn check_route(request: &Request<Bytes>) -> Result<(), Error> {
    if request.method() == Method::POST && request.uri().path() == "/" {
        return Ok(());
    }
    Err(Error::NoSuchPath(format!(
        "{} {} is not a PCS request: PCS takes POST / with an X-Amz-Target header",
        request.method(),
        request.uri().path()
    )))
}

/// The action a request names.
pub(crate) fn action(headers: &HeaderMap) -> Result<Action, Error> {
    let name = target(headers).unwrap_or_default();
    Action::from_name(name).ok_or_else(|| Error::UnknownOperation(format!("PCS has no action `{name}`")))
}

/// The JSON object in a request's body; an empty body is an empty object.
pub(crate) fn body(request: &Request<Bytes>) -> Result<Map<String, Value>, Error> {
    if request.body().len() > BODY_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    if request.body().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(request.body()) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(Error::Serialization("the body is not a JSON object".to_owned()))
        }
        Err(e) => Err(Error::Serialization(format!("the body is not JSON: {e}"))),
    }
}

/// Access key, account and Region from `Credential=AKID/date/REGION/pcs/aws4_request`.
pub(crate) fn caller(request: &Request<Bytes>, options: &Options) -> Result<Caller, Error> {
    let Some(authorization) = request.headers().get(AUTHORIZATION) else {
        if options.require_signature {
            return Err(Error::MissingAuthenticationToken);
        }
        return Ok(Caller {
            access_key_id: String::new(),
            account: options.account_id.clone(),
            region: options.default_region.clone(),
        });
    };
    let authorization = Authorization::read(authorization.to_str().unwrap_or_default())?;
    #[cfg(feature = "signatures")]
    if let Some(credentials) = &options.credentials {
        crate::signature::verify(request, &authorization, credentials, jiff::Timestamp::now())?;
    }
    Ok(Caller {
        access_key_id: authorization.access_key_id.to_owned(),
        account: options.account_of(authorization.access_key_id),
        region: authorization.region.to_owned(),
    })
}

/// What the `Authorization` header claims: this key signed these headers, on this day, for this Region.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "signatures"),
    expect(dead_code, reason = "what only verification reads must still be there")
)]
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: &'a str,
    /// `YYYYMMDD`
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
    /// Header names with `;` between them.
    pub(crate) signed_headers: &'a str,
    /// Hexadecimal.
    pub(crate) signature: &'a str,
}

impl Authorization<'_> {
    fn read(text: &str) -> Result<Authorization<'_>, Error> {
        let Some(parameters) = text.strip_prefix("AWS4-HMAC-SHA256 ") else {
            return Err(incomplete("is not of AWS4-HMAC-SHA256"));
        };
        let parameter = |name: &str| {
            let mut all = parameters.split(',').map(str::trim);
            all.find_map(|p| p.strip_prefix(name)?.strip_prefix('='))
                .filter(|value| !value.is_empty())
        };
        let credential =
            parameter("Credential").ok_or_else(|| incomplete("has no 'Credential' parameter"))?;
        let signed_headers =
            parameter("SignedHeaders").ok_or_else(|| incomplete("has no 'SignedHeaders' parameter"))?;
        let signature = parameter("Signature").ok_or_else(|| incomplete("has no 'Signature' parameter"))?;
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(incomplete(
                "has a Credential that is not AKID/date/region/service/aws4_request",
            ));
        };
        if *service != "pcs" {
            return Err(Error::InvalidSignature(
                "Credential should be scoped to correct service: 'pcs'.".to_owned(),
            ));
        }
        let is_date = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
        if !is_date || access_key_id.is_empty() || !is_region(region) {
            return Err(incomplete(
                "has a Credential with a malformed access key, date or Region",
            ));
        }
        Ok(Authorization {
            access_key_id,
            date,
            region,
            signed_headers,
            signature,
        })
    }
}

fn incomplete(what: &str) -> Error {
    Error::IncompleteSignature(format!("The Authorization header {what}"))
}

/// The form of a Region name; PCS's list of Regions grows, so none is kept here.
pub(crate) fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let Some((number, words)) = parts.split_last() else {
        return false;
    };
    words.len() >= 2
        && words
            .iter()
            .all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()))
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// The response of a call: its answer, or its error as both SDK generations read it (header and body).
pub(crate) fn response(result: &Result<Value, Error>, options: &Options) -> Response<Bytes> {
    match result {
        Ok(answer) => raw(StatusCode::OK, Bytes::from(answer.to_string())),
        Err(error) => error_response(error, options),
    }
}

pub(crate) fn error_response(error: &Error, options: &Options) -> Response<Bytes> {
    let body = error.body(options.resource_types).to_string();
    let mut response = raw(error.status(options.http_statuses), Bytes::from(body));
    if let Ok(code) = HeaderValue::from_str(error.code()) {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}

/// A response with the headers every answer of PCS has.
pub(crate) fn raw(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, CONTENT);
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Request};

    use super::{Caller, caller, target};
    use crate::error::Error;
    use crate::options::Options;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
    }

    fn request(headers: HeaderMap) -> Request<Bytes> {
        let mut request = Request::new(Bytes::new());
        *request.headers_mut() = headers;
        request
    }

    fn code(authorization: &'static str) -> String {
        let request = request(with("authorization", authorization));
        caller(&request, &Options::default())
            .unwrap_err()
            .code()
            .to_owned()
    }

    #[test]
    fn the_action_is_the_last_segment_of_the_target() {
        let agent = "com.amazon.aws.pcs.service.AWSParallelComputingService.RegisterComputeNodeGroupInstance";
        assert_eq!(
            target(&with("x-amz-target", agent)),
            Some("RegisterComputeNodeGroupInstance")
        );
    }

    #[test]
    fn the_caller_is_read_from_the_credential_scope() {
        let header = "AWS4-HMAC-SHA256 Credential=AKID/20261120/eu-west-1/pcs/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=00";
        let found = caller(&request(with("authorization", header)), &Options::default()).unwrap();
        let expected = Caller {
            access_key_id: "AKID".into(),
            account: "123456789012".into(),
            region: "eu-west-1".into(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_bad_authorization_is_named() {
        assert!(matches!(
            caller(&request(HeaderMap::new()), &Options::default()),
            Err(Error::MissingAuthenticationToken)
        ));
        assert_eq!(code("Bearer x"), "IncompleteSignature");
        assert_eq!(code("AWS4-HMAC-SHA256 Credential=a/b"), "IncompleteSignature");
        let ec2 =
            "AWS4-HMAC-SHA256 Credential=A/20261120/eu-west-1/ec2/aws4_request, SignedHeaders=h, Signature=0";
        assert_eq!(code(ec2), "InvalidSignatureException");
        let region =
            "AWS4-HMAC-SHA256 Credential=A/20261120/EU/pcs/aws4_request, SignedHeaders=h, Signature=0";
        assert_eq!(code(region), "IncompleteSignature");
    }
}
