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
    iam::{own, roles::Roles},
};

/// Each reads the compute node groups of its Region.
const REGIONS_AT_A_TIME: usize = 4;
const CANDIDATES_AT_A_TIME: usize = 4;
/// Runs in which all groups could not be read in time; more would not do it either.
const TRIES: u32 = 3;
/// Names among what could not be looked at: IAM did not let roles be read or removed, or all groups could not be read
/// in one run.
const IAM: &str = "iam";
const UNUSED_ROLES: &str = "unused-roles";

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
            Err(Unread::OutOfTime) => self.miss(UNUSED_ROLES),
            // Told already by what was missed.
            Err(Unread::OutOfReach | Unread::Denied | Unread::Failed) | Ok(()) => {}
        }
        self.progress.memory.round.part = Part::Over;
    }

    async fn look_for_unused(&mut self) -> Result<(), Unread> {
        let iam = self.gateway.clients.iam();
        let before = self.now.as_second() - node_role::ORPHANED_AFTER_SECONDS;
        let names = timeout_at(self.deadline, Box::pin(own::names(iam, before))).await;
        let Ok(names) = names.map_err(|_| Unread::OutOfTime)? else {
            self.miss(IAM);
            return Ok(());
        };
        if names.is_empty() {
            return Ok(());
        }
        // Right before: what a group did not use an hour ago it may use now.
        let used = self.used().await?;
        let policy = &self.gateway.config.policy;
        let unused = names
            .into_iter()
            .filter(|name| !used.profiles.contains(&node_role::profile_arn(policy, name)));
        let candidates = stream::iter(unused).map(|name| own::candidate(iam, name).boxed());
        let mut candidates = candidates.buffered(CANDIDATES_AT_A_TIME).boxed();
        loop {
            let next = timeout_at(self.deadline, candidates.next()).await;
            let Some(candidate) = next.map_err(|_| Unread::OutOfTime)? else {
                return Ok(());
            };
            match candidate {
                // Gone since it was listed.
                Ok(None) => {}
                Ok(Some(candidate)) => self.remove(&candidate, &used).await?,
                Err(_) => self.miss(IAM),
            }
        }
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
        let mut log = Vec::new();
        let found = timeout_at(self.deadline, Box::pin(own::found(iam, permit.name(), &mut log))).await;
        self.downstream.append(&mut log);
        let Ok(found) = found.map_err(|_| Unread::OutOfTime)? else {
            self.miss(IAM);
            return Ok(());
        };
        if found.is_shared {
            tracing::info!(
                role = permit.name(),
                "another instance profile has the role too; it stays"
            );
            return Ok(());
        }
        let permit = permit.with_policies(found.attached, found.inline);
        let mut roles = Roles::new(iam, self.opened, self.deadline, &mut self.downstream);
        let removed = roles.remove(&permit, true).await.is_ok();
        self.report.roles_removed += u32::from(removed);
        let step = if removed { Step::RoleRemoved } else { Step::Orphan };
        let role = node_role::role_arn(policy, permit.name());
        self.step(step, |entry| entry.node_role = Some(role)).await;
        if !removed {
            self.report.roles_failed += 1;
            self.miss(IAM);
        }
        Ok(())
    }

    /// The profiles of all groups, and the Regions of which every group was read. Nothing of it is of use unless the others
    /// let nothing be seen: a group there could have the role.
    async fn used(&mut self) -> Result<Used, Unread> {
        let names = self.gateway.config.regions.names();
        let round = &self.progress.memory.round;
        let in_reach = names
            .into_iter()
            .filter(|name| !round.is_out_of_reach(name, self.now));
        let reads: Vec<_> = in_reach.map(|region| (region, self.reads(region))).collect();
        let regions = stream::iter(reads).map(|(region, reads)| used_in(region, reads).boxed());
        let mut regions = regions.buffer_unordered(REGIONS_AT_A_TIME).boxed();
        let mut all = Used::default();
        let mut result = Ok(());
        while let Some((region, used)) = regions.next().await {
            match used {
                Ok(mut used) => {
                    all.profiles.append(&mut used);
                    all.read.push(region);
                }
                Err(Unread::Denied | Unread::OutOfReach) => self.miss(region),
                Err(Unread::OutOfTime) => result = Err(Unread::OutOfTime),
                Err(Unread::Failed) => {
                    self.miss(region);
                    result = result.and(Err(Unread::Failed));
                }
            }
        }
        result.map(|()| all)
    }
}

/// What groups use.
#[derive(Default)]
struct Used {
    /// ARNs of instance profiles.
    profiles: BTreeSet<String>,
    /// The Regions of which every group was read.
    read: Vec<&'static str>,
}

/// The profiles of all groups of a Region, or none.
async fn used_in(region: &'static str, reads: Reads<'_>) -> (&'static str, Result<BTreeSet<String>, Unread>) {
    let used = async {
        let mut used = BTreeSet::new();
        for cluster in reads.clusters().await? {
            let groups = match reads.groups(&cluster).await {
                Err(Unread::Failed) if reads.is_gone(&cluster, None).await => continue,
                groups => groups?,
            };
            let mut outputs = reads.each(&cluster, groups);
            while let Some((group, output)) = outputs.next().await {
                match output {
                    Ok(output) => {
                        let profile = profile_of(&output).ok_or(Unread::Failed)?;
                        used.insert(profile.to_owned());
                    }
                    Err(Unread::Failed) if reads.is_gone(&cluster, Some(&group)).await => {}
                    Err(unread) => return Err(unread),
                }
            }
        }
        Ok(used)
    };
    (region, used.await)
}
