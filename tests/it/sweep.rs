//! The scheduled sweep, invoked as EventBridge invokes it.

mod reads;
mod removal;
mod resumed;
mod runs;
mod stalls;
mod walk;

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use iam_emulator::{Role, Seed};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{World, dynamodb, event, invoke_raw, with_query};

/// EventBridge's documented example.
pub fn scheduled() -> Value {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-21T02:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/sweep"],
        "detail": {},
    })
}

pub async fn sweep(world: &World) -> Value {
    invoke_raw(&world.gateway, &scheduled(), Duration::from_secs(28))
        .await
        .unwrap()
}

/// Puts the opening row of a mutation into the table, as if its call had begun `ago`, and returns its event id.
async fn left_open(world: &World, ago: SignedDuration) -> String {
    let opened = Timestamp::now() - ago;
    let id = ulid::Ulid::from_parts(u64::try_from(opened.as_millisecond()).unwrap(), 7).to_string();
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let hour: String = opened.to_string().chars().take(13).collect();
    let item = HashMap::from([
        ("pk".to_owned(), text(&format!("E#{id}"))),
        ("sk".to_owned(), text("0#RECEIVED")),
        ("at".to_owned(), text(&format!("{opened:.3}#{id}"))),
        ("byTime".to_owned(), text(&format!("T#{hour}#3"))),
        ("eventId".to_owned(), text(&id)),
        ("eventTime".to_owned(), text(&format!("{opened:.3}"))),
        ("eventName".to_owned(), text("CreateCluster")),
        (
            "closingKeys".to_owned(),
            AttributeValue::M(HashMap::from([("byRequest".to_owned(), text("Q#lost"))])),
        ),
    ]);
    let client = dynamodb(&world.stack.dynamodb);
    client
        .put_item()
        .table_name(world.table())
        .set_item(Some(item))
        .send()
        .await
        .unwrap();
    id
}

async fn rows_of(world: &World, id: &str) -> Vec<Value> {
    let client = dynamodb(&world.stack.dynamodb);
    let query = client
        .query()
        .table_name(world.table())
        .key_condition_expression("pk = :pk");
    let page = query
        .expression_attribute_values(":pk", AttributeValue::S(format!("E#{id}")))
        .send()
        .await
        .unwrap();
    page.items().iter().map(crate::world::plain_item).collect()
}

#[tokio::test]
async fn records_left_open_are_closed_as_unknown_once() {
    let world = World::start().await;
    let old = left_open(&world, SignedDuration::from_hours(5)).await;
    let lately = left_open(&world, SignedDuration::from_mins(16)).await;
    let under_way = left_open(&world, SignedDuration::from_mins(2)).await;
    let report = sweep(&world).await;
    assert_eq!(
        (&report["recordsClosed"], &report["complete"]),
        (&json!(2), &json!(true)),
        "{report}"
    );
    for id in [old, lately] {
        let rows = rows_of(&world, &id).await;
        let closing = rows
            .iter()
            .find(|row| row["sk"] == "9#COMPLETE")
            .expect("a closing row");
        assert_eq!(
            (&closing["decision"], &closing["errorCode"]),
            (&json!("UNKNOWN"), &json!("OutcomeUnknown"))
        );
        assert_eq!(
            (&closing["byRequest"], &closing["eventName"]),
            (&json!("Q#lost"), &json!("CreateCluster"))
        );
    }
    assert_eq!(
        rows_of(&world, &under_way).await.len(),
        1,
        "a call that may still run is left alone"
    );
    assert_eq!(sweep(&world).await["recordsClosed"], 0, "nothing is closed twice");
}

/// More in one shard of an hour than is looked at in one go.
#[tokio::test]
async fn however_many_records_were_left_open_all_are_closed() {
    use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
    let world = World::with(&[("PCS_API_REGION_SCOPE", "us-east-1")]).await;
    let opened = Timestamp::now() - SignedDuration::from_hours(3);
    let hour: String = opened.to_string().chars().take(13).collect();
    let text = |value: String| AttributeValue::S(value);
    let rows: Vec<WriteRequest> = (0..600)
        .map(|n| {
            let put = PutRequest::builder()
                .item("pk", text(format!("E#{n:026}")))
                .item("sk", text("0#RECEIVED".to_owned()))
                .item("byTime", text(format!("T#{hour}#1")))
                .item("at", text(format!("{opened:.3}#{n:026}")));
            WriteRequest::builder().put_request(put.build().unwrap()).build()
        })
        .collect();
    for some in rows.chunks(25) {
        let batch = dynamodb(&world.stack.dynamodb).batch_write_item();
        let batch = batch.request_items(world.table(), some.to_vec());
        batch.send().await.unwrap();
    }
    let mut closed = 0;
    for minute in 0..10 {
        let now = Timestamp::now() + SignedDuration::from_mins(2 * minute);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(26);
        let report = world.gateway.sweep("lambda", now, deadline).await.unwrap();
        closed += report.records_closed;
        if report.complete {
            break;
        }
    }
    assert_eq!(closed, 600, "complete, and all are closed");
}

#[tokio::test]
async fn what_calls_closed_themselves_is_left_as_it_is() {
    let world = World::start().await;
    world.cluster().await;
    let before = world.rows().await;
    sweep(&world).await;
    let after: Vec<Value> = world
        .rows()
        .await
        .into_iter()
        .filter(|row| row["eventName"] != "Sweep")
        .collect();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_group_whose_role_went_bad_is_found() {
    let world = World::start().await;
    world.node_group().await;
    let report = sweep(&world).await;
    assert_eq!(
        (&report["nodeGroupsChecked"], &report["nodeGroupsDrifted"]),
        (&json!(1), &json!(0)),
        "{report}"
    );
    let worse = Role::new("AWSPCS-compute-node").attach("arn:aws:iam::aws:policy/AdministratorAccess");
    world.stack.iam_emulator.seed(Seed::new().role(worse)).unwrap();
    let report = sweep(&world).await;
    assert_eq!(
        (&report["nodeGroupsChecked"], &report["nodeGroupsDrifted"]),
        (&json!(1), &json!(1)),
        "{report}"
    );
    let rows = world.rows().await;
    let drift = rows
        .iter()
        .find(|row| row["step"] == "GUARDRAIL_DRIFT")
        .expect("a drift row");
    assert_eq!(drift["violations"][0]["rule"], "allowlist");
    assert!(
        drift["resourceArn"]
            .as_str()
            .unwrap()
            .contains("/computenodegroup/pcs_"),
        "{drift}"
    );
    assert_eq!(drift["eventName"], "Sweep");
}

/// Every Region that callers may reach is swept, those of the deployment's partition, and only reads are made.
#[tokio::test]
async fn every_region_in_scope_is_read_and_nothing_is_changed() {
    let world = World::start().await;
    sweep(&world).await;
    let mut regions: Vec<String> = world
        .stack
        .pcs_emulator
        .calls()
        .into_iter()
        .map(|call| call.region)
        .collect();
    regions.sort();
    let others = ["us-gov-", "us-iso", "eu-iso", "eusc-"];
    let mut expected = pcs_api::contract::REGIONS.to_vec();
    expected.retain(|region| !others.iter().any(|other| region.starts_with(other)));
    assert_eq!(regions, expected);
    assert_eq!(world.pcs_mutations(), Vec::<String>::new());

    let scoped = World::with(&[("PCS_API_REGION_SCOPE", "us-east-1")]).await;
    sweep(&scoped).await;
    assert_eq!(scoped.stack.pcs_emulator.calls().len(), 1);
}

/// A sweep that ran out of time says so, and the next one begins with the Region that was left.
#[tokio::test]
async fn a_sweep_goes_on_where_the_last_one_stopped() {
    let world = World::start().await;
    // The hours behind are looked at and summed up, so that what is left of the time goes to the Regions.
    for _ in 0..2 {
        sweep(&world).await;
    }
    world.stack.pcs_emulator.clear_calls();
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: None,
        times: 1_000,
        effect: pcs_emulator::Effect::Delay(Duration::from_millis(300)),
    });
    let report = invoke_raw(&world.gateway, &scheduled(), Duration::from_millis(4_500))
        .await
        .unwrap();
    assert_eq!(report["complete"], false, "{report}");
    world.stack.pcs_emulator.clear_faults();
    let reached = world.stack.pcs_emulator.calls().len();
    assert!((1..20).contains(&reached), "{reached}");
    world.stack.pcs_emulator.clear_calls();
    assert_eq!(sweep(&world).await["complete"], true);
    let first = world.stack.pcs_emulator.calls()[0].region.clone();
    let position = pcs_api::contract::REGIONS
        .iter()
        .position(|region| *region == first)
        .unwrap();
    assert!(position > 0 && position <= reached, "began anew at {first}");
}

/// The schedule's retries and alarms need to see it.
#[tokio::test]
async fn a_sweep_without_an_audit_table_fails() {
    let world = World::start().await;
    let mut variables = world.stack.variables().clone();
    variables.insert("PCS_API_AUDIT_TABLE".to_owned(), "no-such-table".to_owned());
    let gateway = crate::world::gateway(&variables);
    let error = invoke_raw(&gateway, &scheduled(), Duration::from_secs(28))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("could not be recorded"), "{error}");
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}

/// No caller can reach the sweep through the API.
#[tokio::test]
async fn a_request_cannot_ask_for_a_sweep() {
    let world = World::start().await;
    let mut request = with_query(event("list-clusters"), &[("source", "aws.events")]);
    request["body"] = json!(scheduled().to_string());
    assert_eq!(world.send(&request).await.status, 400);
}
