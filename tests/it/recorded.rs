//! What the audit trail may keep, as compiled: held against `tests/contract/recorded.golden`, which
//! `tests/contract/test_recorded.py` reads out of the contract without the build's code.

use std::collections::{BTreeMap, BTreeSet};

use pcs_api::{
    audit::redact::{REDACTED, redact},
    contract::{self, Recorded},
    operations::Operation,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const GOLDEN: &str = include_str!("../contract/recorded.golden");

/// Both trees of every operation: (`CreateCluster input`, tree).
fn trees() -> Vec<(String, &'static Recorded)> {
    Operation::all()
        .flat_map(|operation| {
            let route = contract::route(operation);
            [("input", route.recorded_input), ("output", route.recorded_output)]
                .map(|(side, tree)| (format!("{} {side}", operation.name()), tree))
        })
        .collect()
}

fn lines(start: &str, path: &str, recorded: &Recorded, out: &mut BTreeSet<String>) {
    let verdict = match recorded {
        Recorded::Nothing => "redacted",
        Recorded::Text => "whole string",
        Recorded::Integer => "whole integer",
        Recorded::Boolean => "whole boolean",
        Recorded::TextWithoutQuery => "without-query",
        Recorded::Items(item) => return lines(start, &format!("{path}[]"), item, out),
        Recorded::Entries(entry) => return lines(start, &format!("{path}.*"), entry, out),
        Recorded::Members(members) => {
            for (name, member) in *members {
                let path = if path.is_empty() {
                    (*name).to_owned()
                } else {
                    format!("{path}.{name}")
                };
                lines(start, &path, member, out);
            }
            return;
        }
    };
    let path = if path.is_empty() { "." } else { path };
    out.insert(format!("{start} {path} -> {verdict}"));
}

#[test]
fn the_tables_say_what_the_contract_says() {
    let mut found = BTreeSet::new();
    for (start, tree) in trees() {
        lines(&start, "", tree, &mut found);
    }
    let golden: BTreeSet<String> = GOLDEN.lines().map(str::to_owned).collect();
    let differences: Vec<_> = found.symmetric_difference(&golden).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// A document with a canary in every leaf, and what has to be left of it; both built from the golden lines alone.
#[derive(Default)]
struct Canaries {
    document: Value,
    expected: Value,
    kept: Vec<String>,
    redacted: Vec<String>,
}

impl Canaries {
    fn add(&mut self, number: usize, path: &str, verdict: &str) {
        let canary = format!("canary-{number:04}-");
        let (given, left) = match verdict {
            "whole string" => (json!(canary), json!(canary)),
            "whole integer" => (json!(7_770_000 + number), json!(7_770_000 + number)),
            "whole boolean" => (json!(true), json!(true)),
            "without-query" => (
                json!(format!("https://host/{canary}?sig=hidden-{canary}")),
                json!(format!("https://host/{canary}?REDACTED")),
            ),
            "redacted" if number.is_multiple_of(2) => (json!({ &canary: [canary.clone()] }), json!(REDACTED)),
            "redacted" => (json!(canary), json!(REDACTED)),
            other => panic!("{other}"),
        };
        match verdict {
            "redacted" => self.redacted.push(canary),
            "whole string" => self.kept.push(canary),
            "without-query" => {
                self.redacted.push(format!("hidden-{canary}"));
                self.kept.push(canary);
            }
            _ => self.kept.push(given.to_string()),
        }
        put(&mut self.document, path, given);
        put(&mut self.expected, path, left);
    }
}

/// Puts `leaf` where the path leads, through lists of one item and maps of one entry.
fn put(at: &mut Value, path: &str, leaf: Value) {
    if path.is_empty() || path == "." {
        *at = leaf;
    } else if let Some(rest) = path.strip_prefix("[]") {
        if at.is_null() {
            *at = json!([null]);
        }
        put(&mut at[0], rest.strip_prefix('.').unwrap_or(rest), leaf);
    } else {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (name, rest) = path.split_at(end);
        let name = if name == "*" { "a key" } else { name };
        put(&mut at[name], rest.strip_prefix('.').unwrap_or(rest), leaf);
    }
}

#[test]
fn the_canaries_of_marked_leaves_survive_and_no_others() {
    let mut all: BTreeMap<String, Canaries> = BTreeMap::new();
    for (number, line) in GOLDEN.lines().enumerate() {
        let (place, verdict) = line.split_once(" -> ").unwrap();
        let (start, path) = place.rsplit_once(' ').unwrap();
        all.entry(start.to_owned())
            .or_default()
            .add(number, path, verdict);
    }
    let trees = trees();
    assert!(trees.len() >= 42, "{}", trees.len());
    let (mut kept, mut redacted) = (0, 0);
    for (start, tree) in trees {
        let Some(canaries) = all.remove(&start) else {
            assert_eq!(tree, &Recorded::Members(&[]), "{start} has leaves");
            continue;
        };
        let left = redact(&canaries.document, tree);
        assert_eq!(left, canaries.expected, "{start}");
        let text = left.to_string();
        for canary in &canaries.kept {
            assert!(text.contains(canary), "{start}: {canary} is missing: {text}");
        }
        for canary in &canaries.redacted {
            assert!(!text.contains(canary), "{start}: {canary} is there: {text}");
        }
        kept += canaries.kept.len();
        redacted += canaries.redacted.len();
    }
    assert!(all.is_empty(), "{:?}", all.keys());
    assert!(kept > 400 && redacted > 80, "{kept} {redacted}");
}

/// Characters that occur in what must not be kept and nowhere else: one of them is the smallest substring.
const SECRET: &str = "[α-ω]{1,12}";

fn secret() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        SECRET.prop_map(Value::from),
        // Digits as well; what may be kept has no 9.
        Just(json!(99_999_999)),
        Just(json!(99.5)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(SECRET, inner, 0..3)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

/// Secrets in another type than this one.
fn misfit(fits: impl Fn(&Value) -> bool + 'static) -> impl Strategy<Value = Value> {
    secret().prop_map(move |value| if fits(&value) { Value::Null } else { value })
}

/// Documents that follow the tree, in part: secrets wherever it lets nothing through.
fn document(tree: &'static Recorded) -> BoxedStrategy<Value> {
    match tree {
        Recorded::Nothing => secret().boxed(),
        Recorded::Text => {
            prop_oneof![8 => "[a-c]{0,3}".prop_map(Value::from), 1 => misfit(Value::is_string)].boxed()
        }
        Recorded::TextWithoutQuery => {
            let location = ("[a-c]{1,3}", SECRET, SECRET, 0..4);
            let location = location.prop_map(|(path, secret, more, kind)| match kind {
                0 => format!("https://host/{path}?{secret}={more}"),
                1 => format!("https://{secret}:{more}@host/{path}#{more}"),
                2 => secret,
                _ => format!("s3://bucket/{path}"),
            });
            prop_oneof![8 => location.prop_map(Value::from), 1 => misfit(Value::is_string)].boxed()
        }
        Recorded::Integer => {
            prop_oneof![8 => (0..8).prop_map(Value::from), 1 => misfit(Value::is_i64)].boxed()
        }
        Recorded::Boolean => prop_oneof![8 => any::<bool>().prop_map(Value::from), 1 => secret()].boxed(),
        Recorded::Items(item) => {
            let list = prop::collection::vec(document(item), 0..3).prop_map(Value::from);
            prop_oneof![8 => list, 1 => misfit(Value::is_array)].boxed()
        }
        Recorded::Entries(entry) => {
            let map = prop::collection::btree_map("[a-c]{1,3}", document(entry), 0..3);
            let map = map.prop_map(|map| Value::Object(map.into_iter().collect()));
            prop_oneof![8 => map, 1 => misfit(Value::is_object)].boxed()
        }
        Recorded::Members(members) => {
            let known: Vec<_> = members
                .iter()
                .map(|(name, member)| {
                    (
                        Just((*name).to_owned()),
                        prop::option::weighted(0.8, document(member)),
                    )
                })
                .collect();
            // Of an unknown member the name is kept.
            let unknown = prop::collection::btree_map("[x-z]{1,3}", secret(), 0..3);
            let object = (known, unknown).prop_map(|(known, unknown)| {
                let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
                Value::Object(known.chain(unknown).collect::<Map<_, _>>())
            });
            prop_oneof![8 => object, 1 => misfit(Value::is_object)].boxed()
        }
    }
}

#[test]
fn nothing_of_a_secret_survives_in_any_document() {
    for (start, tree) in trees() {
        let config = ProptestConfig {
            cases: 64,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        proptest!(config, |(document in document(tree))| {
            let text = redact(&document, tree).to_string();
            let secret = text.chars().find(|character| ('α'..='ω').contains(character) || *character == '9');
            prop_assert!(secret.is_none(), "{}: {text}", start);
        });
    }
}
