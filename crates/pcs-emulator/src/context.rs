//! What every operation needs to know of its call, and how it finds and makes resources.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Nanos;
use crate::error::{Error, Subject};
use crate::lifecycle::{self, Change};
use crate::model::Model;
use crate::options::{DeletedIds, Options, UnknownIds, UnknownNames};
use crate::state::{Controller, ErrorInfo, Kind, Region, Resource, Status};

/// One call, as an operation sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) options: &'a Options,
    pub(crate) model: &'a Model,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) now: Nanos,
    /// Ordered by a test: the transition this call starts fails with this.
    pub(crate) failure: Option<&'a ErrorInfo>,
}

/// A resource about to be created.
pub(crate) struct Draft {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) cluster_id: Option<String>,
    pub(crate) members: Map<String, Value>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) controller: Option<Controller>,
}

impl<'a> Context<'a> {
    /// The same call, whose transition fails with this, unless a test ordered another failure.
    pub(crate) fn failing<'b>(&self, failure: Option<&'b ErrorInfo>) -> Context<'b>
    where
        'a: 'b,
    {
        Context {
            failure: self.failure.or(failure),
            ..*self
        }
    }

    /// The cluster an identifier names in this account and Region.
    pub(crate) fn cluster<'r>(
        &self,
        region: &'r Region,
        input: &Map<String, Value>,
    ) -> Result<&'r Resource, Error> {
        self.find(region, Kind::Cluster, None, text(input, "clusterIdentifier"))
    }

    /// A compute node group or queue of `cluster`.
    pub(crate) fn child<'r>(
        &self,
        region: &'r Region,
        cluster: &Resource,
        kind: Kind,
        identifier: &str,
    ) -> Result<&'r Resource, Error> {
        self.find(region, kind, Some(&cluster.id), identifier)
    }

    /// Ids start with `pcs_` and names cannot, so the prefix alone tells which one an identifier is.
    fn find<'r>(
        &self,
        region: &'r Region,
        kind: Kind,
        cluster_id: Option<&str>,
        identifier: &str,
    ) -> Result<&'r Resource, Error> {
        let is_id = identifier.starts_with("pcs_");
        let found = region.resources.iter().find(|r| {
            r.kind == kind
                && r.cluster_id.as_deref() == cluster_id
                && (if is_id { &r.id } else { &r.name }) == identifier
        });
        found.ok_or_else(|| self.absent(region, kind, identifier, is_id))
    }

    fn absent(&self, region: &Region, kind: Kind, identifier: &str, is_id: bool) -> Error {
        let was_here = region
            .deleted
            .iter()
            .any(|gone| gone.id == identifier && gone.kind == kind)
            && match self.options.deleted_ids {
                DeletedIds::NotFound => true,
                DeletedIds::AsUnknown => false,
            };
        let denied = if is_id {
            !was_here
                && match self.options.unknown_ids {
                    UnknownIds::ClusterDenied => kind == Kind::Cluster,
                    UnknownIds::Denied => true,
                    UnknownIds::NotFound => false,
                }
        } else {
            match self.options.unknown_names {
                UnknownNames::NotFound => false,
                UnknownNames::Denied => true,
            }
        };
        if denied {
            let noun = kind.noun();
            return Error::AccessDenied(format!(
                "Access denied: the account has no {noun} {identifier}, or it belongs to another account"
            ));
        }
        not_found(kind, identifier)
    }

    /// A new id: `pcs_` and ten lower-case letters or digits.
    pub(crate) fn new_id() -> String {
        const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let random = Uuid::new_v4().as_u128();
        let letter = |place: u32| {
            let index = usize::try_from((random / 36_u128.pow(place)) % 36).unwrap_or_default();
            char::from(LETTERS.get(index).copied().unwrap_or(b'a'))
        };
        std::iter::once("pcs_".to_owned())
            .chain((0..10).map(|place| letter(place).to_string()))
            .collect()
    }

    /// The partition of the call's Region.
    pub(crate) fn partition(&self) -> &'static str {
        partition(self.region)
    }

    /// Adds a resource in CREATING and returns it.
    pub(crate) fn create(&self, region: &mut Region, draft: Draft) -> Resource {
        let mut resource = Resource {
            kind: draft.kind,
            arn: arn(
                draft.kind,
                &draft.id,
                draft.cluster_id.as_deref(),
                self.region,
                self.account,
            ),
            id: draft.id,
            name: draft.name,
            cluster_id: draft.cluster_id,
            seq: region.next_seq,
            created_at: self.now,
            modified_at: self.now,
            status: Status::Creating,
            transition: None,
            error_info: None,
            next_failure: None,
            tags: draft.tags,
            members: draft.members,
            controller: draft.controller,
        };
        region.next_seq += 1;
        self.begin(&mut resource, Change::Create);
        region.resources.push(resource.clone());
        resource
    }

    /// Starts a change of a resource; `modifiedAt` is the time of the call.
    pub(crate) fn begin(&self, resource: &mut Resource, change: Change) {
        if let Some(failure) = self.failure {
            resource.next_failure = Some(failure.clone());
        }
        resource.modified_at = self.now;
        lifecycle::begin(resource, change, self.now, self.options.transition);
    }

    /// Replaces a resource's members and puts it into UPDATING; returns it as it now is.
    pub(crate) fn update(
        &self,
        region: &mut Region,
        id: &str,
        members: Map<String, Value>,
    ) -> Result<Resource, Error> {
        self.replace(region, id, members, Change::Update)
    }

    /// Replaces a resource's members and starts the change that is made of the old ones.
    pub(crate) fn replace(
        &self,
        region: &mut Region,
        id: &str,
        members: Map<String, Value>,
        change: impl FnOnce(Map<String, Value>) -> Change,
    ) -> Result<Resource, Error> {
        let resource = region
            .by_id_mut(id)
            .ok_or_else(|| Error::Internal(format!("lost {id}")))?;
        let previous = std::mem::replace(&mut resource.members, members);
        self.begin(resource, change(previous));
        Ok(resource.clone())
    }

    /// Puts a resource into DELETING.
    pub(crate) fn delete(&self, region: &mut Region, id: &str) -> Result<(), Error> {
        let resource = region
            .by_id_mut(id)
            .ok_or_else(|| Error::Internal(format!("lost {id}")))?;
        self.begin(resource, Change::Delete);
        Ok(())
    }
}

/// `arn:aws:pcs:R:A:cluster/pcs_x`, with `/computenodegroup/pcs_y` or `/queue/pcs_z` for a child.
pub(crate) fn arn(kind: Kind, id: &str, cluster_id: Option<&str>, region: &str, account: &str) -> String {
    let path = match cluster_id {
        Some(cluster_id) => format!("cluster/{cluster_id}/{}/{id}", kind.arn_word()),
        None => format!("{}/{id}", kind.arn_word()),
    };
    format!("arn:{}:pcs:{region}:{account}:{path}", partition(region))
}

/// The partition of a Region, by the Region names AWS publishes per partition.
fn partition(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-iso-", "aws-iso"),
        ("eusc-", "aws-eusc"),
    ];
    let known = PARTITIONS
        .into_iter()
        .find(|(prefix, _)| region.starts_with(prefix));
    known.map_or("aws", |(_, partition)| partition)
}

/// `ResourceNotFoundException` for an identifier.
pub(crate) fn not_found(kind: Kind, identifier: &str) -> Error {
    Error::NotFound {
        message: format!("The {} {identifier} was not found", kind.noun()),
        subject: Subject {
            kind,
            id: identifier.to_owned(),
        },
    }
}

/// `ConflictException` about a resource.
pub(crate) fn conflict(resource: &Resource, message: String) -> Error {
    Error::Conflict {
        message,
        subject: Subject::from(resource),
    }
}

/// Refuses unless the resource is in one of `allowed`; the message names the status it is in.
pub(crate) fn require_status(resource: &Resource, allowed: &[Status], to: &str) -> Result<(), Error> {
    if allowed.contains(&resource.status) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(|s| s.name()).collect();
    Err(conflict(
        resource,
        format!(
            "The {} {} ({}) is in {} status; to {to}, it must be in {} status",
            resource.kind.noun(),
            resource.name,
            resource.id,
            resource.status.name(),
            names.join(" or "),
        ),
    ))
}

/// Refuses while an operation on the resource is under way.
pub(crate) fn require_settled(resource: &Resource) -> Result<(), Error> {
    if !resource.status.is_moving() {
        return Ok(());
    }
    Err(conflict(
        resource,
        format!(
            "Another operation on the {} {} ({}) is in progress: it is in {} status",
            resource.kind.noun(),
            resource.name,
            resource.id,
            resource.status.name(),
        ),
    ))
}

/// A required string member; the shape has been checked before, so an absent one reads as empty.
pub(crate) fn text<'a>(input: &'a Map<String, Value>, name: &str) -> &'a str {
    input.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The `tags` of a create request.
pub(crate) fn tags_of(input: &Map<String, Value>) -> BTreeMap<String, String> {
    let given = input.get("tags").and_then(Value::as_object);
    let pairs = given.into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The members of a create request that the resource keeps: all but those that name things or travel
/// beside it.
pub(crate) fn kept_members(input: &Map<String, Value>, not_kept: &[&str]) -> Map<String, Value> {
    const NEVER: [&str; 5] = [
        "clientToken",
        "tags",
        "clusterIdentifier",
        "computeNodeGroupIdentifier",
        "queueIdentifier",
    ];
    let kept = input.iter().filter(|(name, _)| {
        let name = name.as_str();
        !NEVER.contains(&name) && !not_kept.contains(&name)
    });
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
