//! What somebody did to a table is found, and named.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::SignedDuration;
use pcs_api::audit::chain::{self, Item};
use pcs_api_audit::{
    file,
    verify::{Kind, Rules},
};

use crate::table::{SECRET, TRAIL, Trail, build, is_of, number, secret_row, text, verify};

#[test]
fn what_nobody_touched_is_whole() {
    let (findings, summary) = TRAIL.verify();
    assert_eq!(findings, []);
    assert!(summary.rows_digested >= 20, "{summary:?}");
    assert_eq!(
        (summary.signed, summary.unsigned, summary.signatures_unchecked),
        (summary.digests, 0, 0)
    );
    assert!(summary.digests >= 22, "idle hours have one too: {summary:?}");
    assert_eq!(summary.chains, 4, "three environments and the sweep's");
    // The sweeps' own rows and the digests are in this hour.
    assert_eq!(summary.rows, summary.rows_digested + summary.rows_in_chains_only);
    let (findings, summary) = verify(&TRAIL.rows, Rules::default());
    assert_eq!(
        (findings.len(), summary.signatures_unchecked),
        (0, summary.digests)
    );
}

#[test]
fn the_order_of_rows_in_a_file_does_not_matter() {
    let mut trail = TRAIL.clone();
    trail.rows.reverse();
    trail.rows.sort_by_key(|row| text(row, "rowHash").to_owned());
    assert_eq!(trail.kinds(), []);
}

/// Every attribute that any row has, changed in one row that has it.
#[test]
fn a_changed_attribute_is_named() {
    let mut seen = std::collections::BTreeSet::new();
    for (place, row) in TRAIL.rows.iter().enumerate() {
        for name in row.keys() {
            let class = (
                text(row, "sk").get(..2).unwrap_or_default().to_owned(),
                name.clone(),
            );
            if !seen.insert(class) || name == "signature" {
                continue;
            }
            let mut trail = TRAIL.clone();
            let changed = match &row[name] {
                AttributeValue::S(text) => AttributeValue::S(format!("{text}x")),
                AttributeValue::N(number) => AttributeValue::N(format!("{number}1")),
                AttributeValue::Bool(flag) => AttributeValue::Bool(!flag),
                other @ (AttributeValue::L(_) | AttributeValue::M(_) | _) => {
                    AttributeValue::L(vec![other.clone()])
                }
            };
            trail.rows[place].insert(name.clone(), changed);
            let (findings, _) = trail.verify();
            let is_named = findings.iter().any(|finding| {
                [Kind::ChangedRow, Kind::InsertedRow].contains(&finding.kind)
                    && finding.sk.as_deref() == Some(text(&trail.rows[place], "sk"))
            });
            assert!(is_named, "{name} of {}: {findings:?}", text(row, "sk"));
        }
    }
    assert!(seen.len() > 60, "{}", seen.len());
}

#[test]
fn a_signature_that_is_not_the_keys_is_named() {
    let hour = &TRAIL.hours()[3];
    let place = TRAIL.find("DIGEST", hour);
    let other = TRAIL.find("DIGEST", &TRAIL.hours()[4]);
    for signature in [
        Some(TRAIL.rows[other]["signature"].clone()),
        Some(AttributeValue::S("AAAA".to_owned())),
        None,
    ] {
        let mut trail = TRAIL.clone();
        trail.rows[place].remove("signature");
        if let Some(signature) = signature {
            trail.rows[place].insert("signature".to_owned(), signature);
        }
        let (findings, _) = trail.verify();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(
            (findings[0].kind, findings[0].hour.as_ref()),
            (Kind::BadSignature, Some(hour))
        );
    }
}

#[test]
fn a_deleted_row_is_named_by_its_neighbours() {
    let mut trail = TRAIL.clone();
    let row = trail.rows.remove(trail.digested());
    let (findings, _) = trail.verify();
    let missing = findings
        .iter()
        .find(|finding| finding.kind == Kind::MissingRow)
        .unwrap();
    assert_eq!(missing.chain_id.as_deref(), Some(text(&row, "chainId")));
    assert_eq!(missing.chain_seq, Some(2));
    let before = text(&row, "pk");
    assert!(
        missing.message.contains("number 2 of chain")
            && missing
                .message
                .contains(&format!("between {before} 0#RECEIVED (number 1) and E#"))
            && missing.message.contains("(number 3)"),
        "{}",
        missing.message
    );
    assert_eq!(
        trail.kinds(),
        [Kind::MissingRow, Kind::HourMismatch, Kind::NeverClosed]
    );
}

#[test]
fn an_inserted_row_is_named() {
    let mut trail = TRAIL.clone();
    // Without a place in a chain.
    let mut stranger = trail.rows[trail.digested()].clone();
    stranger.insert("pk".to_owned(), AttributeValue::S("E#STRANGER".to_owned()));
    stranger.remove("chainId");
    trail.rows.push(stranger.clone());
    let (findings, _) = trail.verify();
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].kind, findings[0].pk.as_deref()),
        (Kind::InsertedRow, Some("E#STRANGER"))
    );
    // In the place of another.
    let mut trail = TRAIL.clone();
    let mut double = trail.rows[trail.digested()].clone();
    double.insert("sk".to_owned(), AttributeValue::S("9#PANIC".to_owned()));
    let hash = chain::row_hash(&double);
    double.insert("rowHash".to_owned(), AttributeValue::S(hash));
    trail.rows.push(double);
    assert_eq!(trail.kinds(), [Kind::InsertedRow, Kind::HourMismatch]);
    // In a chain of its own, with hashes that fit.
    let mut trail = TRAIL.clone();
    let mut forged = trail.rows[trail.digested()].clone();
    for (name, value) in [
        ("chainId", "FORGED"),
        ("pk", "E#FORGED"),
        ("previousHash", chain::FIRST),
    ] {
        forged.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
    }
    forged.insert("chainSeq".to_owned(), AttributeValue::N("1".to_owned()));
    let hash = chain::row_hash(&forged);
    forged.insert("rowHash".to_owned(), AttributeValue::S(hash));
    trail.rows.push(forged);
    let (findings, _) = trail.verify();
    let mismatch = findings
        .iter()
        .find(|finding| finding.kind == Kind::HourMismatch)
        .unwrap();
    assert!(
        mismatch.message.contains("it knows nothing of chain FORGED"),
        "{}",
        mismatch.message
    );
}

/// Two rows exchange all but their keys, or their places in the chain, with hashes made to fit each row.
#[test]
fn swapped_rows_are_named() {
    let one = TRAIL.digested();
    let chain_id = text(&TRAIL.rows[one], "chainId");
    let is_other = |row: &Item| text(row, "chainId") == chain_id && number(row, "chainSeq") == 4;
    let other = TRAIL.rows.iter().position(is_other).unwrap();
    let mut trail = TRAIL.clone();
    for name in ["pk", "sk"] {
        exchange(&mut trail, one, other, name);
    }
    assert!(trail.kinds().contains(&Kind::ChangedRow));
    let mut trail = TRAIL.clone();
    for name in ["chainSeq", "previousHash"] {
        exchange(&mut trail, one, other, name);
    }
    for place in [one, other] {
        let hash = chain::row_hash(&trail.rows[place]);
        trail.rows[place].insert("rowHash".to_owned(), AttributeValue::S(hash));
    }
    assert_eq!(trail.kinds(), [Kind::BrokenLink, Kind::HourMismatch]);
}

fn exchange(trail: &mut Trail, one: usize, other: usize, name: &str) {
    let (a, b) = (trail.rows[one][name].clone(), trail.rows[other][name].clone());
    trail.rows[one].insert(name.to_owned(), b);
    trail.rows[other].insert(name.to_owned(), a);
}

#[test]
fn a_dropped_hour_is_named() {
    let hours = TRAIL.hours();
    let hour = &hours[hours.len() - 3];
    let mut trail = TRAIL.clone();
    trail.rows.remove(trail.find("DIGEST", hour));
    let (findings, _) = trail.verify();
    let missing = findings
        .iter()
        .find(|finding| finding.kind == Kind::MissingHour)
        .unwrap();
    assert_eq!(missing.message, format!("the digest of {hour} is missing"));
    // With everything that the hour held.
    let is_of = |row: &Item| text(row, "byTime").starts_with(&format!("T#{hour}#"));
    trail.rows.retain(|row| !is_of(row));
    assert!(trail.kinds().contains(&Kind::MissingHour));
    // The first digest names another only if there was one.
    let mut trail = TRAIL.clone();
    trail.rows.remove(trail.find("DIGEST", &hours[0]));
    assert!(trail.kinds().contains(&Kind::MissingHour));
}

#[test]
fn a_truncated_tail_is_named() {
    let mut trail = TRAIL.clone();
    let chain_id = text(&trail.rows[trail.digested()], "chainId").to_owned();
    let of_chain = |row: &&Item| text(row, "chainId") == chain_id;
    let last = trail
        .rows
        .iter()
        .filter(of_chain)
        .map(|row| number(row, "chainSeq"))
        .max()
        .unwrap();
    trail
        .rows
        .retain(|row| text(row, "chainId") != chain_id || number(row, "chainSeq") <= last - 2);
    let (findings, _) = trail.verify();
    let cut = findings
        .iter()
        .find(|finding| finding.kind == Kind::MissingTail)
        .unwrap();
    assert_eq!(
        (cut.chain_id.as_ref(), cut.chain_seq),
        (Some(&chain_id), u64::try_from(last - 1).ok())
    );
    // All of it.
    trail.rows.retain(|row| text(row, "chainId") != chain_id);
    let (findings, _) = trail.verify();
    let cut = findings
        .iter()
        .find(|finding| finding.kind == Kind::MissingTail)
        .unwrap();
    assert!(
        cut.message.starts_with(&format!("chain {chain_id} is gone")),
        "{}",
        cut.message
    );
    assert_eq!(trail.kinds(), [Kind::MissingTail, Kind::HourMismatch]);
}

#[test]
fn newest_hours_without_digest_are_named_when_overdue() {
    let now = TRAIL.verify().1.digested.unwrap().1;
    let end = format!("{now}:00:00Z").parse::<jiff::Timestamp>().unwrap() + SignedDuration::from_hours(1);
    let kinds = |hours| {
        let rules = Rules {
            as_of: Some(end + SignedDuration::from_hours(hours)),
            ..TRAIL.rules()
        };
        verify(&TRAIL.rows, rules)
            .0
            .iter()
            .map(|finding| finding.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(6), []);
    assert_eq!(kinds(7), [Kind::MissingHour]);
}

/// After hours in which no sweep ran, as on a laptop that was off, the next one has an hour to sum them up, and what is
/// not shown until then is said.
#[test]
fn sweeps_that_begin_again_have_an_hour_to_catch_up() {
    let last = TRAIL.verify().1.digested.unwrap().1;
    let end = format!("{last}:00:00Z").parse::<jiff::Timestamp>().unwrap() + SignedDuration::from_hours(1);
    let begun = end + SignedDuration::from_hours(30);
    let mut rows = TRAIL.rows.clone();
    rows.push(sweep_begun(begun));
    let checked = |minutes| {
        let rules = Rules {
            as_of: Some(begun + SignedDuration::from_mins(minutes)),
            ..TRAIL.rules()
        };
        let (findings, summary) = verify(&rows, rules);
        let kinds: Vec<Kind> = findings.iter().map(|finding| finding.kind).collect();
        (kinds, summary.awaited)
    };
    assert_eq!(checked(5), (vec![], 30));
    assert_eq!(checked(65), (vec![Kind::MissingHour], 0));
}

/// The first row of a sweep at that time, of an environment of its own.
fn sweep_begun(at: jiff::Timestamp) -> Item {
    let is_one = |row: &&Item| is_of(row, "Sweep") && text(row, "sk") == "0#RECEIVED";
    let mut row = TRAIL.rows.iter().find(is_one).unwrap().clone();
    let (time, id) = (format!("{at:.3}"), ulid(at));
    let shard = text(&row, "byTime").rsplit('#').next().unwrap().to_owned();
    for (name, value) in [
        ("pk", format!("E#{id}")),
        ("at", format!("{time}#{id}")),
        ("byTime", format!("T#{}#{shard}", at.strftime("%Y-%m-%dT%H"))),
    ] {
        row.insert(name.to_owned(), AttributeValue::S(value));
    }
    row.remove("unacknowledged");
    chain::Chain::begin().link(&mut row).acknowledge();
    row
}

fn ulid(at: jiff::Timestamp) -> String {
    let letters = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut number = u128::from(u64::try_from(at.as_millisecond()).unwrap()) << 80;
    let mut text = [b'0'; 26];
    for place in text.iter_mut().rev() {
        *place = letters[usize::try_from(number & 31).unwrap()];
        number >>= 5;
    }
    String::from_utf8(text.into()).unwrap()
}

/// What a row says is being written beside it excuses nothing once its chain has gone on.
#[test]
fn a_row_that_was_under_way_once_and_is_there_no_more_is_missed() {
    for (excusing, kinds) in [(3, vec![Kind::MissingRow]), (i64::MAX, vec![])] {
        let trail = build(move |rows| {
            let queue = rows.iter().find(|row| is_of(row, "DeleteQueue")).unwrap();
            let chain_id = text(queue, "chainId").to_owned();
            let of_chain = |row: &&mut Item| text(row, "chainId") == chain_id;
            let last = rows
                .iter_mut()
                .filter(of_chain)
                .map(|row| number(row, "chainSeq"))
                .max()
                .unwrap();
            assert!(last > 3, "{last}");
            for row in rows.iter_mut().filter(of_chain) {
                let seq = number(row, "chainSeq");
                if seq == 2 {
                    row.insert("lost".to_owned(), AttributeValue::Bool(true));
                }
                if seq == excusing.min(last) {
                    let numbers = vec![AttributeValue::N("2".to_owned())];
                    row.insert("underWay".to_owned(), AttributeValue::L(numbers));
                }
            }
        });
        let (findings, _) = trail.verify();
        assert_eq!(trail.kinds(), kinds, "{findings:?}");
    }
}

/// A write whose answer was lost may have left no row; a later row of the chain says so, and no other can.
#[test]
fn a_row_that_was_never_acknowledged_is_counted_and_one_that_was_is_missed() {
    for (declared, kinds) in [("2", vec![]), ("3", vec![Kind::MissingRow])] {
        let trail = build(move |rows| {
            let queue = rows.iter().find(|row| is_of(row, "DeleteQueue")).unwrap();
            let chain_id = text(queue, "chainId").to_owned();
            for row in rows.iter_mut().filter(|row| text(row, "chainId") == chain_id) {
                match number(row, "chainSeq") {
                    2 => row.insert("lost".to_owned(), AttributeValue::Bool(true)),
                    3 => {
                        let list = vec![AttributeValue::N(declared.to_owned())];
                        row.insert("unacknowledged".to_owned(), AttributeValue::L(list))
                    }
                    _ => None,
                };
            }
        });
        let (findings, summary) = trail.verify();
        assert_eq!(trail.kinds(), kinds, "{findings:?}");
        assert_eq!(summary.declared, u64::from(kinds.is_empty()));
    }
}

#[test]
fn calls_that_nobody_closed_or_opened_are_named() {
    let created = TRAIL
        .rows
        .iter()
        .find(|row| text(row, "sk") == "8#IDENTIFIED")
        .unwrap();
    let pk = text(created, "pk");
    for (sk, kind) in [
        ("9#COMPLETE", Kind::NeverClosed),
        ("0#RECEIVED", Kind::NeverOpened),
    ] {
        let mut trail = TRAIL.clone();
        trail.rows.remove(trail.find(pk, sk));
        let (findings, _) = trail.verify();
        let found = findings.iter().find(|finding| finding.kind == kind).unwrap();
        assert_eq!(found.pk.as_deref(), Some(pk));
    }
}

/// An export lacks the secret, and the row is still held by its hash.
#[test]
fn the_row_of_the_secret_is_checked_without_it() {
    let trail = build(|rows| {
        let row = secret_row(&rows[0]);
        rows.push(row);
    });
    assert_eq!(trail.kinds(), []);
    let lines: Vec<String> = trail.rows.iter().cloned().map(file::line).collect();
    let all = lines.join("\n");
    assert!(!all.contains(&BASE64_STANDARD.encode(SECRET)) && all.contains("withheld"));
    let mut rows = Vec::new();
    file::read(all.as_bytes(), &mut rows, |_, _| Ok(()), Vec::push).unwrap();
    let mut exported = Trail { rows, ..trail };
    let (findings, summary) = exported.verify();
    assert_eq!((findings, summary.withheld), (vec![], 1));
    // A table has no business with rows that withhold.
    let rules = Rules {
        may_withhold: false,
        ..exported.rules()
    };
    assert_eq!(verify(&exported.rows, rules).0[0].kind, Kind::ChangedRow);
    let place = exported.find("CURSOR_KEY", "0");
    exported.rows[place].insert("rowHash".to_owned(), AttributeValue::S("ab".repeat(32)));
    assert!(exported.kinds().contains(&Kind::HourMismatch));
}
