//! The scheduled sweep: what a call could not finish, and what changed since it was decided.
//!
//! EventBridge invokes the function once an hour. The sweep closes audit records that their call left open, writes the
//! digests of past hours, and holds the role behind every compute node group against the guardrails again, because
//! roles change after they were accepted. Roles that this API made and no group uses any more are removed. It stops
//! in time, and the next one goes on where it stopped: progress is a row of the audit table.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{
    audit::{
        Opened,
        progress::Progress,
        record::{Decision, Entry, Outcome, Step},
    },
    error::Error,
    gateway::Gateway,
    guardrails::{self, Check, Facts, node_role},
    iam::{facts::inline_names, own, roles::Roles},
    operations::Action,
    pcs,
    request::ApiRequest,
};

/// No function runs longer; a record still open by then has lost its call.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// Where the first sweep of a deployment begins.
const FIRST_LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// What a sweep did; the function's answer to the schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub records_closed: u32,
    /// Hours of the audit that now have their digest.
    pub hours_digested: u32,
    pub node_groups_checked: u32,
    pub node_groups_drifted: u32,
    /// Roles that this API made and no group uses.
    pub roles_removed: u32,
    /// Regions that could not be read.
    pub regions_failed: u32,
    /// Whether everything was looked at; if not, the next sweep goes on.
    pub complete: bool,
}

impl Gateway {
    /// Sweeps until done or until `deadline`.
    /// `now` is the time that hours and ages are reckoned from.
    pub async fn sweep(
        &self,
        lambda_request_id: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Report, Error> {
        let mut entry = Entry::begin(&ApiRequest::default(), lambda_request_id, now);
        entry.task = Some("Sweep");
        entry.decision = Decision::Allow;
        let opened = self.audit.open(&self.clients, &entry).await?;
        let mut report = Report::default();
        let result = self
            .sweep_on_record(&mut entry, &opened, &mut report, now, deadline)
            .await;
        let (status, error) = match &result {
            Ok(()) => (200, None),
            Err(error) => (error.class().status, Some(error)),
        };
        let outcome = Outcome {
            status,
            error_code: error.map(|error| error.class().code),
            error_message: error.map(Error::message),
            panicked: false,
        };
        self.audit.close(&self.clients, &entry, &outcome).await;
        result.map(|()| report)
    }

    async fn sweep_on_record(
        &self,
        entry: &mut Entry,
        opened: &Opened,
        report: &mut Report,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<(), Error> {
        let last = self.audit.progress(&self.clients).await?;
        let mut progress = last.unwrap_or(Progress::first(now - FIRST_LOOK_BACK));
        let closed_before = progress.closed_until;
        let mut records_done = self
            .close_records(&mut progress, now - ABANDONED_AFTER, report, deadline)
            .await;
        if let Ok(true) = records_done {
            records_done = self
                .digest_hours(&mut progress, closed_before, now, report, deadline)
                .await;
        }
        let mut used = BTreeSet::new();
        let regions_done = match records_done {
            Ok(true) => {
                self.check_regions(&mut progress, &mut used, entry, opened, report, deadline)
                    .await
            }
            Ok(false) | Err(_) => false,
        };
        report.complete = regions_done;
        // Only who has seen every group knows what no group uses.
        if regions_done && report.regions_failed == 0 && self.config.policy.iam_admin_access {
            self.remove_orphans(&used, now, entry, opened, report, deadline)
                .await;
        }
        self.audit.record_progress(&self.clients, &progress, now).await?;
        records_done.map(|_| ())
    }

    /// Goes through the hours since the last sweep; `false` when time ran out first.
    async fn close_records(
        &self,
        progress: &mut Progress,
        until: Timestamp,
        report: &mut Report,
        deadline: Instant,
    ) -> Result<bool, Error> {
        loop {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            report.records_closed += self
                .audit
                .close_abandoned(&self.clients, progress.closed_until, until)
                .await?;
            let next_hour = progress.next_hour();
            if next_hour > until {
                // The hour is not over: it is looked at again next time, in whole.
                return Ok(true);
            }
            progress.closed_until = next_hour;
        }
    }

    /// Writes the digests of the hours that the sweep before this one closed; `false` when time ran out first.
    async fn digest_hours(
        &self,
        progress: &mut Progress,
        until: Timestamp,
        now: Timestamp,
        report: &mut Report,
        deadline: Instant,
    ) -> Result<bool, Error> {
        loop {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            let next = self.audit.digest_next_hour(&self.clients, progress, until, now);
            if !next.await? {
                return Ok(true);
            }
            report.hours_digested += 1;
        }
    }

    /// Checks every Region from where the last sweep stopped, all around; `false` when time ran out first.
    async fn check_regions(
        &self,
        progress: &mut Progress,
        used: &mut BTreeSet<String>,
        entry: &mut Entry,
        opened: &Opened,
        report: &mut Report,
        deadline: Instant,
    ) -> bool {
        let regions: Vec<&str> = self.config.regions.names();
        let first = progress
            .next_region
            .as_deref()
            .and_then(|next| regions.iter().position(|region| *region == next));
        let (before, after) = regions.split_at(first.unwrap_or_default());
        for region in after.iter().chain(before) {
            progress.next_region = Some((*region).to_owned());
            if Instant::now() >= deadline {
                return false;
            }
            if self
                .check_region(region, used, entry, opened, report, deadline)
                .await
                .is_err()
            {
                report.regions_failed += 1;
            }
        }
        progress.next_region = None;
        true
    }

    async fn check_region(
        &self,
        region: &str,
        used: &mut BTreeSet<String>,
        entry: &mut Entry,
        opened: &Opened,
        report: &mut Report,
        deadline: Instant,
    ) -> Result<(), Error> {
        let read = Read {
            gateway: self,
            region,
            opened,
            deadline,
        };
        for cluster in read.list(Action::ListClusters, "clusters", &Map::new()).await? {
            let of_cluster = Map::from_iter([("clusterIdentifier".to_owned(), id(&cluster))]);
            for group in read
                .list(Action::ListComputeNodeGroups, "computeNodeGroups", &of_cluster)
                .await?
            {
                let mut input = of_cluster.clone();
                input.insert("computeNodeGroupIdentifier".to_owned(), id(&group));
                let output = read.one(Action::GetComputeNodeGroup, input).await?;
                used.extend(profile_of(&output).map(str::to_owned));
                report.node_groups_checked += 1;
                report.node_groups_drifted +=
                    u32::from(self.check_group(&output, entry, opened, deadline).await);
            }
        }
        Ok(())
    }

    /// Removes roles and profiles that a group no longer needs, or that a call could not take back.
    async fn remove_orphans(
        &self,
        used: &BTreeSet<String>,
        now: Timestamp,
        entry: &mut Entry,
        opened: &Opened,
        report: &mut Report,
        deadline: Instant,
    ) {
        let found = Box::pin(own::candidates(self.clients.iam(), now.as_second()));
        let Ok(Ok(found)) = timeout_at(deadline, found).await else {
            tracing::warn!("IAM_UNAVAILABLE");
            report.complete = false;
            return;
        };
        let (policy, read) = (&self.config.policy, self.config.regions.names());
        for candidate in found {
            let Some(permit) = node_role::permit_removal(policy, &candidate, &read, used, now.as_second())
            else {
                continue;
            };
            if Instant::now() >= deadline {
                report.complete = false;
                return;
            }
            // What cannot be read is not deleted, and then IAM keeps the role: an orphan, tried again next time.
            let inline = inline_names(self.clients.iam(), permit.name(), &mut entry.downstream);
            let inline = timeout_at(deadline, Box::pin(inline)).await.ok();
            let permit = permit.with_inline(inline.and_then(Result::ok).unwrap_or_default());
            let mut roles = Roles::new(self.clients.iam(), opened, deadline, &mut entry.downstream);
            let removed = roles.remove(&permit, true).await.is_ok();
            report.roles_removed += u32::from(removed);
            entry.node_role = Some(candidate.name);
            let step = if removed { Step::RoleRemoved } else { Step::Orphan };
            self.audit.step(&self.clients, entry, step, opened).await;
            entry.node_role = None;
        }
    }

    /// Whether the group's role breaks a guardrail now; a role that cannot be read is recorded too.
    async fn check_group(
        &self,
        output: &Map<String, Value>,
        entry: &mut Entry,
        opened: &Opened,
        deadline: Instant,
    ) -> bool {
        entry.is_about(output);
        let (facts, _) = self
            .inspect(profile_of(output).unwrap_or_default(), deadline)
            .await;
        let step = match &facts {
            Some(Facts::Profile { requested, found }) => {
                let checks =
                    guardrails::instance_role::checks(&self.config.policy, requested, found.as_ref());
                entry.violations = checks
                    .into_iter()
                    .flat_map(|check: Check| check.violations)
                    .collect();
                (!entry.violations.is_empty()).then_some(Step::GuardrailDrift)
            }
            Some(Facts::NotNeeded) | None => Some(Step::GuardrailRecheckFailed),
        };
        entry.inspected = facts.unwrap_or(Facts::NotNeeded);
        let Some(step) = step else { return false };
        self.audit.step(&self.clients, entry, step, opened).await;
        entry.violations.clear();
        step == Step::GuardrailDrift
    }
}

/// Reads of PCS that the sweep makes for itself.
struct Read<'a> {
    gateway: &'a Gateway,
    region: &'a str,
    opened: &'a Opened,
    deadline: Instant,
}

impl Read<'_> {
    async fn one(&self, action: Action, input: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let permit = guardrails::permit_read(action, self.region, input).ok_or(Error::Internal)?;
        let answer = pcs::call(&self.gateway.clients, &permit, self.opened, None, self.deadline).await;
        answer.map(|answer| answer.output).map_err(crate::upstream::error)
    }

    /// Every page of a list.
    async fn list(
        &self,
        action: Action,
        name: &str,
        input: &Map<String, Value>,
    ) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        let mut input = input.clone();
        input.insert("maxResults".to_owned(), json!(100));
        loop {
            let mut page = self.one(action, input.clone()).await?;
            if let Some(Value::Array(items)) = page.get_mut(name) {
                all.append(items);
            }
            match page.remove("nextToken") {
                Some(token @ Value::String(_)) if Instant::now() < self.deadline => {
                    input.insert("nextToken".to_owned(), token);
                }
                Some(Value::String(_)) => return Err(Error::OutOfTime { sent: false }),
                _ => return Ok(all),
            }
        }
    }
}

fn profile_of(output: &Map<String, Value>) -> Option<&str> {
    output
        .get("computeNodeGroup")?
        .get("iamInstanceProfileArn")?
        .as_str()
}

fn id(resource: &Value) -> Value {
    resource.get("id").cloned().unwrap_or_default()
}
