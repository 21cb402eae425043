//! Somebody who can rewrite the whole table recomputes every hash. Only the signature is out of reach.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use pcs_api::audit::{
    chain::{FIRST, Item},
    digest::{self, Hour, Leaf, Shard},
};
use pcs_api_audit::verify::{Kind, Rules};

use crate::table::{TRAIL, Trail, link, number, text, verify};

/// Changes who created the cluster, then makes all hashes, chains and digests fit.
fn forge() -> Trail {
    let mut trail = TRAIL.clone();
    let place = trail.digested();
    trail.rows[place].insert(
        "sourceIPAddress".to_owned(),
        AttributeValue::S("198.51.100.1".to_owned()),
    );
    rewrite(&mut trail.rows);
    trail
}

/// Links all chains, and makes every digest that of its rows.
fn rewrite(rows: &mut Vec<Item>) {
    *rows = link(std::mem::take(rows));
    let mut digests: Vec<usize> = (0..rows.len())
        .filter(|place| text(&rows[*place], "pk") == "DIGEST")
        .collect();
    digests.sort_by_key(|place| text(&rows[*place], "sk").to_owned());
    let mut previous = FIRST.to_owned();
    for place in digests {
        let hour = sum(rows, text(&rows[place], "sk"));
        let row = &mut rows[place];
        row.insert("root".to_owned(), AttributeValue::S(hour.root()));
        row.insert("rows".to_owned(), AttributeValue::N(hour.rows.to_string()));
        row.insert(
            "previousDigestHash".to_owned(),
            AttributeValue::S(previous.clone()),
        );
        // The digests' own chain goes on after each of them.
        *rows = link(std::mem::take(rows));
        text(&rows[place], "rowHash").clone_into(&mut previous);
    }
}

fn sum(rows: &[Item], name: &str) -> Hour {
    let begin = format!("{name}:00:00Z").parse().unwrap();
    let mut hour = Hour::default();
    for key in digest::shards(begin) {
        let mut leaves: BTreeMap<(String, String), Leaf> = BTreeMap::new();
        for row in rows.iter().filter(|row| text(row, "byTime") == key) {
            let leaf = Leaf {
                at: text(row, "at").to_owned(),
                sk: text(row, "sk").to_owned(),
                row_hash: text(row, "rowHash").to_owned(),
                chain_id: text(row, "chainId").to_owned(),
                chain_seq: u64::try_from(number(row, "chainSeq")).unwrap(),
                expires: number(row, "expires"),
            };
            leaves.insert((leaf.at.clone(), leaf.sk.clone()), leaf);
        }
        let mut shard = Shard::default();
        for leaf in leaves.into_values() {
            shard.add(leaf);
        }
        shard.end(&mut hour);
    }
    hour
}

#[test]
fn rewriting_what_is_true_changes_nothing() {
    let mut trail = TRAIL.clone();
    rewrite(&mut trail.rows);
    assert_eq!(trail.kinds(), [], "the forger's tools are good");
    let hash = |trail: &Trail, place| text(&trail.rows[place], "rowHash").to_owned();
    let last = TRAIL.hours().pop().unwrap();
    assert_eq!(
        hash(&trail, trail.find("DIGEST", &last)),
        hash(&TRAIL, TRAIL.find("DIGEST", &last))
    );
}

#[test]
fn a_forged_table_passes_without_the_key_and_not_with_it() {
    let forged = forge();
    let (findings, summary) = verify(&forged.rows, Rules::default());
    assert_eq!(findings, [], "nothing but the signatures could tell");
    assert!(
        summary
            .lines()
            .iter()
            .any(|line| line.contains("signatures were not checked"))
    );
    let (findings, _) = forged.verify();
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding.kind == Kind::BadSignature));
    // The hour of the change is the first whose digest is another.
    let hour: String = text(&TRAIL.rows[TRAIL.digested()], "eventTime")
        .chars()
        .take(13)
        .collect();
    assert_eq!(
        findings[0].hour.as_ref().max(Some(&hour)),
        findings[0].hour.as_ref()
    );
    assert!(
        findings
            .iter()
            .any(|finding| finding.hour.as_ref() == Some(&hour))
    );
}

#[test]
fn a_forger_who_takes_the_signatures_away_is_found_too() {
    let mut forged = forge();
    for row in &mut forged.rows {
        for name in ["signature", "signingKey", "signingAlgorithm"] {
            row.remove(name);
        }
    }
    rewrite(&mut forged.rows);
    assert_eq!(forged.kinds(), [Kind::BadSignature]);
    let (findings, summary) = verify(&forged.rows, Rules::default());
    assert_eq!((findings.len(), summary.unsigned), (0, summary.digests));
    assert!(
        summary
            .lines()
            .iter()
            .any(|line| line.contains("proves nothing against someone who can rewrite the table"))
    );
    // Digests may be unsigned before signing began, and never after.
    let hours = forged.hours();
    let signed_from = |hour: &str| {
        let rules = Rules {
            signed_from: format!("{hour}:00:00Z").parse().ok(),
            ..forged.rules()
        };
        verify(&forged.rows, rules).0.len()
    };
    assert_eq!(signed_from(&hours[0]), hours.len());
    assert_eq!(signed_from(hours.last().unwrap()), 1);
}
