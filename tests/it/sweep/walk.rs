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
    world::{ALLOWED_POLICY, GUARD, World, at, event},
};

pub const PATH: &str = "/aws-pcs/pcs-api/";
pub const WHOLE_RUN: Duration = Duration::from_secs(26);
pub const DENIED: &str = "User: arn:aws:sts::123456789012:assumed-role/PcsApiFunction/f is not authorized to perform: pcs:ListClusters";

pub fn hour() -> SignedDuration {
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

pub fn deployment(world: &World) -> String {
    world.stack.variables()["PCS_API_REST_API_ID"].clone()
}

/// A world that makes roles, with a group whose role was there before.
pub async fn with_a_group() -> World {
    let world = World::that_makes_roles().await;
    let role = Role::new("AWSPCS-compute-node").boundary(Some(GUARD));
    world.stack.iam_emulator.seed(Seed::new().role(role)).unwrap();
    world.node_group().await;
    world
}

/// The same, and a role that this API made and nobody uses.
pub async fn with_a_group_and_role(name: &str) -> World {
    let world = with_a_group().await;
    add_role(&world, name);
    world
}

/// A role of this API in us-east-1.
pub fn add_role(world: &World, name: &str) {
    let seed = made(Seed::new(), name, &deployment(world), "us-east-1", ALLOWED_POLICY);
    world.stack.iam_emulator.seed(seed).unwrap();
}

/// A role and its profile as this API makes them.
pub fn made(seed: Seed, name: &str, deployment: &str, region: &str, policy: &str) -> Seed {
    let role = Role::new(name)
        .path(PATH)
        .boundary(Some(GUARD))
        .attach(policy)
        .tag("pcs-api:deployment", deployment)
        .tag("pcs-api:region", region);
    seed.role(role)
        .instance_profile(InstanceProfile::new(name).path(PATH).role(name))
}

pub async fn names_made(world: &World) -> BTreeSet<String> {
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
pub fn fill(world: &World, clusters: usize, groups: usize, profile: impl Fn(usize) -> String) {
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

/// All rows of a run are one answer of the function, which holds 6 MB.
#[tokio::test]
async fn the_event_of_a_sweep_can_be_read_however_many_roles_went_bad() {
    const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;
    let world = World::with(&[("PCS_API_REGION_SCOPE", "us-east-1")]).await;
    world.node_group().await;
    let bad = |number: usize| {
        let path = format!("/{}/", "p".repeat(500));
        let policies = (0..20).map(|n| format!("arn:aws:iam::123456789012:policy{path}bad-{n}"));
        policies.fold(Role::new(format!("AWSPCS-bad-{number}")).path(PATH), Role::attach)
    };
    let seed = (0..4).fold(Seed::new(), |seed, number| {
        let name = format!("AWSPCS-bad-{number}");
        let profile = InstanceProfile::new(&name).path(PATH).role(&name);
        seed.role(bad(number)).instance_profile(profile)
    });
    world.stack.iam_emulator.seed(seed).unwrap();
    fill(&world, 1, 400, |number| format!("AWSPCS-bad-{}", number % 4));
    let now = Timestamp::now();
    let mut report = sweep_at(&world, now, WHOLE_RUN).await;
    let mut drifted = report.node_groups_drifted;
    for minute in 1..40 {
        if report.regions_left == 0 {
            break;
        }
        report = go_on_at(&world, now + SignedDuration::from_mins(2 * minute), WHOLE_RUN).await;
        drifted += report.node_groups_drifted;
    }
    assert_eq!(drifted, 400, "{report:?}");
    let rows = world.rows().await;
    let sweeps = rows
        .iter()
        .filter(|row| row["eventName"] == "Sweep" && row["sk"] == "9#COMPLETE");
    let mut largest = 0;
    for sweep in sweeps {
        let id = sweep["eventId"].as_str().unwrap();
        let answer = world
            .send(&at(event("get-audit-event"), &[("eventId", id)]))
            .await;
        assert_eq!(answer.status, 200);
        let body = answer.body.to_string();
        largest = largest.max(Value::from(body).to_string().len());
    }
    assert!(largest < ANSWER_BYTES_MAX, "{largest}");
    assert!(
        largest > ANSWER_BYTES_MAX / 2,
        "{largest}: the limit was not reached"
    );
}
