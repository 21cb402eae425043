//! Holds the role behind every compute node group against the guardrails again.

use std::collections::HashMap;

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared},
};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Run, reach::Unread};
use crate::{
    audit::{
        progress::{Part, Place},
        record::Step,
    },
    error::Violation,
    gateway::Gateway,
    guardrails::{self, Check, Facts},
};

/// IAM throttles whoever asks for more.
const INSPECTED_AT_A_TIME: usize = 4;

/// The instance profiles of a run, each read once, however many groups have it.
struct Profiles<'a> {
    gateway: &'a Gateway,
    deadline: Instant,
    known: HashMap<String, Shared<BoxFuture<'a, Option<Facts>>>>,
}

impl<'a> Profiles<'a> {
    fn facts(&mut self, output: &Map<String, Value>) -> Shared<BoxFuture<'a, Option<Facts>>> {
        let (gateway, deadline) = (self.gateway, self.deadline);
        let arn = profile_of(output).unwrap_or_default();
        let inspect = |arn: String| async move {
            if arn.is_empty() {
                return None;
            }
            gateway.inspect(&arn, deadline).await.0
        };
        let known = self.known.entry(arn.to_owned());
        known
            .or_insert_with_key(|arn| inspect(arn.clone()).boxed().shared())
            .clone()
    }
}

impl Run<'_> {
    /// Goes on with the round, until it is through or time runs out.
    pub(super) async fn check_regions(&mut self) {
        let gateway = self.gateway;
        let names = gateway.config.regions.names();
        let mut profiles = Profiles {
            gateway,
            deadline: self.deadline,
            known: HashMap::new(),
        };
        while let Some(region) = self.progress.memory.round.region(&names) {
            if self.is_out_of_time() {
                return;
            }
            let round = &mut self.progress.memory.round;
            round.enter(region);
            let looked = if round.is_out_of_reach(region, self.now) {
                Ok(())
            } else {
                round.out_of_reach.remove(region);
                self.check_region(region, &mut profiles).await
            };
            let memory = &mut self.progress.memory;
            match looked {
                Ok(()) => {}
                Err(Unread::OutOfTime) => return,
                Err(Unread::OutOfReach) if memory.is_empty_and_out_of_reach(region, self.now) => {
                    tracing::info!(region, "the Region is not enabled, or closed by the organization");
                }
                Err(Unread::OutOfReach | Unread::Denied | Unread::Refused | Unread::Failed) => {
                    self.miss(region);
                }
            }
            self.progress.memory.round.leave(region);
        }
        let round = &mut self.progress.memory.round;
        if round.part == Part::Checking {
            round.part = Part::Removing;
        }
    }

    /// Remembers at once that something of a Region, or of IAM, could not be read: time may run out before its end.
    pub(super) fn miss(&mut self, what: &str) {
        self.progress.memory.round.unread.insert(what.to_owned());
    }

    /// What fails in the Region does not keep the rest of it from being checked.
    async fn check_region(&mut self, region: &str, profiles: &mut Profiles<'_>) -> Result<(), Unread> {
        let clusters = self.reads(region).clusters().await?;
        self.progress.memory.saw(region, !clusters.is_empty());
        for cluster in clusters {
            if cluster < self.progress.memory.round.place.cluster {
                continue;
            }
            if self.is_out_of_time() {
                return Err(Unread::OutOfTime);
            }
            self.check_cluster(region, &cluster, profiles).await?;
            // One without groups, or that could not be read, has its turn in a round like any other.
            self.progress.memory.round.leave_cluster(&cluster);
        }
        Ok(())
    }

    /// Goes on with the cluster. Fails only for want of time: what else fails is missed, and the walk goes on behind it.
    async fn check_cluster(
        &mut self,
        region: &str,
        cluster: &str,
        profiles: &mut Profiles<'_>,
    ) -> Result<(), Unread> {
        let reads = self.reads(region);
        let groups = match reads.groups(cluster).await {
            Ok(groups) => groups,
            Err(Unread::OutOfTime) => return Err(Unread::OutOfTime),
            Err(Unread::Refused) if reads.is_gone(cluster, None).await => return Ok(()),
            Err(_) => {
                self.miss(region);
                return Ok(());
            }
        };
        let place = &self.progress.memory.round.place;
        let ahead: Vec<String> = groups
            .into_iter()
            .filter(|group| !place.is_behind(cluster, group))
            .collect();
        let seen = reads.each(cluster, ahead).map(|(group, output)| {
            let facts = output.as_ref().ok().map(|output| profiles.facts(output));
            async move {
                match facts {
                    Some(facts) => (group, output, facts.await),
                    None => (group, output, None),
                }
            }
            .boxed()
        });
        let mut seen = seen.buffered(INSPECTED_AT_A_TIME).boxed();
        while let Some((group, output, facts)) = seen.next().await {
            match output {
                Ok(_) if facts.is_none() && self.is_out_of_time() => return Err(Unread::OutOfTime),
                Ok(output) => {
                    if !self.judge(region, &output, facts).await {
                        self.miss(region);
                    }
                }
                Err(Unread::OutOfTime) => return Err(Unread::OutOfTime),
                Err(Unread::Refused) if reads.is_gone(cluster, Some(&group)).await => {}
                Err(_) => {
                    self.report.node_groups_failed += 1;
                    self.miss(region);
                }
            }
            self.progress.memory.round.place = Place {
                region: region.to_owned(),
                cluster: cluster.to_owned(),
                group,
            };
            if self.is_out_of_time() {
                return Err(Unread::OutOfTime);
            }
        }
        Ok(())
    }

    /// Whether the group could be checked; what is wrong with its role, or that it could not be read, is put on record.
    async fn judge(&mut self, region: &str, output: &Map<String, Value>, facts: Option<Facts>) -> bool {
        let found = match &facts {
            Some(Facts::Profile { requested, found }) => {
                let policy = &self.gateway.config.policy;
                let checks = guardrails::instance_role::checks(policy, requested, found.as_ref());
                let violations: Vec<Violation> = checks
                    .into_iter()
                    .flat_map(|check: Check| check.violations)
                    .collect();
                Some(violations)
            }
            Some(Facts::NotNeeded) | None => None,
        };
        let step = match &found {
            None => Step::GuardrailRecheckFailed,
            Some(violations) if violations.is_empty() => {
                self.report.node_groups_checked += 1;
                return true;
            }
            Some(_) => Step::GuardrailDrift,
        };
        if step == Step::GuardrailDrift {
            self.report.node_groups_checked += 1;
            self.report.node_groups_drifted += 1;
        } else {
            self.report.node_groups_failed += 1;
        }
        self.step(step, |entry| {
            entry.is_in(region);
            entry.is_about(output);
            entry.inspected = facts.unwrap_or(Facts::NotNeeded);
            entry.violations = found.unwrap_or_default();
        })
        .await;
        step == Step::GuardrailDrift
    }
}

/// ARN of the group's instance profile, which every group has.
pub(super) fn profile_of(output: &Map<String, Value>) -> Option<&str> {
    let group = output.get("computeNodeGroup")?;
    group.get("iamInstanceProfileArn")?.as_str()
}
