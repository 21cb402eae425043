//! What is kept of a row once it was read: enough for every later look, and small.
//!
//! 112 bytes, and the keys as text (about 65 bytes, 80 with the allocator's rounding). A table of a million rows fits
//! into 210 MB.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use pcs_api::audit::chain::Item;

/// SHA-256 as bytes.
pub type Hash = [u8; 32];

/// Which row of its call this is, as far as pairing asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Received,
    Read,
    Step,
    Identified,
    Closing,
    /// Of no call.
    Other,
}

/// A row's place and hash.
#[derive(Debug)]
pub struct Kept {
    pub hash: Hash,
    pub previous: Hash,
    pub seq: u64,
    /// Seconds since the epoch; `i64::MAX`: never.
    pub expires: i64,
    /// `at`, NUL, `sk`, and after another NUL `pk` where it does not follow from `at`. Sorts as digests do.
    pub keys: Box<str>,
    pub chain: u32,
    /// Hours since the epoch, of the time index.
    pub hour: i32,
    pub shard: u8,
    pub stage: Stage,
    /// It has been reported, and what follows from it need not be.
    pub changed: bool,
    pub traits: Traits,
}

/// What else pairing and order ask of a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traits {
    /// It tells of a success, which only an opened call can have.
    pub needs_opening: bool,
    /// Written by the sweep for a call that did not end: its `at` is older than its neighbours'.
    pub by_sweep: bool,
}

impl Kept {
    pub fn at(&self) -> &str {
        self.keys.split('\0').next().unwrap_or_default()
    }

    pub fn sk(&self) -> &str {
        self.keys.split('\0').nth(1).unwrap_or_default()
    }

    pub fn pk(&self) -> String {
        match self.keys.split('\0').nth(2) {
            Some(pk) => pk.to_owned(),
            None => pk_of(self.at()),
        }
    }

    pub fn order(&self) -> (i32, u8, &str) {
        (self.hour, self.shard, &self.keys)
    }

    /// Time of the call, in seconds since the epoch.
    pub fn time(&self) -> Option<i64> {
        let (time, _) = self.at().split_once('#')?;
        time.parse().ok().map(Timestamp::as_second)
    }
}

/// What of a row's keys could be read.
#[derive(Debug)]
pub struct Keys<'a> {
    pub pk: &'a str,
    pub sk: &'a str,
    pub at: &'a str,
    pub hour: i32,
    pub shard: u8,
}

impl<'a> Keys<'a> {
    /// `None` if the table or its time index could not hold the row in a place of its own.
    pub fn of(row: &'a Item) -> Option<Keys<'a>> {
        let keys = Keys {
            pk: text(row, "pk")?,
            sk: text(row, "sk")?,
            at: text(row, "at")?,
            hour: 0,
            shard: 0,
        };
        let is_plain = [keys.pk, keys.sk, keys.at].iter().all(|key| !key.contains('\0'));
        let (hour, shard) = text(row, "byTime")?.strip_prefix("T#")?.split_once('#')?;
        let shard: u8 = shard.parse().ok().filter(|shard| u128::from(*shard) < SHARDS)?;
        is_plain.then_some(Keys {
            hour: hour_number(hour)?,
            shard,
            ..keys
        })
    }

    pub fn kept(&self) -> Box<str> {
        let mut keys = format!("{}\0{}", self.at, self.sk);
        if pk_of(self.at) != self.pk {
            keys.push('\0');
            keys.push_str(self.pk);
        }
        keys.into_boxed_str()
    }
}

const SHARDS: u128 = pcs_api::audit::record::row::TIME_SHARDS;

/// `..Z#<event id>` is of `E#<event id>`; `..Z#DIGEST#2026-11-21T13` is of `DIGEST`.
fn pk_of(at: &str) -> String {
    let after = at.split_once('#').map_or("", |(_, after)| after);
    match after.split_once('#') {
        Some((pk, _)) => pk.to_owned(),
        None => format!("E#{after}"),
    }
}

/// A place in a chain, and the hashes that go with it.
#[derive(Debug)]
pub struct Place<'a> {
    pub chain: &'a str,
    pub seq: u64,
    pub previous: Option<Hash>,
    pub hash: Option<Hash>,
}

impl<'a> Place<'a> {
    pub fn of(row: &'a Item) -> Option<Place<'a>> {
        Some(Place {
            chain: text(row, "chainId").filter(|id| !id.is_empty())?,
            seq: number(row, "chainSeq").filter(|seq| *seq > 0)?,
            previous: text(row, "previousHash").and_then(hash_of),
            hash: text(row, "rowHash").and_then(hash_of),
        })
    }
}

pub fn stage(pk: &str, sk: &str) -> Stage {
    if !pk.starts_with("E#") {
        return Stage::Other;
    }
    match sk {
        "0#RECEIVED" => Stage::Received,
        "0#READ" => Stage::Read,
        "8#IDENTIFIED" => Stage::Identified,
        _ if sk.starts_with("1#STEP#") => Stage::Step,
        _ if sk.starts_with("9#") => Stage::Closing,
        _ => Stage::Other,
    }
}

pub fn traits(row: &Item, stage: Stage) -> Traits {
    let by_sweep = stage == Stage::Closing && text(row, "decision") == Some("UNKNOWN");
    // Refused calls have a closing row only; nothing succeeds without having been opened.
    let refused = number(row, "httpStatus").is_some_and(|status| status >= 400);
    let needs_opening = match stage {
        Stage::Closing => by_sweep || !refused,
        Stage::Step | Stage::Identified => true,
        Stage::Received | Stage::Read | Stage::Other => false,
    };
    Traits {
        needs_opening,
        by_sweep,
    }
}

pub fn text<'a>(row: &'a Item, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

pub fn number(row: &Item, name: &str) -> Option<u64> {
    row.get(name)?.as_n().ok()?.parse().ok()
}

pub fn seconds(row: &Item, name: &str) -> Option<i64> {
    row.get(name)?.as_n().ok()?.parse().ok()
}

pub fn numbers(value: &AttributeValue) -> impl Iterator<Item = u64> {
    let list = value.as_l().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|number| number.as_n().ok()?.parse().ok())
}

const SECONDS_PER_HOUR: i64 = 60 * 60;

/// `2026-11-21T13` as hours since the epoch.
pub fn hour_number(hour: &str) -> Option<i32> {
    let begin: Timestamp = format!("{hour}:00:00Z").parse().ok()?;
    let number = i32::try_from(begin.as_second().div_euclid(SECONDS_PER_HOUR)).ok()?;
    // `2026-11-21t13` and the like are other keys.
    (hour_name(number) == hour).then_some(number)
}

pub fn hour_begin(hour: i32) -> Timestamp {
    Timestamp::from_second(i64::from(hour) * SECONDS_PER_HOUR).unwrap_or(Timestamp::MAX)
}

pub fn hour_name(hour: i32) -> String {
    pcs_api::audit::record::row::hour(hour_begin(hour))
}

/// Lower-case hexadecimal, which is how rows say it.
pub fn hash_of(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != hash.len() * 2 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(hash)
}

pub fn hex(hash: &Hash) -> String {
    use std::fmt::Write;
    hash.iter()
        .fold(String::with_capacity(hash.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_no_more_than_the_documents_say() {
        assert!(size_of::<Kept>() <= 112, "{}", size_of::<Kept>());
    }

    #[test]
    fn partition_keys_follow_from_at() {
        assert_eq!(pk_of("2026-11-21T13:00:00.000Z#01K9"), "E#01K9");
        assert_eq!(pk_of("2026-11-21T13:00:00.000Z#DIGEST#2026-11-21T12"), "DIGEST");
        assert_eq!(
            pk_of("2026-11-21T13:00:00.000Z#SWEEP#2026-11-21T13:00:00.000000000Z"),
            "SWEEP"
        );
    }

    #[test]
    fn hours_are_numbers_and_back() {
        for hour in ["1970-01-01T00", "2026-11-21T13"] {
            assert_eq!(hour_number(hour).map(hour_name).as_deref(), Some(hour));
        }
        assert_eq!(hour_number("1970-01-02T01"), Some(25));
        for odd in [
            "",
            "2026-11-21",
            "2026-11-21t13",
            "2026-11-21T25",
            "2026-11-21 13",
        ] {
            assert_eq!(hour_number(odd), None, "{odd}");
        }
    }

    #[test]
    fn hashes_are_64_lower_case_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(hash_of(&text).map(|hash| hex(&hash)), Some(text.clone()));
        for odd in [
            text.to_uppercase(),
            text.replace("0f", "+f"),
            "00".repeat(31),
            "zz".repeat(32),
        ] {
            assert_eq!(hash_of(&odd), None, "{odd}");
        }
    }
}
