//! Runs of the sweep: what starts one, and that no two of them do the same work.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use iam_emulator::{Role, Seed};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    scheduled,
    walk::{WHOLE_RUN, sweep_at},
};
use crate::world::{World, dynamodb, invoke_raw};

/// The rule that comes every minute finds nothing to do most of the time, and then leaves nothing.
#[tokio::test]
async fn a_tick_without_work_leaves_no_row() {
    let world = World::start().await;
    let tick = json!({"task": "continue"});
    let go_on = || invoke_raw(&world.gateway, &tick, Duration::from_secs(28));
    sweep_at(&world, Timestamp::now(), WHOLE_RUN).await;
    // The hours that the sweep closed are summed up by the run after it.
    let answer = go_on().await.unwrap();
    assert!(answer["hoursDigested"].as_u64() > Some(0), "{answer}");
    let before = world.rows().await.len();
    world.stack.pcs_emulator.clear_calls();
    let answer = go_on().await.unwrap();
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

/// Progress that no sweep has made, and claims that no run has: whoever can write to the table stops no sweep.
#[tokio::test]
async fn forged_rows_stop_no_sweep() {
    let now = Timestamp::now();
    let text = |value: String| AttributeValue::S(value);
    let forged = [
        (
            "SWEEP",
            format!("{:.9}", now - SignedDuration::from_mins(1)),
            None,
        ),
        (
            "SWEEP",
            format!("{:.9}", now - SignedDuration::from_mins(1)),
            Some("2099-01-01T00:00:00Z"),
        ),
    ];
    for (pk, sk, until) in forged {
        let world = World::start().await;
        world.node_group().await;
        let client = dynamodb(&world.stack.dynamodb);
        let put = |pk: &str, sk: &str, at: Timestamp| {
            let put = client.put_item().table_name(world.table());
            put.item("pk", text(pk.to_owned()))
                .item("sk", text(sk.to_owned()))
                .item("at", text(format!("{at:.3}#{pk}#{sk}")))
        };
        let mut progress = put(pk, &sk, now);
        for name in ["closedUntil", "digestedUntil"] {
            if let Some(until) = until {
                progress = progress.item(name, text(until.to_owned()));
            }
        }
        progress.send().await.unwrap();
        let later = now + SignedDuration::from_hours(20);
        for (prefix, at) in [
            ("", later),
            (sk.as_str(), later),
            (&sk, now - SignedDuration::from_hours(1)),
        ] {
            let number = if at == later { "000000" } else { "000999" };
            put("CLAIM", &format!("{prefix}#{number}"), at)
                .send()
                .await
                .unwrap();
        }
        let report = sweep_at(&world, now, WHOLE_RUN).await;
        assert_eq!(
            (report.node_groups_checked, report.complete),
            (1, true),
            "{until:?}: {report:?}"
        );
    }
}
