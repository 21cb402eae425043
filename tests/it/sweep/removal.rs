//! Which roles the sweep removes, and which it leaves alone because a group may run with them.

use std::time::Duration;

use iam_emulator::{InstanceProfile, Role, Seed};
use jiff::{SignedDuration, Timestamp};
use pcs_emulator::ClosedRegion;
use pcs_local::stack::Options;
use serde_json::json;

use super::walk::{
    DENIED, PATH, WHOLE_RUN, add_role, fill, go_on_at, hour, names_made, sweep_at, with_a_group_and_role,
};
use crate::{
    saga::{self, iam_client},
    world::{World, event, with_body, with_query},
};

/// A group in another Region than the role was made for.
async fn group_in(world: &World, region: &str, role: &str) {
    let profile = format!("arn:aws:iam::123456789012:instance-profile{PATH}{role}");
    let group = with_body(
        event("create-compute-node-group"),
        json!({"iamInstanceProfileArn": profile}),
    );
    for request in [event("create-cluster"), group] {
        let made = world.send(&with_query(request, &[("region", region)])).await;
        assert_eq!(made.status, 202, "{made:?}");
        world.settle();
    }
}

/// A Region that was not enabled when it was asked last may be by now, and a group there may have any role.
#[tokio::test]
async fn a_role_in_use_in_a_region_that_was_just_enabled_stays() {
    let world = with_a_group_and_role("AWSPCS-idle").await;
    let pcs = &world.stack.pcs_emulator;
    pcs.close_region("af-south-1", Some(ClosedRegion::NotEnabled));
    let now = Timestamp::now();
    let report = sweep_at(&world, now, WHOLE_RUN).await;
    assert_eq!(report.regions_out_of_reach, 1, "{report:?}");
    pcs.close_region("af-south-1", None);
    group_in(&world, "af-south-1", "AWSPCS-idle").await;
    let report = sweep_at(&world, now + hour() * 2, WHOLE_RUN).await;
    assert_eq!(
        (report.roles_removed, report.regions_out_of_reach),
        (0, 0),
        "{report:?}"
    );
    assert!(names_made(&world).await.contains("AWSPCS-idle"));
    let report = sweep_at(&world, now + hour() * 3, WHOLE_RUN).await;
    assert_eq!(report.node_groups_checked, 2, "{report:?}");
}

/// What was there an hour ago is there still, whether the function may see it or not.
#[tokio::test]
async fn a_region_with_clusters_that_denies_keeps_every_role() {
    let world = with_a_group_and_role("AWSPCS-idle").await;
    group_in(&world, "eu-west-1", "AWSPCS-idle").await;
    let now = Timestamp::now();
    let report = sweep_at(&world, now, WHOLE_RUN).await;
    assert_eq!((report.node_groups_checked, report.complete), (2, true));
    let closed = format!("{DENIED} with an explicit deny in a service control policy");
    for how in [
        ClosedRegion::Denied(DENIED.to_owned()),
        ClosedRegion::Denied(closed),
        ClosedRegion::NotEnabled,
    ] {
        world.stack.pcs_emulator.close_region("eu-west-1", Some(how));
        let report = sweep_at(&world, now + hour() * 2, WHOLE_RUN).await;
        assert_eq!(
            (report.roles_removed, report.unread.as_slice()),
            (0, ["eu-west-1".to_owned()].as_slice()),
            "{report:?}"
        );
    }
    assert!(names_made(&world).await.contains("AWSPCS-idle"));
}

/// IAM's names are one whatever their case.
#[tokio::test]
async fn a_profile_named_in_other_case_is_in_use() {
    let world = with_a_group_and_role("AWSPCS-idle").await;
    fill(&world, 1, 1, |_| "AWSPCS-IDLE".to_owned());
    let report = sweep_at(&world, Timestamp::now() + hour() * 2, WHOLE_RUN).await;
    assert_eq!(report.roles_removed, 0, "{report:?}");
    assert!(names_made(&world).await.contains("AWSPCS-idle"));
}

/// A world with a group whose role this API made, and the request that gives it another.
async fn with_a_made_role() -> (World, serde_json::Value) {
    let world = saga::start_with(Options {
        // As long as the clock of PCS is not moved.
        transition: Duration::from_secs(50),
        ..Options::default()
    })
    .await;
    let role = Role::new("AWSPCS-compute-node").boundary(Some(crate::world::GUARD));
    world.stack.iam_emulator.seed(Seed::new().role(role)).unwrap();
    let made = world.send(&saga::create(&["a"])).await;
    assert_eq!(made.status, 202, "{made:?}");
    world.settle();
    let other = "arn:aws:iam::123456789012:instance-profile/AWSPCS-compute-node";
    let change = with_body(
        event("update-compute-node-group"),
        json!({"iamInstanceProfileArn": other}),
    );
    (world, change)
}

/// An update that fails goes back to what was before.
#[tokio::test]
async fn no_role_of_a_region_goes_while_a_group_there_changes() {
    let (world, change) = with_a_made_role().await;
    add_role(&world, "AWSPCS-idle");
    let changed = world.send(&change).await;
    assert_eq!(changed.status, 202, "{changed:?}");
    let later = Timestamp::now() + hour() * 2;
    let report = sweep_at(&world, later, WHOLE_RUN).await;
    assert_eq!((report.roles_removed, report.complete), (0, true), "{report:?}");
    world.settle();
    let report = sweep_at(&world, later + hour(), WHOLE_RUN).await;
    assert_eq!(report.roles_removed, 1, "only the one of no group: {report:?}");
}

/// PCS only marks instances for replacement: those with jobs run on with the role that they began with.
#[tokio::test]
async fn the_role_that_a_group_had_before_stays_for_a_day() {
    let (world, change) = with_a_made_role().await;
    let changed = world.send(&change).await;
    assert_eq!(changed.status, 202, "{changed:?}");
    world.settle();
    let now = Timestamp::now();
    for (hours, removed) in [(2, 0), (23, 0), (25, 1)] {
        let report = sweep_at(&world, now + hour() * hours, WHOLE_RUN).await;
        assert_eq!(report.roles_removed, removed, "after {hours} hours: {report:?}");
    }
}

/// More than a run removes is no fault, and waits for no hour.
#[tokio::test]
async fn many_unused_roles_go_run_by_run_without_an_alarm() {
    let world = with_a_group_and_role("AWSPCS-idle-0").await;
    for number in 1..14 {
        add_role(&world, &format!("AWSPCS-idle-{number}"));
    }
    let now = Timestamp::now() + hour() * 2;
    // What the first sweep has to do with the hours behind takes time that is another test's.
    world.stack.iam_emulator.inject(iam_emulator::Fault {
        action: None,
        times: 100_000,
        effect: iam_emulator::Effect::Delay(Duration::from_millis(200)),
    });
    let mut removed = 0;
    for minute in 0..100 {
        let at = now + SignedDuration::from_mins(2 * minute);
        let time = Duration::from_millis(5_500);
        let report = if minute == 0 {
            sweep_at(&world, at, time).await
        } else {
            go_on_at(&world, at, time).await
        };
        assert_eq!(
            (report.roles_failed, report.unread.as_slice()),
            (0, [].as_slice()),
            "{report:?}"
        );
        removed += report.roles_removed;
        if removed == 14 {
            break;
        }
    }
    assert_eq!(removed, 14);
    let rows = world.rows().await;
    assert!(!rows.iter().any(|row| row["step"] == "ORPHAN"));
}

/// Each row of a sweep is about one thing.
#[tokio::test]
async fn the_row_of_a_removed_role_names_that_role_and_nothing_else() {
    let world = with_a_group_and_role("AWSPCS-idle").await;
    let worse = Role::new("AWSPCS-compute-node").attach("arn:aws:iam::aws:policy/AdministratorAccess");
    world.stack.iam_emulator.seed(Seed::new().role(worse)).unwrap();
    let report = sweep_at(&world, Timestamp::now() + hour() * 2, WHOLE_RUN).await;
    assert_eq!(
        (report.node_groups_drifted, report.roles_removed),
        (1, 1),
        "{report:?}"
    );
    let rows = world.rows().await;
    let step = |name: &str| rows.iter().find(|row| row["step"] == name).expect("a row");
    let removed = step("ROLE_REMOVED");
    assert_eq!(
        removed["nodeRoleArn"],
        "arn:aws:iam::123456789012:role/aws-pcs/pcs-api/AWSPCS-idle"
    );
    for foreign in ["resourceArn", "inspected", "violations", "awsRegion"] {
        assert_eq!(removed.get(foreign), None, "{foreign}");
    }
    let drift = step("GUARDRAIL_DRIFT");
    assert_eq!(
        (&drift["awsRegion"], drift.get("nodeRoleArn")),
        (&json!("us-east-1"), None)
    );
    assert!(
        drift["inspected"]["roleArn"]
            .as_str()
            .unwrap()
            .ends_with("AWSPCS-compute-node")
    );
}

/// A group that began to use the role after it was checked keeps it.
#[tokio::test]
async fn what_groups_use_is_read_again_right_before_a_role_goes() {
    let world = with_a_group_and_role("AWSPCS-late").await;
    // Of the run's two looks at the Region only the second one sees the cluster.
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("ListComputeNodeGroups".to_owned()),
        times: 1,
        effect: pcs_emulator::Effect::Garbage(json!({"computeNodeGroups": []}).to_string().into()),
    });
    fill(&world, 1, 1, |_| "AWSPCS-late".to_owned());
    let report = sweep_at(&world, Timestamp::now() + hour() * 2, WHOLE_RUN).await;
    assert_eq!(
        (report.node_groups_checked, report.roles_removed),
        (0, 0),
        "{report:?}"
    );
    assert!(names_made(&world).await.contains("AWSPCS-late"));
}

/// An answer without what every group has says nothing of what it uses.
#[tokio::test]
async fn a_group_without_a_profile_in_the_answer_keeps_every_role() {
    let world = with_a_group_and_role("AWSPCS-hidden").await;
    fill(&world, 1, 1, |_| "AWSPCS-hidden".to_owned());
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("GetComputeNodeGroup".to_owned()),
        times: 10,
        effect: pcs_emulator::Effect::Garbage("{}".into()),
    });
    let report = sweep_at(&world, Timestamp::now() + hour() * 2, WHOLE_RUN).await;
    assert_eq!((report.roles_removed, report.complete), (0, false), "{report:?}");
    assert_eq!(report.unread, ["us-east-1"]);
    assert!(names_made(&world).await.contains("AWSPCS-hidden"));
}

/// A Region that does not answer just now may hold a group with any role.
#[tokio::test]
async fn no_role_goes_while_a_region_fails() {
    let world = with_a_group_and_role("AWSPCS-idle").await;
    world
        .stack
        .pcs_emulator
        .close_region("eu-west-1", Some(ClosedRegion::Throttled));
    let later = Timestamp::now() + hour() * 2;
    let report = sweep_at(&world, later, WHOLE_RUN).await;
    assert_eq!(
        (report.roles_removed, report.regions_failed),
        (0, 1),
        "{report:?}"
    );
    assert_eq!(report.unread, ["eu-west-1"]);
    world.stack.pcs_emulator.close_region("eu-west-1", None);
    let report = sweep_at(&world, later + hour(), WHOLE_RUN).await;
    assert_eq!((report.roles_removed, report.complete), (1, true), "{report:?}");
}

/// Whoever put it into another profile runs something with it.
#[tokio::test]
async fn a_role_that_another_profile_has_too_stays_as_it_is() {
    let world = with_a_group_and_role("AWSPCS-idle").await;
    let by_hand = InstanceProfile::new("by-hand").role("AWSPCS-idle");
    let seed = Seed::new().instance_profile(by_hand);
    world.stack.iam_emulator.seed(seed).unwrap();
    let report = sweep_at(&world, Timestamp::now() + hour() * 2, WHOLE_RUN).await;
    assert_eq!(
        (report.roles_removed, report.roles_failed, report.complete),
        (0, 0, true),
        "{report:?}"
    );
    let client = iam_client(&world);
    let attached = client
        .list_attached_role_policies()
        .role_name("AWSPCS-idle")
        .send()
        .await
        .unwrap();
    assert_eq!(attached.attached_policies().len(), 1);
    let profile = client
        .get_instance_profile()
        .instance_profile_name("AWSPCS-idle")
        .send()
        .await
        .unwrap();
    assert_eq!(profile.instance_profile().unwrap().path(), PATH);
}

/// A role that cannot be removed is no success.
#[tokio::test]
async fn a_role_that_iam_keeps_is_counted() {
    let world = with_a_group_and_role("AWSPCS-idle").await;
    world.stack.iam_emulator.inject(iam_emulator::Fault {
        action: Some("DeleteRole".to_owned()),
        times: 1,
        effect: iam_emulator::Effect::Error {
            status: http::StatusCode::CONFLICT,
            code: "DeleteConflict".to_owned(),
            message: "no".to_owned(),
        },
    });
    let report = sweep_at(&world, Timestamp::now() + hour() * 2, WHOLE_RUN).await;
    assert_eq!(
        (report.roles_removed, report.roles_failed, report.complete),
        (0, 1, false),
        "{report:?}"
    );
    assert_eq!(report.unread, ["iam"]);
}

/// Roles that cannot be listed, or looked at, are not known to be none.
#[tokio::test]
async fn what_iam_does_not_let_be_read_is_told() {
    for action in [
        "ListRoles",
        "ListInstanceProfiles",
        "GetRole",
        "ListInstanceProfilesForRole",
        "ListAttachedRolePolicies",
        "ListRolePolicies",
    ] {
        let world = World::that_makes_roles().await;
        add_role(&world, "AWSPCS-idle");
        world.stack.iam_emulator.inject(iam_emulator::Fault {
            action: Some(action.to_owned()),
            times: 1,
            effect: iam_emulator::Effect::Error {
                status: http::StatusCode::FORBIDDEN,
                code: "AccessDenied".to_owned(),
                message: "no".to_owned(),
            },
        });
        let report = sweep_at(&world, Timestamp::now() + hour() * 2, WHOLE_RUN).await;
        assert_eq!(
            (report.roles_removed, report.complete),
            (0, false),
            "{action}: {report:?}"
        );
        assert_eq!(report.unread, ["iam"], "{action}");
        let attached = iam_client(&world)
            .list_attached_role_policies()
            .role_name("AWSPCS-idle")
            .send()
            .await;
        assert_eq!(attached.unwrap().attached_policies().len(), 1, "{action}");
    }
}
