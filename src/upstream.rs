//! PCS's failures in this API's terms, by error code, never by HTTP status: AWS's own documents disagree on the
//! statuses (API Reference: 400 for every client error; service model: 402, 403, 404, 409, 429).

mod public;

use serde_json::Value;

pub use self::public::public;
use self::public::without_roles;

use crate::{
    denied::{Lack, is_of_credentials},
    error::{Error, FieldError, Quote, Sentence, Service},
    operations::{Action, Operation},
    pcs::Failure,
};

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
            Failure::Unanswered { .. } => "Unanswered",
            Failure::OutOfTime { .. } => "OutOfTime",
        }
    }

    /// The permission that PCS says is missing.
    pub fn lack(&self) -> Option<Lack> {
        match self {
            Failure::Service {
                code, message, body, ..
            } => lack(code, message, body),
            Failure::RegionNotEnabled { .. }
            | Failure::Garbage { .. }
            | Failure::Unreachable
            | Failure::Unanswered { .. }
            | Failure::OutOfTime { .. } => None,
        }
    }

    pub fn request_id(&self) -> Option<&str> {
        match self {
            Failure::Service { request_id, .. }
            | Failure::RegionNotEnabled { request_id, .. }
            | Failure::Garbage { request_id } => request_id.as_deref(),
            Failure::Unreachable | Failure::Unanswered { .. } | Failure::OutOfTime { .. } => None,
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

/// A request id for log and record, if it has the form of AWS's: anything else could be text of the request.
pub fn plain_request_id(id: &str) -> &str {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=CODE_CHARS_MAX).contains(&id.len()) && id.chars().all(is_plain) {
        id
    } else {
        "UnreadableId"
    }
}

/// Writes to the log what the function's administrator has to mend: a permission, credentials.
pub fn log(action: &'static str, failure: &Failure) {
    let (code, lack) = (failure.code(), failure.lack());
    if lack.is_some() || is_of_credentials(code) {
        let permission = lack.as_ref().map(Lack::permission);
        tracing::warn!(action, code, permission, "PCS_DENIED");
    }
}

/// What the caller of this action is told.
pub fn error(failure: Failure, action: Action) -> Error {
    match failure {
        Failure::Service {
            code,
            message,
            body,
            in_doubt,
            ..
        } => {
            let error = service_error(&code, &message, &body, action);
            if in_doubt { after_a_lost_answer(error) } else { error }
        }
        Failure::RegionNotEnabled { .. } => Error::Validation(vec![FieldError::new(
            "region",
            "is not enabled for this AWS account; name another, or have it enabled (account settings, AWS Regions)",
        )]),
        Failure::Garbage { .. } => Error::BadGateway(
            "PCS gave an answer that could not be read; read the resource to see its state".to_owned(),
        ),
        Failure::Unreachable => Error::BadGateway("PCS could not be reached and was sent nothing; retry".to_owned()),
        Failure::Unanswered { may_have_acted: false } => {
            Error::BadGateway("PCS did not answer; retry".to_owned())
        }
        Failure::Unanswered { may_have_acted: true } => Error::BadGateway(
            "PCS did not answer and may have carried out the call; read the resource, or repeat the request with the \
             same clientToken"
                .to_owned(),
        ),
        Failure::OutOfTime { sent } => Error::OutOfTime { sent },
    }
}

/// What PCS says of an attempt, where an earlier one of the same call may have been carried out.
fn after_a_lost_answer(error: Error) -> Error {
    if matches!(error, Error::BadGateway(_)) {
        return Error::BadGateway(
            "PCS failed to handle the request and may have carried it out; read the resource, or repeat the request \
             with the same clientToken"
                .to_owned(),
        );
    }
    Error::InDoubt(Box::new(error))
}

fn service_error(code: &str, message: &str, body: &serde_json::Map<String, Value>, action: Action) -> Error {
    if let Some(lack) = lack(code, message, body) {
        return Error::UpstreamAccessDenied(Some(lack));
    }
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
        "InvalidToken" | "InvalidTokenException" if has_pages(action) => {
            Error::Validation(vec![FieldError::new(
                "nextToken",
                "has expired or belongs to another list; start again without it",
            )])
        }
        // Of an action without pages it speaks of the credentials' token.
        "InvalidToken" | "InvalidTokenException" => Error::Internal,
        "ServiceQuotaExceededException" => Error::Quota(quote(message)),
        code if is_denial(code) => Error::UpstreamAccessDenied(
            // Of a call that names nothing only its own permission can be meant.
            (action == Action::ListClusters).then(|| Lack::of_only("pcs:ListClusters")),
        ),
        "ResourceNotFoundException" => Error::NotFound(Sentence::Quoted(quote_with_subject(message, body))),
        "ConflictException" => Error::Conflict(Sentence::Quoted(quote_with_subject(message, body))),
        code if is_of_credentials(code) => Error::Internal,
        code if is_failure(code) => Error::BadGateway("PCS failed to handle the request; retry".to_owned()),
        _ if is_throttle(code) => throttled(body),
        _ => Error::Unknown {
            quote: quote(message),
            may_have_acted: Operation::Pcs(action).is_mutation(),
        },
    }
}

/// The permission that the refusal says is missing, whatever its code is: PCS passes on what EC2, IAM and Auto Scaling
/// say, in its sentence or in that of a field.
fn lack(code: &str, message: &str, body: &serde_json::Map<String, Value>) -> Option<Lack> {
    if is_failure(code) || is_throttle(code) || is_of_credentials(code) {
        return None;
    }
    let list = body
        .get("fieldList")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let fields = list.filter_map(|field| field.get("message")?.as_str());
    let mut told = std::iter::once(message).chain(fields.take(FieldError::MOST));
    told.find_map(Lack::told_by).or_else(|| {
        code.contains("ServiceLinkedRoleCreationNotPermitted")
            .then(Lack::of_service_linked_role)
    })
}

fn is_failure(code: &str) -> bool {
    matches!(
        code,
        "InternalServerException"
            | "InternalFailure"
            | "InternalError"
            | "InternalServerError"
            | "ServiceUnavailable"
            | "ServiceUnavailableException"
    )
}

/// PCS's word for it, and those of the services behind it.
pub fn is_denial(code: &str) -> bool {
    let code = code.strip_prefix("Client.").unwrap_or(code);
    // Some services put their own name before it.
    code.ends_with("AccessDeniedException")
        || matches!(
            code,
            "AccessDenied" | "UnauthorizedOperation" | "NotAuthorized" | "NotAuthorizedException"
        )
}

/// The words that AWS's SDKs take for throttling. `LimitExceededException` is a quota at most services.
fn is_throttle(code: &str) -> bool {
    const CODES: [&str; 11] = [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequests",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "TransactionInProgressException",
        "PriorRequestNotComplete",
        "SlowDown",
    ];
    code.starts_with("RequestThrottled") || CODES.contains(&code)
}

fn throttled(body: &serde_json::Map<String, Value>) -> Error {
    let asked = body.get("retryAfterSeconds").and_then(Value::as_u64);
    let seconds = asked.unwrap_or_default().min(RETRY_AFTER_SECONDS_MAX);
    Error::Throttled {
        retry_after_seconds: u32::try_from(seconds)
            .unwrap_or_default()
            .max(RETRY_AFTER_SECONDS),
    }
}

/// Whether the action takes a `nextToken`; elsewhere a token that is not valid is the function's credentials.
fn has_pages(action: Action) -> bool {
    matches!(
        action,
        Action::ListClusters | Action::ListComputeNodeGroups | Action::ListQueues
    )
}

/// PCS's sentence, and the instance profile or role if that is the subject: the sentence alone may not name it.
fn quote_with_subject(message: &str, body: &serde_json::Map<String, Value>) -> Quote {
    let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let letters = text("resourceType").chars().filter(char::is_ascii_alphanumeric);
    let kind: String = letters.map(|c| c.to_ascii_lowercase()).collect();
    if kind.contains("profile") || kind.contains("iam") || kind.contains("role") {
        return quote(&format!(
            "{message} (instance profile or role {})",
            text("resourceId")
        ));
    }
    quote(message)
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
            Some(FieldError::new(
                &without_roles(name),
                public(field.get("message")?.as_str()?),
            ))
        })
        .take(FieldError::MOST)
        .collect()
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
            let error = service_error(
                code,
                "Value 'secret' is invalid",
                body,
                Action::CreateComputeNodeGroup,
            );
            let recorded = error.recorded_message(&|path| path.replace("secret", "*"));
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

    #[test]
    fn a_request_id_is_one_word_of_letters_and_digits() {
        for id in ["r-1", "0b3d5d4f-6d3a-4c5e-9f6e-2a1b3c4d5e6f", "LOCAL0000001"] {
            assert_eq!(plain_request_id(id), id);
        }
        let long = "a".repeat(CODE_CHARS_MAX + 1);
        for id in ["", "canary hunter2 password", "a=b", "a/b", "é", &long] {
            assert_eq!(plain_request_id(id), "UnreadableId", "{id:?}");
        }
    }

    fn told(code: &str, body: &Value, action: Action) -> Error {
        service_error(code, "as it said", body.as_object().unwrap(), action)
    }

    #[test]
    fn other_spellings_of_a_code_are_told_alike() {
        let body = serde_json::json!({});
        let of = |code| told(code, &body, Action::GetCluster);
        for code in ["AccessDenied", "UnauthorizedOperation", "NotAuthorized"] {
            assert_eq!(of(code), of("AccessDeniedException"), "{code}");
        }
        for code in [
            "SlowDown",
            "ThrottledException",
            "PriorRequestNotComplete",
            "TooManyRequests",
            "RequestThrottled",
            "RequestThrottledException",
            "RequestLimitExceeded",
        ] {
            assert_eq!(of(code), of("ThrottlingException"), "{code}");
            assert_eq!(of(code).class().status, 429);
        }
        assert_eq!(of("RequestExpired"), of("ExpiredToken"));
    }

    /// The caller reads PCS's words, the record does not keep them, and nobody is told to repeat blindly.
    #[test]
    fn a_code_that_is_not_known_is_told_with_pcss_words() {
        let error = told("SomethingNew", &serde_json::json!({}), Action::CreateCluster);
        assert_eq!(error.class().status, 502);
        let message = error.message();
        assert!(
            message.contains("as it said") && message.contains("same clientToken"),
            "{message}"
        );
        assert!(!error.recorded_message(&str::to_owned).contains("as it said"));
        assert!(!error.is_final());
    }

    #[test]
    fn a_token_that_is_not_valid_is_the_lists_only_where_there_is_a_list() {
        let body = serde_json::json!({});
        for code in ["InvalidToken", "InvalidTokenException"] {
            for action in [
                Action::ListClusters,
                Action::ListComputeNodeGroups,
                Action::ListQueues,
            ] {
                assert_eq!(told(code, &body, action).class().status, 400);
            }
            for action in [
                Action::CreateComputeNodeGroup,
                Action::GetCluster,
                Action::ListTagsForResource,
            ] {
                assert_eq!(told(code, &body, action), Error::Internal);
            }
        }
    }

    #[test]
    fn a_missing_profile_is_named_where_the_sentence_does_not() {
        let create = Action::CreateComputeNodeGroup;
        for kind in ["INSTANCE_PROFILE", "InstanceProfile", "AWS::IAM::Role"] {
            let body = serde_json::json!({"resourceType": kind, "resourceId": "AWSPCS-x"});
            for code in ["ResourceNotFoundException", "ConflictException"] {
                let message = told(code, &body, create).message();
                assert_eq!(message, "as it said (instance profile or role AWSPCS-x)");
            }
        }
        let body = serde_json::json!({"resourceType": "CLUSTER", "resourceId": "role"});
        assert_eq!(
            told("ResourceNotFoundException", &body, create).message(),
            "as it said"
        );
    }
}
