//! The sweep's own reads of PCS, and what a read that failed means.

use std::time::Duration;

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
    upstream,
};

/// Callers share PCS's limits with the sweep.
const READ_AT_A_TIME: usize = 8;
/// How long one thing is waited for, with every page and attempt. Half a run at least is the Regions', 13 seconds: three
/// that do not answer, a list of clusters, one of groups and a group, fit in, so each run gets past something.
const WAITED_FOR: Duration = Duration::from_secs(4);

/// Why something was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// There was no time left; it is read by the next run.
    OutOfTime,
    /// The account has not enabled the Region, or its organization closes it.
    OutOfReach,
    /// PCS lets the function see nothing of the Region.
    Denied,
    /// PCS refuses this one thing, which may be gone.
    Refused,
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
        let output = self.one(Action::GetComputeNodeGroup, input, self.by()).await;
        (group, output)
    }

    /// Every page of a list.
    async fn ids(self, action: Action, name: &str, input: Map<String, Value>) -> Result<Vec<String>, Unread> {
        let by = self.by();
        let mut ids = Vec::new();
        let mut token = None;
        loop {
            let mut input = input.clone();
            input.insert("maxResults".to_owned(), json!(100));
            input.extend(
                token
                    .clone()
                    .map(|token: String| ("nextToken".to_owned(), token.into())),
            );
            let page = self.one(action, input, by).await;
            let mut page = page.map_err(|unread| if token.is_some() { later(unread) } else { unread })?;
            let Some(Value::Array(items)) = page.remove(name) else {
                return Err(Unread::Failed);
            };
            for item in items {
                let id = item.get("id").and_then(Value::as_str).ok_or(Unread::Failed)?;
                ids.push(id.to_owned());
            }
            match page.remove("nextToken") {
                // The next page would be this one again, and again.
                Some(Value::String(next)) if token.as_ref() == Some(&next) => return Err(Unread::Failed),
                Some(Value::String(next)) if !next.is_empty() => token = Some(next),
                _ => break,
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Until when something that is asked for now is waited for.
    fn by(&self) -> Instant {
        self.deadline.min(Instant::now() + WAITED_FOR)
    }

    async fn one(self, action: Action, input: Map<String, Value>, by: Instant) -> Output {
        let permit = guardrails::permit_read(action, self.region, input).ok_or(Unread::Failed)?;
        let answer = pcs::call(&self.gateway.clients, &permit, self.opened, None, by).await;
        answer.map(|answer| answer.output).map_err(|failure| {
            let unread = self.unread(action, &failure);
            if matches!(unread, Unread::Failed | Unread::Denied | Unread::Refused) {
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
        let is_first_look = action == Action::ListClusters;
        match failure {
            Failure::OutOfTime { .. } if Instant::now() >= self.deadline => Unread::OutOfTime,
            Failure::RegionNotEnabled { .. } if is_first_look => Unread::OutOfReach,
            Failure::Service { code, message, .. } if upstream::is_denial(code) => {
                if !is_first_look {
                    Unread::Refused
                } else if is_closed_by_organization(message) && !is_own {
                    Unread::OutOfReach
                } else {
                    Unread::Denied
                }
            }
            Failure::Service { code, .. } if code == "ResourceNotFoundException" => Unread::Refused,
            Failure::Service { .. }
            | Failure::RegionNotEnabled { .. }
            | Failure::Garbage { .. }
            | Failure::Unreachable
            | Failure::Unanswered { .. }
            | Failure::OutOfTime { .. } => Unread::Failed,
        }
    }

    /// Whether the group was deleted since it was listed. Lists are a moment old when their items are read, and PCS
    /// refuses ids that it does not have as it refuses those that may not be seen. Only what was refused is asked about: a
    /// call that PCS did not answer would not be answered now either.
    pub async fn is_gone(self, cluster: &str, group: Option<&str>) -> bool {
        if let Ok(groups) = self.groups(cluster).await {
            return group.is_some_and(|group| !groups.iter().any(|id| id == group));
        }
        let clusters = self.clusters().await;
        clusters.is_ok_and(|clusters| !clusters.iter().any(|id| id == cluster))
    }
}

/// What a failure of a later page means: the first one was shown, so the Region is in reach and lets itself be seen.
fn later(unread: Unread) -> Unread {
    match unread {
        Unread::OutOfTime => Unread::OutOfTime,
        Unread::OutOfReach | Unread::Denied | Unread::Refused | Unread::Failed => Unread::Failed,
    }
}

/// Whether a service control policy denies it, to everybody in the account (IAM User Guide, "Troubleshoot access denied
/// error messages": "... with an explicit deny in a service control policy"). An organization that keeps its accounts
/// out of Regions does it so. A policy that merely does not allow it ("because no service control policy allows ...")
/// reads otherwise.
fn is_closed_by_organization(message: &str) -> bool {
    message.contains("with an explicit deny in a service control policy")
}
