//! What is wrong with a table, one finding a line.

use std::fmt;

use serde::Serialize;

use crate::text::printable;

/// What kind of fault; the name is part of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The row's content does not have the hash that the row names.
    ChangedRow,
    /// A number of a chain is not there, and nothing explains it.
    MissingRow,
    /// A digest names a later row of a chain than there is.
    MissingTail,
    /// A row that the product did not write: without a place in a chain, or in the place of another.
    InsertedRow,
    /// A row does not name the hash of the row before it: one of the two was rewritten, or they were swapped.
    BrokenLink,
    /// An hour without a digest, or digests that do not follow one another.
    MissingHour,
    /// The rows of an hour are not those that its digest sums up.
    HourMismatch,
    /// A digest without a signature where there should be one, or with one that is not of the key.
    BadSignature,
    /// A mutation was begun, and nobody wrote how it ended.
    NeverClosed,
    /// It is on record how a call ended, and not that it began.
    NeverOpened,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::ChangedRow => "changed-row",
            Kind::MissingRow => "missing-row",
            Kind::MissingTail => "missing-tail",
            Kind::InsertedRow => "inserted-row",
            Kind::BrokenLink => "broken-link",
            Kind::MissingHour => "missing-hour",
            Kind::HourMismatch => "hour-mismatch",
            Kind::BadSignature => "bad-signature",
            Kind::NeverClosed => "never-closed",
            Kind::NeverOpened => "never-opened",
        }
    }
}

/// One fault, and where it is as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    #[serde(rename = "finding")]
    pub kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// Of a missing stretch, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_seq: Option<u64>,
    /// `2026-11-21T13`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<String>,
    pub message: String,
}

impl Finding {
    pub fn new(kind: Kind, message: String) -> Finding {
        Finding {
            kind,
            pk: None,
            sk: None,
            chain_id: None,
            chain_seq: None,
            hour: None,
            message,
        }
    }

    #[must_use]
    pub fn of_row(mut self, pk: &str, sk: &str) -> Finding {
        self.pk = Some(pk.to_owned());
        self.sk = Some(sk.to_owned());
        self
    }

    #[must_use]
    pub fn in_chain(mut self, id: &str, seq: u64) -> Finding {
        self.chain_id = Some(id.to_owned());
        self.chain_seq = Some(seq);
        self
    }

    #[must_use]
    pub fn in_hour(mut self, hour: String) -> Finding {
        self.hour = Some(hour);
        self
    }
}

impl fmt::Display for Finding {
    /// Keys of rows may be anything that somebody wrote into the table; the line stays one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), printable(&self.message))
    }
}
