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
