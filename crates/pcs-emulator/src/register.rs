//! `RegisterComputeNodeGroupInstance`: what a node's PCS agent calls. PCS models only `InternalServer` and
//! `AccessDenied` for it, so whatever is missing is an `AccessDenied`.
//!
//! Real PCS knows the caller's EC2 instance and so its group. Here a bootstrap id that contains a group's
//! id chooses that group; any other goes to the cluster's first ACTIVE one.

use serde_json::{Map, Value, json};

use crate::clusters;
use crate::context::{Context, text};
use crate::error::Error;
use crate::state::{Instance, Kind, Region, Resource, Status};

/// Instances of the largest cluster: a group cannot have more (User Guide, service-endpoints-quotas).
const INSTANCES_MAX: u32 = 2048;

pub(crate) fn register(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let bootstrap_id = text(input, "bootstrapId");
    let cluster = cx.cluster(region, input).map_err(|_| denied())?.clone();
    let Some(controller) = cluster
        .controller
        .as_ref()
        .filter(|_| cluster.status == Status::Active)
    else {
        return Err(denied());
    };
    let key = format!("{}/{bootstrap_id}", cluster.id);
    let known = region
        .instances
        .get(&key)
        .map(|instance| instance.node_group_id.clone());
    let group = group_for(region, &cluster, bootstrap_id, known.as_deref())
        .ok_or_else(denied)?
        .clone();
    // The bootstrap id is "the client-generated token to allow for retries": the same one, the same node.
    let number = match region.instances.get(&key) {
        Some(instance) => instance.number,
        None => next_number(region, &group.id),
    };
    region.instances.insert(
        key,
        Instance {
            node_group_id: group.id.clone(),
            number,
        },
    );
    forget_oldest(region, &group.id);
    let mut answer = json!({
        "nodeID": format!("{}-{number}", group.name),
        "sharedSecret": controller.shared_secret,
        "endpoints": clusters::endpoints(&cluster, controller),
        "clusterName": cluster.name,
        "computeNodeGroupId": group.id,
        "computeNodeGroupName": group.name,
        "schedulerVersion": cluster.text_at(&["scheduler", "version"]),
    });
    if let Some(answer) = answer.as_object_mut() {
        for name in ["nodeLifecycleActions", "instanceHealthChecks"] {
            let configured = group.members.get(name);
            answer.extend(configured.map(|value| (name.to_owned(), value.clone())));
        }
    }
    Ok(answer)
}

fn group_for<'r>(
    region: &'r Region,
    cluster: &'r Resource,
    bootstrap_id: &str,
    known: Option<&str>,
) -> Option<&'r Resource> {
    let mut active = region
        .of(Kind::ComputeNodeGroup, Some(&cluster.id))
        .filter(|g| g.status == Status::Active);
    if let Some(known) = known {
        return active.find(|g| g.id == known);
    }
    let active: Vec<&Resource> = active.collect();
    let named = active.iter().find(|g| bootstrap_id.contains(&g.id));
    named.or_else(|| active.first()).copied()
}

/// Forgets the instances of a group that registered first, once there are more than PCS can run.
fn forget_oldest(region: &mut Region, group_id: &str) {
    let newest = next_number(region, group_id).saturating_sub(1);
    let oldest = newest.saturating_sub(INSTANCES_MAX);
    region
        .instances
        .retain(|_, i| i.node_group_id != group_id || i.number > oldest);
}

fn next_number(region: &Region, group_id: &str) -> u32 {
    let taken = region
        .instances
        .values()
        .filter(|i| i.node_group_id == group_id)
        .map(|i| i.number);
    taken.max().unwrap_or(0).saturating_add(1)
}

fn denied() -> Error {
    Error::AccessDenied(
        "Access denied: the cluster or its compute node group isn't ACTIVE, or the EC2 instance isn't present"
            .to_owned(),
    )
}
