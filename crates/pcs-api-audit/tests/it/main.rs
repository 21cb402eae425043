//! `pcs-api-audit` against tables that the real gateway and the real sweep wrote.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod commands;
mod endpoints;
mod forged;
mod presence;
mod property;
mod retention;
mod signer;
mod stack;
mod table;
mod tampered;
mod usage;
