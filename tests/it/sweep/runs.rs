//! Runs of the sweep: what starts one, and that no two of them do the same work.

use std::time::Duration;

use iam_emulator::{Role, Seed};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    scheduled,
    walk::{WHOLE_RUN, sweep_at},
};
use crate::world::{World, invoke_raw};

/// The rule that comes every minute finds nothing to do most of the time, and then leaves nothing.
#[tokio::test]
async fn a_tick_without_work_leaves_no_row() {
    let world = World::start().await;
    let tick = json!({"task": "continue"});
    sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
    let before = world.rows().await.len();
    world.stack.pcs_emulator.clear_calls();
    let answer = invoke_raw(&world.gateway, &tick, Duration::from_secs(28))
        .await
        .unwrap();
    assert_eq!(
        (&answer["complete"], &answer["nodeGroupsChecked"]),
        (&json!(true), &json!(0)),
        "{answer}"
    );
    assert_eq!(world.rows().await.len(), before);
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}

/// A tick that fails is not retried and wakes nobody: the next one comes in a minute.
#[tokio::test]
async fn a_tick_without_an_audit_table_does_not_fail() {
    let world = World::start().await;
    let mut variables = world.stack.variables().clone();
    variables.insert("PCS_API_AUDIT_TABLE".to_owned(), "no-such-table".to_owned());
    let gateway = crate::world::gateway(&variables);
    let tick = json!({"task": "continue"});
    let answer = invoke_raw(&gateway, &tick, Duration::from_secs(28))
        .await
        .unwrap();
    assert_eq!(answer["complete"], false, "{answer}");
}

/// Only the two inputs of the template's rules start anything.
#[tokio::test]
async fn no_other_input_sweeps() {
    let world = World::start().await;
    for input in [
        json!({"task": "sweep"}),
        json!({"task": 1}),
        json!({"tasks": "continue"}),
        json!([]),
        json!({}),
    ] {
        let answer = invoke_raw(&world.gateway, &input, Duration::from_secs(28))
            .await
            .unwrap();
        assert_eq!(answer["statusCode"], 403, "{input}: {answer}");
    }
}

/// EventBridge may deliver twice, and a tick may come while the hourly sweep is on its way.
#[tokio::test]
async fn two_runs_never_do_the_same_work() {
    let world = World::start().await;
    world.node_group().await;
    let worse = Role::new("AWSPCS-compute-node").attach("arn:aws:iam::aws:policy/AdministratorAccess");
    world.stack.iam_emulator.seed(Seed::new().role(worse)).unwrap();
    let now = Timestamp::now();
    let run = |seconds| sweep_at(&world, now + SignedDuration::from_secs(seconds), WHOLE_RUN);
    let (one, two, three) = tokio::join!(run(0), run(1), run(2));
    let checked = [&one, &two, &three].map(|report| report.node_groups_checked);
    assert_eq!(checked.iter().sum::<u32>(), 1, "{checked:?}");
    let rows = world.rows().await;
    assert_eq!(
        rows.iter().filter(|row| row["step"] == "GUARDRAIL_DRIFT").count(),
        1
    );
}

/// The claim of a run that was killed does not hold for ever.
#[tokio::test]
async fn a_run_that_was_killed_is_followed_by_the_next() {
    let world = World::start().await;
    world.node_group().await;
    let now = Timestamp::now();
    let killed = sweep_at(&world, now, WHOLE_RUN);
    // As Lambda does: nothing of it runs on.
    let _ = tokio::time::timeout(Duration::from_millis(150), killed).await;
    let report = sweep_at(&world, now + SignedDuration::from_secs(61), WHOLE_RUN).await;
    assert_eq!(report.regions_left, 0, "{report:?}");
    let closing = invoke_raw(&world.gateway, &scheduled(), Duration::from_secs(28)).await;
    assert!(closing.is_ok());
}
