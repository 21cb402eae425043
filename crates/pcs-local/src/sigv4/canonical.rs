//! Hands the request to `aws-sigv4` in the shape in which it would have been signed.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as SigningKey;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

use super::authorization::{Authorization, Form, is_signature_parameter};
use super::{Refusal, Scope};
use crate::credentials::Credential;
use crate::request::ReceivedRequest;

/// The signature that `request` has under `credential`, in lower-case hex.
pub(super) fn signature(
    request: &ReceivedRequest,
    authorization: &Authorization,
    credential: &Credential,
    scope: &Scope,
) -> Result<String, Refusal> {
    let target = match authorization.form {
        Form::Header { .. } => request.target().to_owned(),
        Form::Query { .. } => without_signature_parameters(request),
    };
    let signed = |name: &str| {
        authorization
            .signed_headers
            .iter()
            .any(|s| s.eq_ignore_ascii_case(name))
    };
    let headers = request.headers().iter().filter(|(name, _)| signed(name));
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    let body = SignableBody::Bytes(request.body());
    // A name or value that HTTP does not allow cannot have been signed.
    let signable = SignableRequest::new(request.method(), target, headers, body)
        .map_err(|_| Refusal::SignatureMismatch)?;
    let secret = credential.secret_access_key.reveal();
    let key = SigningKey::new(&credential.access_key_id, secret, None, None, "pcs-local").into();
    let params = SigningParams::builder()
        .identity(&key)
        .region(&scope.region)
        .name(&scope.service)
        .time(SystemTime::from(authorization.time))
        .settings(settings(authorization.form))
        .build()
        .map_err(|_| Refusal::SignatureMismatch)?;
    let output = sign(signable, &params.into()).map_err(|_| Refusal::SignatureMismatch)?;
    Ok(output.signature().to_owned())
}

/// The library's defaults are those of execute-api: the path is normalized and then encoded once more. The
/// session token is in the request already, as a signed header or parameter like any other, so none is given.
fn settings(form: Form) -> SigningSettings {
    let mut settings = SigningSettings::default();
    // The library always signs X-Amz-Date; a client that sent Date instead signed that.
    settings.excluded_headers = match form {
        Form::Header { dated_by_date: true } => Some(vec!["x-amz-date".into()]),
        Form::Header { dated_by_date: false } | Form::Query { .. } => None,
    };
    settings.signature_location = match form {
        Form::Header { .. } => SignatureLocation::Headers,
        Form::Query { .. } => SignatureLocation::QueryParams,
    };
    settings.expires_in = match form {
        Form::Header { .. } => None,
        Form::Query { expires } => Some(Duration::from_secs(expires.as_secs().unsigned_abs())),
    };
    settings
}

/// The target before it was presigned: the library adds those parameters itself.
fn without_signature_parameters(request: &ReceivedRequest) -> String {
    let is_kept = |piece: &&str| {
        let mut pairs = form_urlencoded::parse(piece.as_bytes());
        !pairs.any(|(name, _)| is_signature_parameter(&name))
    };
    let kept: Vec<&str> = request.query().split('&').filter(is_kept).collect();
    format!("{}?{}", request.path(), kept.join("&"))
}
