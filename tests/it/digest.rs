//! The hourly digests that the sweep writes, and that none is written without the signature that is asked for.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{World, event, gateway, table};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

async fn sweep_at(gateway: &pcs_api::gateway::Gateway, now: Timestamp) -> Result<u32, String> {
    let deadline = Instant::now() + Duration::from_secs(25);
    let report = gateway.sweep("lambda", now, deadline).await;
    report
        .map(|report| report.hours_digested)
        .map_err(|error| error.message())
}

async fn digests(world: &World) -> Vec<Value> {
    let mut rows = table(&world.stack).await;
    rows.retain(|row| row["pk"] == "DIGEST");
    rows.sort_by_key(|row| row["sk"].as_str().unwrap().to_owned());
    rows
}

/// The sweep that closes an hour's records does not sum it up: its own rows may not have reached the index.
#[tokio::test]
async fn every_hour_is_summed_up_by_the_sweep_after_the_one_that_closed_it() {
    let world = World::start().await;
    world.cluster().await;
    let other_environment = gateway(world.stack.variables());
    crate::world::invoke(
        &other_environment,
        &event("list-clusters"),
        Duration::from_secs(28),
    )
    .await;
    let now = Timestamp::now();
    assert_eq!(sweep_at(&world.gateway, now + HOUR * 2).await, Ok(0));
    let before = table(&world.stack).await;
    // Hours from 24 before the first sweep to 15 minutes before it, all but one of them idle.
    let hours = sweep_at(&world.gateway, now + HOUR * 3).await.unwrap();
    assert!((23..=24).contains(&hours), "{hours}");
    let digests = digests(&world).await;
    assert_eq!(digests.len(), usize::try_from(hours).unwrap());

    let mut previous = json!("0".repeat(64));
    for (digest, next) in digests.iter().zip(digests.iter().skip(1)) {
        let begin = |row: &Value| {
            format!("{}:00:00Z", row["sk"].as_str().unwrap())
                .parse::<Timestamp>()
                .unwrap()
        };
        assert_eq!(begin(digest) + HOUR, begin(next), "no hour is left out");
        assert_eq!(digest["previousDigestHash"], previous);
        previous = digest["rowHash"].clone();
    }

    let hour_of = |row: &Value| {
        row["byTime"]
            .as_str()
            .unwrap()
            .chars()
            .skip(2)
            .take(13)
            .collect::<String>()
    };
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let closed = pcs_api::audit::record::row::hour(now + HOUR * 2 - SignedDuration::from_mins(15));
    for row in before.iter().filter(|row| hour_of(row) < closed) {
        *expected.entry(hour_of(row)).or_default() += 1;
    }
    for digest in &digests {
        let hour = digest["sk"].as_str().unwrap();
        let rows = expected.remove(hour).unwrap_or_default();
        assert_eq!(digest["rows"], rows, "{hour}");
        let chains = digest["chains"].as_object().unwrap();
        let in_chains: u64 = chains.values().map(|chain| chain["rows"].as_u64().unwrap()).sum();
        assert_eq!(in_chains, rows, "{hour}");
        if rows == 0 {
            assert_eq!((digest.get("firstAt"), digest.get("rowsExpire")), (None, None));
        }
    }
    assert_eq!(
        expected,
        BTreeMap::new(),
        "every row is in an hour that has its digest"
    );
    assert_eq!(
        sweep_at(&world.gateway, now + HOUR * 3 + SignedDuration::from_secs(1)).await,
        Ok(1),
        "the hour that the last sweep closed"
    );
}

/// Rows of one hour, put there directly: 1,200 calls in four shards and two chains, every tenth not closed.
async fn busy_hour(world: &World, hour: &str) {
    use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
    let text = |value: String| AttributeValue::S(value);
    let client = crate::world::dynamodb(&world.stack.dynamodb);
    let rows: Vec<WriteRequest> = (0..1_200)
        .map(|n: u32| {
            let received = n.is_multiple_of(10);
            let sk = if received { "0#RECEIVED" } else { "0#READ" };
            let put = PutRequest::builder()
                .item("pk", text(format!("E#{n:026}")))
                .item("sk", text(sk.to_owned()))
                .item("byTime", text(format!("T#{hour}#{}", n % 4)))
                .item(
                    "at",
                    text(format!("{hour}:{:02}:{:02}.000Z#{n:026}", n / 60, n % 60)),
                )
                .item("eventId", text(format!("{n:026}")))
                .item("rowHash", text(format!("{n:064x}")))
                .item("chainId", text(format!("chain-{}", n % 2)))
                .item("chainSeq", AttributeValue::N((n / 2).to_string()))
                .item("expires", AttributeValue::N("4000000000".to_owned()));
            WriteRequest::builder().put_request(put.build().unwrap()).build()
        })
        .collect();
    for some in rows.chunks(25) {
        let batch = client
            .batch_write_item()
            .request_items(world.table(), some.to_vec());
        let left = batch.send().await.unwrap().unprocessed_items.unwrap_or_default();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The root of an hour's rows as docs/audit.md tells it.
fn root_of(rows: &[Value], hour: &str) -> String {
    use sha2::{Digest, Sha256};
    let hex = |lines: String| {
        let hash = Sha256::digest(lines);
        hash.iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    };
    let shards = (0..4).map(|shard| {
        let key = format!("T#{hour}#{shard}");
        let mut rows: Vec<&Value> = rows.iter().filter(|row| row["byTime"] == key).collect();
        rows.sort_by_key(|row| (row["at"].as_str().unwrap(), row["sk"].as_str().unwrap()));
        let lines = rows
            .iter()
            .map(|row| format!("{}\n", row["rowHash"].as_str().unwrap()));
        format!("{}\n", hex(lines.collect()))
    });
    hex(shards.collect())
}

/// A run that cannot read the table costs nothing of what earlier ones have summed up.
async fn cannot_read(world: &World, progress: &mut pcs_api::audit::progress::Progress, until: Timestamp) {
    let mut variables = world.stack.variables().clone();
    variables.insert("PCS_API_AUDIT_TABLE".to_owned(), "no-such-table".to_owned());
    let config = pcs_api::config::Config::read(|name| variables.get(name).cloned()).unwrap();
    let clients = pcs_api::aws::Clients::new(config.aws.clone());
    let audit = pcs_api::audit::Audit::new(std::sync::Arc::new(config));
    let before = serde_json::to_string(&progress.memory).unwrap();
    let digested = audit.digest_next_hour(&clients, progress, until, until + HOUR * 2, Instant::now());
    assert!(digested.await.is_err());
    assert_eq!(serde_json::to_string(&progress.memory).unwrap(), before);
}

/// However often a run is cut off, an hour is closed once and summed up as if it had been in one go.
#[tokio::test]
async fn an_hour_that_takes_many_runs_is_closed_and_summed_up_whole() {
    const BUSY: &str = "2026-11-21T13";
    let begin: Timestamp = format!("{BUSY}:00:00Z").parse().unwrap();
    let mut told = Vec::new();
    for left in [Duration::from_mins(1), Duration::ZERO] {
        let world = World::start().await;
        busy_hour(&world, BUSY).await;
        let config = pcs_api::config::Config::read(|name| world.stack.variables().get(name).cloned());
        let config = std::sync::Arc::new(config.unwrap());
        let clients = pcs_api::aws::Clients::new(config.aws.clone());
        let audit = pcs_api::audit::Audit::new(config);
        let mut progress = pcs_api::audit::progress::Progress::first(begin);
        let (mut closings, mut closed) = (0, 0);
        while progress.closed_until < begin + HOUR {
            let deadline = Instant::now() + left;
            let done = audit.close_abandoned(&clients, &mut progress, begin + HOUR, deadline);
            closed += done.await.unwrap();
            closings += 1;
            assert!(closings < 1_500, "no way on");
        }
        assert_eq!(closed, 120);
        let mut runs = 0;
        loop {
            let deadline = Instant::now() + left;
            let until = begin + HOUR;
            let digested = audit.digest_next_hour(&clients, &mut progress, until, until + HOUR * 2, deadline);
            let is_done = digested.await.unwrap();
            // What is remembered has been written down and read again in between.
            let written = serde_json::to_string(&progress.memory).unwrap();
            progress.memory = serde_json::from_str(&written).unwrap();
            runs += 1;
            if is_done {
                break;
            }
            cannot_read(&world, &mut progress, begin + HOUR).await;
            assert!(runs < 100, "no way on");
        }
        let digest = digests(&world).await.remove(0);
        assert_eq!(digest["root"], root_of(&table(&world.stack).await, BUSY));
        told.push((closings, runs, digest));
    }
    let (many, one) = (told.remove(1), told.remove(0));
    assert_eq!((one.0, one.1), (1, 1));
    // 250 rows at a time of a shard's 300, and eight records.
    assert!(many.0 > 3 && many.1 > 1, "{} {}", many.0, many.1);
    for (name, expected) in [("rows", json!(1_320)), ("chainsOmitted", json!(0))] {
        assert_eq!((&one.2[name], &many.2[name]), (&expected, &expected), "{name}");
    }
    for name in ["firstAt", "lastAt", "rowsExpire"] {
        assert_eq!(one.2[name], many.2[name], "{name}");
    }
    for chain in ["chain-0", "chain-1"] {
        assert_eq!(one.2["chains"][chain], many.2["chains"][chain], "{chain}");
    }
}

/// What a key is configured for is never written without a signature: that is what a forger would leave.
#[tokio::test]
async fn without_the_signature_there_is_no_digest() {
    let world = World::with(&[
        (
            "PCS_API_AUDIT_SIGNING_KEY",
            "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        ),
        ("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1"),
    ])
    .await;
    let now = Timestamp::now();
    assert_eq!(
        sweep_at(&world.gateway, now).await,
        Ok(0),
        "the first sweep digests nothing"
    );
    let failed = sweep_at(&world.gateway, now + HOUR).await.unwrap_err();
    assert!(failed.contains("could not be recorded"), "{failed}");
    assert_eq!(digests(&world).await, [] as [Value; 0]);
}

/// A row that was put there by somebody else does not stop the digests; it is counted, and found by `verify`.
#[tokio::test]
async fn a_foreign_row_does_not_stop_the_digests() {
    let world = World::start().await;
    let hour: String = Timestamp::now().to_string().chars().take(13).collect();
    let text = |value: &str| aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned());
    let foreign = crate::world::dynamodb(&world.stack.dynamodb)
        .put_item()
        .table_name(world.table())
        .item("pk", text("E#foreign"))
        .item("sk", text("9#COMPLETE"))
        .item("byTime", text(&format!("T#{hour}#1")))
        .item("at", text("x"));
    foreign.send().await.unwrap();
    let now = Timestamp::now();
    sweep_at(&world.gateway, now + HOUR * 2).await.unwrap();
    sweep_at(&world.gateway, now + HOUR * 3).await.unwrap();
    let digests = digests(&world).await;
    let digest = digests.iter().find(|digest| digest["sk"] == json!(hour)).unwrap();
    assert_eq!(digest["chains"]["NONE"]["rows"], 1);
}
