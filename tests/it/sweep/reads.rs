//! What the sweep makes of what PCS and IAM say, or do not say.

use std::time::Duration;

use iam_emulator::Seed;
use jiff::Timestamp;
use pcs_emulator::ClosedRegion;
use serde_json::json;

use super::walk::{DENIED, WHOLE_RUN, fill, go_on_at, hour, made, sweep_at, with_a_group};
use crate::world::{ALLOWED_POLICY, World, event, with_query};

/// An organization closes Regions for everybody in an account; that is no fault of this API's.
#[tokio::test]
async fn a_region_that_the_organization_closes_is_out_of_reach() {
    let world = World::start().await;
    let message = format!("{DENIED} with an explicit deny in a service control policy");
    for region in ["eu-west-1", "us-east-1"] {
        world
            .stack
            .pcs_emulator
            .close_region(region, Some(ClosedRegion::Denied(message.clone())));
    }
    let report = sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
    assert_eq!((report.regions_out_of_reach, report.complete), (1, false));
    assert_eq!(
        report.unread,
        ["us-east-1"],
        "the function's own Region is never out of reach"
    );
}

/// "No service control policy allows it" is a policy that forgot this API, not one that closes the Region.
#[tokio::test]
async fn a_region_that_no_policy_allows_is_a_fault() {
    let world = World::start().await;
    let message = format!("{DENIED} because no service control policy allows the pcs:ListClusters action");
    world
        .stack
        .pcs_emulator
        .close_region("eu-west-1", Some(ClosedRegion::Denied(message)));
    let report = sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
    assert_eq!((report.regions_failed, report.regions_out_of_reach), (1, 0));
}

#[tokio::test]
async fn a_region_that_is_not_enabled_is_asked_once_a_day() {
    let world = World::start().await;
    let pcs = &world.stack.pcs_emulator;
    pcs.close_region("af-south-1", Some(ClosedRegion::NotEnabled));
    let asked = || {
        let asked = pcs
            .calls()
            .iter()
            .filter(|call| call.region == "af-south-1")
            .count();
        pcs.clear_calls();
        asked
    };
    let now = Timestamp::now();
    let report = sweep_at(&world, now, WHOLE_RUN).await;
    assert_eq!(
        (report.complete, report.regions_out_of_reach, asked()),
        (true, 1, 1),
        "{report:?}"
    );
    let report = sweep_at(&world, now + hour() * 23, WHOLE_RUN).await;
    assert_eq!(
        (report.complete, report.regions_out_of_reach, asked()),
        (true, 1, 0),
        "{report:?}"
    );
    pcs.close_region("af-south-1", None);
    let report = sweep_at(&world, now + hour() * 24, WHOLE_RUN).await;
    assert_eq!(
        (report.complete, report.regions_out_of_reach, asked()),
        (true, 0, 1),
        "{report:?}"
    );
}

/// One group, or one cluster, that cannot be read keeps no other from being checked.
#[tokio::test]
async fn what_cannot_be_read_is_counted_and_the_rest_is_checked() {
    for (action, checked, failed) in [("GetComputeNodeGroup", 2, 1), ("ListComputeNodeGroups", 0, 0)] {
        let world = World::start().await;
        world.node_group().await;
        world
            .stack
            .iam_emulator
            .seed(made(
                Seed::new(),
                "AWSPCS-used-0",
                "x",
                "us-east-1",
                ALLOWED_POLICY,
            ))
            .unwrap();
        fill(&world, 1, 3, |_| "AWSPCS-used-0".to_owned());
        world.stack.pcs_emulator.inject(pcs_emulator::Fault {
            action: Some(action.to_owned()),
            times: if action == "GetComputeNodeGroup" { 1 } else { 2 },
            effect: pcs_emulator::Effect::Error {
                status: http::StatusCode::FORBIDDEN,
                code: "AccessDeniedException".to_owned(),
                message: "no".to_owned(),
            },
        });
        let report = sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
        assert_eq!(
            (
                report.node_groups_checked,
                report.node_groups_failed,
                report.complete
            ),
            (checked, failed, false),
            "{action}: {report:?}"
        );
        assert_eq!(report.unread, ["us-east-1"], "{action}");
    }
}

/// Lists are a moment old when their items are read.
#[tokio::test]
async fn a_group_that_is_gone_by_now_is_not_missed() {
    let world = World::start().await;
    world.node_group().await;
    let state = world.stack.pcs_emulator.snapshot().unwrap();
    let group = state["accounts"]["123456789012"]["us-east-1"]["resources"][1]["id"].clone();
    // PCS denies reads of ids that it does not have (AWS's smoke tests).
    let list = json!({"computeNodeGroups": [{"id": group}, {"id": "pcs_gone000000"}]});
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("ListComputeNodeGroups".to_owned()),
        times: 1,
        effect: pcs_emulator::Effect::Garbage(list.to_string().into()),
    });
    let report = sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
    assert_eq!(
        (
            report.node_groups_checked,
            report.node_groups_failed,
            report.complete
        ),
        (1, 0, true),
        "{report:?}"
    );
}

/// Time that runs out later takes nothing back of what was seen before.
#[tokio::test]
async fn what_failed_before_time_ran_out_is_told_when_the_round_ends() {
    let world = with_a_group().await;
    fill(&world, 20, 10, |_| "AWSPCS-any".to_owned());
    let now = Timestamp::now();
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("ListComputeNodeGroups".to_owned()),
        times: 2,
        effect: pcs_emulator::Effect::Error {
            status: http::StatusCode::FORBIDDEN,
            code: "AccessDeniedException".to_owned(),
            message: "no".to_owned(),
        },
    });
    let mut report = sweep_at(&world, now, Duration::from_millis(500)).await;
    for minute in 1..20 {
        if report.regions_left == 0 {
            break;
        }
        let at = now + jiff::SignedDuration::from_mins(2 * minute);
        report = go_on_at(&world, at, WHOLE_RUN).await;
    }
    assert_eq!((report.regions_left, report.complete), (0, false), "{report:?}");
    assert_eq!(report.unread, ["us-east-1"]);
}

/// A cluster in a Region of its own.
async fn with_a_cluster_in(region: &str) -> World {
    let world = World::start().await;
    let made = world
        .send(&with_query(event("create-cluster"), &[("region", region)]))
        .await;
    assert_eq!(made.status, 202, "{made:?}");
    world.settle();
    world
}

/// Only the list of clusters says something of the whole Region.
#[tokio::test]
async fn one_denied_read_does_not_take_a_region_out_of_reach() {
    let world = with_a_cluster_in("eu-west-1").await;
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("ListComputeNodeGroups".to_owned()),
        times: 2,
        effect: pcs_emulator::Effect::Error {
            status: http::StatusCode::FORBIDDEN,
            code: "AccessDeniedException".to_owned(),
            message: format!("{DENIED} with an explicit deny in a service control policy"),
        },
    });
    let report = sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
    assert_eq!(
        (report.regions_out_of_reach, report.complete),
        (0, false),
        "{report:?}"
    );
    assert_eq!(report.unread, ["eu-west-1"]);
}

/// What runs there runs on, and nobody looks after it.
#[tokio::test]
async fn a_region_with_clusters_that_gets_out_of_reach_is_missed() {
    let world = with_a_cluster_in("eu-west-1").await;
    let now = Timestamp::now();
    assert!(sweep_at(&world, now, WHOLE_RUN).await.complete);
    world
        .stack
        .pcs_emulator
        .close_region("eu-west-1", Some(ClosedRegion::NotEnabled));
    for hours in [1, 2] {
        let report = sweep_at(&world, now + hour() * hours, WHOLE_RUN).await;
        assert_eq!(
            (report.regions_out_of_reach, report.complete),
            (0, false),
            "{report:?}"
        );
        assert_eq!(report.unread, ["eu-west-1"]);
    }
}

/// PCS denies what it does not have.
#[tokio::test]
async fn a_cluster_that_is_gone_by_now_is_not_missed() {
    let world = World::start().await;
    world.node_group().await;
    let clusters = world.stack.pcs_emulator.clusters();
    let list = json!({"clusters": [{"id": clusters[0]["id"]}, {"id": "pcs_gone000000"}]});
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("ListClusters".to_owned()),
        times: 1,
        effect: pcs_emulator::Effect::Garbage(list.to_string().into()),
    });
    let scoped = world
        .stack
        .variables()
        .clone()
        .into_iter()
        .chain([("PCS_API_REGION_SCOPE".to_owned(), "us-east-1".to_owned())]);
    let gateway = crate::world::gateway(&scoped.collect());
    let deadline = tokio::time::Instant::now() + WHOLE_RUN;
    let report = gateway.sweep("lambda", Timestamp::now(), deadline).await.unwrap();
    assert_eq!(
        (report.node_groups_checked, report.complete),
        (1, true),
        "{report:?}"
    );
}
