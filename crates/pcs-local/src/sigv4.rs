//! Verifies AWS Signature Version 4 as API Gateway does for `execute-api`.
//!
//! The signature is computed again by `aws-sigv4`, the code AWS's own SDK signs with, from the request as it
//! came: raw target, the headers that the client says it signed, the hash of the body that arrived. What that
//! library cannot know is decided here: which form of authentication is used, whose key it is, whether scope
//! and time are right, and whether enough was signed.

mod authorization;
mod canonical;
mod explain;

use std::fmt;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::credentials::{Credential, Credentials};
use crate::gateway_response::{Rejection, ResponseType};
use crate::request::ReceivedRequest;
use authorization::{Authorization, Form};

/// How far the clocks of client and service may be apart.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

const CONTENT_HASH: &str = "x-amz-content-sha256";

/// What the credential scope of a request must say.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Such as `us-east-1`.
    pub region: String,
    /// `execute-api` for API Gateway.
    pub service: String,
}

impl Scope {
    pub fn execute_api(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            service: "execute-api".to_owned(),
        }
    }
}

/// Why a request is not taken for its signer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not signed at all.
    MissingAuthenticationToken,
    /// Authentication is there but cannot be read, or not enough is signed. The text says what is missing.
    IncompleteSignature(&'static str),
    /// No such access key, or not with this session token.
    UnrecognizedClient,
    /// The credential scope names another Region.
    WrongRegion,
    /// The credential scope names another service, which is not `expected`.
    WrongService { expected: String },
    /// The day in the credential scope is not the day of signing.
    WrongDate,
    /// Signed more than [`CLOCK_SKEW`] ago, or expired.
    Expired {
        signed: Timestamp,
        earliest: Timestamp,
        now: Timestamp,
    },
    /// Signed more than [`CLOCK_SKEW`] from now.
    NotYetCurrent {
        signed: Timestamp,
        latest: Timestamp,
        now: Timestamp,
    },
    /// The body is not the one that was signed, or not signed at all.
    ContentHash,
    /// The signature is not the one that this request and this key have.
    SignatureMismatch,
}

impl Refusal {
    /// AWS's name for it, as in `x-amzn-ErrorType`.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature(_) => "IncompleteSignatureException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::WrongRegion
            | Self::WrongService { .. }
            | Self::WrongDate
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::ContentHash
            | Self::SignatureMismatch => "InvalidSignatureException",
        }
    }
}

impl fmt::Display for Refusal {
    /// AWS's words. Nothing of the request but its own time is repeated here; what API Gateway shows after a mismatch
    /// is added by [`rejection`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingAuthenticationToken => f.write_str("Missing Authentication Token"),
            Self::IncompleteSignature(reason) => f.write_str(reason),
            Self::UnrecognizedClient => {
                f.write_str("The security token included in the request is invalid.")
            }
            Self::WrongRegion => f.write_str("Credential should be scoped to a valid region."),
            Self::WrongService { expected } => {
                write!(f, "Credential should be scoped to correct service: '{expected}'.")
            }
            Self::WrongDate => {
                f.write_str("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
            }
            Self::Expired { signed, earliest, now } => write!(
                f,
                "Signature expired: {} is now earlier than {} ({} - 5 min.)",
                basic(*signed),
                basic(*earliest),
                basic(*now)
            ),
            Self::NotYetCurrent { signed, latest, now } => write!(
                f,
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                basic(*signed),
                basic(*latest),
                basic(*now)
            ),
            Self::ContentHash => f.write_str(
                "The value of X-Amz-Content-Sha256 is not the SHA-256 of the body. API Gateway accepts no unsigned \
                 payload.",
            ),
            Self::SignatureMismatch => f.write_str(
                "The request signature we calculated does not match the signature you provided. Check your AWS \
                 Secret Access Key and signing method. Consult the service documentation for details.",
            ),
        }
    }
}

/// The answer to a request that was refused, with all that its signer needs to find out why. `port` is where this
/// gateway listens.
pub fn rejection(
    refusal: &Refusal,
    request: &ReceivedRequest,
    credentials: &Credentials,
    scope: &Scope,
    port: Option<u16>,
) -> Rejection {
    let message = explain::message(refusal, request, credentials, scope, port);
    Rejection::new(refusal.response_type(), refusal.error_type(), message)
}

impl Refusal {
    fn response_type(&self) -> ResponseType {
        match self {
            Self::MissingAuthenticationToken => ResponseType::MissingAuthenticationToken,
            Self::UnrecognizedClient => ResponseType::AccessDenied,
            Self::IncompleteSignature(_)
            | Self::WrongRegion
            | Self::WrongService { .. }
            | Self::WrongDate
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::ContentHash
            | Self::SignatureMismatch => ResponseType::InvalidSignature,
        }
    }
}

/// Who signed `request`, if the signature holds at `now`.
pub fn verify<'c>(
    request: &ReceivedRequest,
    credentials: &'c Credentials,
    scope: &Scope,
    now: Timestamp,
) -> Result<&'c Credential, Refusal> {
    let authorization = Authorization::read(request)?;
    check_scope(&authorization, scope)?;
    let credential = credentials
        .get(&authorization.access_key_id)
        .ok_or(Refusal::UnrecognizedClient)?;
    check_token(request, credential)?;
    check_time(&authorization, now)?;
    check_signed_headers(request, &authorization)?;
    check_content_hash(request)?;
    let expected = canonical::signature(request, &authorization, credential, scope)?;
    if bool::from(expected.as_bytes().ct_eq(authorization.signature.as_bytes())) {
        return Ok(credential);
    }
    Err(Refusal::SignatureMismatch)
}

fn check_scope(authorization: &Authorization, scope: &Scope) -> Result<(), Refusal> {
    if authorization.region != scope.region {
        return Err(Refusal::WrongRegion);
    }
    if authorization.service != scope.service {
        return Err(Refusal::WrongService {
            expected: scope.service.clone(),
        });
    }
    if basic(authorization.time).get(..8) != Some(authorization.date.as_str()) {
        return Err(Refusal::WrongDate);
    }
    Ok(())
}

/// Temporary keys come with a token and are nothing without it.
fn check_token(request: &ReceivedRequest, credential: &Credential) -> Result<(), Refusal> {
    let token = authorization::session_token(request)?;
    let matches = match (&credential.session_token, token) {
        (None, None) => true,
        (Some(expected), Some(token)) => expected.is(&token),
        (Some(_), None) | (None, Some(_)) => false,
    };
    if matches {
        Ok(())
    } else {
        Err(Refusal::UnrecognizedClient)
    }
}

fn check_time(authorization: &Authorization, now: Timestamp) -> Result<(), Refusal> {
    let signed = authorization.time;
    let latest = now.saturating_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX);
    if signed > latest {
        return Err(Refusal::NotYetCurrent { signed, latest, now });
    }
    let lifetime = match authorization.form {
        Form::Header { .. } => CLOCK_SKEW,
        Form::Query { expires } => expires,
    };
    let earliest = now.saturating_sub(lifetime).unwrap_or(Timestamp::MIN);
    if signed < earliest {
        return Err(Refusal::Expired {
            signed,
            earliest,
            now,
        });
    }
    Ok(())
}

/// Everything the service relies on must be covered: the host, and every `x-amz-*` header that is there. The hash of the
/// body is covered in any case, so the header that repeats it need not be: aws-requests-auth sends it unsigned, and API
/// Gateway takes that.
fn check_signed_headers(request: &ReceivedRequest, authorization: &Authorization) -> Result<(), Refusal> {
    let signed = |name: &str| authorization.signed_headers.iter().any(|signed| signed == name);
    if request.header_values("host").count() != 1 || !signed("host") {
        return Err(Refusal::IncompleteSignature(
            "'Host' must be sent once and be a 'SignedHeader'.",
        ));
    }
    let unsigned = request.headers().iter().any(|(name, _)| {
        let name = name.to_ascii_lowercase();
        let is_free = name == CONTENT_HASH || authorization.form.leaves_unsigned(&name);
        name.starts_with("x-amz-") && !signed(&name) && !is_free
    });
    if unsigned {
        let reason = "There were headers present in the request which were not signed: every 'x-amz-' header must \
                      be a 'SignedHeader'.";
        return Err(Refusal::IncompleteSignature(reason));
    }
    let absent = authorization
        .signed_headers
        .iter()
        .any(|name| request.header_values(name).next().is_none());
    if absent {
        return Err(Refusal::IncompleteSignature(
            "A 'SignedHeader' is not in the request.",
        ));
    }
    Ok(())
}

/// The signature covers the hash of the body that arrived. A client may also say which hash it signed; then it
/// has to be that one.
///
/// `UNSIGNED-PAYLOAD` is refused. AWS documents it for S3 only; whether execute-api takes it is not documented,
/// and a stand-in must not be kinder than the service.
fn check_content_hash(request: &ReceivedRequest) -> Result<(), Refusal> {
    let mut claims = request.header_values(CONTENT_HASH);
    let Some(claim) = claims.next() else { return Ok(()) };
    let actual = hex_digest(request.body());
    if claim == actual && claims.next().is_none() {
        return Ok(());
    }
    Err(Refusal::ContentHash)
}

fn hex_digest(bytes: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(bytes)))
}

/// ISO 8601 basic format, as SigV4 writes times: `20261120T090039Z`.
fn basic(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests;
