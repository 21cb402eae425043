//! The scheduled sweep: what a call could not finish, and what changed since it was decided.
//!
//! EventBridge invokes the function once an hour, and every minute for what the last run left. A run closes audit
//! records that their call left open, writes the digests of past hours, and walks through the Regions: it holds the
//! role behind every compute node group against the guardrails again, because roles change after they were accepted.
//! Then roles that this API made and no group uses are removed.
//!
//! A run stops in time and the next goes on there: progress is a row of the audit table. What could not be read is
//! counted, told, and never taken for fine.

mod groups;
mod reach;
mod round;
mod unused;
mod used;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reach::Reads;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    audit::{
        Opened,
        progress::{Memory, Part, Progress, Unsettled},
        record::{Decision, Downstream, Entry, Outcome, Step, row::hour_of},
    },
    error::Error,
    gateway::Gateway,
    metrics::{self, Metric},
    request::{ApiRequest, Deadline},
};

/// No function runs longer; a record still open by then has lost its call.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// Where the first sweep of a deployment begins.
const FIRST_LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);
/// A round that began before is not waiting for the hourly event any more.
const ROUND_OVERDUE: SignedDuration = SignedDuration::from_mins(65);
/// Runs that all meet another one are told as a fault when the last that recorded its progress is so long ago.
const STUCK_AFTER: SignedDuration = SignedDuration::from_hours(2);
/// An index lags behind its table by moments; what was written just now is left to a later run.
const REACHES_INDEX_IN: SignedDuration = SignedDuration::from_mins(5);
/// All rows of a run are one audit event, and an answer of Lambda holds 6 MB; what a row has of its chain is not counted.
/// The next run goes on.
const STEPS_MAX: u32 = 1_000;
const STEPS_BYTES_MAX: usize = 4_000_000;
/// What is left after the deadline for the last rows.
const CLOSING: Duration = Duration::from_secs(1);
/// What is so far behind is told as a fault.
const LATE_AFTER: SignedDuration = SignedDuration::from_hours(26);

/// What a run did; the function's answer to the schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub records_closed: u32,
    /// Hours of the audit that now have their digest.
    pub hours_digested: u32,
    pub node_groups_checked: u32,
    pub node_groups_drifted: u32,
    /// Compute node groups that are there and could not be checked.
    pub node_groups_failed: u32,
    /// Roles that this API made and no group uses.
    pub roles_removed: u32,
    /// Such roles that could not be removed.
    pub roles_failed: u32,
    /// Regions of which something could not be read in this round.
    pub regions_failed: u32,
    /// Regions that this account has not enabled, or that its organization closes.
    pub regions_out_of_reach: u32,
    /// Regions that this round has still to look at.
    pub regions_left: u32,
    /// Whether the round is over and everything in reach was looked at, by this run and those before it.
    pub complete: bool,
    /// What could not be looked at in this round: Regions, `iam` and `unused-roles`.
    pub unread: Vec<String>,
}

/// One run of the sweep.
struct Run<'a> {
    gateway: &'a Gateway,
    opened: &'a Opened,
    entry: Entry,
    downstream: Vec<Downstream>,
    progress: Progress,
    report: Report,
    /// The time that hours and ages are reckoned from.
    now: Timestamp,
    deadline: Instant,
    steps: u32,
    steps_bytes: usize,
}

impl Gateway {
    /// Sweeps until done or until `deadline`; begins a round through all Regions unless one is under way. `now` is the
    /// time that hours and ages are reckoned from.
    pub async fn sweep(
        &self,
        lambda_request_id: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Report, Error> {
        let mut progress = self.progress(now).await?;
        progress.memory.round.begin_unless_under_way(now);
        self.run(progress, lambda_request_id, now, deadline).await
    }

    /// Goes on with what the last run left. Leaves no row if it left nothing.
    pub async fn go_on(
        &self,
        lambda_request_id: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Report, Error> {
        let mut progress = self.progress(now).await?;
        let settled = settled(&progress.memory, progress.closed_until, now);
        let can_sum_up = progress.digested_until < hour_of(settled);
        let round = &mut progress.memory.round;
        // The hourly event may have met a run under way, and gone.
        if round.began.is_some_and(|began| began < now - ROUND_OVERDUE) {
            round.begin_unless_under_way(now);
        }
        if !progress.memory.hours_left && !can_sum_up && round.part == Part::Over {
            return Ok(Report {
                complete: round.began.is_some() && round.unread.is_empty(),
                ..Report::default()
            });
        }
        self.run(progress, lambda_request_id, now, deadline).await
    }

    async fn progress(&self, now: Timestamp) -> Result<Progress, Error> {
        let otherwise = now - FIRST_LOOK_BACK;
        self.audit.progress(&self.clients, now, otherwise).await
    }

    async fn run(
        &self,
        progress: Progress,
        lambda_request_id: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Report, Error> {
        if !self.audit.claim(&self.clients, &progress, now).await? {
            let is_stuck = progress.recorded().is_some_and(|last| last < now - STUCK_AFTER);
            if is_stuck {
                metrics::count(Metric::SweepIncomplete);
            }
            tracing::warn!(lambda_request_id, is_stuck, "another sweep is under way");
            return Ok(Report::default());
        }
        let release = deadline + CLOSING;
        let mut entry = Entry::begin(&ApiRequest::default(), lambda_request_id, now).until(Deadline {
            work: deadline,
            release,
        });
        entry.task = Some("Sweep");
        entry.decision = Decision::Allow;
        let opened = self.audit.open(&self.clients, &entry).await?;
        let mut run = Run {
            gateway: self,
            opened: &opened,
            entry,
            downstream: Vec::new(),
            progress,
            report: Report::default(),
            now,
            deadline,
            steps: 0,
            steps_bytes: 0,
        };
        let result = run.all().await;
        run.close(result).await
    }
}

/// What may not have reached the index yet.
fn fresh(memory: &Memory, now: Timestamp) -> Option<Unsettled> {
    let is_fresh = |unsettled: &Unsettled| now < unsettled.since + REACHES_INDEX_IN;
    memory.unsettled.filter(is_fresh)
}

/// Until when nothing more can come to the index, so that an hour can be summed up; `closed_before` is until when
/// earlier runs have closed what was left open.
fn settled(memory: &Memory, closed_before: Timestamp, now: Timestamp) -> Timestamp {
    let unsettled = fresh(memory, now);
    unsettled.map_or(closed_before, |unsettled| closed_before.min(unsettled.from))
}

impl<'a> Run<'a> {
    async fn all(&mut self) -> Result<(), Error> {
        // An audit that is far behind must not keep roles from being checked.
        let half = Instant::now() + self.deadline.saturating_duration_since(Instant::now()) / 2;
        let closed_before = self.progress.closed_until;
        let mut hours = self.hours(closed_before, half).await;
        self.check_regions().await;
        self.remove_unused().await;
        if hours == Ok(false) {
            hours = self.hours(closed_before, self.deadline).await;
        }
        self.progress.memory.hours_left = hours != Ok(true);
        self.report.complete = self.is_complete(&hours);
        self.tell();
        let (audit, clients) = (&self.gateway.audit, &self.gateway.clients);
        audit.record_progress(clients, &self.progress, self.now).await?;
        hours.map(|_| ())
    }

    /// Closes records, then writes digests; `false` when time ran out first.
    async fn hours(&mut self, closed_before: Timestamp, deadline: Instant) -> Result<bool, Error> {
        let (audit, clients) = (&self.gateway.audit, &self.gateway.clients);
        let until = self.now - ABANDONED_AFTER;
        let closed = audit
            .close_abandoned(clients, &mut self.progress, until, deadline)
            .await;
        // One that failed may have closed some before.
        let settled = self.settle(closed != Ok(0), closed_before);
        self.report.records_closed += closed?;
        // A clock that was ahead wrote what this hour cannot have yet.
        if self.progress.recorded().is_some_and(|last| self.now < last) {
            return Ok(false);
        }
        let progress = &mut self.progress;
        while audit
            .digest_next_hour(clients, progress, settled, self.now, deadline)
            .await?
        {
            self.report.hours_digested += 1;
            if Instant::now() >= deadline {
                break;
            }
        }
        let progress = &self.progress;
        Ok(progress.closed_until >= until && progress.digested_until >= hour_of(settled))
    }

    /// Notes what this run wrote into hours that are over, and returns until when hours can be summed up.
    fn settle(&mut self, has_closed: bool, closed_before: Timestamp) -> Timestamp {
        let memory = &mut self.progress.memory;
        let last = fresh(memory, self.now);
        memory.unsettled = if has_closed {
            let from = last.map_or(closed_before, |last| last.from.min(closed_before));
            Some(Unsettled {
                since: self.now,
                from,
            })
        } else {
            last
        };
        settled(memory, closed_before, self.now)
    }

    fn is_complete(&self, hours: &Result<bool, Error>) -> bool {
        let round = &self.progress.memory.round;
        *hours == Ok(true) && round.part == Part::Over && round.unread.is_empty()
    }

    /// What the run came to, in the log; and for the alarm what is not as it should be.
    fn tell(&mut self) {
        let names = self.gateway.config.regions.names();
        let round = &self.progress.memory.round;
        let report = &mut self.report;
        report.unread = round.unread.iter().cloned().collect();
        report.regions_failed = count(names.iter().filter(|name| round.unread.contains(**name)));
        report.regions_out_of_reach =
            count(names.iter().filter(|name| round.is_out_of_reach(name, self.now)));
        report.regions_left = count(names.iter().filter(|name| round.has_before_it(name)));
        tracing::info!(
            event_id = %self.entry.event_id,
            records_closed = report.records_closed,
            hours_digested = report.hours_digested,
            node_groups_checked = report.node_groups_checked,
            node_groups_drifted = report.node_groups_drifted,
            roles_removed = report.roles_removed,
            regions_out_of_reach = report.regions_out_of_reach,
            regions_left = report.regions_left,
            closed_until = %self.progress.closed_until,
            digested_until = %self.progress.digested_until,
            complete = report.complete,
            "sweep"
        );
        let is_over = round.part == Part::Over;
        let late = self.now - LATE_AFTER;
        let is_late = self.progress.closed_until < late
            || self.progress.digested_until < late
            || (!is_over && round.began.is_some_and(|began| began < late));
        if (is_over && !round.unread.is_empty()) || is_late {
            metrics::count(Metric::SweepIncomplete);
            tracing::warn!(
                event_id = %self.entry.event_id,
                unread = report.unread.join(", "),
                node_groups_failed = report.node_groups_failed,
                late = is_late,
                "SWEEP_INCOMPLETE"
            );
        }
    }

    async fn close(mut self, result: Result<(), Error>) -> Result<Report, Error> {
        let unread = &self.report.unread;
        let outcome = match &result {
            Err(error) => Outcome {
                status: error.class().status,
                error_code: Some(error.class().code),
                error_message: Some(error.recorded_message(&str::to_owned)),
                panicked: false,
            },
            Ok(()) if !unread.is_empty() => Outcome {
                status: 502,
                error_code: Some("SweepIncomplete"),
                error_message: Some(format!("could not be looked at: {}", unread.join(", "))),
                panicked: false,
            },
            Ok(()) => Outcome {
                status: 200,
                error_code: None,
                error_message: None,
                panicked: false,
            },
        };
        self.entry.downstream = std::mem::take(&mut self.downstream);
        let (audit, clients) = (&self.gateway.audit, &self.gateway.clients);
        audit.close(clients, &self.entry, &outcome).await;
        result.map(|()| self.report)
    }

    /// Records a step about one thing; the next is about another.
    async fn step(&mut self, step: Step, about: impl FnOnce(&mut Entry)) {
        let mut entry = self.entry.clone();
        about(&mut entry);
        let (audit, clients) = (&self.gateway.audit, &self.gateway.clients);
        self.steps_bytes += audit.step(clients, &mut entry, step, self.opened).await;
        self.steps += 1;
        self.entry.numbers_after(&entry);
    }

    fn reads<'r>(&self, region: &'r str) -> Reads<'r>
    where
        'a: 'r,
    {
        Reads {
            gateway: self.gateway,
            region,
            opened: self.opened,
            deadline: self.deadline,
        }
    }

    fn is_out_of_time(&self) -> bool {
        let is_full = self.steps >= STEPS_MAX || self.steps_bytes >= STEPS_BYTES_MAX;
        is_full || Instant::now() >= self.deadline
    }
}

fn count<T>(things: impl Iterator<Item = T>) -> u32 {
    u32::try_from(things.count()).unwrap_or(u32::MAX)
}
