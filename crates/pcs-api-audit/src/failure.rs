//! Why something could not be done at all; never what was found wrong with a table.

use std::{error::Error, fmt, io};

use pcs_api::audit::query::QueryError;

/// In words for whoever runs the tool.
#[derive(Debug)]
pub enum Failure {
    Table(String),
    Output(io::Error),
    Input(String),
}

impl Failure {
    /// DynamoDB, or what lies before it, refused or did not answer.
    pub fn of_table(error: impl Error) -> Failure {
        // The SDK tells its errors from the outside in.
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Failure::Table(text)
    }

    /// Whoever reads the output has seen enough, which is no failure: `pcs-api-audit tail | head`.
    pub fn is_reader_gone(&self) -> bool {
        match self {
            Failure::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Failure::Table(_) | Failure::Input(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Table(error) => write!(f, "the table could not be read: {error}"),
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
            QueryError::Unreadable => {
                Failure::Table("an index did not answer; `verify` or `export` tells more".to_owned())
            }
            QueryError::OutOfTime { reached } => {
                Failure::Table(format!("it took too long; down to {reached}"))
            }
        }
    }
}
