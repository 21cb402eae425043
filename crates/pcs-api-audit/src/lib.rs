//! Reads the audit trail of PCS API, and proves that nothing in it was changed or taken away.
//!
//! An operators' tool, beside the function and never in it. It reads the table only; what a row, its hash and a
//! digest are is defined once, in the root package. `verify` is the part to read first.

pub mod cloudtrail;
pub mod connect;
pub mod credentials;
pub mod dynamodb_json;
pub mod export;
pub mod failure;
pub mod file;
pub mod lines;
pub mod output;
pub mod plain;
pub mod profile;
pub mod progress;
pub mod range;
pub mod scan;
pub mod service;
pub mod stack;
pub mod story;
pub mod tail;
pub mod text;
pub mod time;
pub mod verify;
