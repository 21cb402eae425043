//! Digests: one for every hour, each naming the one before, signed where a key is known.

use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::{
    chain::{FIRST, Item},
    digest::{ChainEnd, SIGNING_ALGORITHM},
};

use super::{
    CAN_BE_CLOSED, CATCHES_UP_IN, DIGEST_DUE, Finding, Kind, SWEEPS_PAUSE, Verifier,
    kept::{self, Hash, Kept, Keys, hour_begin, hour_name},
};

/// What an hour's digest says.
#[derive(Debug)]
pub struct Digest {
    pub rows: u64,
    pub bounds: Option<(Box<str>, Box<str>)>,
    pub root: Option<Hash>,
    pub rows_expire: Option<i64>,
    /// By the chain's number.
    pub chains: Vec<(u32, ChainEnd)>,
    pub chains_omitted: u64,
    /// Its content has its hash.
    pub is_trusted: bool,
    hash: Hash,
    previous: Hash,
    expires: i64,
    at: Option<i64>,
}

impl<F: FnMut(Finding)> Verifier<F> {
    pub(super) fn add_digest(&mut self, row: &Item, keys: &Keys, kept: &Kept) {
        let Some(hour) = kept::hour_number(keys.sk) else {
            let message = format!("{} {} is no hour: inserted", keys.pk, keys.sk);
            self.find(Finding::new(Kind::InsertedRow, message).of_row(keys.pk, keys.sk));
            return;
        };
        let digest = self.read_digest(row, kept);
        self.check_signature(row, hour);
        self.digests.entry(hour).or_insert(digest);
    }

    fn read_digest(&mut self, row: &Item, kept: &Kept) -> Digest {
        let hash = |name: &str| kept::text(row, name).and_then(kept::hash_of);
        let bound = |name: &str| kept::text(row, name).map(Box::from);
        let none = Item::new();
        let chains = row.get("chains").and_then(|chains| chains.as_m().ok());
        let chains = chains.unwrap_or(&none).iter().map(|(id, end)| {
            let end = end.as_m().unwrap_or(&none);
            let end = ChainEnd {
                rows: kept::number(end, "rows").unwrap_or_default(),
                last_seq: kept::number(end, "lastSeq").unwrap_or_default(),
            };
            (self.chains.number(id), end)
        });
        Digest {
            rows: kept::number(row, "rows").unwrap_or_default(),
            bounds: bound("firstAt").zip(bound("lastAt")),
            root: hash("root"),
            rows_expire: kept::seconds(row, "rowsExpire"),
            chains: chains.collect(),
            chains_omitted: kept::number(row, "chainsOmitted").unwrap_or_default(),
            is_trusted: !kept.changed,
            hash: kept.hash,
            previous: hash("previousDigestHash").unwrap_or_default(),
            expires: kept.expires,
            at: kept.time(),
        }
    }

    fn check_signature(&mut self, row: &Item, hour: i32) {
        let hash = kept::text(row, "rowHash").unwrap_or_default();
        let algorithm = kept::text(row, "signingAlgorithm");
        let fault = match (row.get("signingKey"), kept::text(row, "signature")) {
            (None, None) if self.must_be_signed(hour) => "is not signed",
            (None, None) => {
                self.summary.unsigned += 1;
                return;
            }
            (None, Some(_)) => "has a signature and names no key",
            (Some(_), None) => "names a signing key and has no signature",
            (Some(_), Some(_)) if algorithm != Some(SIGNING_ALGORITHM) => "names another way of signing",
            (Some(_), Some(signature)) => match &self.rules.public_key {
                Some(key) if key.has_signed(hash, signature) => {
                    self.summary.signed += 1;
                    return;
                }
                Some(_) => "has a signature that is not of the public key",
                None => {
                    self.summary.signatures_unchecked += 1;
                    return;
                }
            },
        };
        let hour = hour_name(hour);
        let message = format!("the digest of {hour} {fault}");
        self.find(Finding::new(Kind::BadSignature, message).in_hour(hour));
    }

    fn must_be_signed(&self, hour: i32) -> bool {
        match self.rules.signed_from {
            Some(from) => hour_begin(hour) >= from,
            None => self.rules.public_key.is_some(),
        }
    }

    pub(super) fn check_digests(&mut self, as_of: i64) {
        self.summary.digests = self.digests.len() as u64;
        let is_overdue = self.check_due(as_of);
        self.check_presence(is_overdue);
        let digests = std::mem::take(&mut self.digests);
        let mut before: Option<(i32, &Digest)> = None;
        for (hour, digest) in &digests {
            match before {
                Some((last, before)) if last + 1 == *hour => self.check_order(before, *hour, digest),
                _ => self.check_absent(before.map(|(last, _)| last), *hour, digest, as_of),
            }
            before = Some((*hour, digest));
        }
        self.digests = digests;
    }

    fn check_order(&mut self, before: &Digest, hour: i32, digest: &Digest) {
        if digest.previous == before.hash || !digest.is_trusted || !before.is_trusted {
            return;
        }
        let (hour, last) = (hour_name(hour), hour_name(hour - 1));
        let message =
            format!("the digest of {hour} does not follow that of {last}: one of the two was rewritten");
        self.find(Finding::new(Kind::MissingHour, message).in_hour(hour));
    }

    /// There is none for the hours between `last` and `hour`.
    fn check_absent(&mut self, last: Option<i32>, hour: i32, digest: &Digest, as_of: i64) {
        let is_first = last.is_none() && Some(digest.previous) == kept::hash_of(FIRST);
        if is_first || !digest.is_trusted && last.is_none() {
            return;
        }
        let next = hour_name(hour);
        let (message, missing) = match last {
            Some(last) => {
                let (from, to) = (hour_name(last + 1), hour_name(hour - 1));
                let hours = i64::from(hour) - i64::from(last) - 1;
                let message = match hours {
                    1 => format!("the digest of {from} is missing"),
                    _ => format!("the {hours} digests of {from} to {to} are missing"),
                };
                (message, u64::try_from(hours).unwrap_or_default())
            }
            None => (format!("the digests before {next} are missing: it names one"), 0),
        };
        if self.may_have_expired(digest.expires, as_of) {
            self.summary.expired_digests += missing;
        } else if !self.was_there_before(digest.at) {
            self.summary.undecided += missing;
        } else {
            let hour = last.map_or(next, |last| hour_name(last + 1));
            self.find(Finding::new(Kind::MissingHour, message).in_hour(hour));
        }
    }

    /// The newest digests must not be overdue; whether they are.
    fn check_due(&mut self, as_of: i64) -> bool {
        let first_missing = match self.digests.last_key_value() {
            Some((last, _)) => last.saturating_add(1),
            None => match self.first_hour {
                Some(first) => first,
                None => return false,
            },
        };
        if !self.is_overdue(first_missing, as_of) {
            return false;
        }
        let hour = hour_name(first_missing);
        let seen_at = Timestamp::from_second(as_of).unwrap_or_default();
        let message = format!(
            "{hour} has no digest, nor has any hour after it, {seen_at}: the sweep does not run, or they were removed"
        );
        self.find(Finding::new(Kind::MissingHour, message).in_hour(hour));
        true
    }

    /// Whether sweeps had the time to sum the hour up.
    fn is_overdue(&mut self, hour: i32, as_of: i64) -> bool {
        let begin = hour_begin(hour).as_second();
        if begin.saturating_add(DIGEST_DUE.as_secs()) >= as_of {
            return false;
        }
        let can_be_closed = begin.saturating_add(CAN_BE_CLOSED.as_secs());
        let sweeps = self.begun_again(can_be_closed);
        let catches_up = sweeps.is_some_and(|begun| as_of < begun.saturating_add(CATCHES_UP_IN.as_secs()));
        if catches_up {
            let now = Timestamp::from_second(as_of).unwrap_or_default();
            let hours = (now.as_second() - begin) / SignedDuration::from_hours(1).as_secs();
            self.summary.awaited = u64::try_from(hours).unwrap_or_default();
        }
        !catches_up
    }

    /// When the first sweep from then on began, or the first after the last while in which none did: a laptop is off now and
    /// then, and a deployment's sweeps never are.
    fn begun_again(&mut self, from: i64) -> Option<i64> {
        self.sweeps.sort_unstable();
        let first = self.sweeps.partition_point(|sweep| *sweep < from);
        let sweeps = self.sweeps.get(first..).unwrap_or_default();
        let pause = SWEEPS_PAUSE.as_secs();
        let is_pause = |(before, after): &(&i64, &i64)| *after - *before > pause;
        let again = sweeps.iter().zip(sweeps.iter().skip(1)).rfind(is_pause);
        again.map(|(_, after)| *after).or(sweeps.first().copied())
    }
}
