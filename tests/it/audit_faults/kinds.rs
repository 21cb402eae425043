//! One call of each kind that the audit writes rows for.

use serde_json::{Value, json};

use crate::world::{at, event, with_body, with_query};

/// A call that is made under faults.
pub struct Kind {
    pub name: &'static str,
    pub event: Value,
    /// What the caller is told when nothing is wrong with the table.
    pub status: i64,
    pub stages: &'static [&'static str],
}

pub fn read() -> Kind {
    Kind {
        name: "read",
        event: event("list-clusters"),
        status: 200,
        stages: &["0#READ"],
    }
}

pub fn failed_read() -> Kind {
    let event = at(event("get-cluster"), &[("clusterIdentifier", "no-such-cluster")]);
    Kind {
        name: "failed read",
        event,
        status: 404,
        stages: &["0#READ", "9#COMPLETE"],
    }
}

pub fn mutation(arn: &str) -> Kind {
    Kind {
        name: "mutation",
        event: with_query(event("tag-resource"), &[("resourceArn", arn)]),
        status: 204,
        stages: &["0#RECEIVED", "9#COMPLETE"],
    }
}

/// Of a cluster beside the world's own, so that its answer tells an id that nobody knew.
pub fn creation() -> Kind {
    Kind {
        name: "creation",
        event: with_body(
            event("create-cluster"),
            json!({"clusterName": "another-cluster", "clientToken": null}),
        ),
        status: 202,
        stages: &[],
    }
}

pub fn denial() -> Kind {
    let profile = "arn:aws:iam::123456789012:instance-profile/AWSPCS-administrator";
    Kind {
        name: "denial",
        event: with_body(
            event("create-compute-node-group"),
            json!({"iamInstanceProfileArn": profile}),
        ),
        status: 403,
        stages: &["0#RECEIVED", "9#COMPLETE"],
    }
}

/// Refused before anything was read: its only row is a closing one, without which no answer is released.
pub fn refusal() -> Kind {
    Kind {
        name: "refusal",
        event: event("refused-bad-region"),
        status: 400,
        stages: &["9#COMPLETE"],
    }
}
