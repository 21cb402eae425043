//! `pcs-api-audit` against tables that the real gateway and the real sweep wrote.

mod commands;
mod forged;
mod property;
mod retention;
mod signer;
mod table;
mod tampered;
