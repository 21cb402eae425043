//! PCS's failures in this API's terms, by error code, never by HTTP status: AWS's own documents disagree on the
//! statuses (API Reference: 400 for every client error; service model: 402, 403, 404, 409, 429).

use serde_json::Value;

use crate::{
    error::{Error, FieldError},
    pcs::Failure,
};

/// Longest upstream sentence that is passed on.
const MESSAGE_CHARS_MAX: usize = 1000;
const RETRY_AFTER_SECONDS: u32 = 1;
const RETRY_AFTER_SECONDS_MAX: u64 = 900;

impl Failure {
    /// The code for the record.
    pub fn code(&self) -> &str {
        match self {
            Failure::Service { code, .. } | Failure::RegionNotEnabled { code, .. } => code,
            Failure::Garbage { .. } => "UnreadableAnswer",
            Failure::Unreachable => "Unreachable",
            Failure::OutOfTime { .. } => "OutOfTime",
        }
    }

    pub fn request_id(&self) -> Option<&str> {
        match self {
            Failure::Service { request_id, .. }
            | Failure::RegionNotEnabled { request_id, .. }
            | Failure::Garbage { request_id } => request_id.as_deref(),
            Failure::Unreachable | Failure::OutOfTime { .. } => None,
        }
    }
}

/// What the caller is told.
pub fn error(failure: Failure) -> Error {
    match failure {
        Failure::Service {
            code, message, body, ..
        } => service_error(&code, &message, &body),
        Failure::RegionNotEnabled { .. } => Error::Validation(vec![FieldError::new(
            "region",
            "is not enabled for this AWS account; name another, or have it enabled (account settings, AWS Regions)",
        )]),
        Failure::Garbage { .. } => Error::BadGateway(
            "PCS gave an answer that could not be read; read the resource to see its state".to_owned(),
        ),
        Failure::Unreachable => Error::BadGateway("PCS could not be reached; retry".to_owned()),
        Failure::OutOfTime { sent } => Error::OutOfTime { sent },
    }
}

fn service_error(code: &str, message: &str, body: &serde_json::Map<String, Value>) -> Error {
    match code {
        "ValidationException" | "SerializationException" => Error::Refused {
            message: public(message),
            fields: fields(body),
        },
        "InvalidToken" | "InvalidTokenException" => Error::Validation(vec![FieldError::new(
            "nextToken",
            "has expired or belongs to another list; start again without it",
        )]),
        "ServiceQuotaExceededException" => Error::Quota(public(message)),
        "AccessDeniedException" => Error::UpstreamAccessDenied,
        "ResourceNotFoundException" => Error::NotFound(public(message)),
        "ConflictException" => Error::Conflict(public(message)),
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => {
            let asked = body
                .get("retryAfterSeconds")
                .and_then(Value::as_u64)
                .unwrap_or_default();
            let seconds = u32::try_from(asked.min(RETRY_AFTER_SECONDS_MAX)).unwrap_or_default();
            Error::Throttled {
                retry_after_seconds: seconds.max(RETRY_AFTER_SECONDS),
            }
        }
        // The function's own credentials or clock: nothing that the caller could change.
        "ExpiredTokenException"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "OptInRequired" => Error::Internal,
        "InternalServerException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => {
            Error::BadGateway("PCS failed to handle the request; retry".to_owned())
        }
        _ => Error::BadGateway("PCS refused the request for a reason that this API does not know".to_owned()),
    }
}

/// PCS's field errors: `fieldList: [{name, message}]`.
fn fields(body: &serde_json::Map<String, Value>) -> Vec<FieldError> {
    let list = body.get("fieldList").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|field| {
            let name = field.get("name")?.as_str()?;
            Some(FieldError::new(name, public(field.get("message")?.as_str()?)))
        })
        .take(FieldError::MOST)
        .collect()
}

/// An upstream sentence, shortened, and without the ARN of any role: it could be this API's own.
pub fn public(message: &str) -> String {
    let is_role = |word: &&str| word.contains(":assumed-role/") || word.contains(":role/");
    let words: Vec<&str> = message
        .split(' ')
        .map(|word| if is_role(&word) { "[role]" } else { word })
        .collect();
    let text: String = words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(MESSAGE_CHARS_MAX)
        .collect();
    if text.is_empty() {
        "the request was refused without saying why".to_owned()
    } else {
        text
    }
}
