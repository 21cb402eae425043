//! Reads what a request says about its signature, from the Authorization header or from the query, never both.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Refusal;
use crate::request::ReceivedRequest;

pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A presigned request may live a week at most.
const EXPIRES_SECONDS_MAX: i64 = 604_800;
/// The query parameters that carry authentication. The token is one, but it is signed like any other.
const TOKEN_PARAMETER: &str = "X-Amz-Security-Token";
const PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];

/// A claim: this key signed these headers at this time.
#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) form: Form,
    pub(super) access_key_id: String,
    /// The scope's `YYYYMMDD`.
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
    /// Lower case, sorted, no name twice.
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: String,
    pub(super) time: Timestamp,
}

/// Where the claim stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// In headers. The time is in X-Amz-Date, or else in Date.
    Header { dated_by_date: bool },
    /// In the query: a presigned request.
    Query { expires: SignedDuration },
}

impl Form {
    /// Two headers that AWS's signers leave out of presigned requests.
    pub(super) fn leaves_unsigned(self, name: &str) -> bool {
        match self {
            Self::Header { .. } => false,
            Self::Query { .. } => matches!(name, "x-amz-user-agent" | "x-amz-checksum-mode"),
        }
    }
}

impl Authorization {
    pub(super) fn read(request: &ReceivedRequest) -> Result<Self, Refusal> {
        let mut headers = request.header_values("authorization");
        let in_query = query_pairs(request).any(|(name, _)| is_authentication(&name));
        match (headers.next(), headers.next(), in_query) {
            (None, _, false) => Err(Refusal::MissingAuthenticationToken),
            (Some(header), None, false) => Self::from_header(request, header),
            (None, _, true) => Self::from_query(request),
            (Some(_), Some(_), _) | (Some(_), None, true) => Err(Refusal::IncompleteSignature(
                "Only one auth mechanism allowed: one Authorization header, or the X-Amz- query parameters.",
            )),
        }
    }

    fn from_header(request: &ReceivedRequest, header: &str) -> Result<Self, Refusal> {
        let fields = header
            .strip_prefix(ALGORITHM)
            .filter(|fields| fields.starts_with(' '))
            .ok_or(Refusal::IncompleteSignature(
                "Authorization header requires the algorithm 'AWS4-HMAC-SHA256'.",
            ))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=').ok_or(Refusal::IncompleteSignature(
                "Not a valid key=value pair (missing equal-sign) in Authorization header.",
            ))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => {
                    return Err(Refusal::IncompleteSignature(
                        "Unknown parameter in Authorization header.",
                    ));
                }
            };
            if slot.replace(value).is_some() {
                return Err(Refusal::IncompleteSignature(
                    "Duplicate parameter in Authorization header.",
                ));
            }
        }
        let required = |value: Option<&str>, reason| {
            value
                .map(str::to_owned)
                .ok_or(Refusal::IncompleteSignature(reason))
        };
        let (time, dated_by_date) = header_time(request)?;
        let form = Form::Header { dated_by_date };
        let credential = required(
            credential,
            "Authorization header requires 'Credential' parameter.",
        )?;
        let signed_headers = required(
            signed_headers,
            "Authorization header requires 'SignedHeaders' parameter.",
        )?;
        let signature = required(signature, "Authorization header requires 'Signature' parameter.")?;
        Self::assemble(form, &credential, &signed_headers, signature, time)
    }

    fn from_query(request: &ReceivedRequest) -> Result<Self, Refusal> {
        let parameter = |wanted: &str, reason| {
            let mut values = query_pairs(request)
                .filter(|(name, _)| name == wanted)
                .map(|(_, value)| value);
            match (values.next(), values.next()) {
                (Some(value), None) => Ok(value.into_owned()),
                (None, _) => Err(Refusal::IncompleteSignature(reason)),
                (Some(_), Some(_)) => Err(Refusal::IncompleteSignature(
                    "Duplicate authentication parameter in the query.",
                )),
            }
        };
        let algorithm = parameter(
            "X-Amz-Algorithm",
            "AWS query-string parameters must include 'X-Amz-Algorithm'.",
        )?;
        if algorithm != ALGORITHM {
            return Err(Refusal::IncompleteSignature(
                "X-Amz-Algorithm must be 'AWS4-HMAC-SHA256'.",
            ));
        }
        let credential = parameter(
            "X-Amz-Credential",
            "AWS query-string parameters must include 'X-Amz-Credential'.",
        )?;
        let signed_headers = parameter(
            "X-Amz-SignedHeaders",
            "AWS query-string parameters must include 'X-Amz-SignedHeaders'.",
        )?;
        let signature = parameter(
            "X-Amz-Signature",
            "AWS query-string parameters must include 'X-Amz-Signature'.",
        )?;
        let date = parameter(
            "X-Amz-Date",
            "AWS query-string parameters must include 'X-Amz-Date'.",
        )?;
        let expires = parameter(
            "X-Amz-Expires",
            "AWS query-string parameters must include 'X-Amz-Expires'.",
        )?;
        let time = basic_time(&date).ok_or(Refusal::IncompleteSignature(INVALID_DATE))?;
        let seconds = expires
            .parse()
            .ok()
            .filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds));
        let seconds = seconds.ok_or(Refusal::IncompleteSignature(
            "X-Amz-Expires must be from 1 to 604800 seconds.",
        ))?;
        let form = Form::Query {
            expires: SignedDuration::from_secs(seconds),
        };
        Self::assemble(form, &credential, &signed_headers, signature, time)
    }

    fn assemble(
        form: Form,
        credential: &str,
        signed_headers: &str,
        signature: String,
        time: Timestamp,
    ) -> Result<Self, Refusal> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = parts.as_slice() else {
            return Err(Refusal::IncompleteSignature(
                "Credential must have exactly 5 slash-delimited elements: keyid/date/region/service/aws4_request.",
            ));
        };
        Ok(Self {
            form,
            access_key_id: (*access_key_id).to_owned(),
            date: (*date).to_owned(),
            region: (*region).to_owned(),
            service: (*service).to_owned(),
            signed_headers: signed_header_names(signed_headers)?,
            signature,
            time,
        })
    }
}

const INVALID_DATE: &str = "Date must be in ISO-8601 'basic format', such as 20261120T090039Z.";

/// The session token, from the header or the query.
pub(super) fn session_token(request: &ReceivedRequest) -> Result<Option<Cow<'_, str>>, Refusal> {
    let in_headers = request.header_values(TOKEN_PARAMETER).map(Cow::Borrowed);
    let in_query = query_pairs(request)
        .filter(|(name, _)| name == TOKEN_PARAMETER)
        .map(|(_, value)| value);
    let mut tokens = in_headers.chain(in_query);
    match (tokens.next(), tokens.next()) {
        (token, None) => Ok(token),
        (_, Some(_)) => Err(Refusal::IncompleteSignature(
            "X-Amz-Security-Token must be sent once.",
        )),
    }
}

/// Whether `name` is one of the parameters that are about the signature and that signers add last.
pub(super) fn is_signature_parameter(name: &str) -> bool {
    PARAMETERS.contains(&name)
}

/// Whether a decoded parameter name claims authentication by query.
fn is_authentication(name: &str) -> bool {
    is_signature_parameter(name) || name == TOKEN_PARAMETER
}

/// Decoded name and value of each parameter, in order.
pub(super) fn query_pairs(request: &ReceivedRequest) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(request.query().as_bytes())
}

/// The list must be what every signer writes; then no two lists mean the same.
fn signed_header_names(list: &str) -> Result<Vec<String>, Refusal> {
    let names: Vec<String> = list.split(';').map(str::to_owned).collect();
    let lower = names
        .iter()
        .all(|name| !name.is_empty() && !name.chars().any(|c| c.is_ascii_uppercase()));
    // Strictly ascending: sorted, and nothing twice.
    if lower && names.is_sorted_by(|a, b| a < b) {
        return Ok(names);
    }
    Err(Refusal::IncompleteSignature(
        "SignedHeaders must be lower-case names in ascending order.",
    ))
}

/// X-Amz-Date overrides Date; the second part says that it was Date.
fn header_time(request: &ReceivedRequest) -> Result<(Timestamp, bool), Refusal> {
    let only = |name| {
        let mut values = request.header_values(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Refusal::IncompleteSignature(
                "X-Amz-Date and Date must be sent once.",
            )),
        }
    };
    if let Some(value) = only("x-amz-date")? {
        return Ok((
            basic_time(value).ok_or(Refusal::IncompleteSignature(INVALID_DATE))?,
            false,
        ));
    }
    let value = only("date")?.ok_or(Refusal::IncompleteSignature(
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    ))?;
    let time = basic_time(value).or_else(|| {
        let zoned = jiff::fmt::rfc2822::parse(value).ok()?;
        Some(zoned.timestamp())
    });
    Ok((time.ok_or(Refusal::IncompleteSignature(INVALID_DATE))?, true))
}

/// Exactly `YYYYMMDDTHHMMSSZ`.
fn basic_time(text: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let time = civil.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // The parser is more generous than the format.
    (super::basic(time) == text).then_some(time)
}
