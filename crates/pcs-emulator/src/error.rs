//! Every error the emulator can answer with, its wire code, its status and its modelled members.

use std::fmt;
use std::io;
use std::path::PathBuf;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::options::{HttpStatuses, ResourceTypes};
use crate::state::{Kind, Resource};

/// Why an emulator did not start.
#[derive(Debug)]
pub enum StartError {
    /// The data compiled into the crate does not parse (a broken build).
    Model(String),
    /// An option has a value that cannot work.
    Option { name: &'static str, message: String },
    /// The state file exists and cannot be used, or another emulator uses it.
    State { path: PathBuf, message: String },
    /// The record cannot be written to.
    Record { path: PathBuf, message: String },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Model(message) => write!(f, "embedded model: {message}"),
            StartError::Option { name, message } => write!(f, "--{}: {message}", name.replace('_', "-")),
            StartError::State { path, message } => write!(f, "`{}` {message}", path.display()),
            StartError::Record { path, message } => write!(
                f,
                "the record `{}` (--record, PCS_EMULATOR_RECORD) cannot be written to: {message}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a snapshot was not loaded. The state is what it was.
#[derive(Debug)]
pub enum LoadError {
    /// The document is not a state of this emulator; says what is wrong with it and where.
    Document(String),
    /// The state could not be put on disk.
    Store(io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Document(message) => write!(f, "not a state of this emulator: {message}"),
            LoadError::Store(error) => write!(f, "the state could not be stored: {error}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// One entry of a `ValidationException`'s `fieldList`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) name: String,
    pub(crate) message: String,
}

/// Field errors of one request, gathered so that one answer names them all.
#[derive(Debug, Default)]
pub(crate) struct FieldErrors(pub(crate) Vec<FieldError>);

impl FieldErrors {
    pub(crate) fn push(&mut self, name: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            name: name.into(),
            message: message.into(),
        });
    }

    /// `Err` with every field error, if there is one.
    pub(crate) fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Error::Validation(self.0))
        }
    }
}

/// The resource an error speaks of. The words are those of PCS's ARNs: AWS documents none.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) id: String,
}

impl Subject {
    /// The resource a request names, the deepest one if it names several; what is not named is a cluster
    /// without an id.
    pub(crate) fn named_in(input: &Map<String, Value>) -> Subject {
        let names = [
            (Kind::ComputeNodeGroup, "computeNodeGroupIdentifier"),
            (Kind::Queue, "queueIdentifier"),
            (Kind::Cluster, "clusterIdentifier"),
            (Kind::Cluster, "resourceArn"),
            (Kind::Cluster, "clusterName"),
        ];
        let found = names
            .iter()
            .find_map(|(kind, name)| Some((*kind, input.get(*name)?.as_str()?)));
        let (kind, id) = found.unwrap_or((Kind::Cluster, ""));
        Subject {
            kind,
            id: id.to_owned(),
        }
    }
}

impl From<&Resource> for Subject {
    fn from(resource: &Resource) -> Subject {
        Subject {
            kind: resource.kind,
            id: resource.id.clone(),
        }
    }
}

/// An answer other than success.
#[derive(Debug)]
pub(crate) enum Error {
    Validation(Vec<FieldError>),
    /// A `ValidationException` that is not about single fields.
    Invalid(String),
    Conflict {
        message: String,
        subject: Subject,
    },
    NotFound {
        message: String,
        subject: Subject,
    },
    AccessDenied(String),
    QuotaExceeded {
        message: String,
        subject: Option<Subject>,
    },
    Throttled,
    Internal(String),
    /// A page token that is not ours, not for this list, or older than 24 hours.
    InvalidToken,
    /// The body is not a JSON object.
    Serialization(String),
    UnknownOperation(String),
    MissingAuthenticationToken,
    IncompleteSignature(String),
    /// An access key that nobody knows here.
    UnrecognizedClient,
    InvalidSignature(String),
    TooLarge,
    /// Refused before it was a request of PCS's.
    Unheard(local_http::Refusal),
    NoSuchPath(String),
    /// Ordered by a test.
    Injected {
        status: StatusCode,
        code: String,
        message: String,
        subject: Subject,
    },
}

impl Error {
    /// `X-Amzn-ErrorType` and `__type`.
    pub(crate) fn code(&self) -> &str {
        match self {
            Error::Validation(_) | Error::Invalid(_) => "ValidationException",
            Error::Conflict { .. } => "ConflictException",
            Error::NotFound { .. } => "ResourceNotFoundException",
            Error::AccessDenied(_)
            | Error::Unheard(local_http::Refusal::ForeignHost(_) | local_http::Refusal::ForeignPage(_)) => {
                "AccessDeniedException"
            }
            Error::QuotaExceeded { .. } => "ServiceQuotaExceededException",
            Error::Throttled => "ThrottlingException",
            Error::Internal(_) => "InternalServerException",
            Error::InvalidToken => "InvalidToken",
            Error::Serialization(_)
            | Error::Unheard(local_http::Refusal::TooLarge { .. } | local_http::Refusal::Unreadable(_)) => {
                "SerializationException"
            }
            Error::UnknownOperation(_) | Error::NoSuchPath(_) => "UnknownOperationException",
            Error::MissingAuthenticationToken => "MissingAuthenticationToken",
            Error::IncompleteSignature(_) => "IncompleteSignature",
            Error::UnrecognizedClient => "UnrecognizedClientException",
            Error::InvalidSignature(_) => "InvalidSignatureException",
            Error::TooLarge => "RequestEntityTooLargeException",
            Error::Injected { code, .. } => code,
        }
    }

    /// The status by the API Reference, or by the `httpError` traits of the Smithy model.
    pub(crate) fn status(&self, statuses: HttpStatuses) -> StatusCode {
        let smithy = match self {
            Error::Validation(_)
            | Error::Invalid(_)
            | Error::InvalidToken
            | Error::Serialization(_)
            | Error::IncompleteSignature(_) => return StatusCode::BAD_REQUEST,
            Error::Internal(_) => return StatusCode::INTERNAL_SERVER_ERROR,
            // Answers of the layer in front of the service: the same in both tables.
            Error::MissingAuthenticationToken | Error::UnrecognizedClient | Error::InvalidSignature(_) => {
                return StatusCode::FORBIDDEN;
            }
            Error::TooLarge => return StatusCode::PAYLOAD_TOO_LARGE,
            Error::Unheard(refused) => return refused.status(),
            Error::NoSuchPath(_) => return StatusCode::NOT_FOUND,
            Error::Injected { status, .. } => return *status,
            Error::Conflict { .. } => StatusCode::CONFLICT,
            Error::NotFound { .. } | Error::UnknownOperation(_) => StatusCode::NOT_FOUND,
            Error::AccessDenied(_) => StatusCode::FORBIDDEN,
            Error::QuotaExceeded { .. } => StatusCode::PAYMENT_REQUIRED,
            Error::Throttled => StatusCode::TOO_MANY_REQUESTS,
        };
        match statuses {
            HttpStatuses::Documented400 => StatusCode::BAD_REQUEST,
            HttpStatuses::Smithy => smithy,
        }
    }

    /// The JSON body: `__type`, `message` and the members the model gives this error.
    pub(crate) fn body(&self, words: ResourceTypes) -> Value {
        let mut body = Map::new();
        body.insert("__type".to_owned(), json!(self.code()));
        body.insert("message".to_owned(), json!(self.message()));
        match self {
            Error::Validation(fields) => {
                body.insert("reason".to_owned(), json!("fieldValidationFailed"));
                let list: Vec<Value> = fields
                    .iter()
                    .map(|f| json!({"name": f.name, "message": f.message}))
                    .collect();
                body.insert("fieldList".to_owned(), Value::Array(list));
            }
            Error::Invalid(_) => {
                body.insert("reason".to_owned(), json!("other"));
            }
            Error::Conflict { subject, .. } | Error::NotFound { subject, .. } => {
                insert_subject(&mut body, subject, words);
            }
            Error::QuotaExceeded { subject, .. } => {
                body.insert("serviceCode".to_owned(), json!("pcs"));
                if let Some(subject) = subject {
                    insert_subject(&mut body, subject, words);
                }
            }
            Error::Throttled => {
                body.insert("retryAfterSeconds".to_owned(), json!(1));
            }
            Error::AccessDenied(_)
            | Error::Internal(_)
            | Error::InvalidToken
            | Error::Serialization(_)
            | Error::UnknownOperation(_)
            | Error::MissingAuthenticationToken
            | Error::IncompleteSignature(_)
            | Error::UnrecognizedClient
            | Error::InvalidSignature(_)
            | Error::TooLarge
            | Error::Unheard(_)
            | Error::NoSuchPath(_) => {}
            Error::Injected { code, subject, .. } => insert_modelled(&mut body, code, subject, words),
        }
        Value::Object(body)
    }

    fn message(&self) -> String {
        match self {
            Error::Validation(fields) => {
                let noun = if fields.len() == 1 { "error" } else { "errors" };
                let all: Vec<String> = fields
                    .iter()
                    .map(|f| format!("Value at '{}': {}", f.name, f.message))
                    .collect();
                format!("{} validation {noun} detected: {}", fields.len(), all.join("; "))
            }
            Error::Conflict { message, .. }
            | Error::NotFound { message, .. }
            | Error::QuotaExceeded { message, .. }
            | Error::Injected { message, .. }
            | Error::Invalid(message)
            | Error::AccessDenied(message)
            | Error::Internal(message)
            | Error::Serialization(message)
            | Error::UnknownOperation(message)
            | Error::IncompleteSignature(message)
            | Error::InvalidSignature(message)
            | Error::NoSuchPath(message) => message.clone(),
            Error::Throttled => "Rate exceeded".to_owned(),
            Error::InvalidToken => "The nextToken is not valid or has expired".to_owned(),
            Error::MissingAuthenticationToken => "Missing Authentication Token".to_owned(),
            Error::UnrecognizedClient => "The security token included in the request is invalid.".to_owned(),
            Error::Unheard(refused) => refused.to_string(),
            Error::TooLarge => format!(
                "The request body is larger than {} bytes",
                crate::wire::BODY_BYTES_MAX
            ),
        }
    }
}

/// The members that PCS's model asks of an error with this code, so that an ordered one is as typed as any.
fn insert_modelled(body: &mut Map<String, Value>, code: &str, subject: &Subject, words: ResourceTypes) {
    match code {
        "ValidationException" => {
            body.insert("reason".to_owned(), json!("other"));
        }
        "ConflictException" | "ResourceNotFoundException" => insert_subject(body, subject, words),
        "ServiceQuotaExceededException" => {
            body.insert("serviceCode".to_owned(), json!("pcs"));
            insert_subject(body, subject, words);
        }
        "ThrottlingException" => {
            body.insert("retryAfterSeconds".to_owned(), json!(1));
        }
        _ => {}
    }
}

fn insert_subject(body: &mut Map<String, Value>, subject: &Subject, words: ResourceTypes) {
    let word = match words {
        ResourceTypes::Arn => subject.kind.arn_word(),
        ResourceTypes::Model => subject.kind.model_word(),
    };
    body.insert("resourceId".to_owned(), json!(subject.id));
    body.insert("resourceType".to_owned(), json!(word));
}
