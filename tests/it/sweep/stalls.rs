//! What does not answer, or answers with nothing, does not keep the walk from what lies behind it.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use pcs_emulator::{Effect, Fault};
use serde_json::json;

use super::walk::{WHOLE_RUN, fill, go_on_at, sweep_at};
use crate::world::World;

/// As often as the SDK asks before it gives up (`src/aws.rs`).
const ATTEMPTS: u32 = 3;

async fn with_clusters(clusters: usize, groups: usize) -> World {
    let world = World::with(&[("PCS_API_REGION_SCOPE", "us-east-1")]).await;
    world.node_group().await;
    fill(&world, clusters, groups, |_| "AWSPCS-any".to_owned());
    // What the first sweep has to do with the hours behind takes time that is another test's.
    sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
    world.stack.pcs_emulator.clear_calls();
    world
}

fn strike(world: &World, action: &str, times: u32, effect: Effect) {
    world.stack.pcs_emulator.inject(Fault {
        action: Some(action.to_owned()),
        times,
        effect,
    });
}

/// Clusters and groups that hang cost their time once, and are told.
#[tokio::test]
async fn what_does_not_answer_is_missed_and_the_rest_is_looked_at() {
    for action in ["ListComputeNodeGroups", "GetComputeNodeGroup"] {
        let world = with_clusters(3, 1).await;
        strike(&world, action, 2, Effect::Delay(Duration::from_hours(1)));
        // Two that are waited for as long as an attempt takes, eight seconds, are all of it.
        let report = sweep_at(
            &world,
            Timestamp::now() + SignedDuration::from_hours(2),
            Duration::from_secs(15),
        )
        .await;
        assert_eq!(report.regions_left, 0, "{action}: {report:?}");
        assert_eq!(report.unread, ["us-east-1"], "{action}");
        let lists = world.pcs_actions();
        let lists = lists
            .iter()
            .filter(|name| *name == "ListComputeNodeGroups")
            .count();
        assert_eq!(lists, 3, "{action}: each cluster is asked once");
    }
}

/// Also where all of them together take longer than a run.
#[tokio::test]
async fn clusters_without_groups_are_left_behind() {
    let world = with_clusters(30, 0).await;
    strike(
        &world,
        "ListComputeNodeGroups",
        1_000,
        Effect::Delay(Duration::from_millis(100)),
    );
    let now = Timestamp::now() + SignedDuration::from_hours(2);
    let mut report = sweep_at(&world, now, Duration::from_secs(1)).await;
    let mut runs = 1;
    for minute in 1..100 {
        if report.regions_left == 0 {
            break;
        }
        let at = now + SignedDuration::from_mins(2 * minute);
        report = go_on_at(&world, at, Duration::from_secs(1)).await;
        runs += 1;
    }
    assert_eq!(report.regions_left, 0, "{report:?}");
    let mut asked = BTreeSet::new();
    let mut lists = 0;
    for call in world.stack.pcs_emulator.calls() {
        if call.action == "ListComputeNodeGroups" {
            lists += 1;
            asked.insert(call.body["clusterIdentifier"].to_string());
        }
    }
    assert_eq!(asked.len(), 30);
    assert!(
        lists <= 30 + runs,
        "again only where time ran out: {lists} in {runs} runs"
    );
}

/// Whether a throttled cluster is gone is not asked with the call that was throttled.
#[tokio::test]
async fn clusters_that_are_throttled_are_missed_one_by_one() {
    let world = with_clusters(5, 1).await;
    strike(&world, "ListComputeNodeGroups", 4 * ATTEMPTS, Effect::Throttle);
    let now = Timestamp::now() + SignedDuration::from_hours(2);
    let report = sweep_at(&world, now, WHOLE_RUN).await;
    assert_eq!(report.unread, ["us-east-1"]);
    let lists = world.pcs_actions();
    let lists = lists
        .iter()
        .filter(|name| *name == "ListComputeNodeGroups")
        .count();
    assert_eq!(lists, 4 * 3 + 1, "the last one answers");
}

/// The first page was shown, so the Region is neither closed nor without clusters.
#[tokio::test]
async fn a_failure_of_a_later_page_says_nothing_of_the_whole_region() {
    let page = |token: &str| {
        let page = json!({"clusters": [], "nextToken": token}).to_string();
        Effect::Garbage(page.into())
    };
    let refusal = |code: &str| Effect::Error {
        status: http::StatusCode::BAD_REQUEST,
        code: code.to_owned(),
        message: "User is not authorized with an explicit deny in a service control policy".to_owned(),
    };
    for second in [
        refusal("UnrecognizedClientException"),
        refusal("AccessDeniedException"),
        page("2"),
    ] {
        let world = World::start().await;
        strike(&world, "ListClusters", 1, page("2"));
        strike(&world, "ListClusters", 1, second.clone());
        let report = sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
        assert_eq!(
            (report.regions_out_of_reach, report.regions_failed),
            (0, 1),
            "{second:?}: {report:?}"
        );
    }
}

/// Some services end their lists so.
#[tokio::test]
async fn an_empty_token_ends_a_list() {
    let world = World::start().await;
    let page = json!({"clusters": [], "nextToken": ""}).to_string();
    strike(&world, "ListClusters", 1, Effect::Garbage(page.into()));
    let report = sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
    assert!(report.complete, "{report:?}");
    let regions = world.pcs_actions().len();
    assert_eq!(regions, 25, "each Region once");
}
