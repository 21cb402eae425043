//! What the emulator remembers: plain data, serialisable, no behaviour of PCS.
//!
//! The fields every resource has are typed; the rest of a resource is kept as the JSON members the caller
//! sent, so that a new member of PCS's model is stored and returned without code.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock::{Nanos, iso8601};

/// Everything that survives a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct World {
    /// Version of this layout; a file of another version is refused.
    pub(crate) format: u32,
    /// How far tests have moved the clock ahead of the system's, in nanoseconds.
    pub(crate) clock_offset: Nanos,
    /// Key of the page tokens, hexadecimal.
    pub(crate) page_key: String,
    /// Account id -> Region name -> state.
    pub(crate) accounts: BTreeMap<String, BTreeMap<String, Region>>,
}

/// The layout this version reads and writes.
pub(crate) const FORMAT: u32 = 2;

impl World {
    pub(crate) fn new() -> World {
        World {
            format: FORMAT,
            clock_offset: 0,
            page_key: format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
            accounts: BTreeMap::new(),
        }
    }

    /// One Region's state in place, if anything was ever done there.
    pub(crate) fn region_mut(&mut self, account: &str, region: &str) -> Option<&mut Region> {
        self.accounts.get_mut(account)?.get_mut(region)
    }

    /// A copy of one Region's state to work on; empty when nothing was ever done there.
    pub(crate) fn region(&self, account: &str, region: &str) -> Region {
        self.accounts
            .get(account)
            .and_then(|regions| regions.get(region))
            .cloned()
            .unwrap_or_default()
    }

    /// Puts a Region's state back, returning what it replaces.
    pub(crate) fn put_region(&mut self, account: &str, name: &str, region: Region) -> Option<Region> {
        self.accounts
            .entry(account.to_owned())
            .or_default()
            .insert(name.to_owned(), region)
    }
}

/// One account's PCS in one Region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Region {
    /// In order of creation. INVARIANT: `seq` increases along the list.
    pub(crate) resources: Vec<Resource>,
    pub(crate) next_seq: u64,
    /// Resources that are gone, oldest first.
    pub(crate) deleted: VecDeque<Gone>,
    /// `Action/token` -> the original call.
    pub(crate) client_tokens: BTreeMap<String, Replay>,
    /// Instances that registered, by cluster id and bootstrap id (`pcs_x/bootstrap`).
    pub(crate) instances: BTreeMap<String, Instance>,
}

/// What is left of a resource that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gone {
    pub(crate) id: String,
    pub(crate) kind: Kind,
}

/// The original call under a client token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Replay {
    /// SHA-256 of the parameters, hexadecimal.
    pub(crate) parameters: String,
    /// JSON text, which is cheaper to copy with the Region than a tree.
    pub(crate) answer: String,
    pub(crate) at: Nanos,
}

/// An instance that registered with a compute node group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) node_group_id: String,
    /// Counts from 1 within the group; part of the node's name.
    pub(crate) number: u32,
}

/// The three kinds of PCS resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Cluster,
    ComputeNodeGroup,
    Queue,
}

impl Kind {
    /// The word in the resource's ARN.
    pub(crate) fn arn_word(self) -> &'static str {
        match self {
            Kind::Cluster => "cluster",
            Kind::ComputeNodeGroup => "computenodegroup",
            Kind::Queue => "queue",
        }
    }

    /// The name of the structure in PCS's model.
    pub(crate) fn model_word(self) -> &'static str {
        match self {
            Kind::Cluster => "Cluster",
            Kind::ComputeNodeGroup => "ComputeNodeGroup",
            Kind::Queue => "Queue",
        }
    }

    /// The member that holds one such resource in an answer.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Kind::Cluster => "cluster",
            Kind::ComputeNodeGroup => "computeNodeGroup",
            Kind::Queue => "queue",
        }
    }

    /// The member that holds a list of them.
    pub(crate) fn list_member(self) -> &'static str {
        match self {
            Kind::Cluster => "clusters",
            Kind::ComputeNodeGroup => "computeNodeGroups",
            Kind::Queue => "queues",
        }
    }

    /// For messages to people.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Kind::Cluster => "cluster",
            Kind::ComputeNodeGroup => "compute node group",
            Kind::Queue => "queue",
        }
    }
}

/// A provisioning status, spelled on the wire and on disk as PCS spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Creating,
    Active,
    Updating,
    Deleting,
    CreateFailed,
    UpdateFailed,
    DeleteFailed,
    Suspending,
    Suspended,
    Resuming,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Creating => "CREATING",
            Status::Active => "ACTIVE",
            Status::Updating => "UPDATING",
            Status::Deleting => "DELETING",
            Status::CreateFailed => "CREATE_FAILED",
            Status::UpdateFailed => "UPDATE_FAILED",
            Status::DeleteFailed => "DELETE_FAILED",
            Status::Suspending => "SUSPENDING",
            Status::Suspended => "SUSPENDED",
            Status::Resuming => "RESUMING",
        }
    }

    /// Whether there is something to suspend: it is up, or was before an update of it.
    pub(crate) fn can_be_suspended(self) -> bool {
        match self {
            Status::Active | Status::Updating | Status::UpdateFailed | Status::Resuming => true,
            Status::Creating
            | Status::Deleting
            | Status::CreateFailed
            | Status::DeleteFailed
            | Status::Suspending
            | Status::Suspended => false,
        }
    }

    /// Whether an operation on the resource is still under way.
    pub(crate) fn is_moving(self) -> bool {
        match self {
            Status::Creating
            | Status::Updating
            | Status::Deleting
            | Status::Suspending
            | Status::Resuming => true,
            Status::Active
            | Status::CreateFailed
            | Status::UpdateFailed
            | Status::DeleteFailed
            | Status::Suspended => false,
        }
    }
}

/// What went wrong with a resource: `errorInfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorInfo {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// A status that will end by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Transition {
    pub(crate) ends_at: Nanos,
    pub(crate) then: Outcome,
    /// The members before an update, put back when it fails.
    pub(crate) previous: Option<Map<String, Value>>,
}

/// How a transition ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Becomes(Status),
    Gone,
    Fails(Status, ErrorInfo),
}

/// A cluster, compute node group or queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arn: String,
    /// `None` for a cluster.
    pub(crate) cluster_id: Option<String>,
    pub(crate) seq: u64,
    pub(crate) created_at: Nanos,
    pub(crate) modified_at: Nanos,
    pub(crate) status: Status,
    pub(crate) transition: Option<Transition>,
    pub(crate) error_info: Option<ErrorInfo>,
    /// Ordered by a test: the next transition fails with this.
    pub(crate) next_failure: Option<ErrorInfo>,
    pub(crate) tags: BTreeMap<String, String>,
    /// The other wire members, as the caller set them.
    pub(crate) members: Map<String, Value>,
    /// `Some` for a cluster.
    pub(crate) controller: Option<Controller>,
}

/// What PCS makes for a cluster: its controller's address and secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Controller {
    /// False until the cluster was ACTIVE once: nothing of it is shown before.
    pub(crate) ready: bool,
    pub(crate) ipv4: String,
    pub(crate) ipv6: String,
    pub(crate) shared_secret: String,
    pub(crate) auth_key: Secret,
    pub(crate) jwt_key: Secret,
}

/// A secret in Secrets Manager.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Secret {
    pub(crate) arn: String,
    pub(crate) version: String,
}

impl Resource {
    /// The members every answer shows, lists included.
    pub(crate) fn summary(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("name".to_owned(), json!(self.name));
        shown.insert("id".to_owned(), json!(self.id));
        shown.insert("arn".to_owned(), json!(self.arn));
        if let Some(cluster_id) = &self.cluster_id {
            shown.insert("clusterId".to_owned(), json!(cluster_id));
        }
        shown.insert("createdAt".to_owned(), json!(iso8601(self.created_at)));
        shown.insert("modifiedAt".to_owned(), json!(iso8601(self.modified_at)));
        shown.insert("status".to_owned(), json!(self.status.name()));
        shown
    }

    /// The whole resource as Create, Get and Update answer it: members never set are left out.
    pub(crate) fn detail(&self) -> Map<String, Value> {
        let mut shown = self.members.clone();
        shown.append(&mut self.summary());
        if let Some(error) = &self.error_info {
            shown.insert(
                "errorInfo".to_owned(),
                json!([{"code": error.code, "message": error.message}]),
            );
        }
        shown
    }

    /// The members it has, and those it has again if the update under way fails.
    pub(crate) fn may_have(&self) -> impl Iterator<Item = &Map<String, Value>> {
        let previous = self.transition.as_ref().and_then(|t| t.previous.as_ref());
        std::iter::once(&self.members).chain(previous)
    }

    /// A string member inside the resource, by its path of names.
    pub(crate) fn text_at(&self, path: &[&str]) -> Option<&str> {
        text_at(&self.members, path)
    }
}

/// The string at a path of member names.
pub(crate) fn text_at<'a>(members: &'a Map<String, Value>, path: &[&str]) -> Option<&'a str> {
    value_at(members, path)?.as_str()
}

/// The value at a path of member names.
pub(crate) fn value_at<'a>(members: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(members.get(*first)?, |value, name| value.get(*name))
}

impl Region {
    pub(crate) fn by_id_mut(&mut self, id: &str) -> Option<&mut Resource> {
        self.resources.iter_mut().find(|r| r.id == id)
    }

    pub(crate) fn by_arn(&self, arn: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.arn == arn)
    }

    /// Resources of one kind, in order of creation; `cluster_id` is `None` for clusters themselves.
    pub(crate) fn of<'a>(
        &'a self,
        kind: Kind,
        cluster_id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Resource> + 'a {
        self.resources
            .iter()
            .filter(move |r| r.kind == kind && r.cluster_id.as_deref() == cluster_id)
    }

    /// The compute node groups and queues of a cluster.
    pub(crate) fn children<'a>(&'a self, cluster_id: &'a str) -> impl Iterator<Item = &'a Resource> + 'a {
        self.resources
            .iter()
            .filter(move |r| r.cluster_id.as_deref() == Some(cluster_id))
    }
}
