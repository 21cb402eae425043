//! A table as months of operation leave it, in a second: the real gateway writes calls, they are moved into past
//! hours and linked anew, and the real sweep digests those hours.
//!
//! The gateway writes at the present time only. Linking anew is the test's own code, over the product's `row_hash`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::{Client, primitives::Blob, types::AttributeValue};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use pcs_api::{
    audit::chain::{self, FIRST, Item},
    config::Config,
    gateway::Gateway,
    lambda,
};
use pcs_api_audit::verify::{Finding, Kind, PublicKey, Rules, Summary, Verifier};
use pcs_local::stack::{Options, Stack};
use serde_json::{Value, json, value::to_raw_value};
use tokio::time::Instant;

use crate::signer::{KEY_ARN, Signer};

pub const TABLE: &str = "pcs-api-audit";
pub const SECRET: &[u8] = b"this key must never leave the table";

/// The rows of a table, and the public half of the key that signed its digests.
#[derive(Debug, Clone)]
pub struct Trail {
    pub rows: Vec<Item>,
    pub public_key: String,
}

/// Made once for all tests that only read it.
pub static TRAIL: LazyLock<Trail> = LazyLock::new(|| build(|_| {}));

/// `change` gets the moved rows before they are linked and digested; what it marks as `lost` has its place in the
/// chain, and is not in the table.
pub fn build(change: impl FnOnce(&mut Vec<Item>) + Send + 'static) -> Trail {
    // A test may have a runtime of its own.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async move {
            let mut rows = moved(calls().await);
            change(&mut rows);
            let mut linked = link(rows);
            linked.retain(|row| !row.contains_key("lost"));
            let (stack, signer) = signed_stack().await;
            put(&dynamodb(&stack.dynamodb), linked).await;
            sweep_twice(&stack).await;
            let rows = scan(&dynamodb(&stack.dynamodb)).await;
            stack.stop().await;
            Trail {
                rows,
                public_key: signer.public_key,
            }
        })
    })
    .join()
    .unwrap()
}

pub async fn signed_stack() -> (Stack, Signer) {
    let signer = Signer::start().await;
    let variables = [
        ("PCS_API_AUDIT_SIGNING_KEY", KEY_ARN),
        ("AWS_ENDPOINT_URL_KMS", &signer.url),
    ];
    let variables = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let options = Options {
        variables,
        ..Options::default()
    };
    (Stack::start(options).await.unwrap(), signer)
}

/// The rows of three execution environments that answered reads, mutations and refused calls.
async fn calls() -> Vec<Item> {
    let stack = Stack::start(Options::default()).await.unwrap();
    for calls in [
        &[
            "create-cluster",
            "list-clusters",
            "get-cluster",
            "refused-invalid-members",
            "get-guardrails",
        ][..],
        &[
            "list-clusters",
            "create-compute-node-group",
            "refused-no-identity",
            "list-tags-for-resource",
        ],
        &[
            "get-cluster",
            "delete-queue",
            "list-clusters",
            "refused-bad-region",
            "list-clusters",
            "create-queue",
        ],
    ] {
        let gateway = gateway(&stack);
        for call in calls {
            invoke(&gateway, event(call)).await;
        }
        stack.pcs_emulator.advance(Duration::from_mins(1));
    }
    let rows = scan(&dynamodb(&stack.dynamodb)).await;
    stack.stop().await;
    rows
}

/// The calls of each chain over past hours, five at the most; all rows of a call stay together.
fn moved(rows: Vec<Item>) -> Vec<Item> {
    let mut calls: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for row in rows {
        calls.entry(text(&row, "at").to_owned()).or_default().push(row);
    }
    let mut seen: HashMap<String, i64> = HashMap::new();
    let mut moved = Vec::new();
    for rows in calls.into_values() {
        let number = seen.entry(text(&rows[0], "chainId").to_owned()).or_default();
        let hours = 5 - (*number).min(3);
        *number += 1;
        moved.extend(
            rows.into_iter()
                .map(|row| back(row, SignedDuration::from_hours(hours))),
        );
    }
    moved
}

fn back(mut row: Item, by: SignedDuration) -> Item {
    let then: Timestamp = text(&row, "eventTime").parse::<Timestamp>().unwrap() - by;
    let id = text(&row, "eventId").to_owned();
    let shard = text(&row, "byTime").rsplit('#').next().unwrap().to_owned();
    let hour: String = then.to_string().chars().take(13).collect();
    let expires = number(&row, "expires") - by.as_secs();
    let mut set = |name: &str, value: String| row.insert(name.to_owned(), AttributeValue::S(value));
    set("eventTime", format!("{then:.3}"));
    set("at", format!("{then:.3}#{id}"));
    set("byTime", format!("T#{hour}#{shard}"));
    row.insert("expires".to_owned(), AttributeValue::N(expires.to_string()));
    row
}

/// Chains over the rows as they are now, in the order of their numbers.
pub fn link(mut rows: Vec<Item>) -> Vec<Item> {
    rows.sort_by_key(|row| (text(row, "chainId").to_owned(), number(row, "chainSeq")));
    let mut last: HashMap<String, (i64, String)> = HashMap::new();
    for row in &mut rows {
        let end = last
            .entry(text(row, "chainId").to_owned())
            .or_insert((0, FIRST.to_owned()));
        end.0 += 1;
        row.insert("chainSeq".to_owned(), AttributeValue::N(end.0.to_string()));
        row.insert("previousHash".to_owned(), AttributeValue::S(end.1.clone()));
        let hash = chain::row_hash(row);
        row.insert("rowHash".to_owned(), AttributeValue::S(hash.clone()));
        end.1 = hash;
    }
    rows
}

/// The row that holds the key of page tokens, last of the chain that `like` is of.
pub fn secret_row(like: &Item) -> Item {
    let mut row = like.clone();
    row.retain(|name, _| ["at", "byTime", "chainId", "chainSeq"].contains(&name.as_str()));
    let time = text(like, "eventTime").to_owned();
    let seq = number(like, "chainSeq") + 1_000;
    let mut set = |name: &str, value| row.insert(name.to_owned(), value);
    set("pk", AttributeValue::S("CURSOR_KEY".to_owned()));
    set("sk", AttributeValue::S("0".to_owned()));
    set("stage", AttributeValue::S("CURSOR_KEY".to_owned()));
    set("at", AttributeValue::S(format!("{time}#CURSOR_KEY#0")));
    set("secret", AttributeValue::B(Blob::new(SECRET)));
    set("chainSeq", AttributeValue::N(seq.to_string()));
    row
}

pub fn gateway(stack: &Stack) -> Gateway {
    Gateway::new(Config::read(|name| stack.variables().get(name).cloned()).unwrap())
}

/// The first sweep closes the hours, the second digests them.
pub async fn sweep_twice(stack: &Stack) {
    let gateway = gateway(stack);
    for _ in 0..2 {
        let deadline = Instant::now() + Duration::from_mins(1);
        let report = gateway.sweep("sweep", Timestamp::now(), deadline).await.unwrap();
        assert!(report.complete, "{report:?}");
    }
}

/// `events/NAME.json` of the root.
pub fn event(name: &str) -> Value {
    let path = format!("{}/../../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Sends a proxy event; returns the status.
pub async fn invoke(gateway: &Gateway, event: Value) -> Value {
    let mut context = Context::default();
    let deadline = SystemTime::now() + Duration::from_secs(28);
    context.deadline = u64::try_from(deadline.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let event = LambdaEvent::new(to_raw_value(&event).unwrap(), context);
    let reply = lambda::handle(gateway, event).await.unwrap();
    json!(reply)["statusCode"].clone()
}

pub fn dynamodb(url: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(aws_credential_types::Credentials::from_keys("test", "test", None))
        .http_client(pcs_api::aws::http_client())
        .endpoint_url(url)
        .build();
    Client::from_conf(config)
}

pub async fn put(client: &Client, rows: Vec<Item>) {
    for row in rows {
        let put = client.put_item().table_name(TABLE).set_item(Some(row));
        put.send().await.unwrap();
    }
}

pub async fn delete(client: &Client, row: &Item) {
    let delete = client.delete_item().table_name(TABLE);
    let delete = delete.key("pk", row["pk"].clone()).key("sk", row["sk"].clone());
    delete.send().await.unwrap();
}

pub async fn scan(client: &Client) -> Vec<Item> {
    let scan = client.scan().table_name(TABLE).into_paginator().items().send();
    let rows: Vec<_> = scan.collect().await;
    rows.into_iter().map(Result::unwrap).collect()
}

pub fn text<'a>(row: &'a Item, name: &str) -> &'a str {
    row[name].as_s().unwrap()
}

pub fn number(row: &Item, name: &str) -> i64 {
    row[name].as_n().unwrap().parse().unwrap()
}

/// Whether the row is of a call of this operation.
pub fn is_of(row: &Item, operation: &str) -> bool {
    row.get("eventName")
        .is_some_and(|name| name.as_s().unwrap() == operation)
}

impl Trail {
    /// With the key, as an auditor would.
    pub fn rules(&self) -> Rules {
        Rules {
            public_key: PublicKey::read(&self.public_key).ok(),
            may_withhold: true,
            ..Rules::default()
        }
    }

    pub fn verify(&self) -> (Vec<Finding>, Summary) {
        verify(&self.rows, self.rules())
    }

    /// Kinds of findings, each once.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.verify().0.iter().map(|finding| finding.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Place of a row that a digest covers, in the middle of its chain.
    pub fn digested(&self) -> usize {
        let place = self
            .rows
            .iter()
            .position(|row| text(row, "sk") == "9#COMPLETE" && number(row, "chainSeq") == 2);
        place.unwrap()
    }

    pub fn find(&self, pk: &str, sk: &str) -> usize {
        let place = self
            .rows
            .iter()
            .position(|row| text(row, "pk") == pk && text(row, "sk") == sk);
        place.unwrap()
    }

    /// Hours with a digest, in their order.
    pub fn hours(&self) -> Vec<String> {
        let digests = self.rows.iter().filter(|row| text(row, "pk") == "DIGEST");
        let mut hours: Vec<String> = digests.map(|row| text(row, "sk").to_owned()).collect();
        hours.sort();
        hours
    }
}

pub fn verify(rows: &[Item], rules: Rules) -> (Vec<Finding>, Summary) {
    let mut findings = Vec::new();
    let mut verifier = Verifier::new(rules, |finding| findings.push(finding));
    for row in rows {
        verifier.add(row);
    }
    let summary = verifier.finish();
    assert_eq!(summary.findings, findings.len() as u64);
    (findings, summary)
}
