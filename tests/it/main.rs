//! The one integration binary. Every module drives the real gateway against the real emulators; nothing is mocked.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]

mod logs;
mod wire;
mod world;

mod allowlist;
mod answers;
mod architecture;
mod arn_like;
mod audit;
mod audit_canaries;
mod audit_faults;
mod audit_queries;
mod audit_storm;
mod audit_units;
mod callers;
mod dead_connections;
mod denials;
mod digest;
mod empty_members;
mod faults;
mod fips;
mod guardrail_drift;
mod guardrail_faults;
mod guardrails;
mod guardrails_matrix;
mod input;
mod lambda_binary;
mod later;
mod life;
mod recorded;
mod refusals;
mod runtime_api;
mod saga;
mod sweep;
mod trace;
