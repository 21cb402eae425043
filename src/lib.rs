//! PCS API: a REST API in front of AWS Parallel Computing Service in which every call is decided, recorded and
//! answered in words. Read `gateway.rs` first, then in the order of this list; `ARCHITECTURE.md` is the map.

pub mod audit;
pub mod aws;
pub mod config;
pub mod contract;
pub mod denied;
pub mod error;
pub mod gateway;
pub mod guardrails;
pub mod iam;
pub mod lambda;
pub mod log;
pub mod metrics;
pub mod operations;
pub mod pcs;
pub mod principal;
pub mod request;
pub mod router;
pub mod sweep;

mod body;
mod client_token;
mod json;
mod node_iam;
mod parameters;
mod path;
mod tagged;
mod upstream;
mod validate;

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
    text
}
