//! Signature Version 4, for those who want their clients' signing tested too: with
//! [`Options::credentials`](crate::Options::credentials) a request is taken only from who holds the secret.
//!
//! The signature is computed again by `aws-sigv4`, the code AWS's own SDK signs with. What that library
//! cannot know is decided here: whose key it is, whether the time is right, and whether enough was signed.
//! Only the header form is read, which is what SDKs send to PCS. Time is the system's, never the emulator's:
//! a client signs by its own clock, which no test advances.

use std::time::SystemTime;

use aws_credential_types::Credentials as SigningKey;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{HeaderMap, Request};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;

use crate::error::Error;
use crate::options::Credentials;
use crate::wire::Authorization;

/// How far the clocks of client and service may be apart (IAM User Guide, "Signature Version 4").
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Refuses a request that was not signed with the secret of the access key it names.
pub(crate) fn verify(
    request: &Request<Bytes>,
    authorization: &Authorization<'_>,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<(), Error> {
    let secret = credentials
        .secret_of(authorization.access_key_id)
        .ok_or(Error::UnrecognizedClient)?;
    let signed_at = signing_time(request.headers())?;
    check_time(authorization, signed_at, now)?;
    check_signed_headers(request.headers(), authorization)?;
    let expected = signature(request, authorization, secret, signed_at).ok_or_else(mismatch)?;
    if bool::from(expected.as_bytes().ct_eq(authorization.signature.as_bytes())) {
        return Ok(());
    }
    Err(mismatch())
}

fn signing_time(headers: &HeaderMap) -> Result<Timestamp, Error> {
    let text = headers
        .get("x-amz-date")
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| {
            Error::IncompleteSignature(
                "Authorization header requires existence of an 'X-Amz-Date' header.".to_owned(),
            )
        })?;
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok();
    let time = civil.and_then(|civil| Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp()));
    // The parser is more generous than the format.
    time.filter(|time| basic(*time) == text).ok_or_else(|| {
        Error::IncompleteSignature(
            "Date must be in ISO-8601 'basic format', such as 20261120T090039Z.".to_owned(),
        )
    })
}

fn check_time(authorization: &Authorization<'_>, signed: Timestamp, now: Timestamp) -> Result<(), Error> {
    let day = basic(signed);
    if !day.starts_with(authorization.date) {
        return Err(Error::InvalidSignature(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '{}' != '{}'",
            authorization.date,
            day.split('T').next().unwrap_or_default()
        )));
    }
    let earliest = now.saturating_sub(CLOCK_SKEW).unwrap_or(Timestamp::MIN);
    let latest = now.saturating_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX);
    let (signed_text, now_text) = (basic(signed), basic(now));
    if signed < earliest {
        return Err(Error::InvalidSignature(format!(
            "Signature expired: {signed_text} is now earlier than {} ({now_text} - 5 min.)",
            basic(earliest)
        )));
    }
    if signed > latest {
        return Err(Error::InvalidSignature(format!(
            "Signature not yet current: {signed_text} is still later than {} ({now_text} + 5 min.)",
            basic(latest)
        )));
    }
    Ok(())
}

/// The host and every `x-amz-*` header must be covered, the target among them: it says what is done.
fn check_signed_headers(headers: &HeaderMap, authorization: &Authorization<'_>) -> Result<(), Error> {
    let signed = |name: &str| authorization.signed_headers.split(';').any(|s| s == name);
    if !headers.contains_key("host") || !signed("host") {
        return Err(Error::IncompleteSignature(
            "'Host' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
        ));
    }
    let unsigned = headers
        .keys()
        .map(http::HeaderName::as_str)
        .find(|name| name.starts_with("x-amz-") && !signed(name));
    unsigned.map_or(Ok(()), |name| {
        Err(Error::InvalidSignature(format!(
            "There were headers present in the request which were not signed: {name}"
        )))
    })
}

/// The signature this request has under `secret`, in lower-case hexadecimal; `None` for a request that cannot
/// have been signed.
fn signature(
    request: &Request<Bytes>,
    authorization: &Authorization<'_>,
    secret: &str,
    signed_at: Timestamp,
) -> Option<String> {
    let signed = |name: &str| authorization.signed_headers.split(';').any(|s| s == name);
    let headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .filter(|(name, _)| signed(name.as_str()))
        .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect::<Option<_>>()?;
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new(request.method().as_str(), target, headers.into_iter(), body).ok()?;
    let key = SigningKey::new(authorization.access_key_id, secret, None, None, "pcs-emulator").into();
    let params = SigningParams::builder()
        .identity(&key)
        .region(authorization.region)
        .name("pcs")
        .time(SystemTime::from(signed_at))
        .settings(SigningSettings::default())
        .build()
        .ok()?;
    Some(sign(signable, &params.into()).ok()?.signature().to_owned())
}

fn mismatch() -> Error {
    Error::InvalidSignature(
        "The request signature we calculated does not match the signature you provided. Check your AWS \
         Secret Access Key and signing method. Consult the service documentation for details."
            .to_owned(),
    )
}

/// ISO 8601 basic format, as SigV4 writes times: `20261120T090039Z`.
fn basic(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}
