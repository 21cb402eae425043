//! Hours: the rows of each are those that its digest sums up, and every call in them is told to its end.

use std::collections::{BTreeMap, BTreeSet};

use pcs_api::audit::digest::{ChainEnd, Hour, Leaf, Shard};

use super::{
    Finding, Kind, Verifier,
    chains::Ends,
    digests::Digest,
    kept::{self, Kept, Stage, hour_name},
};

/// More differences than these are not told.
const DIFFERENCES_MAX: usize = 5;

impl<F: FnMut(Finding)> Verifier<F> {
    pub(super) fn check_hours(&mut self, mut rows: Vec<Kept>, ends: &Ends, as_of: i64) {
        rows.sort_unstable_by(|one, other| one.order().cmp(&other.order()));
        let digests = std::mem::take(&mut self.digests);
        self.summary.digested = digests
            .first_key_value()
            .zip(digests.last_key_value())
            .map(|((first, _), (last, _))| (hour_name(*first), hour_name(*last)));
        let mut hours: BTreeMap<i32, &[Kept]> = digests.keys().map(|hour| (*hour, &[][..])).collect();
        for hour in rows.chunk_by(|one, other| one.hour == other.hour) {
            hours.extend(hour.first().map(|row| (row.hour, hour)));
        }
        let last_digested = digests.last_key_value().map(|(hour, _)| *hour);
        for (hour, rows) in hours {
            self.check_hour(hour, rows, digests.get(&hour), as_of);
            let is_over = last_digested.is_some_and(|last| hour <= last);
            for call in rows.chunk_by(|one, other| one.at() == other.at()) {
                self.check_call(call, is_over, as_of);
            }
        }
        self.check_tails(&digests, ends, as_of);
    }

    fn check_hour(&mut self, hour: i32, rows: &[Kept], digest: Option<&Digest>, as_of: i64) {
        let count = rows.len() as u64;
        let Some(digest) = digest.filter(|digest| digest.is_trusted) else {
            self.summary.rows_in_chains_only += count;
            return;
        };
        let found = self.sum(rows);
        let is_expired = digest.rows_expire.is_some_and(|expires| expires <= as_of);
        let differences = if is_expired {
            self.summary.expired_hours += 1;
            self.summary.rows_in_expired_hours += count;
            self.additions(&found, digest)
        } else {
            self.differences(&found, digest)
        };
        if differences.is_empty() {
            self.summary.rows_digested += if is_expired { 0 } else { count };
            return;
        }
        let hour = hour_name(hour);
        let message = format!("{hour} does not fit its digest: {}", told(&differences));
        self.find(Finding::new(Kind::HourMismatch, message).in_hour(hour));
    }

    /// The hour as the sweep would sum it up; rows are in the order of shards, `at` and `sk`.
    fn sum(&self, rows: &[Kept]) -> Hour {
        let mut hour = Hour::default();
        let mut rows = rows.iter().peekable();
        for number in 0..pcs_api::audit::record::row::TIME_SHARDS {
            let mut shard = Shard::default();
            while let Some(row) = rows.next_if(|row| u128::from(row.shard) == number) {
                shard.add(self.leaf(row));
            }
            shard.end(&mut hour);
        }
        hour
    }

    fn leaf(&self, row: &Kept) -> Leaf {
        Leaf {
            at: row.at().to_owned(),
            sk: row.sk().to_owned(),
            row_hash: kept::hex(&row.hash),
            chain_id: self.chains.name(row.chain).to_owned(),
            chain_seq: row.seq,
            expires: row.expires,
        }
    }

    /// What is not as the digest says.
    fn differences(&self, found: &Hour, digest: &Digest) -> Vec<String> {
        let mut differences = Vec::new();
        if found.rows != digest.rows {
            differences.push(format!("there are {} rows, it says {}", found.rows, digest.rows));
        }
        let none = ChainEnd::default();
        let said: BTreeMap<&str, ChainEnd> = digest
            .chains
            .iter()
            .map(|(chain, end)| (self.chains.name(*chain), *end))
            .collect();
        for (chain, end) in &said {
            let found = found.chains.get(*chain).unwrap_or(&none);
            if found != end {
                differences.push(format!(
                    "chain {chain} has {} rows up to number {}, it says {} up to {}",
                    found.rows, found.last_seq, end.rows, end.last_seq
                ));
            }
        }
        if digest.chains_omitted == 0 {
            let strange = found
                .chains
                .keys()
                .filter(|chain| !said.contains_key(chain.as_str()));
            differences.extend(strange.map(|chain| format!("it knows nothing of chain {chain}")));
        }
        let bounds = found.bounds.as_ref();
        let said = digest.bounds.as_ref();
        if bounds.map(|(first, last)| (first.as_str(), last.as_str())) != said.map(|(a, b)| (&**a, &**b)) {
            differences.push("its first and last call are others".to_owned());
        }
        if found.expires != digest.rows_expire {
            differences.push("the rows expire at another time".to_owned());
        }
        if kept::hash_of(&found.root()) != digest.root {
            differences.push("the hashes of its rows are others".to_owned());
        }
        differences
    }

    /// What is more than the digest says, in an hour of which rows may have gone.
    fn additions(&self, found: &Hour, digest: &Digest) -> Vec<String> {
        let mut additions = Vec::new();
        if found.rows > digest.rows {
            additions.push(format!("there are {} rows, it says {}", found.rows, digest.rows));
        }
        let said: BTreeMap<&str, ChainEnd> = digest
            .chains
            .iter()
            .map(|(chain, end)| (self.chains.name(*chain), *end))
            .collect();
        for (chain, end) in &found.chains {
            let fits = match said.get(chain.as_str()) {
                Some(said) => end.rows <= said.rows && end.last_seq <= said.last_seq,
                None => digest.chains_omitted > 0,
            };
            if !fits {
                additions.push(format!(
                    "chain {chain} has {} rows up to number {}, which is more than it says",
                    end.rows, end.last_seq
                ));
            }
        }
        if found
            .expires
            .zip(digest.rows_expire)
            .is_some_and(|(found, said)| found < said)
        {
            additions.push("a row expires before the first of them".to_owned());
        }
        additions
    }

    /// The rows of one call: whatever was begun ended, whatever ended was begun.
    fn check_call(&mut self, rows: &[Kept], is_over: bool, as_of: i64) {
        let has = |stages: &[Stage]| rows.iter().any(|row| stages.contains(&row.stage));
        let Some(row) = rows
            .first()
            .filter(|row| row.expires > as_of && row.stage != Stage::Other)
        else {
            return;
        };
        if is_over && has(&[Stage::Received]) && !has(&[Stage::Closing]) {
            let message = format!("{} was begun, and nothing says how it ended", row.pk());
            self.find(Finding::new(Kind::NeverClosed, message).of_row(&row.pk(), row.sk()));
        }
        let needs_opening = rows.iter().find(|row| row.traits.needs_opening);
        let Some(row) = needs_opening.filter(|_| !has(&[Stage::Received, Stage::Read])) else {
            return;
        };
        if self.was_there_before(row.time()) {
            let message = format!(
                "{} {} tells of a call, and nothing says that it began",
                row.pk(),
                row.sk()
            );
            self.find(Finding::new(Kind::NeverOpened, message).of_row(&row.pk(), row.sk()));
        }
    }

    /// Chains reach as far as digests say: what is cut off at their end leaves no gap.
    fn check_tails(&mut self, digests: &BTreeMap<i32, Digest>, ends: &Ends, as_of: i64) {
        let mut told = BTreeSet::new();
        for (hour, digest) in digests.iter().rev().filter(|(_, digest)| digest.is_trusted) {
            if digest.rows_expire.is_some_and(|expires| expires <= as_of) {
                continue;
            }
            for (chain, end) in &digest.chains {
                let found = ends.get(chain).copied().unwrap_or_default();
                if found >= end.last_seq || !told.insert(*chain) {
                    continue;
                }
                self.find_tail(*hour, *chain, found, *end);
            }
        }
    }

    fn find_tail(&mut self, hour: i32, chain: u32, found: u64, end: ChainEnd) {
        let (hour, chain) = (hour_name(hour), self.chains.name(chain).to_owned());
        let message = if found == 0 {
            format!(
                "chain {chain} is gone: the digest of {hour} counts {} rows of it",
                end.rows
            )
        } else {
            format!(
                "chain {chain} ends with number {found}; the digest of {hour} says that it went on to {}",
                end.last_seq
            )
        };
        self.find(
            Finding::new(Kind::MissingTail, message)
                .in_hour(hour)
                .in_chain(&chain, found + 1),
        );
    }
}

fn told(differences: &[String]) -> String {
    let (first, more) = differences.split_at(differences.len().min(DIFFERENCES_MAX));
    let told = first.join("; ");
    match more.len() {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}
