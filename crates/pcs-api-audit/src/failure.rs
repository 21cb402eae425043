//! Why something could not be done at all; never what was found wrong with a table.

use std::{error::Error, fmt, io};

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use pcs_api::audit::query::QueryError;

/// In words for whoever runs the tool.
#[derive(Debug)]
pub enum Failure {
    Table(Refused),
    /// An index did not answer, and the root does not say why (`connect.rs` asks again).
    Index,
    Output(io::Error),
    Input(String),
}

/// A request to AWS that was not answered as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub cause: Cause,
    /// In the words of whoever refused, or nothing.
    pub detail: String,
}

/// What has to be changed for a request to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    NoTable,
    /// A table without the index.
    NoIndex,
    NoStack,
    NotReached,
    /// What answers speaks another protocol.
    NotHttp,
    /// What answers speaks HTTP, and is not the service.
    NotTheService,
    NoCredentials,
    CredentialsRefused,
    Denied,
    Other,
}

impl Refused {
    /// The service, or what lies before it, refused or did not answer.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Refused
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let (cause, detail) = match error {
            SdkError::ServiceError(context) => {
                let said = context.err().message().unwrap_or_default();
                match context.err().code() {
                    Some(code) if said.is_empty() => (of_service(code, said), code.to_owned()),
                    Some(code) => (of_service(code, said), said.to_owned()),
                    None => (Cause::NotTheService, status(context.raw())),
                }
            }
            SdkError::ResponseError(context) => (
                Cause::NotTheService,
                format!("{}: {}", status(context.raw()), innermost(error)),
            ),
            SdkError::DispatchFailure(failure) => {
                let cause = match failure.as_connector_error() {
                    // The credentials ran out, and could not be renewed.
                    _ if chain(error).contains("credential") => Cause::NoCredentials,
                    Some(error) if error.is_timeout() || error.is_io() => Cause::NotReached,
                    Some(_) => Cause::NotHttp,
                    None => Cause::Other,
                };
                (cause, innermost(error))
            }
            SdkError::TimeoutError(_) => (Cause::NotReached, innermost(error)),
            SdkError::ConstructionFailure(_) | _ => (Cause::Other, innermost(error)),
        };
        Refused { cause, detail }
    }
}

impl Failure {
    /// DynamoDB, or what lies before it, refused or did not answer.
    pub fn of_table<E>(error: &SdkError<E, HttpResponse>) -> Failure
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        Failure::Table(Refused::of(error))
    }

    /// DynamoDB answers with rows, if with none; what answers without them is another thing, and no empty table.
    pub fn without_rows() -> Failure {
        Failure::Table(Refused {
            cause: Cause::NotTheService,
            detail: "it answers without `Items`".to_owned(),
        })
    }

    /// Whoever reads the output has seen enough, which is no failure: `pcs-api-audit tail | head`.
    pub fn is_reader_gone(&self) -> bool {
        match self {
            Failure::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Failure::Table(_) | Failure::Index | Failure::Input(_) => false,
        }
    }
}

fn of_service(code: &str, said: &str) -> Cause {
    match code {
        "ResourceNotFoundException" => Cause::NoTable,
        "ValidationException" if said.contains("index") => Cause::NoIndex,
        // CloudFormation has no code of its own for it.
        "ValidationError" if said.contains("does not exist") => Cause::NoStack,
        "AccessDeniedException" | "AccessDenied" => Cause::Denied,
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "IncompleteSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredTokenException"
        | "ExpiredToken" => Cause::CredentialsRefused,
        _ => Cause::Other,
    }
}

/// The SDK's words for an answer that it cannot read tell of offsets in it.
fn status(answer: &HttpResponse) -> String {
    let status = answer.status().as_u16();
    match answer.headers().get("content-type") {
        Some(form) => format!("it answers with HTTP status {status} and {form}"),
        None => format!("it answers with HTTP status {status}"),
    }
}

/// The SDK tells its errors from the outside in.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What really happened: all around it are the SDK's own layers, one of which shows the whole request.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Table(refused) => write!(f, "the table could not be read: {}", refused.detail),
            Failure::Index => write!(
                f,
                "the table could not be read: an index did not answer; try again"
            ),
            Failure::Output(error) => write!(f, "the output could not be written: {error}"),
            Failure::Input(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Failure {
        match error {
            QueryError::Unreadable => Failure::Index,
            QueryError::OutOfTime { reached } => Failure::Table(Refused {
                cause: Cause::Other,
                detail: format!("it took too long; down to {reached}"),
            }),
        }
    }
}
