//! The sweep's own reads of PCS, and what a read that failed means.

use futures_util::{
    FutureExt,
    stream::{self, BoxStream, StreamExt},
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    audit::Opened,
    denied::Lack,
    gateway::Gateway,
    guardrails,
    operations::Action,
    pcs::{self, Failure},
};

/// Callers share PCS's limits with the sweep.
const READ_AT_A_TIME: usize = 8;

/// Why something was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// There was no time left; it is read by the next run.
    OutOfTime,
    /// The account has not enabled the Region, or its organization closes it.
    OutOfReach,
    /// PCS lets the function see nothing of the Region.
    Denied,
    Failed,
}

/// What PCS answered.
pub(super) type Output = Result<Map<String, Value>, Unread>;

/// Reads of one Region.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reads<'a> {
    pub gateway: &'a Gateway,
    pub region: &'a str,
    pub opened: &'a Opened,
    pub deadline: Instant,
}

impl<'a> Reads<'a> {
    /// Ids of the Region's clusters, in their order.
    pub async fn clusters(self) -> Result<Vec<String>, Unread> {
        self.ids(Action::ListClusters, "clusters", Map::new()).await
    }

    /// Ids of a cluster's compute node groups, in their order.
    pub async fn groups(self, cluster: &str) -> Result<Vec<String>, Unread> {
        let input = Map::from_iter([("clusterIdentifier".to_owned(), cluster.into())]);
        self.ids(Action::ListComputeNodeGroups, "computeNodeGroups", input)
            .await
    }

    /// The answers for these groups, in their order.
    pub fn each(self, cluster: &'a str, groups: Vec<String>) -> BoxStream<'a, (String, Output)> {
        stream::iter(groups)
            .map(move |group| self.group(cluster, group).boxed())
            .buffered(READ_AT_A_TIME)
            .boxed()
    }

    async fn group(self, cluster: &str, group: String) -> (String, Output) {
        let input = Map::from_iter([
            ("clusterIdentifier".to_owned(), cluster.into()),
            ("computeNodeGroupIdentifier".to_owned(), group.as_str().into()),
        ]);
        let output = self.one(Action::GetComputeNodeGroup, input).await;
        (group, output)
    }

    /// Every page of a list.
    async fn ids(
        self,
        action: Action,
        name: &str,
        mut input: Map<String, Value>,
    ) -> Result<Vec<String>, Unread> {
        let mut ids = Vec::new();
        input.insert("maxResults".to_owned(), json!(100));
        loop {
            let mut page = self.one(action, input.clone()).await?;
            let Some(Value::Array(items)) = page.remove(name) else {
                return Err(Unread::Failed);
            };
            for item in items {
                let id = item.get("id").and_then(Value::as_str).ok_or(Unread::Failed)?;
                ids.push(id.to_owned());
            }
            match page.remove("nextToken") {
                Some(token @ Value::String(_)) => input.insert("nextToken".to_owned(), token),
                _ => break,
            };
        }
        ids.sort_unstable();
        Ok(ids)
    }

    async fn one(self, action: Action, input: Map<String, Value>) -> Output {
        let permit = guardrails::permit_read(action, self.region, input).ok_or(Unread::Failed)?;
        let answer = pcs::call(&self.gateway.clients, &permit, self.opened, None, self.deadline).await;
        answer.map(|answer| answer.output).map_err(|failure| {
            let unread = self.unread(action, &failure);
            if matches!(unread, Unread::Failed | Unread::Denied) {
                let (action, code, lack) = (action.name(), failure.code(), failure.lack());
                let permission = lack.as_ref().map(Lack::permission);
                tracing::warn!(region = self.region, action, code, permission, "SWEEP_UNREAD");
            }
            unread
        })
    }

    /// Only the first look at a Region says something of the whole of it.
    fn unread(&self, action: Action, failure: &Failure) -> Unread {
        let is_own = self.region == self.gateway.config.regions.default;
        match failure {
            Failure::OutOfTime { .. } if Instant::now() >= self.deadline => Unread::OutOfTime,
            Failure::RegionNotEnabled { .. } if action == Action::ListClusters => Unread::OutOfReach,
            Failure::Service { code, message, .. }
                if action == Action::ListClusters && code == "AccessDeniedException" =>
            {
                if is_closed_by_organization(message) && !is_own {
                    Unread::OutOfReach
                } else {
                    Unread::Denied
                }
            }
            Failure::Service { .. }
            | Failure::RegionNotEnabled { .. }
            | Failure::Garbage { .. }
            | Failure::Unreachable
            | Failure::Unanswered { .. }
            | Failure::OutOfTime { .. } => Unread::Failed,
        }
    }

    /// Whether the group was deleted since it was listed. Lists are a moment old when their items are read, and PCS
    /// refuses ids that it does not have as it refuses those that may not be seen.
    pub async fn is_gone(self, cluster: &str, group: Option<&str>) -> bool {
        if let Ok(groups) = self.groups(cluster).await {
            return group.is_some_and(|group| !groups.iter().any(|id| id == group));
        }
        let clusters = self.clusters().await;
        clusters.is_ok_and(|clusters| !clusters.iter().any(|id| id == cluster))
    }
}

/// Whether a service control policy denies it, to everybody in the account (IAM User Guide, "Troubleshoot access denied
/// error messages": "... with an explicit deny in a service control policy"). An organization that keeps its accounts
/// out of Regions does it so. A policy that merely does not allow it ("because no service control policy allows ...")
/// reads otherwise.
fn is_closed_by_organization(message: &str) -> bool {
    message.contains("with an explicit deny in a service control policy")
}
