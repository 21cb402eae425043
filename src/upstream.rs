//! PCS's failures in this API's terms, by error code, never by HTTP status: AWS's own documents disagree on the
//! statuses (API Reference: 400 for every client error; service model: 402, 403, 404, 409, 429).

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{
    denied::{Lack, is_of_credentials},
    error::{Error, FieldError, Quote, Sentence, Service},
    operations::Action,
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
            Failure::Unanswered { .. } => "Unanswered",
            Failure::OutOfTime { .. } => "OutOfTime",
        }
    }

    /// The permission that PCS says is missing.
    pub fn lack(&self) -> Option<Lack> {
        match self {
            Failure::Service { code, message, .. } if is_denial(code) => Lack::told_by(message),
            Failure::Service { .. }
            | Failure::RegionNotEnabled { .. }
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
            code, message, body, ..
        } => service_error(&code, &message, &body, action),
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

fn service_error(code: &str, message: &str, body: &serde_json::Map<String, Value>, action: Action) -> Error {
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
        code if is_denial(code) => Error::UpstreamAccessDenied(Lack::told_by(message)),
        "ResourceNotFoundException" => Error::NotFound(Sentence::Quoted(quote_with_subject(message, body))),
        "ConflictException" => Error::Conflict(Sentence::Quoted(quote_with_subject(message, body))),
        code if is_of_credentials(code) => Error::Internal,
        "InternalServerException"
        | "InternalFailure"
        | "InternalError"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => {
            Error::BadGateway("PCS failed to handle the request; retry".to_owned())
        }
        _ if is_throttle(code) => throttled(body),
        _ => Error::Unknown(quote(message)),
    }
}

/// PCS's word for it, and those of the services behind it.
pub fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" | "NotAuthorized"
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

/// An upstream sentence, shortened, and without the ARN of any role: it could be this API's own.
pub fn public(message: &str) -> String {
    let text = without_roles(message);
    if text.is_empty() {
        "the request was refused without saying why".to_owned()
    } else {
        text
    }
}

fn without_roles(message: &str) -> String {
    // Before anything is looked for: what is taken out later could make a role of what was none.
    let plain: String = message
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect();
    let words: Vec<&str> = plain
        .split(' ')
        .map(|word| if names_role(word) { "[role]" } else { word })
        .collect();
    words.join(" ").chars().take(MESSAGE_CHARS_MAX).collect()
}

/// Characters that nobody sees (Unicode's format characters, as far as they are in use).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Whether the word names a role: its ARN, or the part of it that begins with `role/`, in any case and escape.
fn names_role(word: &str) -> bool {
    /// Each takes off one layer of escapes; nobody reads a word that has more.
    const LAYERS: usize = 4;
    let mut word = word.to_ascii_lowercase();
    for _ in 0..LAYERS {
        let begins = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        if word.contains("assumed-role/") || word.contains(":role/") || begins.starts_with("role/") {
            return true;
        }
        let decoded = unescaped(&word);
        if decoded == word {
            return false;
        }
        word = decoded;
    }
    // Still escaped: nothing that a sentence needs.
    true
}

/// Without one layer of the escapes of URLs, JSON, HTML and shells.
fn unescaped(word: &str) -> String {
    let mut plain = percent_decode_str(word).decode_utf8_lossy().to_ascii_lowercase();
    for (escape, character) in [
        ("\\u002f", "/"),
        ("\\u003a", ":"),
        ("\\u002d", "-"),
        ("&#x2f;", "/"),
        ("&#47;", "/"),
        ("&sol;", "/"),
        ("&#x3a;", ":"),
        ("&#58;", ":"),
        ("&colon;", ":"),
        ("&#x2d;", "-"),
        ("&#45;", "-"),
        ("&amp;", "&"),
        ("\\", ""),
    ] {
        plain = plain.replace(escape, character);
    }
    plain.retain(|c| !c.is_control() && !is_invisible(c));
    plain
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

    /// A role in a sentence could be the function's own, whatever form it has there.
    #[test]
    fn no_form_of_a_role_comes_out() {
        let session = "arn:aws:sts::123456789012:assumed-role/pcs-api-fn/x";
        let percent = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
        let forms = [
            session.to_owned(),
            "arn:aws:iam::123456789012:role/path/pcs-api-fn".to_owned(),
            "arn:aws:iam::123456789012:ROLE/pcs-api-fn".to_owned(),
            "assumed-role/pcs-api-fn".to_owned(),
            "'assumed-role/pcs-api-fn/x'".to_owned(),
            "(role/pcs-api-fn)".to_owned(),
            session.to_uppercase().replace("PCS-API-FN", "pcs-api-fn"),
            percent(session),
            percent(session).to_lowercase(),
            percent(session).replace('%', "%25"),
            "arn:aws:iam::123456789012%3arole%2fpcs-api-fn".to_owned(),
            session.replace('/', "\\/"),
            session.replace('/', "\\u002f"),
            session.replace('/', "&#x2F;"),
            session.replace('/', "&amp;#x2F;"),
            session.replace("role", "ro\u{1}le"),
            session.replace("role", "ro\u{200b}le"),
            session.replace("role", "ro%01le"),
            session.replace("role", "%72ole"),
        ];
        for form in forms {
            for around in [" ", "\n", "\t", "\u{a0}"] {
                let text = public(&format!("User:{around}{form}{around}is denied"));
                assert_eq!(text, "User: [role] is denied", "{form:?}");
            }
            let body = serde_json::json!({"fieldList": [{"name": form, "message": form}]});
            let fields = fields(body.as_object().unwrap());
            assert_eq!(fields, [FieldError::new("[role]", "[role]")], "{form:?}");
        }
    }

    #[test]
    fn a_sentence_without_a_role_is_passed_on_as_it_is() {
        for text in [
            "Value 'a%20b' at 'tags.100%' failed",
            "The role must trust ec2.amazonaws.com",
            "The subnet ID 'subnet-0123456789abcdef0' does not exist",
            "C:\\x is no path",
            "arn:aws:iam::123456789012:instance-profile/role/AWSPCS-x does not exist",
        ] {
            assert_eq!(public(text), text);
        }
        assert_eq!(public("\u{1}"), "the request was refused without saying why");
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
        assert!(!error.recorded_message(str::to_owned).contains("as it said"));
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
