//! Proves that a table is whole, or names what is not. No I/O: rows come in, in any order, findings go out.
//!
//! Three things are held against each other (`ARCHITECTURE.md` and `src/audit/` of the root say how they are made):
//! each row and its own hash; each row and the row that its chain has before it; each hour and its digest.
//!
//! # What retention removes
//! A row may be gone by time to live once `expires` is not later than the time of the check; DynamoDB takes days, and
//! in no order. Nobody can say of a row that is gone when it expired, so its neighbours tell:
//!
//! - A gap in a chain, or between digests, is put down to retention if the next row (digest) that is there expires
//!   less than [`EXPIRY_SLACK`] after the time of the check, or than a quarter of the retention if that is less. That
//!   row was written later, so the ones before it expire earlier, unless its environment wrote nothing for so long.
//!   A row without expiry counts as if it were kept as long as the others.
//! - An hour is past retention once its digest's `rowsExpire`, the first expiry in it, is reached. Rows may then be
//!   missing from it, but none may be more than the digest counts.
//!
//! The slack hides nothing where there are digests: hours whose first row has not expired must fit in whole.
//!
//! # What happens meanwhile
//! A scan is not a snapshot. A row that is written while it runs may be seen without the one before it. A gap counts
//! only if a later row of the chain shows that the missing row must have been there before the scan began; what does
//! not is counted as undecided, and is decided by the next check.

mod chains;
mod digests;
mod finding;
mod hours;
mod kept;
mod presence;
mod signature;
mod summary;

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::{
    chain::{self, Item},
    cursor, digest,
};

pub use finding::{Finding, Kind};
pub use signature::PublicKey;
pub use summary::{Summary, thousands};

use digests::Digest;
use kept::{Kept, Keys, Place};

/// See "What retention removes".
pub const EXPIRY_SLACK: SignedDuration = SignedDuration::from_hours(24);
/// A call's rows are written within the longest time that a function runs.
const CALL_TIME: SignedDuration = SignedDuration::from_mins(15);
/// An hour has its digest at most 3 h 15 min after it began; two sweeps in a row may fail before it counts as missing.
const DIGEST_DUE: SignedDuration = SignedDuration::from_hours(6);
/// A sweep can close an hour's records so long after the hour began.
const CAN_BE_CLOSED: SignedDuration = SignedDuration::from_mins(75);
/// Sweeps come every hour where the product runs all the time; two may fail.
const SWEEPS_PAUSE: SignedDuration = SignedDuration::from_hours(4);
/// Where none ran for a while, as on a laptop that was off, the next one has this time to catch up.
const CATCHES_UP_IN: SignedDuration = SignedDuration::from_hours(1);
/// Attribute of the row that holds the key of page tokens (`audit/cursor.rs`); no export has it.
pub const SECRET: &str = "secret";
/// Attribute that an export puts in place of the secret.
pub const WITHHELD: &str = "withheld";

/// What to check against.
#[derive(Clone, Default)]
pub struct Rules {
    /// What has expired and what is late is reckoned from here; `None`: from the newest row.
    pub as_of: Option<Timestamp>,
    /// Rows written from here on may be seen without those before them; `None`: the rows are a snapshot.
    pub settled: Option<Timestamp>,
    pub public_key: Option<PublicKey>,
    /// Hour from which on every digest must be signed; `None` with a key: all of them.
    pub signed_from: Option<Timestamp>,
    /// The rows are an export, which lacks the one secret.
    pub may_withhold: bool,
}

/// Takes in rows, then judges them.
pub struct Verifier<F> {
    rules: Rules,
    report: F,
    rows: Vec<Kept>,
    chains: Chains,
    /// What rows say of others of their chain: (chain, number) and the highest number that says so.
    declared: BTreeMap<(u32, u64), u64>,
    /// Of each chain: its highest number so far, and what that row says is under way.
    newest_of: HashMap<u32, (u64, Vec<u64>)>,
    digests: BTreeMap<i32, Digest>,
    /// Time of the newest row, in seconds since the epoch.
    newest: Option<i64>,
    first_hour: Option<i32>,
    /// When each sweep began, in seconds since the epoch.
    sweeps: Vec<i64>,
    /// Longest time from a row's call to its expiry, in seconds.
    retention: i64,
    summary: Summary,
}

/// The names of chains, and numbers for them.
#[derive(Debug, Default)]
struct Chains {
    numbers: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Chains {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // A table with more chains than that does not fit into memory anyway.
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    fn name(&self, number: u32) -> &str {
        let place = usize::try_from(number).ok();
        place
            .and_then(|place| self.names.get(place))
            .map_or("", |name| name)
    }
}

impl<F: FnMut(Finding)> Verifier<F> {
    /// `report` gets each finding as soon as it is known; none is kept.
    pub fn new(rules: Rules, report: F) -> Verifier<F> {
        Verifier {
            rules,
            report,
            rows: Vec::new(),
            chains: Chains::default(),
            declared: BTreeMap::new(),
            newest_of: HashMap::new(),
            digests: BTreeMap::new(),
            newest: None,
            first_hour: None,
            sweeps: Vec::new(),
            retention: 0,
            summary: Summary::default(),
        }
    }

    /// The rows are an export that was begun at this time, while the table was written to.
    pub fn exported(&mut self, begun: Timestamp) {
        self.rules.as_of.get_or_insert(begun);
        self.rules.settled.get_or_insert(begun);
    }

    /// The rows are a file that lacks some that were written into it.
    pub fn cut_off(&mut self, message: String) {
        self.find(Finding::new(Kind::MissingRow, message));
    }

    /// The rows are a file that does not say how many were written into it.
    pub fn without_extent(&mut self) {
        self.summary.extent_unknown = true;
    }

    /// Takes in one row: checks its hash, and remembers its place.
    pub fn add(&mut self, row: &Item) {
        self.summary.rows += 1;
        let (pk, sk) = (
            kept::text(row, "pk").unwrap_or("?"),
            kept::text(row, "sk").unwrap_or("?"),
        );
        let (Some(keys), Some(place)) = (Keys::of(row), Place::of(row)) else {
            let message =
                format!("{pk} {sk} has no place in a chain or in the time index: inserted, or changed");
            self.find(Finding::new(Kind::InsertedRow, message).of_row(pk, sk));
            return;
        };
        let changed = self.check_hash(row, &keys, &place);
        let chain = self.chains.number(place.chain);
        self.note_declared(row, chain, place.seq, changed);
        let kept = keep(row, &keys, &place, chain, changed);
        self.note_times(&kept);
        if kept.stage == kept::Stage::Received && kept::text(row, "eventName") == Some("Sweep") {
            self.sweeps.extend(kept.time());
        }
        if keys.pk == digest::PARTITION {
            self.add_digest(row, &keys, &kept);
        }
        // Doubling would waste up to half of the memory.
        if self.rows.len() == self.rows.capacity() {
            self.rows.reserve_exact(self.rows.len() / 8 + 1_024);
        }
        self.rows.push(kept);
    }

    /// Judges what only all rows together can show.
    pub fn finish(mut self) -> Summary {
        let as_of = self
            .rules
            .as_of
            .map(Timestamp::as_second)
            .or(self.newest)
            .unwrap_or_default();
        self.summary.chains = self.chains.names.len() as u64;
        let rows = std::mem::take(&mut self.rows);
        let (rows, ends) = self.check_chains(rows, as_of);
        self.check_digests(as_of);
        self.check_hours(rows, &ends, as_of);
        self.summary
    }

    /// Whether the row was reported as changed.
    fn check_hash(&mut self, row: &Item, keys: &Keys, place: &Place) -> bool {
        let withholds = self.rules.may_withhold
            && keys.pk == cursor::PARTITION
            && row.contains_key(WITHHELD)
            && !row.contains_key(SECRET);
        if withholds {
            // The next row of the chain and the digest still hold it by its hash.
            self.summary.withheld += 1;
            return false;
        }
        let hash = chain::row_hash(row);
        // The hash cannot cover a signature, which only digests have.
        let foreign = keys.pk != digest::PARTITION && row.contains_key("signature");
        if kept::text(row, "rowHash") == Some(&hash) && place.previous.is_some() && !foreign {
            return false;
        }
        let message = format!(
            "{} {} (chain {} number {}) was changed: its content does not have its hash",
            keys.pk, keys.sk, place.chain, place.seq
        );
        self.find(
            Finding::new(Kind::ChangedRow, message)
                .of_row(keys.pk, keys.sk)
                .in_chain(place.chain, place.seq),
        );
        true
    }

    /// What a changed row says counts for nothing.
    fn note_declared(&mut self, row: &Item, chain: u32, seq: u64, changed: bool) {
        let newest = self.newest_of.entry(chain).or_default();
        if seq > newest.0 {
            let under_way = row.get("underWay").filter(|_| !changed);
            *newest = (seq, under_way.into_iter().flat_map(kept::numbers).collect());
        }
        if changed {
            return;
        }
        for number in row.get("unacknowledged").into_iter().flat_map(kept::numbers) {
            let highest = self.declared.entry((chain, number)).or_default();
            *highest = seq.max(*highest);
        }
    }

    fn note_times(&mut self, kept: &Kept) {
        self.first_hour = Some(self.first_hour.map_or(kept.hour, |first| first.min(kept.hour)));
        let Some(time) = kept.time() else { return };
        self.newest = self.newest.max(Some(time));
        if kept.expires != i64::MAX {
            self.retention = self.retention.max(kept.expires.saturating_sub(time));
        }
    }

    fn find(&mut self, finding: Finding) {
        self.summary.findings += 1;
        (self.report)(finding);
    }

    /// Whether what came before a row of this expiry may have expired.
    fn may_have_expired(&self, expires: i64, as_of: i64) -> bool {
        // Where rows are kept for days only, a day would excuse everything.
        let slack = EXPIRY_SLACK.as_secs().min(self.retention / 4);
        expires < as_of.saturating_add(slack)
    }

    /// Whether a row of this time was written before the scan began, in seconds since the epoch.
    fn was_there_before(&self, time: Option<i64>) -> bool {
        self.rules.settled.is_none_or(|settled| {
            time.is_some_and(|time| time.saturating_add(CALL_TIME.as_secs()) < settled.as_second())
        })
    }
}

fn keep(row: &Item, keys: &Keys, place: &Place, chain: u32, changed: bool) -> Kept {
    let stage = kept::stage(keys.pk, keys.sk);
    Kept {
        // What the row names is what its neighbour and its digest know it by.
        hash: place
            .hash
            .or_else(|| kept::hash_of(&chain::row_hash(row)))
            .unwrap_or_default(),
        previous: place.previous.unwrap_or_default(),
        seq: place.seq,
        expires: kept::seconds(row, "expires").unwrap_or(i64::MAX),
        keys: keys.kept(),
        chain,
        hour: keys.hour,
        shard: keys.shard,
        stage,
        changed,
        traits: kept::traits(row, stage),
    }
}
