//! Removes roles and profiles that a group no longer needs, or that a call could not take back.

use std::collections::BTreeSet;

use futures_util::{
    FutureExt,
    stream::{self, StreamExt},
};
use tokio::time::timeout_at;

use super::{
    Run,
    groups::profile_of,
    reach::{Reads, Unread},
};
use crate::{
    audit::{progress::Part, record::Step},
    guardrails::node_role::{self, Candidate},
    iam::{
        facts::{attached, inline_names},
        own,
        roles::Roles,
    },
};

/// Each reads the compute node groups of its Region.
const REGIONS_AT_A_TIME: usize = 4;
const CANDIDATES_AT_A_TIME: usize = 4;
/// Runs in which all groups could not be read in time; more would not do it either.
const TRIES: u32 = 3;
/// Name among what could not be read.
const IAM: &str = "iam";

impl Run<'_> {
    /// Looks for unused roles, once all groups have been checked.
    pub(super) async fn remove_unused(&mut self) {
        if self.progress.memory.round.part != Part::Removing || self.is_out_of_time() {
            return;
        }
        self.progress.memory.round.removals += 1;
        let looked = if self.gateway.config.policy.iam_admin_access {
            self.look_for_unused().await
        } else {
            Ok(())
        };
        let round = &mut self.progress.memory.round;
        match looked {
            Err(Unread::OutOfTime) if round.removals < TRIES => return,
            Err(_) => {
                round.unread.insert(IAM.to_owned());
            }
            Ok(()) => {}
        }
        round.part = Part::Over;
    }

    async fn look_for_unused(&mut self) -> Result<(), Unread> {
        let iam = self.gateway.clients.iam();
        let before = self.now.as_second() - node_role::ORPHANED_AFTER_SECONDS;
        let names = timeout_at(self.deadline, Box::pin(own::names(iam, before))).await;
        let names = names
            .map_err(|_| Unread::OutOfTime)?
            .map_err(|_| Unread::Failed)?;
        if names.is_empty() {
            return Ok(());
        }
        // Right before: what a group did not use an hour ago it may use now.
        let used = self.used().await;
        let policy = &self.gateway.config.policy;
        let unused = names
            .into_iter()
            .filter(|name| !used.profiles.contains(&node_role::profile_arn(policy, name)));
        let candidates = stream::iter(unused).map(|name| own::candidate(iam, name).boxed());
        let mut candidates = candidates.buffered(CANDIDATES_AT_A_TIME).boxed();
        let mut result = if used.is_out_of_time {
            Err(Unread::OutOfTime)
        } else {
            Ok(())
        };
        loop {
            let next = timeout_at(self.deadline, candidates.next()).await;
            let Some(candidate) = next.map_err(|_| Unread::OutOfTime)? else {
                break;
            };
            match candidate {
                // Gone since it was listed.
                Ok(None) => {}
                Ok(Some(candidate)) => self.remove(&candidate, &used).await?,
                Err(_) => result = Err(Unread::Failed),
            }
        }
        result
    }

    /// Removes the role, the profile of its name, and nothing that the permit does not name.
    async fn remove(&mut self, candidate: &Candidate, used: &Used) -> Result<(), Unread> {
        let (policy, now) = (&self.gateway.config.policy, self.now.as_second());
        let Some(permit) = node_role::permit_removal(policy, candidate, &used.read, &used.profiles, now)
        else {
            return Ok(());
        };
        if self.is_out_of_time() {
            return Err(Unread::OutOfTime);
        }
        let iam = self.gateway.clients.iam();
        // What cannot be read is not deleted, and then IAM keeps the role: an orphan, tried again next time.
        let policies = async {
            let mut log = Vec::new();
            let attached = attached(iam, permit.name(), &mut log).await.unwrap_or_default();
            let inline = inline_names(iam, permit.name(), &mut log)
                .await
                .unwrap_or_default();
            (attached, inline, log)
        };
        let policies = timeout_at(self.deadline, Box::pin(policies)).await;
        let (attached, inline, mut log) = policies.map_err(|_| Unread::OutOfTime)?;
        self.downstream.append(&mut log);
        let permit = permit.with_policies(attached, inline);
        let mut roles = Roles::new(iam, self.opened, self.deadline, &mut self.downstream);
        let removed = roles.remove(&permit, true).await.is_ok();
        self.report.roles_removed += u32::from(removed);
        let step = if removed { Step::RoleRemoved } else { Step::Orphan };
        let role = node_role::role_arn(policy, permit.name());
        self.step(step, |entry| entry.node_role = Some(role)).await;
        Ok(())
    }

    /// The profiles of all groups, and the Regions of which every group was read.
    async fn used(&mut self) -> Used {
        let gateway = self.gateway;
        let names = gateway.config.regions.names();
        let round = &self.progress.memory.round;
        let in_reach = names
            .into_iter()
            .filter(|name| !round.is_out_of_reach(name, self.now));
        let reads: Vec<_> = in_reach.map(|region| (region, self.reads(region))).collect();
        let regions = stream::iter(reads).map(|(region, reads)| used_in(region, reads).boxed());
        let mut regions = regions.buffer_unordered(REGIONS_AT_A_TIME).boxed();
        let mut all = Used::default();
        while let Some((region, used)) = regions.next().await {
            match used {
                Ok(mut used) => {
                    all.profiles.append(&mut used);
                    all.read.push(region);
                }
                Err(Unread::OutOfTime) => all.is_out_of_time = true,
                // Its groups were checked a moment ago, so this is told already, or new.
                Err(Unread::OutOfReach | Unread::Failed) => {
                    self.progress.memory.round.unread.insert(region.to_owned());
                }
            }
        }
        all
    }
}

/// What groups use.
#[derive(Default)]
struct Used {
    /// ARNs of instance profiles.
    profiles: BTreeSet<String>,
    /// The Regions of which every group was read.
    read: Vec<&'static str>,
    /// Whether another could not be read for lack of time.
    is_out_of_time: bool,
}

/// The profiles of all groups of a Region, or none.
async fn used_in(region: &'static str, reads: Reads<'_>) -> (&'static str, Result<BTreeSet<String>, Unread>) {
    let used = async {
        let mut used = BTreeSet::new();
        for cluster in reads.clusters().await? {
            let groups = reads.groups(&cluster).await?;
            let mut outputs = reads.each(&cluster, groups);
            while let Some((_, output)) = outputs.next().await {
                used.insert(profile_of(&output?).to_owned());
            }
        }
        Ok(used)
    };
    (region, used.await)
}
