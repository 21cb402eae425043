//! The sweep's walk through the Regions: it goes on where it stopped, tells what it could not read, and removes only
//! what it has just seen that nobody uses.

use std::{collections::BTreeSet, time::Duration};

use iam_emulator::{InstanceProfile, Role, Seed};
use jiff::{SignedDuration, Timestamp};
use pcs_api::sweep::Report;
use pcs_emulator::ClosedRegion;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    saga::iam_client,
    world::{ALLOWED_POLICY, GUARD, World},
};

const PATH: &str = "/aws-pcs/pcs-api/";
pub const WHOLE_RUN: Duration = Duration::from_secs(26);
const DENIED: &str = "User: arn:aws:sts::123456789012:assumed-role/PcsApiFunction/f is not authorized to perform: pcs:ListClusters";

fn hour() -> SignedDuration {
    SignedDuration::from_hours(1)
}

pub async fn sweep_at(world: &World, now: Timestamp, time: Duration) -> Report {
    let deadline = Instant::now() + time;
    world.gateway.sweep("lambda", now, deadline).await.unwrap()
}

pub async fn go_on_at(world: &World, now: Timestamp, time: Duration) -> Report {
    let deadline = Instant::now() + time;
    world.gateway.go_on("lambda", now, deadline).await.unwrap()
}

fn deployment(world: &World) -> String {
    world.stack.variables()["PCS_API_REST_API_ID"].clone()
}

/// A world that makes roles, with a group whose role was there before.
async fn with_a_group() -> World {
    let world = World::that_makes_roles().await;
    let role = Role::new("AWSPCS-compute-node").boundary(Some(GUARD));
    world.stack.iam_emulator.seed(Seed::new().role(role)).unwrap();
    world.node_group().await;
    world
}

/// A role and its profile as this API makes them.
fn made(seed: Seed, name: &str, deployment: &str, region: &str, policy: &str) -> Seed {
    let role = Role::new(name)
        .path(PATH)
        .boundary(Some(GUARD))
        .attach(policy)
        .tag("pcs-api:deployment", deployment)
        .tag("pcs-api:region", region);
    seed.role(role)
        .instance_profile(InstanceProfile::new(name).path(PATH).role(name))
}

async fn names_made(world: &World) -> BTreeSet<String> {
    let mut pages = iam_client(world)
        .list_roles()
        .path_prefix(PATH)
        .into_paginator()
        .items()
        .send();
    let mut names = BTreeSet::new();
    while let Some(role) = pages.next().await {
        names.insert(role.unwrap().role_name);
    }
    names
}

/// Copies the world's only cluster and its group, until a Region has so many clusters with so many groups each; PCS's
/// quotas are lower until AWS raises them. `profile` names each group's profile by its number.
fn fill(world: &World, clusters: usize, groups: usize, profile: impl Fn(usize) -> String) {
    let mut state = world.stack.pcs_emulator.snapshot().unwrap();
    let region = &mut state["accounts"]["123456789012"]["us-east-1"];
    region["client_tokens"] = json!({});
    let of = |kind: &str| -> Value {
        let resources = region["resources"].as_array().unwrap();
        resources
            .iter()
            .find(|resource| resource["kind"] == kind)
            .unwrap()
            .clone()
    };
    let (cluster, group) = (of("Cluster"), of("ComputeNodeGroup"));
    let copy = |resource: &Value, ids: &[(&Value, String)], number: usize| -> Value {
        let text = ids.iter().fold(resource.to_string(), |text, (from, to)| {
            text.replace(from.as_str().unwrap(), to)
        });
        let mut copy: Value = serde_json::from_str(&text).unwrap();
        copy["name"] = json!(format!("copy-{number}"));
        copy["seq"] = json!(number);
        copy
    };
    let mut all = Vec::new();
    for c in 0..clusters {
        let cluster_id = format!("pcs_c{c:09}");
        all.push(copy(&cluster, &[(&cluster["id"], cluster_id.clone())], all.len()));
        for _ in 0..groups {
            let number = all.len();
            let ids = [
                (&cluster["id"], cluster_id.clone()),
                (&group["id"], format!("pcs_g{number:09}")),
            ];
            let mut copy = copy(&group, &ids, number);
            copy["members"]["iamInstanceProfileArn"] = json!(format!(
                "arn:aws:iam::123456789012:instance-profile{PATH}{}",
                profile(number)
            ));
            all.push(copy);
        }
    }
    region["next_seq"] = json!(all.len());
    region["resources"] = Value::Array(all);
    world.stack.pcs_emulator.load(state).unwrap();
}

/// Roles of [`large_account`] that its sweep leaves alone, whoever uses them.
const NOT_ITS_OWN: [&str; 3] = [
    "AWSPCS-of-the-denied",
    "AWSPCS-of-the-unknown",
    "AWSPCS-of-another-deployment",
];
/// The Region there that denies.
const DENYING: &str = "af-south-1";

/// The account of the documents: ten of the contract's 35 Regions are of other partitions, fifteen are not enabled, one
/// denies, and one has 500 groups with forty roles, three of them gone bad, beside 25 roles that nobody uses.
fn large_account(world: &World) {
    let others = |region: &str| {
        ["us-gov-", "us-iso", "eu-iso", "eusc-"]
            .iter()
            .any(|other| region.starts_with(other))
    };
    let mut regions = pcs_api::contract::REGIONS.to_vec();
    regions.retain(|region| !others(region) && ![DENYING, "us-east-1"].contains(region));
    for region in &regions[..15] {
        world
            .stack
            .pcs_emulator
            .close_region(region, Some(ClosedRegion::NotEnabled));
    }
    world
        .stack
        .pcs_emulator
        .close_region(DENYING, Some(ClosedRegion::Denied(DENIED.to_owned())));
    let (own, mut seed) = (deployment(world), Seed::new());
    for number in 0..40 {
        let policy = if number < 3 {
            "arn:aws:iam::aws:policy/AdministratorAccess"
        } else {
            ALLOWED_POLICY
        };
        seed = made(seed, &format!("AWSPCS-used-{number}"), &own, "us-east-1", policy);
    }
    for number in 0..25 {
        seed = made(
            seed,
            &format!("AWSPCS-idle-{number}"),
            &own,
            "us-east-1",
            ALLOWED_POLICY,
        );
    }
    for (name, deployment, region) in [
        (NOT_ITS_OWN[0], own.as_str(), DENYING),
        (NOT_ITS_OWN[1], &own, regions[0]),
        (NOT_ITS_OWN[2], "zzzzzzzzzz", "us-east-1"),
    ] {
        seed = made(seed, name, deployment, region, ALLOWED_POLICY);
    }
    world.stack.iam_emulator.seed(seed).unwrap();
    fill(world, 50, 10, |number| format!("AWSPCS-used-{}", number % 40));
}

/// How many groups have a profile whose name ends so.
fn groups_with(world: &World, names: &[&str]) -> usize {
    let state = world.stack.pcs_emulator.snapshot().unwrap().to_string();
    names
        .iter()
        .map(|name| state.matches(&format!("{name}\"")).count())
        .sum()
}

/// Runs that are cut off early look at nothing twice and leave nothing out.
#[tokio::test]
async fn a_large_account_is_swept_whole_in_a_few_runs() {
    let world = with_a_group().await;
    let now = Timestamp::now();
    // What the first sweep has to do with the hours behind takes time that is another test's.
    sweep_at(&world, now, WHOLE_RUN).await;
    large_account(&world);
    let later = now + hour() * 3;
    let mut runs = vec![sweep_at(&world, later, Duration::from_millis(400)).await];
    for number in 1..40 {
        let time = if number < 6 {
            Duration::from_millis(400)
        } else {
            WHOLE_RUN
        };
        let report = go_on_at(&world, later + SignedDuration::from_mins(2 * number), time).await;
        let nothing_was_left = Report {
            complete: report.complete,
            ..Report::default()
        };
        if report == nothing_was_left {
            break;
        }
        runs.push(report);
    }
    let sum = |of: fn(&Report) -> u32| runs.iter().map(of).sum::<u32>();
    assert_eq!(sum(|run| run.node_groups_checked), 500, "each once: {runs:#?}");
    let drifted = groups_with(&world, &["-used-0", "-used-1", "-used-2"]);
    assert_eq!(sum(|run| run.node_groups_drifted) as usize, drifted);
    assert_eq!(sum(|run| run.roles_removed), 25);
    let last = runs.last().unwrap();
    assert_eq!(
        (last.regions_out_of_reach, last.regions_failed, last.complete),
        (15, 1, false),
        "{last:?}"
    );
    assert_eq!(last.unread, [DENYING]);
    let names = names_made(&world).await;
    assert_eq!(
        names
            .iter()
            .filter(|name| name.starts_with("AWSPCS-used-"))
            .count(),
        40
    );
    assert_eq!(names.len(), 43, "{names:?}");
    for name in NOT_ITS_OWN {
        assert!(names.contains(name), "{name}");
    }

    // Once the Region can be read, the next round is complete.
    world.stack.pcs_emulator.close_region(DENYING, None);
    let at = later + hour() * 3;
    let mut report = sweep_at(&world, at, WHOLE_RUN).await;
    for number in 1..10 {
        if report.complete {
            break;
        }
        report = go_on_at(&world, at + SignedDuration::from_mins(2 * number), WHOLE_RUN).await;
    }
    assert!(report.complete, "{report:?}");
    let names = names_made(&world).await;
    assert!(!names.contains(NOT_ITS_OWN[0]));
    assert!(names.contains(NOT_ITS_OWN[1]), "what nobody can see stays");
}

/// What a run could not read is told in its answer, in its record, and to whoever watches.
#[tokio::test]
async fn a_region_that_denies_is_never_taken_for_an_empty_one() {
    let world = World::start().await;
    world.node_group().await;
    world
        .stack
        .pcs_emulator
        .close_region("eu-west-1", Some(ClosedRegion::Denied(DENIED.to_owned())));
    let report = sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
    assert_eq!(
        (
            report.complete,
            report.regions_failed,
            report.regions_left,
            report.node_groups_checked
        ),
        (false, 1, 0, 1),
        "the others are checked: {report:?}"
    );
    assert_eq!(report.unread, ["eu-west-1"]);
    let rows = world.rows().await;
    let row = rows
        .iter()
        .find(|row| row["eventName"] == "Sweep" && row["sk"] == "9#COMPLETE")
        .expect("a closing row");
    assert_eq!(
        (&row["errorCode"], &row["httpStatus"]),
        (&json!("SweepIncomplete"), &json!(502))
    );
    assert!(
        row["errorMessage"].as_str().unwrap().contains("eu-west-1"),
        "{row}"
    );
}

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

/// Each row of a sweep is about one thing.
#[tokio::test]
async fn the_row_of_a_removed_role_names_that_role_and_nothing_else() {
    let world = with_a_group().await;
    let seed = made(
        Seed::new(),
        "AWSPCS-idle",
        &deployment(&world),
        "us-east-1",
        ALLOWED_POLICY,
    );
    let worse = Role::new("AWSPCS-compute-node").attach("arn:aws:iam::aws:policy/AdministratorAccess");
    world.stack.iam_emulator.seed(seed.role(worse)).unwrap();
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
    let world = with_a_group().await;
    let seed = made(
        Seed::new(),
        "AWSPCS-late",
        &deployment(&world),
        "us-east-1",
        ALLOWED_POLICY,
    );
    world.stack.iam_emulator.seed(seed).unwrap();
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
