//! The last seconds of an invocation, by a clock that stands still while anything can go on: however late PCS answers
//! and however slow the table is, an answer leaves before Lambda ends the function, and it is the truth.

use std::time::Duration;

use serde_json::json;

use super::{Kind, call_within, creation, denial, failed_read, hanging::Inside, mutation, read, refusal};
use crate::{
    wire::{Plan, Rows, TableEffect, TableFault, What},
    world::{ALLOWED_POLICY, Answer, World, at, event, with_body},
};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// How one call went.
struct Went {
    answer: Answer,
    took: Duration,
    /// Changes that PCS was asked for.
    changes: usize,
    /// Sort keys of rows that were sent.
    sent: Vec<String>,
}

async fn went(world: &World, kind: &Kind, table: &TableEffect, pcs_takes: Duration, left: Duration) -> Went {
    let wire = Inside::wire(world);
    let gateway = wire.gateway(world);
    let slow = [Rows::Opening, Rows::Step, Rows::Closing];
    let plan = Plan {
        table: slow
            .map(|rows| TableFault::new(rows, table.clone(), u32::MAX))
            .into(),
        pcs_takes,
        iam_takes: pcs_takes / 20,
        ..Plan::default()
    };
    went_as_planned(&wire, &gateway, plan, kind, left).await
}

async fn went_as_planned(
    wire: &crate::wire::Wire,
    gateway: &pcs_api::gateway::Gateway,
    plan: Plan,
    kind: &Kind,
    left: Duration,
) -> Went {
    let began = tokio::time::Instant::now();
    let answer = call_within(gateway, plan, &kind.event, left).await;
    let took = began.elapsed();
    let passed = wire.passed();
    let is_change = |action: &str| !["Get", "List"].iter().any(|read| action.starts_with(read));
    let changes = passed
        .iter()
        .filter(|passed| matches!(&passed.what, What::Pcs { action, .. } if is_change(action)));
    let sent = passed.iter().filter_map(|passed| match &passed.what {
        What::Put { sk } => Some(sk.clone()),
        What::Written { .. } | What::Pcs { .. } | What::Iam { .. } => None,
    });
    Went {
        answer,
        took,
        changes: changes.count(),
        sent: sent.collect(),
    }
}

fn effects() -> Vec<TableEffect> {
    let mut effects: Vec<TableEffect> = [0, 100, 300, 500, 624, 700, 900, 1_100, 1_199, 1_201, 2_399, 5_000]
        .map(|ms| TableEffect::Slow(MS(ms)))
        .into();
    effects.push(TableEffect::Hang);
    effects
}

fn group() -> Kind {
    Kind {
        name: "compute node group",
        event: event("create-compute-node-group"),
        status: 202,
        stages: &[],
    }
}

/// PCS answers as late as it may, and then the table takes its time for each row that follows.
#[tokio::test]
async fn the_answer_of_a_call_that_was_carried_out_is_never_lost() {
    const LEFT: Duration = Duration::from_secs(6);
    let mut stepped = 0;
    for effect in effects() {
        let (world, arn) = world_with_a_cluster().await;
        for pcs_takes in [0, 3_500, 3_700, 4_000].map(MS) {
            let name = format!("late-{}", pcs_takes.as_millis());
            let named = |kind: Kind, member: &str| Kind {
                event: with_body(kind.event, json!({member: name, "clientToken": null})),
                ..kind
            };
            for kind in [
                named(creation(), "clusterName"),
                mutation(&arn),
                failed_read(),
                named(group(), "computeNodeGroupName"),
            ] {
                let wire = Inside::wire(&world);
                let gateway = wire.gateway(&world);
                let late = [Rows::Step, Rows::Closing];
                let plan = Plan {
                    table: late
                        .map(|rows| TableFault::new(rows, effect.clone(), u32::MAX))
                        .into(),
                    pcs_takes,
                    iam_takes: MS(200),
                    ..Plan::default()
                };
                let went = went_as_planned(&wire, &gateway, plan, &kind, LEFT).await;
                let case = format!(
                    "{} {effect:?}, PCS after {pcs_takes:?}: {:?}",
                    kind.name, went.answer
                );
                assert_eq!(went.answer.status, kind.status, "{case}");
                assert!(went.took < LEFT, "{case} took {:?}", went.took);
                assert!(went.sent.contains(&"9#COMPLETE".to_owned()), "{case}");
                stepped += usize::from(went.sent.contains(&"1#STEP#01".to_owned()));
                world.settle();
            }
        }
        tokio::time::resume();
    }
    assert!(stepped > 0, "no row came between PCS's answer and the last one");
}

/// A role that was made is taken back after PCS has refused, each step is a row, and time is short.
#[tokio::test]
async fn undoing_what_was_made_does_not_lose_the_answer() {
    let world = World::that_makes_roles().await;
    world.cluster().await;
    tokio::time::pause();
    let mut undone = 0;
    for (number, effect) in effects().iter().enumerate() {
        for left in (6_500..12_000).step_by(250) {
            let changes = json!({
                "clientToken": format!("undone-{number}-{left}"),
                "iamInstanceProfileArn": null,
                "iam": {"additionalIamPolicies": [ALLOWED_POLICY]},
            });
            let event = with_body(event("create-compute-node-group"), changes);
            let kind = Kind {
                name: "role",
                event: at(event, &[("clusterIdentifier", "no-such-cluster")]),
                status: 404,
                stages: &[],
            };
            let went = went(&world, &kind, effect, MS(1_000), MS(left)).await;
            let case = format!("{effect:?} {left}: {:?}", went.answer);
            assert!(went.took < MS(left), "{case} took {:?}", went.took);
            undone += usize::from(went.answer.status == kind.status);
        }
    }
    assert!(undone > 0, "none was refused by PCS itself");
}

/// From an invocation with all its time to one that has none: an answer leaves in time, and none that says that
/// nothing happened comes after PCS was asked for a change.
#[tokio::test]
async fn with_any_time_left_an_answer_leaves_before_it_is_over() {
    let (world, arn) = world_with_a_cluster().await;
    for left in [
        0, 1, 100, 249, 251, 500, 1_000, 1_499, 1_501, 1_600, 2_000, 3_000, 5_000, 28_000,
    ]
    .map(MS)
    {
        for effect in effects() {
            for kind in [read(), failed_read(), mutation(&arn), denial(), refusal()] {
                let went = went(&world, &kind, &effect, MS(50), left).await;
                let case = format!("{} {effect:?} with {left:?} left: {:?}", kind.name, went.answer);
                assert!(went.took <= left.max(MS(1)), "{case} took {:?}", went.took);
                let status = went.answer.status;
                assert!([kind.status, 503, 504].contains(&status), "{case}");
                if went.changes > 0 {
                    let may_have_acted = went.answer.body["message"]
                        .as_str()
                        .is_some_and(|message| message.contains("may still carry out"));
                    assert!(status == kind.status || may_have_acted, "{case}");
                }
            }
        }
    }
}

/// PCS and IAM that answer long after the function would have been ended.
#[tokio::test]
async fn who_answers_too_late_is_given_up_before_the_function_is_ended() {
    let world = World::start().await;
    tokio::time::pause();
    let too_late = Duration::from_mins(1);
    for left in [2_500, 5_000, 28_000].map(MS) {
        for (pcs_takes, iam_takes) in [(too_late, Duration::ZERO), (Duration::ZERO, too_late)] {
            for kind in [read(), creation(), group()] {
                let wire = Inside::wire(&world);
                let gateway = wire.gateway(&world);
                let plan = Plan {
                    pcs_takes,
                    iam_takes,
                    ..Plan::default()
                };
                let went = went_as_planned(&wire, &gateway, plan, &kind, left).await;
                let case = format!(
                    "{} {pcs_takes:?} {iam_takes:?} {left:?}: {:?}",
                    kind.name, went.answer
                );
                assert!(went.took < left, "{case} took {:?}", went.took);
                if !pcs_takes.is_zero() || kind.name == group().name {
                    assert!([503, 504].contains(&went.answer.status), "{case}");
                }
            }
        }
    }
}

/// Without time to work, but with time for a row, the refusal is on record; without either it is refused all the same.
#[tokio::test]
async fn a_call_that_comes_too_late_is_refused_and_recorded_if_there_is_time() {
    let world = World::start().await;
    tokio::time::pause();
    let nothing_wrong = TableEffect::Slow(Duration::ZERO);
    for (left, status, sent) in [
        (1_400, 504, &["9#COMPLETE"][..]),
        (300, 504, &["9#COMPLETE"]),
        (249, 503, &[]),
        (0, 503, &[]),
    ] {
        for kind in [read(), creation(), denial()] {
            let went = went(&world, &kind, &nothing_wrong, Duration::ZERO, MS(left)).await;
            let case = format!("{} with {left} ms: {:?}", kind.name, went.answer);
            assert_eq!(went.answer.status, status, "{case}");
            assert_eq!(went.sent, sent, "{case}");
            assert_eq!(went.changes, 0, "{case}");
        }
    }
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}

/// A world that was started while the clock ran; now it stands still. And the cluster's ARN.
async fn world_with_a_cluster() -> (World, String) {
    let world = World::start().await;
    let created = world.cluster().await;
    let arn = created.body["cluster"]["arn"].as_str().unwrap().to_owned();
    tokio::time::pause();
    (world, arn)
}
