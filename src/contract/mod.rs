//! The contract as data: what `build/` made of `openapi/pcs-api.yaml`.
//!
//! Nothing here is written by hand but the shapes of the tables; a new PCS member is a change of the contract
//! file only.

mod pattern;
mod recorded;

use crate::operations::{Action, Operation};

pub use pattern::Pattern;
use pattern::{Automaton, State};
pub use recorded::Recorded;

/// One operation's entry: where it is found and what it takes.
#[derive(Debug)]
pub struct Route {
    /// Upper-case HTTP method.
    pub method: &'static str,
    /// API Gateway's resource path, templates included: `/v1/clusters/{clusterIdentifier}`.
    pub resource: &'static str,
    /// HTTP status of success.
    pub success: u16,
    /// Whether the operation changes anything (`x-pcs-mutation`).
    pub mutation: bool,
    pub parameters: &'static [Parameter],
    /// The JSON body, which is then required; `None` when the operation takes none.
    pub body: Option<&'static Body>,
    /// What the audit trail may keep of the input: parameters and members of the body in one object.
    pub recorded_input: &'static Recorded,
    /// What it may keep of the JSON that PCS, or the gateway itself, answers with.
    pub recorded_output: &'static Recorded,
}

/// What the contract says of a request's body.
#[derive(Debug)]
pub struct Body {
    pub schema: &'static Schema,
    /// Whether an empty list or map that the body need not have is as if it were not there (`x-pcs-empty`).
    pub empty_is_absent: bool,
    /// Lists and objects, at any depth, that are needed or mean nothing when they are empty (`x-pcs-not-empty`).
    pub not_empty: &'static [&'static str],
    /// Lists, at any depth, that may be empty when they are all that the body changes (`x-pcs-empty-alone`).
    pub empty_alone: &'static [&'static str],
    /// Members, at any depth, that take an id and no name (`x-pcs-ids`).
    pub ids: &'static [&'static str],
    /// Numbers, and which one of the same object none may be above (`x-pcs-at-most`).
    pub at_most: &'static [(&'static str, &'static str)],
    /// Maps, at any depth, and what no key may begin with (`x-pcs-reserved-prefix`).
    pub reserved_prefix: &'static [(&'static str, &'static str)],
}

#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub location: Location,
    pub required: bool,
    pub schema: &'static Schema,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    Path,
    Query,
}

/// The part of JSON Schema that the contract uses. Lengths count characters, as PCS's model does.
#[derive(Debug)]
pub enum Schema {
    String {
        min_length: u32,
        max_length: u32,
        pattern: Option<&'static Pattern>,
        choices: &'static [&'static str],
    },
    Integer {
        minimum: i64,
        maximum: i64,
    },
    Boolean,
    Array {
        items: &'static Schema,
        min_items: u32,
        max_items: u32,
    },
    Map {
        values: &'static Schema,
        min_entries: u32,
        max_entries: u32,
        key_min_length: u32,
        key_max_length: u32,
    },
    Object {
        members: &'static [Member],
    },
}

#[derive(Debug)]
pub struct Member {
    pub name: &'static str,
    pub required: bool,
    pub schema: &'static Schema,
}

impl Schema {
    /// Whether an object of this schema has the member.
    pub fn has_member(&self, name: &str) -> bool {
        match self {
            Schema::Object { members } => members.iter().any(|member| member.name == name),
            Schema::String { .. }
            | Schema::Integer { .. }
            | Schema::Boolean
            | Schema::Array { .. }
            | Schema::Map { .. } => false,
        }
    }
}

impl Route {
    /// Whether a caller may give a `clientToken`: in the body, or as a query parameter where there is no body.
    pub fn takes_client_token(&self) -> bool {
        self.body
            .is_some_and(|body| body.schema.has_member("clientToken"))
            || self
                .parameters
                .iter()
                .any(|parameter| parameter.name == "clientToken")
    }
}

pub use tables::{REGIONS, route};

#[expect(
    clippy::unreadable_literal,
    reason = "generated; nobody reads the numbers here"
)]
mod tables {
    use super::{
        Action, Automaton, Body, Location, Member, Operation, Parameter, Pattern, Recorded, Route, Schema,
        State,
    };

    include!(concat!(env!("OUT_DIR"), "/contract_tables.rs"));
}
