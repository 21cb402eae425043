//! Whatever single thing is done to a digested, signed table, `verify` finds it.

use aws_sdk_dynamodb::types::AttributeValue;
use pcs_api::audit::chain::Item;
use proptest::{prelude::*, sample::Index};

use crate::table::{TRAIL, is_of, number, text};

/// One thing that somebody may do.
#[derive(Debug, Clone)]
enum Deed {
    Delete(Index),
    Duplicate(Index),
    /// Two rows exchange an attribute that both have.
    Swap(Index, Index, Index),
    Change(Index, Index, Change),
    Add(Index, String, String),
}

#[derive(Debug, Clone)]
enum Change {
    Remove,
    Replace(String),
    Type,
    /// One character of a text, or digit of a number, anywhere in it.
    Flip(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Remove),
        any::<String>().prop_map(Change::Replace),
        Just(Change::Type),
        any::<Index>().prop_map(Change::Flip),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let index = any::<Index>;
    prop_oneof![
        index().prop_map(Deed::Delete),
        index().prop_map(Deed::Duplicate),
        (index(), index(), index()).prop_map(|(one, other, name)| Deed::Swap(one, other, name)),
        (index(), index(), change()).prop_map(|(row, name, change)| Deed::Change(row, name, change)),
        (index(), "[a-z]{1,9}|signature|withheld|rowHash", any::<String>())
            .prop_map(|(row, name, value)| Deed::Add(row, name, value)),
    ]
}

/// Does it; `false` if it would change nothing, or nothing that a digest covers.
fn do_it(deed: Deed, rows: &mut Vec<Item>) -> bool {
    let before = rows.clone();
    match deed {
        Deed::Delete(row) => {
            let row = row.index(rows.len());
            if is_newest_of_the_sweep(&rows[row], rows) {
                return false;
            }
            rows.remove(row);
        }
        Deed::Duplicate(row) => rows.push(rows[row.index(rows.len())].clone()),
        Deed::Swap(one, other, name) => {
            let (one, other) = (one.index(rows.len()), other.index(rows.len()));
            let name = name_of(&rows[one], name);
            let Some(value) = rows[other].get(&name).cloned() else {
                return false;
            };
            let value = rows[one].insert(name.clone(), value).unwrap();
            rows[other].insert(name, value);
        }
        Deed::Change(row, name, change) => {
            let row = row.index(rows.len());
            let name = name_of(&rows[row], name);
            alter(&mut rows[row], &name, change);
        }
        Deed::Add(row, name, value) => {
            let row = row.index(rows.len());
            rows[row].insert(name, AttributeValue::S(value));
        }
    }
    *rows != before
}

/// No digest covers it yet and no row of its chain follows: what `verify` says that it cannot see.
fn is_newest_of_the_sweep(row: &Item, rows: &[Item]) -> bool {
    let of_chain = rows.iter().filter(|other| other["chainId"] == row["chainId"]);
    let last = of_chain.map(|row| number(row, "chainSeq")).max();
    Some(number(row, "chainSeq")) == last && is_of(row, "Sweep")
}

fn name_of(row: &Item, name: Index) -> String {
    let mut names: Vec<&String> = row.keys().collect();
    names.sort();
    (*name.get(&names)).clone()
}

fn alter(row: &mut Item, name: &str, change: Change) {
    let changed = match (change, &row[name]) {
        (Change::Remove, _) => None,
        (Change::Replace(text), _) => Some(AttributeValue::S(text)),
        (Change::Type, AttributeValue::S(text)) => Some(AttributeValue::N(text.clone())),
        (Change::Flip(place), AttributeValue::S(text)) => Some(AttributeValue::S(flip(text, place))),
        (Change::Flip(place), AttributeValue::N(text)) => Some(AttributeValue::N(flip(text, place))),
        (Change::Flip(_), AttributeValue::Bool(flag)) => Some(AttributeValue::Bool(!flag)),
        (Change::Flip(place), AttributeValue::M(map)) if !map.is_empty() => {
            let mut map = map.clone();
            let inner = name_of(&map, place);
            alter(&mut map, &inner, Change::Flip(place));
            Some(AttributeValue::M(map))
        }
        (Change::Type | Change::Flip(_), other) => Some(AttributeValue::L(vec![other.clone()])),
    };
    match changed {
        Some(changed) => row.insert(name.to_owned(), changed),
        None => row.remove(name),
    };
}

fn flip(text: &str, place: Index) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    if chars.is_empty() {
        return "1".to_owned();
    }
    let place = place.index(chars.len());
    chars[place] = match chars[place] {
        '9' => '1',
        digit if digit.is_ascii_digit() => '9',
        'a' => 'b',
        _ => 'a',
    };
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_single_deed_is_found(deed in deed()) {
        let mut trail = TRAIL.clone();
        prop_assume!(do_it(deed.clone(), &mut trail.rows));
        let kinds = trail.kinds();
        prop_assert!(!kinds.is_empty(), "{:?}", deed);
    }
}

/// The last bytes of base64 may be written in more than one way; no decoder here takes any but one.
#[test]
fn every_character_of_a_signature_counts() {
    let place = TRAIL.find("DIGEST", &TRAIL.hours()[0]);
    let signature = text(&TRAIL.rows[place], "signature").to_owned();
    for at in 0..signature.len() {
        let mut trail = TRAIL.clone();
        let mut changed = signature.clone();
        let other = if signature.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        changed.replace_range(at..=at, other);
        trail.rows = vec![trail.rows[place].clone()];
        trail.rows[0].insert("signature".to_owned(), AttributeValue::S(changed));
        let (findings, _) = trail.verify();
        let is_found = findings
            .iter()
            .any(|finding| finding.kind == pcs_api_audit::verify::Kind::BadSignature);
        assert!(is_found, "character {at}");
    }
}
