//! Check and use are two moments. What changes between them cannot be prevented, only noticed: after PCS has answered,
//! everything is read again, and a difference is a row of its own. The caller's answer stays the truth about PCS.

use std::time::Duration;

use iam_emulator::{InstanceProfile, Policy, Role, Seed};
use serde_json::{Value, json};

use crate::{
    trace::{Trace, traced},
    world::{World, event, with_body},
};

const NODE_POLICY: &str = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy";
const GUARD: &str = "arn:aws:iam::123456789012:policy/Guard";
/// Long enough to change something in IAM meanwhile.
const DELAY: Duration = Duration::from_millis(300);
const ROLE: &str = "AWSPCS-compute-node";

/// The role that passes, with the ids that IAM gave role and profile.
fn good() -> Role {
    Role::new(ROLE)
        .id("AROADBQP57FF2AEXAMPL1")
        .attach(NODE_POLICY)
        .boundary(Some(GUARD))
}

fn its_profile() -> InstanceProfile {
    InstanceProfile::new(ROLE).id("AIPADBQP57FF2AEXAMPL1").role(ROLE)
}

fn guard(version: &str) -> Policy {
    let document = json!({"Version": "2012-10-17", "Statement": []});
    Policy::new(GUARD, document.clone()).version(version, document)
}

fn before() -> Seed {
    Seed::new()
        .policy(guard("v2"))
        .role(good())
        .instance_profile(its_profile())
}

/// With a cluster and a compute node group.
async fn world() -> World {
    let world = World::with(&[("PCS_API_PERMISSIONS_BOUNDARY", GUARD)]).await;
    world.stack.iam_emulator.seed(before()).unwrap();
    world.node_group().await;
    world
}

/// A group of this name, with the profile named.
fn create(name: &str) -> Value {
    with_body(
        event("create-compute-node-group"),
        json!({"computeNodeGroupName": name, "clientToken": null}),
    )
}

/// The group's size changes; its profile is not mentioned.
fn update() -> Value {
    with_body(event("update-compute-node-group"), json!({"clientToken": null}))
}

/// Sends the request and does something to IAM once PCS has it, before PCS answers.
async fn meanwhile(world: &World, request: &Value, action: &str, change: impl FnOnce(&World)) -> Trace {
    let delay = pcs_emulator::Effect::Delay(DELAY);
    struck(world, request, action, (1, delay), change).await
}

/// The same with another fault of PCS in so many attempts.
async fn struck(
    world: &World,
    request: &Value,
    action: &str,
    (times, effect): (u32, pcs_emulator::Effect),
    change: impl FnOnce(&World),
) -> Trace {
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some(action.to_owned()),
        times,
        effect,
    });
    world.stack.pcs_emulator.clear_calls();
    let change_once_asked = async {
        while !world.pcs_actions().iter().any(|asked| asked == action) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        change(world);
    };
    let (trace, ()) = tokio::join!(traced(world, request), change_once_asked);
    trace
}

fn seeded(seed: Seed) -> impl FnOnce(&World) {
    move |world| world.stack.iam_emulator.seed(seed).unwrap()
}

/// Inspected before, and inspected after; `None` where there was no one role to inspect.
fn role_ids(trace: &Trace) -> Vec<Option<&str>> {
    let ids = trace.rows.iter().map(|row| row["inspected"]["roleId"].as_str());
    ids.collect()
}

#[tokio::test]
async fn a_role_that_stays_as_it_is_leaves_no_step() {
    let world = world().await;
    for (request, action) in [
        (create("quiet"), "CreateComputeNodeGroup"),
        (update(), "UpdateComputeNodeGroup"),
    ] {
        let trace = meanwhile(&world, &request, action, |_| {}).await;
        assert_eq!(trace.answer.status, 202, "{:?}", trace.answer);
        assert_eq!(trace.stages(), ["0#RECEIVED", "9#COMPLETE"]);
        trace.assert_downstream_is_complete();
    }
}

/// PCS may have used what is there now, whatever is known of its answer.
#[tokio::test]
async fn a_change_is_on_record_though_the_answer_of_pcs_is_lost() {
    let world = world().await;
    let administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
    for (request, action) in [
        (create("lost"), "CreateComputeNodeGroup"),
        (update(), "UpdateComputeNodeGroup"),
    ] {
        world.stack.iam_emulator.seed(before()).unwrap();
        let change = seeded(Seed::new().role(good().attach(administrator)));
        let lost = (3, pcs_emulator::Effect::DropAfter);
        let trace = struck(&world, &request, action, lost, change).await;
        assert_eq!(trace.answer.status, 502, "{:?}", trace.answer);
        assert_eq!(trace.stages(), ["0#RECEIVED", "1#STEP#01", "9#COMPLETE"]);
        assert_eq!(trace.rows[1]["step"], "GUARDRAIL_DRIFT");
        assert_eq!(trace.rows[1]["violations"][0]["rule"], "allowlist");
        world.settle();
    }
}

#[tokio::test]
async fn whatever_changes_between_check_and_use_is_on_record() {
    let (first, second) = ("AROADBQP57FF2AEXAMPL1", "AROADBQP57FF2AEXAMPL2");
    let administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
    let anybody = json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}});
    let all = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
    let other = Role::new("AWSPCS-other")
        .id(second)
        .attach(NODE_POLICY)
        .boundary(Some(GUARD));
    let moved = InstanceProfile::new(ROLE)
        .id("AIPADBQP57FF2AEXAMPL1")
        .path("/moved/")
        .role(ROLE);
    let role = |role| Seed::new().role(role);
    let profile = |profile| Seed::new().instance_profile(profile);
    let cases = [
        (
            "a policy attached",
            role(good().attach(administrator)),
            Some(first),
        ),
        (
            "a policy detached",
            role(Role {
                attached_policies: Vec::new(),
                ..good()
            }),
            Some(first),
        ),
        ("an inline policy", role(good().inline("all", all)), Some(first)),
        ("the trust policy", role(good().trust(anybody)), Some(first)),
        ("the boundary taken off", role(good().boundary(None)), Some(first)),
        (
            "the boundary edited",
            Seed::new().policy(guard("v3")),
            Some(first),
        ),
        (
            "recreated, the same in all but its id",
            role(good().id(second)),
            Some(second),
        ),
        (
            "swapped for another good one",
            profile(its_profile()).role(other),
            Some(first),
        ),
        (
            "emptied",
            profile(InstanceProfile {
                roles: Vec::new(),
                ..its_profile()
            }),
            None,
        ),
        (
            "the profile recreated",
            profile(its_profile().id("AIPADBQP57FF2AEXAMPL2")),
            Some(first),
        ),
        ("the profile moved to another path", profile(moved), Some(first)),
    ];
    let world = world().await;
    for (what, change, role_after) in cases {
        let (change, role_after) = if what.starts_with("swapped") {
            let swapped = InstanceProfile {
                roles: vec!["AWSPCS-other".to_owned()],
                ..its_profile()
            };
            (change.instance_profile(swapped), Some(second))
        } else {
            (change, role_after)
        };
        world.stack.iam_emulator.seed(before()).unwrap();
        world.settle();
        let trace = meanwhile(&world, &update(), "UpdateComputeNodeGroup", seeded(change)).await;
        assert_eq!(trace.answer.status, 202, "{what}: {:?}", trace.answer);
        assert_eq!(
            trace.stages(),
            ["0#RECEIVED", "1#STEP#01", "9#COMPLETE"],
            "{what}"
        );
        assert_eq!(trace.rows[1]["step"], "GUARDRAIL_DRIFT", "{what}");
        assert_eq!(trace.rows[2]["decision"], "ALLOW", "{what}");
        assert_eq!(
            role_ids(&trace)[1..],
            [role_after, Some(first)],
            "{what}: the step shows what is there now, the closing row what was decided on"
        );
        shows_both(&trace, what);
        assert!(
            trace
                .iam
                .iter()
                .all(|(action, _)| action.starts_with("Get") || action.starts_with("List"))
        );
        trace.assert_downstream_is_complete();
        refused_from_now_on(&world, what).await;
    }
}

/// What is there now with its policies and what stands against it, in the step; what was decided on in the closing row.
fn shows_both(trace: &Trace, what: &str) {
    let (step, closing) = (&trace.rows[1], &trace.rows[2]);
    assert_eq!(
        closing["inspected"]["attachedPolicies"],
        json!([NODE_POLICY]),
        "{what}"
    );
    assert_eq!(closing["inspected"]["inlinePolicies"], json!([]), "{what}");
    assert_eq!(closing.get("violations"), None, "{what}: it was allowed");
    let now = &step["inspected"];
    let (attached, inline) = match what {
        "a policy attached" => (
            json!([
                "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy",
                "arn:aws:iam::aws:policy/AdministratorAccess"
            ]),
            json!([]),
        ),
        "a policy detached" => (json!([]), json!([])),
        "an inline policy" => (json!([NODE_POLICY]), json!(["all"])),
        "emptied" => (Value::Null, Value::Null),
        _ => (json!([NODE_POLICY]), json!([])),
    };
    assert_eq!(
        (&now["attachedPolicies"], &now["inlinePolicies"]),
        (&attached, &inline),
        "{what}"
    );
    let violations = step["violations"].as_array().map_or(&[][..], Vec::as_slice);
    let broken: Vec<&str> = violations
        .iter()
        .map(|violation| violation["rule"].as_str().unwrap())
        .collect();
    assert_eq!(broken, rules_broken_by(what), "{what}");
}

/// The change is noticed by the next check too, if it is one that matters.
async fn refused_from_now_on(world: &World, what: &str) {
    let rules = rules_broken_by(what);
    if !rules.is_empty() {
        traced(world, &create("again")).await.assert_denied(rules);
    }
}

fn rules_broken_by(what: &str) -> &'static [&'static str] {
    match what {
        "a policy attached" => &["allowlist"],
        "an inline policy" => &["inline-policy"],
        "the trust policy" => &["trust-policy"],
        "the boundary taken off" => &["permissions-boundary"],
        "emptied" => &["one-role"],
        "the profile moved to another path" => &["profile-arn"],
        _ => &[],
    }
}

#[tokio::test]
async fn a_change_during_a_create_is_on_record() {
    let world = world().await;
    let change = seeded(Seed::new().role(good().attach("arn:aws:iam::aws:policy/IAMFullAccess")));
    let trace = meanwhile(&world, &create("late"), "CreateComputeNodeGroup", change).await;
    assert_eq!(trace.answer.status, 202, "{:?}", trace.answer);
    assert_eq!(trace.stages(), ["0#RECEIVED", "1#STEP#01", "9#COMPLETE"]);
    assert_eq!(trace.rows[1]["step"], "GUARDRAIL_DRIFT");
    trace.assert_downstream_is_complete();
}

#[tokio::test]
async fn a_second_look_that_fails_is_on_record() {
    let world = world().await;
    let refuse = |world: &World| {
        world.stack.iam_emulator.inject(iam_emulator::Fault {
            action: Some("ListRolePolicies".to_owned()),
            times: 1,
            effect: iam_emulator::Effect::Error {
                status: http::StatusCode::FORBIDDEN,
                code: "AccessDenied".to_owned(),
                message: "not any more".to_owned(),
            },
        });
    };
    let trace = meanwhile(&world, &create("late"), "CreateComputeNodeGroup", refuse).await;
    assert_eq!(
        trace.answer.status, 202,
        "what PCS did stays the answer: {:?}",
        trace.answer
    );
    assert_eq!(trace.stages(), ["0#RECEIVED", "1#STEP#01", "9#COMPLETE"]);
    assert_eq!(trace.rows[1]["step"], "GUARDRAIL_RECHECK_FAILED");
    for row in &trace.rows[1..] {
        let decided_on = &row["inspected"];
        assert_eq!(decided_on["attachedPolicies"], json!([NODE_POLICY]), "{row}");
        assert_eq!(decided_on["inlinePolicies"], json!([]), "{row}");
    }
}
