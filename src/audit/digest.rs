//! The hourly digest: what the audit held for one hour, told by the sweep once nothing more can come.
//!
//! Chains end where their environment ended, so a chain alone cannot show that its last rows were taken away, nor
//! that a whole chain was. The digest counts the hour's rows, bounds them, names the end of every chain in them, and
//! holds a root over their hashes; it names the digest before it, and is signed when a key is configured. Idle hours
//! have a digest too: its absence is then a finding, not a guess (CloudTrail's log file integrity does the same).

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    chain::{FIRST, Item},
    record::row::{self, TIME_SHARDS},
};

/// Partition of the digests; the sort key is the hour, `2026-11-21T13`.
pub const PARTITION: &str = "DIGEST";
/// A row of DynamoDB holds 400 KB; chains beyond this many are counted, not named.
const CHAINS_MAX: usize = 2_000;

/// What a digest says of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub at: String,
    pub sk: String,
    pub row_hash: String,
    pub chain_id: String,
    pub chain_seq: u64,
    pub expires: i64,
}

/// The end of one chain as far as an hour shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct ChainEnd {
    pub rows: u64,
    pub last_seq: u64,
}

impl From<(u64, u64)> for ChainEnd {
    fn from((rows, last_seq): (u64, u64)) -> ChainEnd {
        ChainEnd { rows, last_seq }
    }
}

impl From<ChainEnd> for (u64, u64) {
    fn from(end: ChainEnd) -> (u64, u64) {
        (end.rows, end.last_seq)
    }
}

/// One hour's rows, summed up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hour {
    pub rows: u64,
    /// Lowest and highest `at`.
    pub bounds: Option<(String, String)>,
    /// When the first of the rows expires, in seconds since the epoch.
    pub expires: Option<i64>,
    pub chains: BTreeMap<String, ChainEnd>,
    /// SHA-256 of each shard's row hashes.
    shards: Vec<String>,
}

/// Sums up one shard; leaves come in the order of `at`.
#[derive(Debug, Default)]
pub struct Shard {
    /// Nothing of it is hashed or counted but whole calls: all leaves of the same `at`.
    summed: Summed,
    /// Leaves of the same `at`, which an index returns in any order.
    pending: Vec<Leaf>,
}

/// A shard as far as it is summed up, in a form that can be written down and gone on with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summed {
    #[serde(with = "state")]
    hash: Sha256,
    rows: u64,
    /// The first `at` and the last: where to go on.
    bounds: Option<(String, String)>,
    expires: Option<i64>,
    chains: BTreeMap<String, ChainEnd>,
}

/// A hash that is not finished yet, in hexadecimal.
mod state {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use sha2::{
        Sha256,
        digest::common::hazmat::{SerializableState, SerializedState},
    };

    pub fn serialize<S: Serializer>(hash: &Sha256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::hex(&hash.serialize()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sha256, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut state = SerializedState::<Sha256>::default();
        let digits = text.as_bytes().chunks(2);
        if text.len() != state.len() * 2 {
            return Err(D::Error::custom("not the state of a hash"));
        }
        for (byte, digits) in state.iter_mut().zip(digits) {
            let digits = str::from_utf8(digits).map_err(D::Error::custom)?;
            *byte = u8::from_str_radix(digits, 16).map_err(D::Error::custom)?;
        }
        Sha256::deserialize(&state).map_err(D::Error::custom)
    }
}

impl Shard {
    /// Goes on where another stopped.
    pub fn from(summed: Summed) -> Shard {
        Shard {
            summed,
            pending: Vec::new(),
        }
    }

    /// The `at` after which it goes on; `None` at its beginning.
    pub fn after(&self) -> Option<&str> {
        let bounds = self.summed.bounds.as_ref();
        bounds.map(|(_, last)| last.as_str())
    }

    pub fn add(&mut self, leaf: Leaf) {
        if self.pending.first().is_some_and(|first| first.at != leaf.at) {
            self.flush();
        }
        self.pending.push(leaf);
    }

    fn flush(&mut self) {
        self.pending.sort_unstable_by(|one, other| one.sk.cmp(&other.sk));
        for leaf in self.pending.drain(..) {
            self.summed.add(leaf);
        }
    }

    /// What can be gone on with later; the last call is left out, more rows of it could follow.
    pub fn stop(self) -> Summed {
        self.summed
    }

    /// What is summed up when nothing follows.
    pub fn finish(mut self) -> Summed {
        self.flush();
        self.summed
    }

    /// Shards end in the order of their numbers.
    pub fn end(self, hour: &mut Hour) {
        hour.end_shard(self.finish());
    }
}

impl Summed {
    /// Takes the chains out, into `all`.
    pub fn move_chains(&mut self, all: &mut BTreeMap<String, ChainEnd>) {
        merge(all, std::mem::take(&mut self.chains));
    }

    fn add(&mut self, leaf: Leaf) {
        self.hash.update(leaf.row_hash);
        self.hash.update("\n");
        self.rows += 1;
        widen(&mut self.bounds, &leaf.at, &leaf.at);
        self.expires = Some(
            self.expires
                .map_or(leaf.expires, |soonest| soonest.min(leaf.expires)),
        );
        let end = self.chains.entry(leaf.chain_id).or_default();
        end.rows += 1;
        end.last_seq = end.last_seq.max(leaf.chain_seq);
    }
}

fn merge(all: &mut BTreeMap<String, ChainEnd>, more: BTreeMap<String, ChainEnd>) {
    for (id, end) in more {
        let sum = all.entry(id).or_default();
        sum.rows += end.rows;
        sum.last_seq = sum.last_seq.max(end.last_seq);
    }
}

fn widen(bounds: &mut Option<(String, String)>, low: &str, high: &str) {
    let (first, last) = bounds.get_or_insert_with(|| (low.to_owned(), high.to_owned()));
    if low < first.as_str() {
        low.clone_into(first);
    }
    if high > last.as_str() {
        high.clone_into(last);
    }
}

impl Hour {
    /// Shards end in the order of their numbers.
    pub fn end_shard(&mut self, shard: Summed) {
        self.rows += shard.rows;
        if let Some((first, last)) = &shard.bounds {
            widen(&mut self.bounds, first, last);
        }
        self.expires = self.expires.into_iter().chain(shard.expires).min();
        merge(&mut self.chains, shard.chains);
        self.shards.push(crate::hex(&shard.hash.finalize()));
    }

    /// SHA-256 over the shards' hashes in hexadecimal, a line each; within a shard over the row hashes in the order
    /// of `at` and `sk`, a line each.
    pub fn root(&self) -> String {
        let mut hash = Sha256::new();
        for shard in &self.shards {
            hash.update(shard);
            hash.update("\n");
        }
        crate::hex(&hash.finalize())
    }

    /// The digest's row, not yet linked or signed. `previous`: the row hash of the digest of the hour before.
    pub fn row(
        &self,
        hour: Timestamp,
        previous: Option<&str>,
        signing_key: Option<&str>,
        now: Timestamp,
        retention_days: u16,
    ) -> Item {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let number = |value: u64| AttributeValue::N(value.to_string());
        let mut row = row::keys(PARTITION, &row::hour(hour), now, retention_days);
        let mut set = |name: &str, value| row.insert(name.to_owned(), value);
        set("rows", number(self.rows));
        set("root", text(&self.root()));
        set("previousDigestHash", text(previous.unwrap_or(FIRST)));
        if let Some((first, last)) = &self.bounds {
            set("firstAt", text(first));
            set("lastAt", text(last));
        }
        if let Some(expires) = self.expires {
            set("rowsExpire", AttributeValue::N(expires.to_string()));
        }
        let chains = self.chains.iter().take(CHAINS_MAX).map(|(id, end)| {
            let end = Item::from([
                ("rows".to_owned(), number(end.rows)),
                ("lastSeq".to_owned(), number(end.last_seq)),
            ]);
            (id.clone(), AttributeValue::M(end))
        });
        set("chains", AttributeValue::M(chains.collect()));
        let omitted = self.chains.len().saturating_sub(CHAINS_MAX);
        set("chainsOmitted", AttributeValue::N(omitted.to_string()));
        if let Some(key) = signing_key {
            set("signingKey", text(key));
            set("signingAlgorithm", text(SIGNING_ALGORITHM));
        }
        row
    }
}

/// KMS's name: ECDSA on P-256 over SHA-256 of the digest's `rowHash` in hexadecimal.
pub const SIGNING_ALGORITHM: &str = "ECDSA_SHA_256";

/// The time index's keys of an hour, in the order in which the root takes them.
pub fn shards(hour: Timestamp) -> impl Iterator<Item = String> {
    (0..TIME_SHARDS).map(move |shard| row::time_key(hour, shard))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(at: &str, sk: &str, hash: &str) -> Leaf {
        Leaf {
            at: at.to_owned(),
            sk: sk.to_owned(),
            row_hash: hash.to_owned(),
            chain_id: "C".to_owned(),
            chain_seq: 7,
            expires: 1_000,
        }
    }

    fn hour(shards: &[&[Leaf]]) -> Hour {
        let mut hour = Hour::default();
        for leaves in shards {
            let mut shard = Shard::default();
            for leaf in *leaves {
                shard.add(leaf.clone());
            }
            shard.end(&mut hour);
        }
        hour
    }

    /// Expected value, from a shell:
    /// `s1=$(printf 'aa\nbb\n' | sha256sum | cut -c1-64); s2=$(printf '' | sha256sum | cut -c1-64);
    /// printf "$s1\n$s2\n" | sha256sum`
    #[test]
    fn the_root_is_what_sha256sum_says() {
        let told = hour(&[&[leaf("1", "0#READ", "aa"), leaf("2", "0#READ", "bb")], &[]]);
        assert_eq!(
            told.root(),
            "ff0f537a23c596c4529367103d23ce80d91cae6ec9ba981f759a938f592e9c0b"
        );
        assert_eq!(told.bounds, Some(("1".to_owned(), "2".to_owned())));
        assert_eq!(told.chains["C"], ChainEnd { rows: 2, last_seq: 7 });
    }

    /// Wherever it is interrupted, written down and gone on with, the sum is the same.
    #[test]
    fn an_interrupted_sum_is_the_same() {
        let leaves: Vec<Leaf> = (0..40)
            .map(|n| {
                leaf(
                    &format!("{:02}", n / 3),
                    &format!("{}", 9 - n % 3),
                    &format!("{n:064}"),
                )
            })
            .collect();
        let whole = hour(&[&leaves]);
        for stop in 0..leaves.len() {
            let mut first = Shard::default();
            for leaf in &leaves[..stop] {
                first.add(leaf.clone());
            }
            let written = serde_json::to_string(&first.stop()).unwrap();
            let mut second = Shard::from(serde_json::from_str(&written).unwrap());
            let after = second.after().map(str::to_owned);
            for leaf in leaves
                .iter()
                .filter(|leaf| after.as_ref().is_none_or(|after| leaf.at > *after))
            {
                second.add(leaf.clone());
            }
            let mut told = Hour::default();
            second.end(&mut told);
            assert_eq!(told, whole, "{stop}");
        }
    }

    #[test]
    fn a_state_that_is_none_is_refused() {
        let written = serde_json::to_string(&Summed::default()).unwrap();
        assert!(serde_json::from_str::<Summed>(&written).is_ok());
        for odd in [
            written.replace("6a", "zz"),
            written.replace("6a", ""),
            written.replace("6a", "\u{e9}"),
        ] {
            assert!(serde_json::from_str::<Summed>(&odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn rows_of_one_call_may_come_in_any_order_and_others_may_not() {
        let (received, complete) = (leaf("1", "0#RECEIVED", "aa"), leaf("1", "9#COMPLETE", "bb"));
        let later = leaf("2", "0#READ", "cc");
        let one = hour(&[&[received.clone(), complete.clone(), later.clone()]]);
        let other = hour(&[&[complete.clone(), received.clone(), later.clone()]]);
        assert_eq!(one, other);
        let swapped = hour(&[&[leaf("1", "0#RECEIVED", "cc"), complete, leaf("2", "0#READ", "aa")]]);
        assert_ne!(one.root(), swapped.root());
        assert_ne!(one.root(), hour(&[&[received, later]]).root());
    }
}
