//! IAM failing: each call that a decision needs, in each way. What is not known never reads as "no objection".

use std::time::Duration;

use http::StatusCode;
use iam_emulator::{Effect, Emulator, Fault, InstanceProfile, Options, Policy, Role, Seed};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    trace::{Trace, traced, traced_within},
    world::{World, event, gateway, with_body, with_query},
};

const GUARD: &str = "arn:aws:iam::123456789012:policy/Guard";
const NAME: &str = "AWSPCS-guarded";
/// All that is asked about one role.
const ACTIONS: [&str; 6] = [
    "GetInstanceProfile",
    "GetRole",
    "ListAttachedRolePolicies",
    "ListRolePolicies",
    "GetRolePolicy",
    "GetPolicy",
];
const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
/// More than any client tries.
const FOR_EVER: u32 = 1_000;

/// A deployment where each action is needed.
async fn world() -> World {
    let world = World::with(&[("PCS_API_PERMISSIONS_BOUNDARY", GUARD)]).await;
    world.stack.iam_emulator.seed(seed()).unwrap();
    world.cluster().await;
    world
}

fn seed() -> Seed {
    let statement =
        json!({"Effect": "Allow", "Action": "pcs:RegisterComputeNodeGroupInstance", "Resource": "*"});
    let document = json!({"Version": "2012-10-17", "Statement": [statement]});
    Seed::new()
        .policy(Policy::new(GUARD, document.clone()))
        .role(Role::new(NAME).boundary(Some(GUARD)).inline("register", document))
        .instance_profile(InstanceProfile::new(NAME).role(NAME))
}

/// Puts an IAM in place of the present one in which this action fails so, and nothing else.
async fn break_iam(world: &mut World, action: &str, effect: Effect) {
    let iam = Emulator::new(Options::default()).unwrap();
    iam.seed(seed()).unwrap();
    iam.inject(Fault {
        action: Some(action.to_owned()),
        times: FOR_EVER,
        effect,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(iam.clone().serve(listener, std::future::pending()));
    let mut variables = world.stack.variables().clone();
    variables.insert("AWS_ENDPOINT_URL_IAM".to_owned(), url);
    world.gateway = gateway(&variables);
    world.stack.iam_emulator = iam;
}

fn request() -> Value {
    let arn = format!("arn:aws:iam::123456789012:instance-profile/{NAME}");
    with_body(
        event("create-compute-node-group"),
        json!({"iamInstanceProfileArn": arn}),
    )
}

fn error(status: u16, code: &str) -> Effect {
    Effect::Error {
        status: StatusCode::from_u16(status).unwrap(),
        code: code.to_owned(),
        message: "User: arn:aws:sts::123456789012:assumed-role/pcs-api-function/x is not allowed".to_owned(),
    }
}

/// One create with one action failing so, for each action.
async fn refused_for_each_action(effect: impl Fn() -> Effect, left: Duration) -> Vec<Trace> {
    let mut world = world().await;
    let mut traces = Vec::new();
    for action in ACTIONS {
        break_iam(&mut world, action, effect()).await;
        let trace = traced_within(&world, &request(), left).await;
        assert!(
            [403, 503, 504].contains(&trace.answer.status),
            "{action}: {:?}",
            trace.answer
        );
        assert!(attempts(&trace, action) >= 1, "{action} is not needed");
        trace.assert_undecided();
        assert_eq!(trace.pcs, [], "PCS heard nothing");
        assert!(!trace.answer.body.to_string().contains("pcs-api-function"));
        traces.push(trace);
    }
    traces
}

const PLENTY: Duration = Duration::from_secs(28);

fn attempts(trace: &Trace, action: &str) -> usize {
    trace.iam.iter().filter(|(asked, _)| asked == action).count()
}

/// What the proof is worth: without a fault, the request passes.
#[tokio::test]
async fn with_iam_in_order_it_passes() {
    let world = world().await;
    let trace = traced(&world, &request()).await;
    assert_eq!(trace.answer.status, 202, "{:?}", trace.answer);
    for action in ACTIONS {
        assert!(attempts(&trace, action) >= 1, "{action}");
    }
}

#[tokio::test]
async fn an_internal_error_of_iam_refuses() {
    refused_for_each_action(|| error(500, "ServiceFailure"), PLENTY).await;
}

#[tokio::test]
async fn throttling_until_it_is_given_up_refuses() {
    refused_for_each_action(|| Effect::Throttle, PLENTY).await;
}

/// A role that may not read will not be able to after a retry: whoever runs this API has to change something.
#[tokio::test]
async fn a_denied_read_is_told_by_its_permission_and_not_retried() {
    for code in ["AccessDenied", "AccessDeniedException"] {
        let traces = refused_for_each_action(|| error(403, code), PLENTY).await;
        for (trace, action) in traces.iter().zip(ACTIONS) {
            assert_eq!(attempts(trace, action), 1, "{action}");
            let class = (trace.answer.status, &trace.answer.body["code"]);
            assert_eq!(class, (403, &json!("UpstreamAccessDenied")), "{action}");
            assert!(
                message(trace).contains(&format!("lacks iam:{action};")),
                "{}",
                message(trace)
            );
        }
    }
}

fn message(trace: &Trace) -> &str {
    trace.answer.body["message"].as_str().unwrap()
}

/// Everything that is missing, in one answer; and a denial is not hidden behind what would pass after a while.
#[tokio::test]
async fn all_denied_reads_are_told_at_once() {
    let mut world = world().await;
    break_iam(&mut world, "GetRole", error(403, "AccessDenied")).await;
    for (action, effect) in [
        ("ListRolePolicies", error(403, "AccessDenied")),
        ("ListAttachedRolePolicies", error(500, "ServiceFailure")),
    ] {
        world.stack.iam_emulator.inject(Fault {
            action: Some(action.to_owned()),
            times: FOR_EVER,
            effect,
        });
    }
    let trace = traced(&world, &request()).await;
    trace.assert_undecided();
    assert!(
        message(&trace).contains("lacks iam:GetRole, iam:ListRolePolicies;"),
        "{}",
        message(&trace)
    );
}

/// What a create would be refused for, a dry run may not promise.
#[tokio::test]
async fn a_dry_run_is_refused_as_well() {
    let mut world = world().await;
    let dry = with_query(request(), &[("dryrun", "true")]);
    assert_eq!(world.send(&dry).await.status, 412);
    for action in ACTIONS {
        break_iam(&mut world, action, error(403, "AccessDenied")).await;
        let trace = traced(&world, &dry).await;
        trace.assert_undecided();
        assert_eq!(trace.pcs, [], "{action}");
    }
}

/// Deleted between two reads. Only a profile that is not there is an answer to the request.
#[tokio::test]
async fn a_role_that_goes_away_while_it_is_read_refuses() {
    let mut world = world().await;
    for action in [
        "GetRole",
        "ListAttachedRolePolicies",
        "ListRolePolicies",
        "GetRolePolicy",
    ] {
        break_iam(&mut world, action, error(404, "NoSuchEntity")).await;
        let trace = traced(&world, &request()).await;
        trace.assert_undecided();
        assert_eq!(trace.pcs, [], "{action}");
    }
}

#[tokio::test]
async fn a_dropped_connection_refuses() {
    refused_for_each_action(|| Effect::DropBefore, PLENTY).await;
    refused_for_each_action(|| Effect::DropAfter, PLENTY).await;
}

#[tokio::test]
async fn an_answer_after_the_deadline_refuses() {
    let left = Duration::from_secs(4);
    refused_for_each_action(|| Effect::Delay(Duration::from_mins(1)), left).await;
}

#[tokio::test]
async fn what_is_not_iams_xml_refuses() {
    for garbage in ["", "<html><body>proxy</body></html>", "{}", "<GetRole"] {
        refused_for_each_action(|| Effect::Garbage(garbage.into()), PLENTY).await;
    }
}

/// An update asks PCS which profile the group has; nothing else reaches PCS.
#[tokio::test]
async fn an_update_is_refused_too() {
    let world = world().await;
    assert_eq!(world.send(&request()).await.status, 202);
    world.settle();
    for action in ACTIONS {
        world.stack.iam_emulator.inject(Fault {
            action: Some(action.to_owned()),
            times: 1,
            effect: error(403, "AccessDenied"),
        });
        let trace = traced(&world, &event("update-compute-node-group")).await;
        trace.assert_undecided();
        assert_eq!(trace.pcs, [("GetComputeNodeGroup".to_owned(), false)], "{action}");
    }
    let answer = world.send(&event("update-compute-node-group")).await;
    assert_eq!(answer.status, 202, "with IAM back it passes: {answer:?}");
}

/// IAM's envelope without what has to be in it, whole and cut off: never a role without policies.
#[tokio::test]
async fn an_answer_that_lacks_what_was_asked_for_refuses() {
    let mut world = world().await;
    for action in ACTIONS {
        let list = match action {
            "ListAttachedRolePolicies" => "<AttachedPolicies>",
            "ListRolePolicies" => "<PolicyNames>",
            _ => "",
        };
        let begin = format!("<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>");
        let whole = format!("{begin}</{action}Result></{action}Response>");
        for body in [format!("{begin}{list}"), begin, whole] {
            break_iam(&mut world, action, Effect::Garbage(body.into())).await;
            let trace = traced(&world, &request()).await;
            trace.assert_undecided();
            assert_eq!(trace.pcs, [], "{action}");
        }
    }
}

/// The call that failed is on record by its name and error.
#[tokio::test]
async fn the_call_that_failed_is_on_record() {
    let mut world = world().await;
    for action in ACTIONS {
        break_iam(&mut world, action, error(403, "AccessDenied")).await;
        let trace = traced(&world, &request()).await;
        trace.assert_undecided();
        trace.assert_downstream_is_complete();
        let calls = trace.rows[1]["downstream"].as_array().unwrap();
        let failed: Vec<&Value> = calls
            .iter()
            .filter(|call| call.get("errorCode").is_some())
            .collect();
        assert_eq!(failed.len(), 1, "{action}: {calls:?}");
        assert_eq!(
            (&failed[0]["action"], &failed[0]["errorCode"]),
            (&json!(action), &json!("AccessDenied"))
        );
    }
}
