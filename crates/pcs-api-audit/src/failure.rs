//! Why something could not be done at all; never what was found wrong with a table.

use std::{error::Error, fmt, io};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use pcs_api::audit::query::QueryError;

/// In words for whoever runs the tool.
#[derive(Debug)]
pub enum Failure {
    Table(Cause, String),
    /// An index did not answer, and the root does not say why (`connect.rs` asks again).
    Index,
    Output(io::Error),
    Input(String),
}

/// What has to be changed for the table to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    NoTable,
    /// A table without the index.
    NoIndex,
    NotReached,
    /// What answers is no DynamoDB.
    NotDynamoDb,
    NoCredentials,
    CredentialsRefused,
    Denied,
    Other,
}

impl Failure {
    /// DynamoDB, or what lies before it, refused or did not answer.
    pub fn of_table<E, R>(error: &SdkError<E, R>) -> Failure
    where
        E: Error + ProvideErrorMetadata + 'static,
        R: fmt::Debug + 'static,
    {
        let told = chain(error);
        let cause = match error {
            SdkError::ServiceError(context) => of_service(context.err()),
            _ if told.contains("credential") => Cause::NoCredentials,
            SdkError::ResponseError(_) => Cause::NotDynamoDb,
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => Cause::NotReached,
            SdkError::ConstructionFailure(_) | _ => Cause::Other,
        };
        let said = error.as_service_error().and_then(ProvideErrorMetadata::message);
        let detail = said.map_or(told, str::to_owned);
        Failure::Table(cause, detail)
    }

    /// Whoever reads the output has seen enough, which is no failure: `pcs-api-audit tail | head`.
    pub fn is_reader_gone(&self) -> bool {
        match self {
            Failure::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Failure::Table(..) | Failure::Index | Failure::Input(_) => false,
        }
    }
}

fn of_service(error: &impl ProvideErrorMetadata) -> Cause {
    match error.code() {
        Some("ResourceNotFoundException") => Cause::NoTable,
        Some("ValidationException") if error.message().is_some_and(|message| message.contains("index")) => {
            Cause::NoIndex
        }
        Some("AccessDeniedException") => Cause::Denied,
        Some(
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "InvalidClientTokenId"
            | "SignatureDoesNotMatch"
            | "IncompleteSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException"
            | "ExpiredTokenException"
            | "ExpiredToken",
        ) => Cause::CredentialsRefused,
        None => Cause::NotDynamoDb,
        Some(_) => Cause::Other,
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Table(_, error) => write!(f, "the table could not be read: {error}"),
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
            QueryError::OutOfTime { reached } => {
                Failure::Table(Cause::Other, format!("it took too long; down to {reached}"))
            }
        }
    }
}
