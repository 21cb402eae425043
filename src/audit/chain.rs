//! Tamper evidence: each execution environment links the rows it writes into a chain of its own.
//!
//! A row carries the hash of the row that its environment wrote before, its number in the chain, and its own hash.
//! Whoever changes, removes, inserts or swaps rows must recompute the rest of the chain, and then the hourly digest
//! (`digest.rs`) no longer fits. One chain for all environments would make every write wait for every other.
//!
//! A write that was not acknowledged may or may not have left its row. Its number is used up, and the next row says
//! so (`unacknowledged`), so that a row missing for this reason is told from one that was taken away.
//!
//! A process that serves many calls at once can be killed after a later row is in the table and before an earlier one
//! is. So each row also says which others are being written beside it (`underWay`). That excuses a missing row only
//! where nothing came after: of the newest row of a chain. Whatever is told later than a row replaces what it says.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::new_id;

/// A row as DynamoDB takes and returns it.
pub type Item = HashMap<String, AttributeValue>;

/// What precedes the first row of a chain: 64 zeros.
pub const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// More than this many are not declared; what is left out counts as missing, which is the safe side.
const UNACKNOWLEDGED_MAX: usize = 1_000;
/// Attributes that the hash cannot cover: itself, and the signature over it.
const NOT_HASHED: [&str; 2] = ["rowHash", "signature"];

/// The chain of one execution environment.
#[derive(Debug)]
pub struct Chain {
    id: String,
    end: Mutex<End>,
}

#[derive(Debug)]
struct End {
    seq: u64,
    hash: String,
    /// Neither acknowledged nor failed yet.
    under_way: BTreeSet<u64>,
    /// Failed or given up, and not yet declared by a row that the table has.
    unacknowledged: BTreeSet<u64>,
}

/// A row's place in the chain. Dropped without [`Link::acknowledge`], the row counts as unacknowledged: that is what
/// a write that failed, timed out or panicked leaves.
#[derive(Debug)]
pub struct Link<'a> {
    chain: &'a Chain,
    seq: u64,
    declared: BTreeSet<u64>,
    acknowledged: bool,
}

impl Chain {
    pub fn begin() -> Chain {
        Chain {
            id: new_id(Timestamp::now()).to_string(),
            end: Mutex::new(End {
                seq: 0,
                hash: FIRST.to_owned(),
                under_way: BTreeSet::new(),
                unacknowledged: BTreeSet::new(),
            }),
        }
    }

    /// Makes the row the chain's next: adds `chainId`, `chainSeq`, `previousHash`, `unacknowledged`, `underWay` and
    /// `rowHash`.
    pub fn link(&self, row: &mut Item) -> Link<'_> {
        let mut end = self.end();
        end.seq += 1;
        let declared: BTreeSet<u64> = end
            .unacknowledged
            .iter()
            .copied()
            .take(UNACKNOWLEDGED_MAX)
            .collect();
        let mut set = |name: &str, value| row.insert(name.to_owned(), value);
        set("chainId", AttributeValue::S(self.id.clone()));
        set("chainSeq", AttributeValue::N(end.seq.to_string()));
        set("previousHash", AttributeValue::S(end.hash.clone()));
        for (name, numbers) in [("unacknowledged", &declared), ("underWay", &end.under_way)] {
            if !numbers.is_empty() {
                let numbers = numbers.iter().take(UNACKNOWLEDGED_MAX);
                let numbers = numbers.map(|seq| AttributeValue::N(seq.to_string()));
                set(name, AttributeValue::L(numbers.collect()));
            }
        }
        let hash = row_hash(row);
        row.insert("rowHash".to_owned(), AttributeValue::S(hash.clone()));
        end.hash = hash;
        let seq = end.seq;
        end.under_way.insert(seq);
        Link {
            chain: self,
            seq,
            declared,
            acknowledged: false,
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        // Nothing in here panics half way.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link<'_> {
    /// The table has the row.
    pub fn acknowledge(mut self) {
        self.acknowledged = true;
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        let mut end = self.chain.end();
        end.under_way.remove(&self.seq);
        if self.acknowledged {
            end.unacknowledged.retain(|seq| !self.declared.contains(seq));
        } else {
            end.unacknowledged.insert(self.seq);
        }
    }
}

/// SHA-256, in hexadecimal, of the row in DynamoDB's own JSON, written canonically (RFC 8785), without `rowHash` and
/// `signature`. With boto3's low-level client it is
/// `sha256(json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False))`.
pub fn row_hash(row: &Item) -> String {
    let mut text = Vec::with_capacity(4_096);
    let hashed = row
        .iter()
        .filter(|(name, _)| !NOT_HASHED.contains(&name.as_str()));
    object(hashed, &mut text);
    crate::hex(&Sha256::digest(&text))
}

fn object<'a>(members: impl Iterator<Item = (&'a String, &'a AttributeValue)>, out: &mut Vec<u8>) {
    let mut members: Vec<_> = members.collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (position, (name, member)) in members.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        quote(name, out);
        out.push(b':');
        value(member, out);
    }
    out.push(b'}');
}

fn value(value: &AttributeValue, out: &mut Vec<u8>) {
    match value {
        AttributeValue::S(text) => tagged("S", out, |out| quote(text, out)),
        AttributeValue::N(number) => tagged("N", out, |out| quote(number, out)),
        AttributeValue::Bool(flag) => tagged("BOOL", out, |out| {
            out.extend_from_slice(if *flag { b"true" } else { b"false" });
        }),
        AttributeValue::B(bytes) => tagged("B", out, |out| quote(&BASE64_STANDARD.encode(bytes), out)),
        AttributeValue::L(list) => tagged("L", out, |out| {
            out.push(b'[');
            for (position, member) in list.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                self::value(member, out);
            }
            out.push(b']');
        }),
        AttributeValue::M(map) => tagged("M", out, |out| object(map.iter(), out)),
        // No row has any; in a row that somebody put there it makes a hash that fits nothing.
        other @ (AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_)
        | AttributeValue::Null(_)
        | _) => tagged("?", out, |out| quote(&format!("{other:?}"), out)),
    }
}

fn tagged(tag: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(tag.as_bytes());
    out.extend_from_slice(b"\":");
    write(out);
    out.push(b'}');
}

fn quote(text: &str, out: &mut Vec<u8>) {
    if text
        .bytes()
        .any(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
    {
        // A string cannot fail to serialize, nor a vector to take it.
        let _ = serde_json::to_writer(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    const NONE: [&str; 0] = [];

    fn declared(row: &Item) -> Vec<String> {
        numbers(row, "unacknowledged")
    }

    fn under_way(row: &Item) -> Vec<String> {
        numbers(row, "underWay")
    }

    fn numbers(row: &Item, name: &str) -> Vec<String> {
        let numbers = row.get(name).map(|list| list.as_l().unwrap());
        let numbers = numbers.into_iter().flatten();
        numbers.map(|seq| seq.as_n().unwrap().clone()).collect()
    }

    fn number(row: &Item, name: &str) -> u64 {
        row[name].as_n().unwrap().parse().unwrap()
    }

    /// Expected value: `hashlib.sha256(json.dumps(row, sort_keys=True, separators=(",", ":"),
    /// ensure_ascii=False).encode()).hexdigest()` of Python 3.
    #[test]
    fn the_hash_is_that_of_canonical_json() {
        let row = Item::from([
            ("pk".to_owned(), text("E#1")),
            ("odd".to_owned(), text("q\"\\/\n\u{1}\u{7f}é€😀")),
            ("n".to_owned(), AttributeValue::N("-12.5".to_owned())),
            ("flag".to_owned(), AttributeValue::Bool(true)),
            (
                "list".to_owned(),
                AttributeValue::L(vec![text(""), AttributeValue::M(Item::new())]),
            ),
            ("rowHash".to_owned(), text("not hashed")),
            ("signature".to_owned(), text("not hashed")),
        ]);
        assert_eq!(
            row_hash(&row),
            "d7149aaef840db77879f7723266ef00150901baebb2225c012832378fa29ae51"
        );
    }

    #[test]
    fn rows_follow_one_another() {
        let chain = Chain::begin();
        let mut rows = [Item::new(), Item::new()];
        for row in &mut rows {
            chain.link(row).acknowledge();
        }
        let [first, second] = rows;
        assert_eq!(first["previousHash"], text(FIRST));
        assert_eq!(second["previousHash"], first["rowHash"]);
        assert_eq!((number(&first, "chainSeq"), number(&second, "chainSeq")), (1, 2));
        assert_eq!(first["rowHash"], text(&row_hash(&first)));
        assert_ne!(Chain::begin().id, chain.id);
    }

    #[test]
    fn a_write_that_was_not_acknowledged_is_declared_until_a_row_that_says_so_is() {
        let chain = Chain::begin();
        drop(chain.link(&mut Item::new()));
        let mut second = Item::new();
        drop(chain.link(&mut second));
        let mut third = Item::new();
        chain.link(&mut third).acknowledge();
        let mut fourth = Item::new();
        chain.link(&mut fourth).acknowledge();
        assert_eq!(declared(&second), ["1"]);
        assert_eq!(declared(&third), ["1", "2"]);
        assert_eq!(declared(&fourth), NONE);
    }

    #[test]
    fn a_row_says_which_others_are_under_way_until_they_are_there() {
        let chain = Chain::begin();
        let mut rows: [Item; 4] = Default::default();
        let [first, second, third, fourth] = &mut rows;
        let slow = chain.link(first);
        chain.link(second).acknowledge();
        chain.link(third).acknowledge();
        slow.acknowledge();
        chain.link(fourth).acknowledge();
        assert_eq!(
            (under_way(second), under_way(third)),
            (vec!["1".to_owned()], vec!["1".to_owned()])
        );
        assert_eq!(under_way(fourth), NONE, "what is there is not excused any more");
        assert!(
            [second, third, fourth]
                .into_iter()
                .all(|row| declared(row).is_empty())
        );
    }

    #[test]
    fn a_row_that_was_under_way_and_fails_is_declared() {
        let chain = Chain::begin();
        let mut rows: [Item; 3] = Default::default();
        let [first, second, third] = &mut rows;
        let slow = chain.link(first);
        chain.link(second).acknowledge();
        drop(slow);
        chain.link(third).acknowledge();
        assert_eq!(
            (under_way(second), declared(second)),
            (vec!["1".to_owned()], Vec::new())
        );
        assert_eq!(
            (under_way(third), declared(third)),
            (Vec::new(), vec!["1".to_owned()])
        );
    }
}
