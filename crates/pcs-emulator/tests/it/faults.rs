//! Faults on the wire and failures of resources.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pcs_emulator::{Effect, Fault, Reply};
use serde_json::json;

use crate::world::{World, cluster_body};

fn fault(action: Option<&str>, times: u32, effect: Effect) -> Fault {
    Fault {
        action: action.map(str::to_owned),
        times,
        effect,
    }
}

#[test]
fn a_fault_strikes_its_action_so_many_times() {
    let world = World::new();
    world
        .emulator
        .inject(fault(Some("ListClusters"), 2, Effect::Throttle));
    world.ok("CreateCluster", &cluster_body("demo"));
    for _ in 0..2 {
        let failure = world.refused("ListClusters", &json!({}));
        assert_eq!(failure.code(), "ThrottlingException");
        assert!(failure.body["retryAfterSeconds"].is_i64());
    }
    world.ok("ListClusters", &json!({}));
    let error = Effect::Error {
        status: StatusCode::BAD_GATEWAY,
        code: "Odd".into(),
        message: "m".into(),
    };
    world.emulator.inject(fault(None, 1, error));
    let failure = world.refused("ListClusters", &json!({}));
    assert_eq!(
        (failure.status, failure.code(), failure.message()),
        (StatusCode::BAD_GATEWAY, "Odd", "m")
    );
}

#[test]
fn drops_and_delays_are_applied_or_not() {
    let world = World::new();
    let request = |name: &str| world.request("CreateCluster", cluster_body(name).to_string());
    let count = || {
        world.ok("ListClusters", &json!({}))["clusters"]
            .as_array()
            .unwrap()
            .len()
    };
    world
        .emulator
        .inject(fault(Some("CreateCluster"), 1, Effect::DropBefore));
    assert!(matches!(
        world.emulator.handle(request("one")),
        Reply::Drop { applied: false }
    ));
    assert_eq!(count(), 0);
    world
        .emulator
        .inject(fault(Some("CreateCluster"), 1, Effect::DropAfter));
    assert!(matches!(
        world.emulator.handle(request("one")),
        Reply::Drop { applied: true }
    ));
    assert_eq!(count(), 1);
    world.settle();
    let delay = Duration::from_secs(5);
    world
        .emulator
        .inject(fault(Some("CreateCluster"), 1, Effect::Delay(delay)));
    match world.emulator.handle(request("two")) {
        Reply::RespondAfter(by, response) => {
            assert_eq!((by, response.status()), (delay, StatusCode::OK));
        }
        other @ (Reply::Respond(_) | Reply::Drop { .. }) => panic!("{other:?}"),
    }
    assert_eq!(count(), 2);
    world
        .emulator
        .inject(fault(None, 1, Effect::Garbage(Bytes::from_static(b"<html>"))));
    assert_eq!(world.send(request("three")).body(), "<html>");
    assert_eq!(count(), 2);
}

#[test]
fn a_transition_fails_when_ordered() {
    let world = World::new();
    let effect = Effect::FailTransition {
        code: "InvalidInput".into(),
        message: "no".into(),
    };
    world.emulator.inject(fault(Some("CreateCluster"), 1, effect));
    let id = world.ok("CreateCluster", &cluster_body("demo"))["cluster"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(world.cluster_status(&id), "CREATING");
    world.settle();
    let shown = world.ok("GetCluster", &json!({"clusterIdentifier": id}))["cluster"].clone();
    assert_eq!(shown["status"], "CREATE_FAILED");
    assert_eq!(
        shown["errorInfo"],
        json!([{"code": "InvalidInput", "message": "no"}])
    );
    assert!(shown.get("endpoints").is_none());
    let update = world.refused("UpdateCluster", &json!({"clusterIdentifier": id}));
    assert_eq!(update.code(), "ConflictException");
    world.ok("DeleteCluster", &json!({"clusterIdentifier": id}));
}

#[test]
fn a_resource_fails_by_id_or_arn() {
    let world = World::new();
    let id = world.cluster("demo");
    let change = json!({"clusterIdentifier": id, "slurmConfiguration": {"scaleDownIdleTimeInSeconds": 60}});
    world.ok("UpdateCluster", &change);
    let arn = format!("arn:aws:pcs:us-east-1:123456789012:cluster/{id}");
    assert!(
        world
            .emulator
            .fail_resource(&arn, "InternalError", "broke")
            .unwrap()
    );
    let shown = world.ok("GetCluster", &json!({"clusterIdentifier": id}))["cluster"].clone();
    assert_eq!(shown["status"], "UPDATE_FAILED");
    let configuration = shown["slurmConfiguration"].as_object().unwrap();
    assert!(
        !configuration.contains_key("scaleDownIdleTimeInSeconds"),
        "rolled back"
    );
    world.ok("UpdateCluster", &change);
    world.settle();
    let shown = world.ok("GetCluster", &json!({"clusterIdentifier": id}))["cluster"].clone();
    assert_eq!(shown["status"], "ACTIVE");
    assert!(shown.get("errorInfo").is_none());
    assert!(!world.emulator.fail_resource("pcs_nothinghere", "c", "m").unwrap());
}

#[test]
fn calls_are_remembered_as_they_came() {
    let world = World::new();
    world.refused("CreateCluster", &json!({"clusterName": "x"}));
    let calls = world.emulator.calls();
    let call = calls.first().unwrap();
    assert_eq!(
        (
            call.action.as_str(),
            call.access_key_id.as_str(),
            call.region.as_str(),
            call.account.as_str()
        ),
        (
            "CreateCluster",
            "AKIAIOSFODNN7EXAMPLE",
            "us-east-1",
            "123456789012"
        )
    );
    assert_eq!(call.body, json!({"clusterName": "x"}));
    assert_eq!(call.status, Some(StatusCode::BAD_REQUEST));
    world.emulator.clear_calls();
    assert!(world.emulator.calls().is_empty());
}
