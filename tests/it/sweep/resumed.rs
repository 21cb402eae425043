//! Where a run begins after one that failed, that another version or a wrong clock left, or that never came.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use pcs_api::{
    audit::{Audit, progress::Progress},
    aws::Clients,
};
use pcs_emulator::ClosedRegion;
use serde_json::json;
use tokio::time::Instant;

use super::{
    left_open,
    walk::{WHOLE_RUN, go_on_at, hour, sweep_at},
};
use crate::world::{World, dynamodb};

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn audit(world: &World) -> (Audit, Clients) {
    let config = pcs_api::config::Config::read(|name| world.stack.variables().get(name).cloned()).unwrap();
    let clients = Clients::new(config.aws.clone());
    (Audit::new(std::sync::Arc::new(config)), clients)
}

/// Puts it where the next run looks, recorded at `at`.
async fn put(world: &World, progress: &Progress, memory: &str, at: Timestamp) {
    let text = |value: String| AttributeValue::S(value);
    let put = dynamodb(&world.stack.dynamodb).put_item();
    put.table_name(world.table())
        .item("pk", text("SWEEP".to_owned()))
        .item("sk", text(format!("{at:.9}")))
        .item("at", text(format!("{at:.3}#SWEEP")))
        .item("closedUntil", text(progress.closed_until.to_string()))
        .item("digestedUntil", text(progress.digested_until.to_string()))
        .item("memory", text(memory.to_owned()))
        .send()
        .await
        .unwrap();
}

/// A record left open that cannot be closed: the key of its closing row is none.
async fn left_unclosable(world: &World, ago: SignedDuration) -> String {
    let id = left_open(world, ago).await;
    let update = dynamodb(&world.stack.dynamodb).update_item();
    let keys = [("byRequest".to_owned(), AttributeValue::N("1".to_owned()))];
    update
        .table_name(world.table())
        .key("pk", AttributeValue::S(format!("E#{id}")))
        .key("sk", AttributeValue::S("0#RECEIVED".to_owned()))
        .update_expression("SET closingKeys = :keys")
        .expression_attribute_values(":keys", AttributeValue::M(keys.into()))
        .send()
        .await
        .unwrap();
    id
}

async fn remove(world: &World, id: &str) {
    let delete = dynamodb(&world.stack.dynamodb).delete_item();
    delete
        .table_name(world.table())
        .key("pk", AttributeValue::S(format!("E#{id}")))
        .key("sk", AttributeValue::S("0#RECEIVED".to_owned()))
        .send()
        .await
        .unwrap();
}

/// What was never begun is not complete.
#[tokio::test]
async fn a_tick_before_the_first_sweep_is_not_complete() {
    let world = World::start().await;
    let report = go_on_at(&world, Timestamp::now(), WHOLE_RUN).await;
    assert!(!report.complete, "{report:?}");
    assert_eq!(world.rows().await.len(), 0);
}

/// The next run tries again, and does not say that all is done.
#[tokio::test]
async fn hours_that_could_not_be_read_are_gone_on_with() {
    let world = World::start().await;
    left_unclosable(&world, minutes(120)).await;
    let opened = Timestamp::now() - minutes(120);
    // The first hour that the first sweep looks at.
    let now = Timestamp::from_second(opened.as_second().div_euclid(3_600) * 3_600).unwrap() + hour() * 24;
    let run = world.gateway.sweep("lambda", now, Instant::now() + WHOLE_RUN);
    assert!(run.await.is_err());
    let run = world
        .gateway
        .go_on("lambda", now + minutes(1), Instant::now() + WHOLE_RUN);
    assert!(run.await.is_err());
}

/// What a run wrote before it failed may not have reached the index when the next one sums up.
#[tokio::test]
async fn an_hour_in_which_a_run_that_failed_closed_a_record_is_not_summed_up_at_once() {
    let world = World::start().await;
    left_open(&world, minutes(300)).await;
    let unclosable = left_unclosable(&world, minutes(120)).await;
    let now = Timestamp::now();
    let run = world.gateway.sweep("lambda", now, Instant::now() + WHOLE_RUN);
    assert!(run.await.is_err());
    remove(&world, &unclosable).await;
    let report = go_on_at(&world, now + minutes(2), WHOLE_RUN).await;
    assert_eq!(report.hours_digested, 0, "{report:?}");
    let report = go_on_at(&world, now + minutes(10), WHOLE_RUN).await;
    assert!(report.hours_digested > 0, "{report:?}");
}

/// What can be read of it is kept: a Region that had clusters is not taken for one that never had any.
#[tokio::test]
async fn progress_of_another_version_begins_a_round_and_keeps_what_is_known() {
    let world = World::start().await;
    world.node_group().await;
    let now = Timestamp::now();
    assert!(sweep_at(&world, now, WHOLE_RUN).await.complete);
    let (audit, clients) = audit(&world);
    let progress = audit.progress(&clients, now, now).await.unwrap();
    let mut memory = json!(progress.memory);
    memory["round"]["part"] = json!("tagging");
    memory["inhabited"] = json!(["eu-west-1", "us-east-1"]);
    let recorded = now + SignedDuration::from_secs(1);
    put(&world, &progress, &memory.to_string(), recorded).await;
    world
        .stack
        .pcs_emulator
        .close_region("eu-west-1", Some(ClosedRegion::NotEnabled));
    let report = go_on_at(&world, now + minutes(1), WHOLE_RUN).await;
    assert_eq!((report.node_groups_checked, report.complete), (1, false));
    assert_eq!(report.unread, ["eu-west-1"], "{report:?}");
}

/// The newest row is the last one that was written, and hours that are not over by the right time are left.
#[tokio::test]
async fn a_clock_that_was_ahead_stops_no_sweep() {
    let world = World::start().await;
    let now = Timestamp::now();
    sweep_at(&world, now + hour() * 3, WHOLE_RUN).await;
    sweep_at(&world, now, WHOLE_RUN).await;
    let (audit, clients) = audit(&world);
    let progress = audit.progress(&clients, now + minutes(1), now).await.unwrap();
    assert_eq!(progress.closed_until, now - minutes(15));
    let report = go_on_at(&world, now + minutes(2), WHOLE_RUN).await;
    assert_eq!((report.hours_digested, report.complete), (0, false), "{report:?}");
    let mut report = sweep_at(&world, now + hour() * 4, WHOLE_RUN).await;
    for run in 1..10 {
        if report.complete {
            break;
        }
        report = go_on_at(&world, now + hour() * 4 + minutes(10 * run), WHOLE_RUN).await;
    }
    assert!(report.complete, "{report:?}");
}

/// The hourly event can meet a run under way, and is gone then.
#[tokio::test]
async fn a_round_begins_though_no_hourly_event_began_it() {
    let world = World::start().await;
    world.node_group().await;
    let now = Timestamp::now();
    sweep_at(&world, now, WHOLE_RUN).await;
    for (after, checked) in [(2, 0), (50, 0), (70, 1)] {
        let report = go_on_at(&world, now + minutes(after), WHOLE_RUN).await;
        assert_eq!(report.node_groups_checked, checked, "{after}: {report:?}");
    }
}

/// Work that takes every run whole must not keep a new round from beginning.
#[tokio::test]
async fn a_round_begins_though_the_hourly_event_finds_a_run_under_way() {
    let world = World::start().await;
    world.node_group().await;
    let now = Timestamp::now();
    sweep_at(&world, now, WHOLE_RUN).await;
    let (audit, clients) = audit(&world);
    let mut progress = audit.progress(&clients, now, now).await.unwrap();
    progress.memory.hours_left = true;
    let recorded = now + SignedDuration::from_secs(1);
    audit
        .record_progress(&clients, &progress, recorded)
        .await
        .unwrap();
    for (after, checked) in [(30, 0), (70, 1)] {
        let at = now + minutes(after);
        assert_eq!(
            go_on_at(&world, at, WHOLE_RUN).await.node_groups_checked,
            checked,
            "{after}"
        );
        let mut progress = audit.progress(&clients, at, now).await.unwrap();
        progress.memory.hours_left = true;
        let recorded = at + SignedDuration::from_secs(1);
        audit
            .record_progress(&clients, &progress, recorded)
            .await
            .unwrap();
    }
}
