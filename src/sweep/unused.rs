//! Removes roles and profiles that a group no longer needs, or that a call could not take back.

use std::time::Duration;

use futures_util::{
    FutureExt,
    future::join_all,
    stream::{self, StreamExt},
};
use tokio::time::{Instant, timeout_at};

use super::{Run, reach::Unread};
use crate::{
    audit::{
        Opened,
        progress::Part,
        record::{Downstream, Step},
    },
    gateway::Gateway,
    guardrails::node_role::{self, RemovalPermit},
    iam::{own, roles::Roles},
};

const CANDIDATES_AT_A_TIME: usize = 4;
/// IAM throttles changes sooner than reads.
const REMOVED_AT_A_TIME: usize = 2;
/// A removal takes some ten calls of IAM, one after the other. One that time cuts off leaves half a role.
const REMOVAL_TAKES: Duration = Duration::from_secs(2);
/// Runs that removed nothing because all groups could not be read in time; more would not do it either.
const TRIES: u32 = 3;
/// Names among what could not be looked at: IAM did not let roles be read or removed, or all groups could not be read
/// in one run.
const IAM: &str = "iam";
const UNUSED_ROLES: &str = "unused-roles";

impl Run<'_> {
    /// Looks for unused roles, once all groups have been checked.
    pub(super) async fn remove_unused(&mut self) {
        if self.progress.memory.round.part != Part::Removing || !self.has_time_to_remove() {
            return;
        }
        self.progress.memory.round.removals += 1;
        let looked = if self.gateway.config.policy.iam_admin_access {
            self.look_for_unused().await
        } else {
            Ok(())
        };
        let round = &mut self.progress.memory.round;
        if self.report.roles_removed > 0 {
            round.removals = 0;
        }
        match looked {
            Err(Unread::OutOfTime) if round.removals < TRIES => return,
            Err(Unread::OutOfTime) => self.miss(UNUSED_ROLES),
            // Told already by what was missed.
            Err(Unread::OutOfReach | Unread::Denied | Unread::Refused | Unread::Failed) | Ok(()) => {}
        }
        self.progress.memory.round.part = Part::Over;
    }

    fn has_time_to_remove(&self) -> bool {
        !self.is_out_of_time() && Instant::now() + REMOVAL_TAKES <= self.deadline
    }

    async fn look_for_unused(&mut self) -> Result<(), Unread> {
        let iam = self.gateway.clients.iam();
        let now = self.now.as_second();
        let before = now - node_role::ORPHANED_AFTER_SECONDS;
        let names = timeout_at(self.deadline, Box::pin(own::names(iam, before))).await;
        let Ok(names) = names.map_err(|_| Unread::OutOfTime)? else {
            self.miss(IAM);
            return Ok(());
        };
        if names.is_empty() {
            return Ok(());
        }
        // Right before: what a group did not use an hour ago it may use now.
        let uses = self.used().await?;
        let policy = &self.gateway.config.policy;
        let unused = names.into_iter().filter(|name| !uses.has(policy, name));
        let candidates = stream::iter(unused).map(|name| own::candidate(iam, name).boxed());
        let permitted = candidates.buffered(CANDIDATES_AT_A_TIME).filter_map(|found| {
            let permit = found.map(|found| node_role::permit_removal(policy, &found?, &uses, now));
            std::future::ready(permit.transpose())
        });
        let mut permitted = permitted.chunks(REMOVED_AT_A_TIME).boxed();
        loop {
            let next = timeout_at(self.deadline, permitted.next()).await;
            let Some(permits) = next.map_err(|_| Unread::OutOfTime)? else {
                return Ok(());
            };
            let (permits, unread): (Vec<_>, Vec<_>) = permits.into_iter().partition(Result::is_ok);
            if !unread.is_empty() {
                self.miss(IAM);
            }
            self.remove(permits.into_iter().flatten().collect()).await?;
        }
    }

    /// Removes these roles, and puts on record what became of each.
    async fn remove(&mut self, permits: Vec<RemovalPermit>) -> Result<(), Unread> {
        if !self.has_time_to_remove() {
            return Err(Unread::OutOfTime);
        }
        let removals = permits.into_iter().map(|permit| {
            let removal = Removal {
                gateway: self.gateway,
                opened: self.opened,
                deadline: self.deadline,
                log: Vec::new(),
            };
            removal.of(permit).boxed()
        });
        let mut result = Ok(());
        for (mut log, end) in join_all(removals).await {
            self.downstream.append(&mut log);
            match end {
                End::Stays => {}
                End::OutOfTime => result = Err(Unread::OutOfTime),
                End::Unread => self.miss(IAM),
                End::Removed(role) => {
                    self.report.roles_removed += 1;
                    self.step(Step::RoleRemoved, |entry| entry.node_role = Some(role))
                        .await;
                }
                End::Failed(role) => {
                    self.report.roles_failed += 1;
                    self.miss(IAM);
                    self.step(Step::Orphan, |entry| entry.node_role = Some(role))
                        .await;
                }
            }
        }
        result
    }
}

/// The removal of a role, the profile of its name, and nothing that the permit does not name.
struct Removal<'a> {
    gateway: &'a Gateway,
    opened: &'a Opened,
    deadline: Instant,
    log: Vec<Downstream>,
}

/// What became of a role; those that were begun with their ARN.
enum End {
    Stays,
    /// The next run goes on with it.
    OutOfTime,
    Unread,
    Removed(String),
    Failed(String),
}

impl Removal<'_> {
    async fn of(mut self, permit: RemovalPermit) -> (Vec<Downstream>, End) {
        let end = self.end(permit).await;
        (self.log, end)
    }

    async fn end(&mut self, permit: RemovalPermit) -> End {
        let iam = self.gateway.clients.iam();
        let found = Box::pin(own::found(iam, permit.name(), &mut self.log));
        let found = match timeout_at(self.deadline, found).await {
            Err(_) => return End::OutOfTime,
            Ok(Err(_)) => return End::Unread,
            Ok(Ok(found)) => found,
        };
        if found.is_shared {
            tracing::info!(
                role = permit.name(),
                "another instance profile has the role too; it stays"
            );
            return End::Stays;
        }
        let permit = permit.with_policies(found.attached, found.inline);
        let role = node_role::role_arn(&self.gateway.config.policy, permit.name());
        let mut roles = Roles::new(iam, self.opened, self.deadline, &mut self.log);
        match roles.remove(&permit, true).await {
            Ok(()) => End::Removed(role),
            Err(_) if Instant::now() >= self.deadline => End::OutOfTime,
            Err(_) => End::Failed(role),
        }
    }
}
