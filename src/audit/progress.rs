//! How far sweeps have got: a row of the audit table, written at the end of each, and the claim that keeps two of them
//! from going on from the same place.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Audit,
    chain::Item,
    digest::{ChainEnd, Summed},
    dynamodb::{self, ALREADY_THERE},
    record::row,
};
use crate::{aws::Clients, error::Error};

pub const PARTITION: &str = "SWEEP";
const CLAIMS: &str = "CLAIM";
/// No function runs for so long (`Timeout` in template.yaml); who claimed before and left no progress is dead.
const CLAIM_HOLDS: SignedDuration = SignedDuration::from_secs(60);

/// How far sweeps have got.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Every record that was opened before is closed.
    pub closed_until: Timestamp,
    /// Every hour before has its digest.
    pub digested_until: Timestamp,
    pub memory: Memory,
    /// Sort key of the row that it was read from; empty before the first sweep.
    read_from: String,
}

/// What sweeps remember besides.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Whether time ran out before all was closed and summed up that could be.
    pub hours_left: bool,
    /// The hour at `digested_until`, as far as it is summed up.
    pub half_digest: HalfDigest,
    /// Closing rows that a sweep wrote last: since when, and in hours from where on, they may not have reached the index.
    pub unsettled: Option<Unsettled>,
    pub round: Round,
    /// Regions that had clusters when they were read last.
    pub inhabited: BTreeSet<String>,
    /// Those of them that are out of reach, with since when.
    pub lost: BTreeMap<String, Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    pub since: Timestamp,
    pub from: Timestamp,
}

/// An hour whose digest is under way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HalfDigest {
    pub shards: Vec<HalfShard>,
    /// The chains of all shards, each once: a row of the table has room for some thousands.
    pub chains: BTreeMap<String, ChainEnd>,
}

/// A shard of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HalfShard {
    pub summed: Summed,
    /// Whether nothing follows.
    pub ended: bool,
}

/// A walk through all Regions, which may take several runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Round {
    /// When it began; `None`: there was none yet.
    pub began: Option<Timestamp>,
    pub part: Part,
    /// What was looked at last. `None` at the beginning.
    pub place: Place,
    /// What could not be looked at in this round: Regions, `iam` and `unused-roles`.
    pub unread: BTreeSet<String>,
    /// Regions out of this account's reach, with when they were asked last.
    pub out_of_reach: BTreeMap<String, Timestamp>,
    /// Runs that began to look for unused roles in this round.
    pub removals: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The roles of compute node groups are checked.
    Checking,
    /// Unused roles are looked for.
    Removing,
    #[default]
    Over,
}

/// Where a round is. Everything comes in the order of its name or id, so what is listed later has its place too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The Region to go on with; empty at the beginning.
    pub region: String,
    /// The cluster to go on with.
    pub cluster: String,
    /// The last compute node group in it that was looked at.
    pub group: String,
}

impl Memory {
    /// What can be read of one that another version wrote. Where its round was nobody knows, so one begins; what runs wrote
    /// into hours that are over may not have reached the index.
    fn rescued(text: &str, now: Timestamp) -> Memory {
        let written: Value = serde_json::from_str(text).unwrap_or_default();
        let round = written.get("round");
        Memory {
            hours_left: true,
            unsettled: Some(Unsettled {
                since: now,
                from: Timestamp::UNIX_EPOCH,
            }),
            round: Round {
                began: Some(now),
                part: Part::Checking,
                out_of_reach: member(round, "outOfReach"),
                ..Round::default()
            },
            inhabited: member(Some(&written), "inhabited"),
            lost: member(Some(&written), "lost"),
            ..Memory::default()
        }
    }
}

fn member<T: DeserializeOwned + Default>(of: Option<&Value>, name: &str) -> T {
    let value = of.and_then(|of| of.get(name));
    value
        .and_then(|value| T::deserialize(value).ok())
        .unwrap_or_default()
}

impl Progress {
    /// When it was recorded.
    pub fn recorded(&self) -> Option<Timestamp> {
        self.read_from.parse().ok()
    }

    /// What the first sweep of a deployment begins with.
    pub fn first(from: Timestamp) -> Progress {
        Progress {
            closed_until: from,
            digested_until: row::hour_of(from),
            memory: Memory::default(),
            read_from: String::new(),
        }
    }
}

impl Audit {
    /// What the last sweep recorded; before the first, and where that is no progress that a sweep can have made by `now`,
    /// what one would begin with that looks back until `otherwise`.
    pub async fn progress(
        &self,
        clients: &Clients,
        now: Timestamp,
        otherwise: Timestamp,
    ) -> Result<Progress, Error> {
        let Some(row) = self.newest(clients, PARTITION).await? else {
            return Ok(Progress::first(otherwise));
        };
        let time = |name| {
            text(&row, name)?
                .parse::<Timestamp>()
                .ok()
                .filter(|time| *time <= now)
        };
        let mut progress = Progress {
            read_from: text(&row, "sk").unwrap_or_default().to_owned(),
            ..Progress::first(otherwise)
        };
        let is_unreadable = || tracing::warn!(row = progress.read_from, "SWEEP_PROGRESS_UNREADABLE");
        let memory = text(&row, "memory").unwrap_or("{}");
        let memory = serde_json::from_str(memory).unwrap_or_else(|_| {
            is_unreadable();
            Memory::rescued(memory, now)
        });
        if let (Some(closed_until), Some(digested_until)) = (time("closedUntil"), time("digestedUntil")) {
            (progress.closed_until, progress.digested_until) = (closed_until, digested_until);
            progress.memory = memory;
        } else {
            is_unreadable();
            // Of another hour than the one to begin with.
            let half_digest = HalfDigest::default();
            progress.memory = Memory {
                half_digest,
                ..memory
            };
        }
        Ok(progress)
    }

    /// `now` is when the sweep began. The row comes behind the one that it follows, also where a clock was ahead and is
    /// right now: the newest row is the last one.
    pub async fn record_progress(
        &self,
        clients: &Clients,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<(), Error> {
        let behind = progress
            .recorded()
            .and_then(|last| last.checked_add(SignedDuration::from_nanos(1)).ok());
        let at = behind.map_or(now, |behind| behind.max(now));
        let mut row = self.row(PARTITION, &format!("{at:.9}"), now);
        let mut set = |name: &str, value: String| row.insert(name.to_owned(), AttributeValue::S(value));
        set("closedUntil", progress.closed_until.to_string());
        set("digestedUntil", progress.digested_until.to_string());
        // Numbers and text can always be written.
        set(
            "memory",
            serde_json::to_string(&progress.memory).unwrap_or_default(),
        );
        self.write(clients, row).await.map_err(unavailable)
    }

    /// Claims what follows on `progress` for one run; `false` while another run has it.
    pub async fn claim(&self, clients: &Clients, progress: &Progress, now: Timestamp) -> Result<bool, Error> {
        let prefix = format!("{}#", progress.read_from);
        let pk = AttributeValue::S(CLAIMS.to_owned());
        let table = &self.config.audit.table;
        let last = dynamodb::newest_with(clients.dynamodb(), table, pk, &prefix).await;
        let last = last.map_err(unavailable)?;
        let last = last
            .as_ref()
            .and_then(|row| Some((text(row, "sk")?.strip_prefix(&prefix)?, text(row, "at")?)));
        let number = match last {
            None => 0,
            Some((number, at)) => {
                let claimed = at
                    .split('#')
                    .next()
                    .and_then(|time| time.parse::<Timestamp>().ok());
                // One of the future is nobody's who could be running.
                if claimed.is_some_and(|claimed| claimed - CLAIM_HOLDS < now && now < claimed + CLAIM_HOLDS) {
                    return Ok(false);
                }
                number.parse().unwrap_or(0_u32).saturating_add(1)
            }
        };
        let row = self.row(CLAIMS, &format!("{prefix}{number:06}"), now);
        match self.write(clients, row).await {
            Ok(()) => Ok(true),
            Err(ALREADY_THERE) => Ok(false),
            Err(reason) => Err(unavailable(reason)),
        }
    }

    fn row(&self, pk: &str, sk: &str, now: Timestamp) -> Item {
        row::keys(pk, sk, now, self.config.audit.retention_days)
    }

    pub(super) async fn newest(&self, clients: &Clients, partition: &str) -> Result<Option<Item>, Error> {
        let key = AttributeValue::S(partition.to_owned());
        dynamodb::newest(clients.dynamodb(), &self.config.audit.table, key)
            .await
            .map_err(unavailable)
    }
}

pub(super) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(super) fn unavailable(reason: &'static str) -> Error {
    tracing::error!(reason, "AUDIT_UNAVAILABLE");
    Error::AuditUnavailable
}
