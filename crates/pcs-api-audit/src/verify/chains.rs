//! Chains: every number is there once, and every row names the hash of the one before.

use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
};

use pcs_api::audit::chain::FIRST;

use super::{
    Finding, Kind, Verifier,
    kept::{self, Kept},
};

/// The highest number of each chain.
pub type Ends = HashMap<u32, u64>;

impl<F: FnMut(Finding)> Verifier<F> {
    pub(super) fn check_chains(&mut self, mut rows: Vec<Kept>, as_of: i64) -> (Vec<Kept>, Ends) {
        rows.sort_unstable_by_key(|row| (row.chain, row.seq));
        let mut ends = Ends::new();
        for chain in rows.chunk_by(|one, other| one.chain == other.chain) {
            if let Some(last) = chain.last() {
                ends.insert(last.chain, last.seq);
            }
            self.check_chain(chain, as_of);
        }
        (rows, ends)
    }

    fn check_chain(&mut self, chain: &[Kept], as_of: i64) {
        // Numbers below that of the last row that was surely written before the scan began were there, too.
        let settled = chain
            .iter()
            .rev()
            .find(|row| !row.traits.by_sweep && self.was_there_before(row.time()))
            .map_or(0, |row| row.seq);
        let mut before: &[Kept] = &[];
        for same in chain.chunk_by(|one, other| one.seq == other.seq) {
            let Some(row) = same.first() else { continue };
            for double in same.iter().skip(1) {
                self.find_double(row, double);
            }
            let last = before.first().map_or(0, |row| row.seq);
            if row.seq == last + 1 {
                self.check_link(before, same);
            } else {
                self.check_gap(before.first(), row, settled, as_of);
            }
            before = same;
        }
    }

    fn find_double(&mut self, row: &Kept, double: &Kept) {
        let (pk, sk) = (double.pk(), double.sk());
        let chain = self.chains.name(row.chain).to_owned();
        let message = format!(
            "{pk} {sk} has number {} of chain {chain}, as {} {} has: one of the two was inserted",
            row.seq,
            row.pk(),
            row.sk()
        );
        let finding = Finding::new(Kind::InsertedRow, message).of_row(&pk, sk);
        self.find(finding.in_chain(&chain, row.seq));
    }

    fn check_link(&mut self, before: &[Kept], same: &[Kept]) {
        let first = kept::hash_of(FIRST).unwrap_or_default();
        let fits = same.iter().any(|row| match before {
            [] => row.previous == first,
            _ => before.iter().any(|before| before.hash == row.previous),
        });
        let reported = before.iter().chain(same).any(|row| row.changed);
        let Some(row) = same.first().filter(|_| !fits && !reported) else {
            return;
        };
        let (pk, sk) = (row.pk(), row.sk());
        let chain = self.chains.name(row.chain).to_owned();
        let message = match before.first() {
            Some(before) => format!(
                "{pk} {sk} (chain {chain} number {}) does not follow {} {} (number {}): one of the two was rewritten",
                row.seq,
                before.pk(),
                before.sk(),
                before.seq
            ),
            None => {
                format!("{pk} {sk} is the first of chain {chain} and names a row before it: it was rewritten")
            }
        };
        let finding = Finding::new(Kind::BrokenLink, message).of_row(&pk, sk);
        self.find(finding.in_chain(&chain, row.seq));
    }

    /// Numbers are missing before `row`.
    fn check_gap(&mut self, before: Option<&Kept>, row: &Kept, settled: u64, as_of: i64) {
        let missing = before.map_or(1, |before| before.seq + 1)..=row.seq - 1;
        let declared: Vec<u64> = self
            .declared
            .range((row.chain, *missing.start())..=(row.chain, *missing.end()))
            .filter(|((_, number), by)| *by > number)
            .map(|((_, number), _)| *number)
            .chain(self.under_way_at_the_end(row.chain, &missing))
            .collect::<BTreeSet<u64>>()
            .into_iter()
            .collect();
        self.summary.declared = self.summary.declared.saturating_add(declared.len() as u64);
        let undeclared = count(&missing).saturating_sub(declared.len() as u64);
        let expires = if row.expires == i64::MAX {
            row.time()
                .map_or(i64::MAX, |time| time.saturating_add(self.retention))
        } else {
            row.expires
        };
        if self.may_have_expired(expires, as_of) {
            self.summary.expired_rows = self.summary.expired_rows.saturating_add(undeclared);
        } else if row.seq > settled {
            self.summary.undecided = self.summary.undecided.saturating_add(undeclared);
        } else {
            for stretch in without(missing, &declared) {
                self.find_missing(before, row, &stretch);
            }
        }
    }

    /// Numbers that were being written when the process of the chain ended.
    fn under_way_at_the_end(&self, chain: u32, missing: &RangeInclusive<u64>) -> impl Iterator<Item = u64> {
        let newest = self.newest_of.get(&chain);
        let under_way = newest.into_iter().flat_map(|(_, numbers)| numbers);
        under_way.copied().filter(|number| missing.contains(number))
    }

    fn find_missing(&mut self, before: Option<&Kept>, row: &Kept, stretch: &RangeInclusive<u64>) {
        let chain = self.chains.name(row.chain).to_owned();
        let what = if stretch.start() == stretch.end() {
            format!("number {} of chain {chain} is missing", stretch.start())
        } else {
            format!(
                "numbers {} to {} of chain {chain} are missing",
                stretch.start(),
                stretch.end()
            )
        };
        let row = format!("{} {} (number {})", row.pk(), row.sk(), row.seq);
        let message = match before {
            Some(before) => format!(
                "{what}, between {} {} (number {}) and {row}",
                before.pk(),
                before.sk(),
                before.seq
            ),
            None => format!("{what}, before {row}"),
        };
        self.find(Finding::new(Kind::MissingRow, message).in_chain(&chain, *stretch.start()));
    }
}

fn count(range: &RangeInclusive<u64>) -> u64 {
    range.end().saturating_sub(*range.start()).saturating_add(1)
}

/// The stretches of the range between the numbers that are left out, which are in order.
fn without(range: RangeInclusive<u64>, left_out: &[u64]) -> Vec<RangeInclusive<u64>> {
    let mut stretches = Vec::new();
    let mut next = *range.start();
    for number in left_out {
        if next < *number {
            stretches.push(next..=*number - 1);
        }
        next = number + 1;
    }
    if next <= *range.end() {
        stretches.push(next..=*range.end());
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_what_is_left() {
        assert_eq!(without(1..=5, &[]), [1..=5]);
        assert_eq!(without(1..=5, &[1, 3, 5]), [2..=2, 4..=4]);
        assert_eq!(without(2..=3, &[2, 3]), []);
        assert_eq!(count(&(2..=3)), 2);
    }
}
