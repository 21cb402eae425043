//! Who did what, decided how, with which outcome: one append-only record per call.
//!
//! The record is written ahead. A mutation leaves RECEIVED before anything happens and COMPLETE afterwards. A read
//! leaves one row, READ, before PCS is asked; only if it then fails a COMPLETE row follows with the truth. A READ row
//! alone was answered, or its function ended before that: then it is the last of its chain. A call refused before any
//! AWS call leaves one COMPLETE row. A record that cannot be opened refuses the call; one that cannot be closed never
//! changes the answer.
//!
//! Rows are linked into a chain (`chain.rs`), and hours are summed up (`digest.rs`), so that `pcs-api-audit verify`
//! can prove that nothing was changed or taken away.

pub mod chain;
pub mod cursor;
pub mod digest;
mod dynamodb;
pub mod event;
mod hours;
pub mod progress;
pub mod query;
pub mod question;
pub mod record;
pub mod redact;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use ulid::Ulid;

use crate::{
    aws::Clients,
    config::Config,
    error::Error,
    metrics::{self, Metric},
};

use chain::{Chain, Item};
use record::{
    Entry, Outcome, Stage, Step,
    row::{self, Common},
};

/// An audit table that hangs must not hold a call for longer, nor beyond the call's own deadline.
const OPEN_TIMEOUT: Duration = Duration::from_millis(2_400);
/// Shorter: by now the answer exists.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1_200);

/// Proof that the call is on record. Only `Audit::open` makes one.
#[derive(Debug)]
pub struct Opened {
    _private: (),
}

/// The only writer of the audit table.
#[derive(Debug)]
pub struct Audit {
    config: Arc<Config>,
    /// Of the configuration that decides and records, in every row; made when the first row is.
    config_hash: OnceLock<String>,
    chain: Chain,
    cursor_key: cursor::KnownKey,
}

impl Audit {
    pub fn new(config: Arc<Config>) -> Audit {
        Audit {
            config,
            config_hash: OnceLock::new(),
            chain: Chain::begin(),
            cursor_key: cursor::KnownKey::new(),
        }
    }

    pub fn table(&self) -> &str {
        &self.config.audit.table
    }

    /// Writes the opening row. Without it nothing may happen.
    pub async fn open(&self, clients: &Clients, entry: &Entry) -> Result<Opened, Error> {
        let stage = if entry.is_mutation() {
            Stage::Received
        } else {
            Stage::Read
        };
        let by = entry.opened_by(OPEN_TIMEOUT);
        if by <= Instant::now() {
            return Err(Error::OutOfTime { sent: false });
        }
        match self.put(clients, entry, stage, None, by).await {
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
        // One after the other: of two rows under way the environment's last could be there and the one before it
        // not, with no row left to declare that.
        let by = entry.closed_by(CLOSE_TIMEOUT);
        let closing = self.put(clients, entry, stage, Some(outcome), by).await;
        let identified = match entry.cluster_answered() {
            Some(_) => {
                self.put(clients, entry, Stage::Identified, Some(outcome), by)
                    .await
            }
            None => Ok(()),
        };
        if let Err(reason) = closing.and(identified) {
            incomplete(entry, reason);
        }
    }

    /// Records something between opening and closing; `_opened` proves that there is something to add to. Returns how many
    /// bytes it takes of the answer that tells the call.
    pub async fn step(&self, clients: &Clients, entry: &mut Entry, what: Step, _opened: &Opened) -> usize {
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
        let by = entry.stepped_by(CLOSE_TIMEOUT);
        let row = self.build(entry, stage, None);
        let bytes = event::answered_bytes(&row);
        if let Err(reason) = self.put_row(clients, row, by).await {
            incomplete(entry, reason);
        }
        bytes
    }

    /// Records a call that was refused before it was opened: its only row, without which no answer is released.
    pub async fn refuse(&self, clients: &Clients, entry: &Entry, outcome: &Outcome) -> Result<(), Error> {
        let stage = if outcome.panicked {
            Stage::Panic
        } else {
            Stage::Refused
        };
        let by = entry.closed_by(OPEN_TIMEOUT);
        self.put(clients, entry, stage, Some(outcome), by)
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
        by: Instant,
    ) -> Result<(), &'static str> {
        let row = self.build(entry, stage, outcome);
        self.put_row(clients, row, by).await
    }

    fn build(&self, entry: &Entry, stage: Stage, outcome: Option<&Outcome>) -> Item {
        let common = Common {
            config_hash: self.config_hash.get_or_init(|| self.config.hash()),
            retention_days: self.config.audit.retention_days,
        };
        row::build(entry, stage, outcome, common)
    }

    async fn put_row(&self, clients: &Clients, row: Item, by: Instant) -> Result<(), &'static str> {
        if by <= Instant::now() {
            return Err("no time was left to write the row");
        }
        // A panic in here must not take the answer of a call that was carried out with it.
        let write = AssertUnwindSafe(self.write(clients, row)).catch_unwind();
        match timeout_at(by, write).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err("a fault of this API kept the row from the audit table"),
            Err(_) => Err("the audit table did not answer in time"),
        }
    }

    /// THE write: every row of the table is linked and put here, whoever it is for (digests, which are signed in
    /// between, in `progress.rs`). A write that fails, or is given up, leaves its number declared in the chain.
    async fn write(&self, clients: &Clients, mut row: Item) -> Result<(), &'static str> {
        let link = self.chain.link(&mut row);
        Box::pin(dynamodb::put(clients.dynamodb(), &self.config.audit.table, row)).await?;
        link.acknowledge();
        Ok(())
    }
}

/// A ULID of that moment, its 80 random bits straight from the kernel: a generator in this process would be one more
/// thing to start. Without randomness the ids of one millisecond are equal, and the table refuses the second row.
fn new_id(at: Timestamp) -> Ulid {
    let mut random = [0; size_of::<u128>()];
    let _ = getrandom::fill(&mut random);
    Ulid::from_parts(
        u64::try_from(at.as_millisecond()).unwrap_or_default(),
        u128::from_ne_bytes(random),
    )
}

fn incomplete(entry: &Entry, reason: &'static str) {
    metrics::count(Metric::AuditIncomplete);
    tracing::error!(event_id = %entry.event_id, reason, "AUDIT_INCOMPLETE");
}
