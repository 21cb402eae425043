//! Whether a state document is one that an emulator of this version can have made.
//!
//! What is loaded is trusted from then on, so it is checked whole before: layout, form of names, and what the
//! parts say of each other. The first fault found is reported with its place.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::context::arn;
use crate::node_groups::group_ids;
use crate::state::{FORMAT, Kind, Region, Resource, World};
use crate::wire::is_region;

impl World {
    /// A world from its document, or what is wrong with that.
    pub(crate) fn read(document: Value) -> Result<World, String> {
        let format = document.get("format").ok_or("it has no `format`")?;
        if format.as_u64() != Some(u64::from(FORMAT)) {
            return Err(format!("its format is {format}, and this version reads {FORMAT}"));
        }
        let world: World = serde_json::from_value(document).map_err(|e| e.to_string())?;
        world.check()?;
        Ok(world)
    }

    fn check(&self) -> Result<(), String> {
        if self.page_key.len() < 32 {
            return Err("`page_key` is too short for a key".to_owned());
        }
        let mut ids = BTreeSet::new();
        for (account, regions) in &self.accounts {
            if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("`{account}` is not an account id"));
            }
            for (name, region) in regions {
                let at = |fault: String| format!("account {account}, Region {name}: {fault}");
                if !is_region(name) {
                    return Err(at(format!("`{name}` is not a Region")));
                }
                for resource in &region.resources {
                    let fault = fault_in(region, resource, account, name);
                    fault.map_or(Ok(()), |fault| Err(at(format!("{}: {fault}", resource.id))))?;
                    if !ids.insert(resource.id.as_str()) {
                        return Err(at(format!("{} is there twice", resource.id)));
                    }
                }
                in_order(region).map_err(at)?;
            }
        }
        Ok(())
    }
}

/// `seq` increases along the list: page tokens continue by it.
fn in_order(region: &Region) -> Result<(), String> {
    let numbers = || region.resources.iter().map(|r| r.seq);
    if !numbers().is_sorted_by(|a, b| a < b) {
        return Err("its resources are not in the order of `seq`".to_owned());
    }
    if numbers().next_back().is_some_and(|last| last >= region.next_seq) {
        return Err("`next_seq` is not past every `seq`".to_owned());
    }
    Ok(())
}

/// What is wrong with one resource, alone or beside the others of its Region.
fn fault_in(region: &Region, resource: &Resource, account: &str, name: &str) -> Option<String> {
    let letters = resource.id.strip_prefix("pcs_").unwrap_or_default();
    if letters.is_empty() || !letters.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Some("is not an id".to_owned());
    }
    let expected = arn(
        resource.kind,
        &resource.id,
        resource.cluster_id.as_deref(),
        name,
        account,
    );
    if resource.arn != expected {
        return Some(format!("its ARN is `{}`, not `{expected}`", resource.arn));
    }
    if resource.status.is_moving() != resource.transition.is_some() {
        let status = resource.status.name();
        return Some(format!(
            "its status {status} and its transition contradict each other"
        ));
    }
    let twin = region
        .of(resource.kind, resource.cluster_id.as_deref())
        .find(|other| other.name == resource.name && other.id != resource.id);
    if let Some(twin) = twin {
        return Some(format!("has the name of {}", twin.id));
    }
    let is_cluster = resource.kind == Kind::Cluster;
    if resource.controller.is_some() != is_cluster || resource.cluster_id.is_none() != is_cluster {
        return Some("exactly a cluster has a controller and no `cluster_id`".to_owned());
    }
    orphan(region, resource)
}

/// A part of a cluster that is not there, or a queue of a group that is not there.
fn orphan(region: &Region, resource: &Resource) -> Option<String> {
    let cluster_id = resource.cluster_id.as_deref()?;
    if !region
        .of(Kind::Cluster, None)
        .any(|cluster| cluster.id == cluster_id)
    {
        return Some(format!("its cluster {cluster_id} is not there"));
    }
    let mut used = resource.may_have().flat_map(group_ids);
    let lost = used.find(|id| {
        let mut groups = region.of(Kind::ComputeNodeGroup, Some(cluster_id));
        !groups.any(|group| group.id == *id)
    });
    lost.map(|id| format!("its compute node group {id} is not there"))
}
