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
