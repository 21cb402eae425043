//! IAM as the PCS API needs it, on the wire: the Query protocol in, IAM's XML out.
//!
//! The gateway decides on what IAM says about a role. On a laptop and in tests something has to say it to
//! the gateway's real IAM client, and to boto3 and the AWS CLI, which check that this speaks as IAM does.
//! It answers only the calls that the gateway makes; every other action is `InvalidAction`.
//!
//! Reading order: [`Seed`] is what an account holds, `state` keeps it, `actions` answer from it,
//! `emulator` puts faults and the call log around that, `server` puts it on a socket.

mod actions;
mod document;
mod emulator;
mod error;
mod fault;
mod query;
mod seed;
mod server;
mod state;
mod validate;
mod xml;

pub use document::Document;
pub use emulator::{Emulator, Options, ReceivedCall, Reply, StartError};
pub use fault::{Effect, Fault};
pub use seed::{InlinePolicy, InstanceProfile, Policy, PolicyVersion, Role, Seed, SeedError, Tag};
