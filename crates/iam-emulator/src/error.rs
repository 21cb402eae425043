//! IAM's errors, and the XML they travel in.

use http::StatusCode;

/// Who is at fault, as the Query protocol says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Sender,
    Receiver,
}

impl Fault {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "Sender",
            Self::Receiver => "Receiver",
        }
    }
}

/// An answer that is not the result. Codes and statuses are those of the IAM API reference ("Common errors"
/// and each action's own list).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IamError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl IamError {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn no_such_entity(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchEntity", message)
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    pub(crate) fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    }

    pub(crate) fn malformed_policy_document(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MalformedPolicyDocument", message)
    }

    pub(crate) fn entity_already_exists(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "EntityAlreadyExists", message)
    }

    pub(crate) fn delete_conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "DeleteConflict", message)
    }

    /// `quota` is IAM's name of it, such as `PoliciesPerRole`.
    pub(crate) fn limit_exceeded(quota: &str, most: usize) -> Self {
        Self::limit_exceeded_as(format!("Cannot exceed quota for {quota}: {most}"))
    }

    /// A quota that IAM words in its own way.
    pub(crate) fn limit_exceeded_as(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "LimitExceeded", message)
    }

    pub(crate) fn unmodifiable_entity(role: &str) -> Self {
        let message = format!(
            "Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS"
        );
        Self::new(StatusCode::BAD_REQUEST, "UnmodifiableEntity", message)
    }

    pub(crate) fn policy_not_attachable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "PolicyNotAttachable", message)
    }

    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    pub(crate) fn service_failure(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ServiceFailure", message)
    }

    /// Not an error of IAM's: it would know the answer, and a made-up one would be worse than none.
    pub(crate) fn not_emulated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotEmulated", message)
    }

    pub(crate) fn invalid_action(action: &str, version: &str) -> Self {
        let message = format!("Could not find operation {action} for version {version}");
        Self::new(StatusCode::BAD_REQUEST, "InvalidAction", message)
    }

    pub(crate) fn missing_action() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MissingAction", "Missing Action")
    }

    pub(crate) fn missing_authentication_token() -> Self {
        let message = "Request is missing Authentication Token";
        Self::new(StatusCode::FORBIDDEN, "MissingAuthenticationToken", message)
    }

    /// To what is refused before it is a request of IAM's.
    pub(crate) fn unread(refused: &local_http::Refusal) -> Self {
        let code = match refused {
            local_http::Refusal::ForeignHost(_) | local_http::Refusal::ForeignPage(_) => "AccessDenied",
            local_http::Refusal::TooLarge { .. } => "RequestEntityTooLarge",
            local_http::Refusal::Unreadable(_) => "ValidationError",
        };
        Self::new(refused.status(), code, refused.to_string())
    }

    pub(crate) fn throttling() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded")
    }

    /// An error that a test asked for.
    pub(crate) fn injected(status: StatusCode, code: &str, message: &str) -> Self {
        Self::new(status, code, message)
    }

    pub(crate) fn fault(&self) -> Fault {
        if self.status.is_server_error() {
            Fault::Receiver
        } else {
            Fault::Sender
        }
    }
}
