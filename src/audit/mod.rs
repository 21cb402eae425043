//! Who did what, decided how, with which outcome: one append-only record per call.
//!
//! The record is written ahead. A mutation leaves RECEIVED before anything happens and COMPLETE afterwards. A read
//! leaves one row, READ, before PCS is asked; only if it then fails a COMPLETE row follows with the truth, so a READ
//! row alone means that the answer was released. A call refused before any AWS call leaves one COMPLETE row. A
//! record that cannot be opened refuses the call; one that cannot be closed never changes the answer.

mod dynamodb;
pub mod progress;
pub mod record;

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    aws::Clients,
    config::AuditConfig,
    error::Error,
    metrics::{self, Metric},
};

use record::{Entry, Outcome, Stage, Step, row};

/// An audit table that hangs must not hold a call for longer.
const OPEN_TIMEOUT: Duration = Duration::from_millis(2_400);
/// Shorter: by now the answer exists, and the function's own deadline is near.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1_200);

/// Proof that the call is on record. Only `Audit::open` makes one.
#[derive(Debug)]
pub struct Opened {
    _private: (),
}

/// The only writer of the audit table.
#[derive(Debug)]
pub struct Audit {
    config: AuditConfig,
}

impl Audit {
    pub fn new(config: AuditConfig) -> Audit {
        Audit { config }
    }

    /// Writes the opening row. Without it nothing may happen.
    pub async fn open(&self, clients: &Clients, entry: &Entry) -> Result<Opened, Error> {
        let stage = if entry.is_mutation() {
            Stage::Received
        } else {
            Stage::Read
        };
        match self.put(clients, entry, stage, None, OPEN_TIMEOUT).await {
            Ok(()) => Ok(Opened { _private: () }),
            Err(reason) => {
                metrics::count(Metric::AuditUnavailable);
                tracing::error!(event_id = %entry.event_id, reason, "AUDIT_UNAVAILABLE");
                Err(Error::AuditUnavailable)
            }
        }
    }

    /// Records how an opened call ended. The caller gets the truth even if this fails.
    pub async fn close(&self, clients: &Clients, entry: &Entry, outcome: &Outcome) {
        if entry.is_read_that_succeeded(outcome) {
            return;
        }
        let stage = if outcome.panicked {
            Stage::Panic
        } else {
            Stage::Complete
        };
        if let Err(reason) = self
            .put(clients, entry, stage, Some(outcome), CLOSE_TIMEOUT)
            .await
        {
            metrics::count(Metric::AuditIncomplete);
            tracing::error!(event_id = %entry.event_id, reason, "AUDIT_INCOMPLETE");
        }
    }

    /// Records something between opening and closing; `_opened` proves that there is something to add to.
    pub async fn step(&self, clients: &Clients, entry: &mut Entry, what: Step, _opened: &Opened) {
        let (event_id, operation) = (entry.event_id, entry.operation_name());
        let role = entry.node_role.as_deref();
        if what == Step::GuardrailDrift {
            metrics::count(Metric::GuardrailDrift);
        }
        if what.is_alarm() {
            tracing::warn!(%event_id, operation, role, "{}", what.name());
        } else {
            tracing::info!(%event_id, operation, role, "{}", what.name());
        }
        let stage = entry.next_step(what);
        if let Err(reason) = self.put(clients, entry, stage, None, CLOSE_TIMEOUT).await {
            metrics::count(Metric::AuditIncomplete);
            tracing::error!(event_id = %entry.event_id, reason, "AUDIT_INCOMPLETE");
        }
    }

    /// Records a call that was refused before it was opened: its only row, without which no answer is released.
    pub async fn refuse(&self, clients: &Clients, entry: &Entry, outcome: &Outcome) -> Result<(), Error> {
        let stage = if outcome.panicked {
            Stage::Panic
        } else {
            Stage::Complete
        };
        self.put(clients, entry, stage, Some(outcome), OPEN_TIMEOUT)
            .await
            .map_err(|reason| {
                metrics::count(Metric::AuditUnavailable);
                tracing::error!(event_id = %entry.event_id, reason, "AUDIT_UNAVAILABLE");
                Error::AuditUnavailable
            })
    }

    async fn put(
        &self,
        clients: &Clients,
        entry: &Entry,
        stage: Stage,
        outcome: Option<&Outcome>,
        limit: Duration,
    ) -> Result<(), &'static str> {
        let row = row::build(entry, stage, outcome, self.config.retention_days);
        timeout(
            limit,
            Box::pin(dynamodb::put(clients.dynamodb(), &self.config.table, row)),
        )
        .await
        .unwrap_or(Err("the audit table did not answer in time"))
    }
}
