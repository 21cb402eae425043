//! PCS's failures in this API's terms, by error code, never by HTTP status: AWS's own documents disagree on the
//! statuses (API Reference: 400 for every client error; service model: 402, 403, 404, 409, 429).

use serde_json::Value;

use crate::{
    error::{Error, FieldError, Quote, Sentence, Service},
    pcs::Failure,
};

/// Longest upstream sentence that is passed on.
const MESSAGE_CHARS_MAX: usize = 1000;
const CODE_CHARS_MAX: usize = 64;
const RETRY_AFTER_SECONDS: u32 = 1;
const RETRY_AFTER_SECONDS_MAX: u64 = 900;

impl Failure {
    /// The code for the record.
    pub fn code(&self) -> &str {
        match self {
            Failure::Service { code, .. } | Failure::RegionNotEnabled { code, .. } => plain_code(code),
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

/// An error code for log and record. AWS's are words of letters; anything else could be text of the request.
pub fn plain_code(code: &str) -> &str {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
    if code.len() <= CODE_CHARS_MAX && code.chars().all(is_plain) {
        code
    } else {
        "UnreadableCode"
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
        // The last three are how EC2, Auto Scaling and older services say it; PCS asks EC2.
        "ValidationException"
        | "SerializationException"
        | "ValidationError"
        | "InvalidParameterValue"
        | "InvalidParameterException" => Error::Refused {
            quote: quote(message),
            fields: fields(body),
        },
        "InvalidToken" | "InvalidTokenException" => Error::Validation(vec![FieldError::new(
            "nextToken",
            "has expired or belongs to another list; start again without it",
        )]),
        "ServiceQuotaExceededException" => Error::Quota(quote(message)),
        "AccessDeniedException" => Error::UpstreamAccessDenied,
        "ResourceNotFoundException" => Error::NotFound(Sentence::Quoted(quote(message))),
        "ConflictException" => Error::Conflict(Sentence::Quoted(quote(message))),
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

fn quote(message: &str) -> Quote {
    Quote {
        service: Service::Pcs,
        text: public(message),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_word_of_letters() {
        for code in [
            "ValidationException",
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "OutOfTime",
        ] {
            assert_eq!(plain_code(code), code);
        }
        let long = "a".repeat(CODE_CHARS_MAX + 1);
        for code in ["my secret", "value-of-a-tag", "é", "{\"a\":1}", &long] {
            assert_eq!(plain_code(code), "UnreadableCode");
        }
    }

    #[test]
    fn what_is_recorded_of_a_refusal_has_no_word_of_it() {
        let body = serde_json::json!({"fieldList": [
            {"name": "subnetIds", "message": "Value 'secret' is invalid"},
            {"name": "tags.secret", "message": "secret"},
        ]});
        let body = body.as_object().unwrap();
        for code in [
            "ValidationException",
            "ServiceQuotaExceededException",
            "ResourceNotFoundException",
            "ConflictException",
            "SomethingElse",
            "InternalServerException",
            "AccessDeniedException",
        ] {
            let error = service_error(code, "Value 'secret' is invalid", body);
            let recorded = error.recorded_message(|path| path.replace("secret", "*"));
            assert!(!recorded.contains("secret"), "{recorded}");
            if code == "ValidationException" {
                assert_eq!(error.message(), "Value 'secret' is invalid");
                assert_eq!(
                    recorded,
                    "PCS found the request invalid (subnetIds, tags.*); the caller was told its words"
                );
            }
        }
    }
}
