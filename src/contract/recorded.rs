//! The part of the contract tables that says what the audit trail may keep.

/// What of a JSON value may be put on record: an allowlist, compiled from `x-pcs-recorded` of the contract. Whatever the
/// contract does not mark, and whatever has another type than the contract says, is not recorded
/// (`audit/redact.rs`). A tree of these has an end: the build refuses recursive schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Not recorded, whatever it holds.
    Nothing,
    Text,
    /// A URL, without its query: a presigned URL is a password.
    TextWithoutQuery,
    Integer,
    Boolean,
    /// A list; every item like this.
    Items(&'static Recorded),
    /// A map; its keys, and every value like this.
    Entries(&'static Recorded),
    /// An object with these members. Others can occur in answers; their values are not recorded.
    Members(&'static [(&'static str, &'static Recorded)]),
}
