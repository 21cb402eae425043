//! What is asked of PCS around the making of a role: whether a group can be made in the cluster at all, and whether the
//! one that the request names runs with the role.

use serde_json::{Map, Value};

use super::{Gateway, Passage, node_role::Made, note};
use crate::{
    error::{Error, Sentence},
    guardrails::{self, Permit},
    operations::Action,
    pcs,
    router::Call,
};

/// States of a cluster in which no group can be made, as PCS's documentation has them.
const WITHOUT_GROUPS: [&str; 4] = ["CREATING", "CREATE_FAILED", "DELETING", "DELETE_FAILED"];
/// PCS gives no more in one page.
const PAGE: u32 = 100;
/// More groups than a cluster can have by any quota.
const PAGES_MAX: usize = 20;

/// The compute node group of the request, as far as PCS tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    RunsWithTheRole,
    HasAnother,
    IsNotThere,
    /// PCS denies the read, and does not tell which groups there are.
    Hidden,
}

impl Gateway {
    /// A cluster that PCS does not have, or that can have no group now, or a Region that is not this account's, needs
    /// no role: it would be one more for each try, and in a Region that no sweep can read.
    pub(super) async fn find_cluster(&self, call: &Call, passage: &mut Passage) -> Result<(), Error> {
        let permit = of_the_cluster(call).ok_or(Error::Internal)?;
        let output = match self.read_pcs(&permit, passage).await {
            Ok(output) => output,
            Err(Error::BadGateway(_) | Error::OutOfTime { .. } | Error::Unknown { .. }) => {
                return Err(Error::FactsUnavailable("the cluster"));
            }
            Err(error) => return Err(error),
        };
        let status = output.get("cluster").and_then(|cluster| cluster.get("status"));
        let status = status.and_then(Value::as_str);
        match WITHOUT_GROUPS.into_iter().find(|known| status == Some(known)) {
            None => Ok(()),
            Some(status) => Err(Error::Conflict(Sentence::Ours(format!(
                "the cluster is {status}, so no compute node group can be made in it and no role was made; repeat the \
                 same request when the cluster is ACTIVE"
            )))),
        }
    }

    /// Whether the group that the request names runs with the role already.
    pub(super) async fn group(&self, made: &Made, passage: &mut Passage) -> Result<Group, Error> {
        match self.read_pcs(&made.group, passage).await {
            Ok(output) => {
                let group = output.get("computeNodeGroup");
                let profile = group.and_then(|group| group.get("iamInstanceProfileArn"));
                let ours = profile.and_then(Value::as_str) == Some(&made.permit.role().profile_arn);
                Ok(if ours {
                    Group::RunsWithTheRole
                } else {
                    Group::HasAnother
                })
            }
            // In a Region that is not the account's there is no group.
            Err(Error::NotFound(_) | Error::Validation(_)) => Ok(Group::IsNotThere),
            Err(Error::UpstreamAccessDenied(_)) => Ok(self.look_in_the_list(made, passage).await),
            Err(error) => Err(error),
        }
    }

    /// PCS may deny the read of a group because it does not exist; the list of the cluster's groups tells.
    async fn look_in_the_list(&self, made: &Made, passage: &mut Passage) -> Group {
        let ours = made.group.call().input.get("computeNodeGroupIdentifier");
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let Some(list) = page_of_groups(made.group.call(), next) else {
                return Group::Hidden;
            };
            let Ok(mut output) = self.read_pcs(&list, passage).await else {
                return Group::Hidden;
            };
            let listed = output.get("computeNodeGroups").and_then(Value::as_array);
            let Some(listed) = listed else {
                return Group::Hidden;
            };
            if listed.iter().any(|group| group.get("name") == ours) {
                return Group::Hidden;
            }
            next = output.remove("nextToken").filter(|token| !token.is_null());
            if next.is_none() {
                return Group::IsNotThere;
            }
        }
        Group::Hidden
    }

    async fn read_pcs(&self, permit: &Permit, passage: &mut Passage) -> Result<Map<String, Value>, Error> {
        let deadline = passage.deadline;
        let opened = self.open(passage).await?;
        let answer = pcs::call(&self.clients, permit, opened, None, deadline).await;
        note(&mut passage.entry, permit.action(), answer).map(|answer| answer.output)
    }
}

/// A read of the group that the call names.
pub(super) fn of_the_group(call: &Call) -> Option<Permit> {
    let name = call.input.get("computeNodeGroupName")?;
    let cluster = call.input.get("clusterIdentifier")?;
    let input = Map::from_iter([
        ("clusterIdentifier".to_owned(), cluster.clone()),
        ("computeNodeGroupIdentifier".to_owned(), name.clone()),
    ]);
    guardrails::permit_read(Action::GetComputeNodeGroup, &call.region, input)
}

/// A read of the call's cluster.
fn of_the_cluster(call: &Call) -> Option<Permit> {
    let cluster = call.input.get("clusterIdentifier")?;
    let input = Map::from_iter([("clusterIdentifier".to_owned(), cluster.clone())]);
    guardrails::permit_read(Action::GetCluster, &call.region, input)
}

/// A page of the groups in the call's cluster.
fn page_of_groups(call: &Call, next: Option<Value>) -> Option<Permit> {
    let cluster = call.input.get("clusterIdentifier")?;
    let mut input = Map::from_iter([
        ("clusterIdentifier".to_owned(), cluster.clone()),
        ("maxResults".to_owned(), PAGE.into()),
    ]);
    input.extend(next.map(|token| ("nextToken".to_owned(), token)));
    guardrails::permit_read(Action::ListComputeNodeGroups, &call.region, input)
}
