//! IAM as the PCS API needs it, on the wire: the Query protocol in, IAM's XML out.
//!
//! The gateway decides on what IAM says about a role, and makes roles of its own. On a laptop and in tests
//! something has to answer the gateway's real IAM client, and boto3 and the AWS CLI, which check that this
//! speaks as IAM does. It answers only the calls that the gateway and its tests make; every other action is
//! `InvalidAction`.
//!
//! Reading order: [`Seed`] is what an account holds, `state` keeps it, `action` names the calls, `actions`
//! answer them, `emulator` puts faults and the call log around that, `control` lets tests in other languages
//! at it, `server` puts it on a socket.

mod action;
mod actions;
mod aws_managed;
mod control;
mod document;
mod emulator;
mod error;
mod fault;
mod grammar;
mod query;
mod quotas;
mod seed;
mod server;
mod state;
mod store;
mod tags;
mod validate;
mod xml;

pub use document::Document;
pub use emulator::{Emulator, Options, ReceivedCall, Reply, StartError};
pub use fault::{Effect, Fault};
pub use quotas::Quotas;
pub use seed::{InlinePolicy, InstanceProfile, Policy, PolicyVersion, Role, Seed, SeedError, Tag};
