//! What time to live removes is no finding; what else is gone is.

use std::sync::LazyLock;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::chain::Item;
use pcs_api_audit::verify::{Kind, Rules};

use crate::table::{TRAIL, Trail, build, is_of, number, text, verify};

/// Rows live for four hours from their call, digests for a year: calls five hours ago have expired, and those three
/// hours ago have not.
static EXPIRING: LazyLock<Trail> = LazyLock::new(|| {
    build(|rows| {
        for row in rows {
            let time: Timestamp = text(row, "eventTime").parse().unwrap();
            let expires = (time + SignedDuration::from_hours(4)).as_second();
            row.insert("expires".to_owned(), AttributeValue::N(expires.to_string()));
        }
    })
});

fn is_of_a_call(row: &Item) -> bool {
    text(row, "pk").starts_with("E#")
}

fn has_expired(row: &Item) -> bool {
    number(row, "expires") <= Timestamp::now().as_second()
}

fn now(trail: &Trail) -> Rules {
    Rules {
        as_of: Some(Timestamp::now()),
        ..trail.rules()
    }
}

#[test]
fn rows_that_expired_may_be_there_or_not() {
    let trail = &*EXPIRING;
    let expired = trail
        .rows
        .iter()
        .filter(|row| is_of_a_call(row) && has_expired(row))
        .count();
    assert!(expired >= 3, "{expired}");
    // All still there; all gone; every other gone, as DynamoDB would leave them for days.
    for keep in [|_: usize| true, |_| false, |place| place % 2 == 0] {
        let mut place = 0;
        let mut rows = trail.rows.clone();
        rows.retain(|row| {
            place += 1;
            !is_of_a_call(row) || !has_expired(row) || keep(place)
        });
        let (findings, summary) = verify(&rows, now(trail));
        assert_eq!(findings, []);
        assert!(summary.expired_hours >= 1, "{summary:?}");
        assert_eq!(
            summary.expired_rows > 0,
            rows.len() < trail.rows.len(),
            "{summary:?}"
        );
    }
}

#[test]
fn a_row_that_had_not_expired_is_missed() {
    let mut trail = EXPIRING.clone();
    trail.rows.retain(|row| !is_of_a_call(row) || !has_expired(row));
    let live = trail
        .rows
        .iter()
        .position(|row| is_of_a_call(row) && text(row, "sk") == "0#READ");
    trail.rows.remove(live.unwrap());
    let (findings, _) = verify(&trail.rows, now(&trail));
    assert!(
        findings.iter().any(|finding| finding.kind == Kind::HourMismatch),
        "{findings:?}"
    );
}

#[test]
fn a_row_more_than_the_digest_counts_is_found_in_an_expired_hour_too() {
    let mut trail = EXPIRING.clone();
    let place = trail
        .rows
        .iter()
        .position(|row| is_of_a_call(row) && has_expired(row))
        .unwrap();
    let mut forged = trail.rows[place].clone();
    for (name, value) in [
        ("chainId", "FORGED"),
        ("pk", "E#FORGED"),
        ("previousHash", pcs_api::audit::chain::FIRST),
    ] {
        forged.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
    }
    forged.insert("chainSeq".to_owned(), AttributeValue::N("1".to_owned()));
    let hash = pcs_api::audit::chain::row_hash(&forged);
    forged.insert("rowHash".to_owned(), AttributeValue::S(hash));
    trail.rows.push(forged);
    let (findings, _) = verify(&trail.rows, now(&trail));
    let kinds: Vec<Kind> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::HourMismatch]);
}

/// A table that is kept for a year and is days old has lost nothing to time.
#[test]
fn in_a_young_table_a_missing_beginning_is_a_finding() {
    let mut trail = TRAIL.clone();
    let first = trail
        .rows
        .iter()
        .position(|row| number(row, "chainSeq") == 1 && is_of_a_call(row))
        .unwrap();
    trail.rows.remove(first);
    assert!(trail.kinds().contains(&Kind::MissingRow));
}

/// A scan is no snapshot: the last rows may be seen without the one before.
#[test]
fn what_was_written_during_the_scan_is_left_undecided() {
    let mut trail = TRAIL.clone();
    // The last sweep's opening row: digests and its closing row follow in the same chain.
    let received = trail
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| is_of(row, "Sweep"))
        .filter(|(_, row)| text(row, "sk") == "0#RECEIVED")
        .max_by_key(|(_, row)| number(row, "chainSeq"))
        .map(|(place, _)| place)
        .unwrap();
    trail.rows.remove(received);
    let settled = |settled: Timestamp| {
        let rules = Rules {
            settled: Some(settled),
            ..trail.rules()
        };
        verify(&trail.rows, rules)
    };
    let (findings, summary) = settled(Timestamp::now());
    assert_eq!((findings, summary.undecided), (vec![], 1));
    let (findings, summary) = settled(Timestamp::now() + SignedDuration::from_hours(1));
    assert_eq!((findings[0].kind, summary.undecided), (Kind::MissingRow, 0));
}
