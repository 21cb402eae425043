//! State over restarts, and who may start.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use pcs_emulator::{Effect, Emulator, Fault, Options, StartError};
use serde_json::{Value, json};

use crate::world::{World, cluster_body, group_body};

/// A folder of this test alone, removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("pcs-emulator-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn options(&self) -> Options {
        Options {
            data_dir: Some(self.0.clone()),
            ..Options::default()
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn everything_answered_is_there_after_a_restart() {
    let folder = Folder::new("restart");
    let world = World::with(folder.options());
    let cluster = world.cluster("demo");
    world.ok("CreateComputeNodeGroup", &group_body(&cluster, "nodes"));
    let mut body = group_body(&cluster, "tokened");
    body["clientToken"] = json!("token-0001");
    let answered = world.ok("CreateComputeNodeGroup", &body);
    let page = world.ok(
        "ListComputeNodeGroups",
        &json!({"clusterIdentifier": cluster, "maxResults": 1}),
    );
    let before = world.ok("GetCluster", &json!({"clusterIdentifier": cluster}));
    drop(world);

    let world = World::with(folder.options());
    assert_eq!(
        world.ok("GetCluster", &json!({"clusterIdentifier": cluster})),
        before
    );
    assert_eq!(world.group_status(&cluster, "nodes"), "CREATING");
    world.settle();
    assert_eq!(world.group_status(&cluster, "nodes"), "ACTIVE");
    assert_eq!(world.ok("CreateComputeNodeGroup", &body), answered);
    let next = json!({"clusterIdentifier": cluster, "nextToken": page["nextToken"]});
    assert_eq!(
        world.ok("ListComputeNodeGroups", &next)["computeNodeGroups"][0]["name"],
        "tokened"
    );
}

#[test]
fn a_file_that_is_not_ours_stops_the_start() {
    let folder = Folder::new("corrupt");
    for text in [
        "",
        "{",
        "garbage",
        "{}",
        r#"{"format":99,"clock_offset":0,"page_key":"","accounts":{}}"#,
        r#"{"format":2,"clock_offset":0,"page_key":"","accounts":{}}"#,
    ] {
        fs::write(folder.0.join("pcs-state.json"), text).unwrap();
        let Err(error) = Emulator::new(folder.options()) else {
            panic!("started with {text}")
        };
        assert!(matches!(error, StartError::State { .. }));
        let told = error.to_string();
        assert!(
            told.contains("pcs-state.json") && told.contains("move it away"),
            "{told}"
        );
        assert_eq!(told.contains("is cut off"), ["", "{"].contains(&text), "{told}");
    }
}

#[test]
fn a_change_that_cannot_be_stored_did_not_happen() {
    let folder = Folder::new("full");
    let world = World::with(folder.options());
    fs::remove_dir_all(&folder.0).unwrap();
    assert_eq!(
        world.refused("CreateCluster", &cluster_body("demo")).code(),
        "InternalServerException"
    );
    assert_eq!(world.ok("ListClusters", &json!({})), json!({"clusters": []}));
    fs::create_dir_all(&folder.0).unwrap();
    world.ok("CreateCluster", &cluster_body("demo"));
}

#[test]
fn two_emulators_do_not_share_a_folder() {
    let folder = Folder::new("shared");
    let first = World::with(folder.options());
    let Err(error) = Emulator::new(folder.options()) else {
        panic!("a second emulator took the folder")
    };
    assert!(matches!(error, StartError::State { .. }));
    assert!(
        error.to_string().contains("is in use by another program"),
        "{error}"
    );
    first.ok("CreateCluster", &cluster_body("demo"));
    drop(first);
    let next = World::with(folder.options());
    assert_eq!(next.cluster_status("demo"), "CREATING");
}

/// A world with something of everything that a state can hold.
fn busy_world() -> World {
    let world = World::new();
    let cluster = world.cluster("demo");
    let group = world.group(&cluster, "nodes");
    world.queue(&cluster, "work", &group);
    world.ok(
        "RegisterComputeNodeGroupInstance",
        &json!({"clusterIdentifier": cluster, "bootstrapId": "b"}),
    );
    let gone = world.queue(&cluster, "gone", &group);
    world.ok(
        "DeleteQueue",
        &json!({"clusterIdentifier": cluster, "queueIdentifier": gone}),
    );
    world.settle();
    let mut body = group_body(&cluster, "nodes");
    body["computeNodeGroupIdentifier"] = json!(group);
    body["clientToken"] = json!("token-0001");
    body["scalingConfiguration"]["maxInstanceCount"] = json!(3);
    world.ok("UpdateComputeNodeGroup", &body);
    world
}

#[test]
fn a_snapshot_is_taken_back_by_another_emulator() {
    let world = busy_world();
    let snapshot = world.emulator.snapshot().unwrap();
    let folder = Folder::new("loaded");
    let other = World::with(folder.options());
    other.cluster("forgotten");
    other.emulator.load(snapshot.clone()).unwrap();
    assert_eq!(other.emulator.snapshot().unwrap(), snapshot);
    let names = |world: &World| world.ok("ListClusters", &json!({}))["clusters"].clone();
    assert_eq!(names(&other), names(&world));
    drop(other);
    let again = World::with(folder.options());
    assert_eq!(again.emulator.snapshot().unwrap(), snapshot, "it is on disk");
    again.settle();
    assert_eq!(
        again.group_status("demo", "nodes"),
        "ACTIVE",
        "a transition goes on where it was"
    );
}

/// Each document is a good one with one thing wrong: the pointer to it, and the value put there.
#[test]
fn a_broken_or_foreign_document_is_refused() {
    let world = busy_world();
    let good = world.emulator.snapshot().unwrap();
    let region = "/accounts/123456789012/us-east-1";
    let at = |path: &str| format!("{region}{path}");
    let cases = [
        ("/format".to_owned(), json!(1), "format"),
        ("/page_key".to_owned(), json!("short"), "page_key"),
        (
            "/accounts".to_owned(),
            json!({"12": {}}),
            "`12` is not an account id",
        ),
        (
            "/accounts/123456789012".to_owned(),
            json!({"Mars": {}}),
            "expected",
        ),
        (at("/resources/0/id"), json!("other"), "not an id"),
        (at("/resources/0/id"), json!("pcs_other00000"), "ARN"),
        (at("/resources/0/status"), json!("READY"), "unknown variant"),
        (at("/resources/0/status"), json!("CREATING"), "contradict"),
        (at("/resources/0/controller"), json!(null), "controller"),
        (at("/resources/0/seq"), json!(9), "order"),
        (at("/next_seq"), json!(1), "next_seq"),
        (at("/resources/1/cluster_id"), json!("pcs_nosuch0000"), "ARN"),
        (
            at("/resources/2/members/computeNodeGroupConfigurations/0/computeNodeGroupId"),
            json!("pcs_nosuch0000"),
            "compute node group pcs_nosuch0000 is not there",
        ),
    ];
    for (pointer, value, expected) in cases {
        let mut document = good.clone();
        *document.pointer_mut(&pointer).unwrap() = value;
        let error = world.emulator.load(document).unwrap_err().to_string();
        assert!(error.starts_with("not a state of this emulator: "), "{error}");
        assert!(
            pointer.ends_with("123456789012") || error.contains(expected),
            "{pointer}: {error}"
        );
    }
    assert!(world.emulator.load(json!({"Statement": []})).is_err());
    assert_eq!(world.emulator.snapshot().unwrap(), good, "nothing changed");
}

#[test]
fn a_document_with_an_orphan_or_a_double_is_refused() {
    let world = busy_world();
    let refused = |break_it: fn(&mut Vec<Value>)| {
        let mut document = world.emulator.snapshot().unwrap();
        let resources = document.pointer_mut("/accounts/123456789012/us-east-1/resources");
        break_it(resources.unwrap().as_array_mut().unwrap());
        world.emulator.load(document).unwrap_err().to_string()
    };
    let orphan = refused(|resources| drop(resources.remove(0)));
    assert!(
        orphan.contains("its cluster pcs_") && orphan.ends_with("is not there"),
        "{orphan}"
    );
    let double = refused(|resources| resources.push(resources[0].clone()));
    assert!(double.contains("is there twice"), "{double}");
}

#[test]
fn answered_calls_are_recorded_line_by_line() {
    let folder = Folder::new("record");
    let file = folder.0.join("calls.jsonl");
    let emulator = Emulator::new(Options {
        record: Some(file.clone()),
        ..Options::default()
    })
    .unwrap();
    let world = World {
        emulator,
        ..World::new()
    };
    world.ok("ListClusters", &json!({"maxResults": 3}));
    world.refused("GetCluster", &json!({"clusterIdentifier": "nobody"}));
    for effect in [Effect::DropAfter, Effect::Garbage(Bytes::from_static(b"<html>"))] {
        world.emulator.inject(Fault {
            action: None,
            times: 1,
            effect,
        });
        let _answered = world.emulator.handle(world.request("ListQueues", "{}"));
    }
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |line: &Value| {
        let parts = ["action", "fault", "status", "errorType", "input"];
        parts.iter().map(|part| line[*part].clone()).collect::<Value>()
    };
    let expected = [
        json!(["ListClusters", null, 200, null, {"maxResults": 3}]),
        json!(["GetCluster", null, 400, "ResourceNotFoundException", {"clusterIdentifier": "nobody"}]),
        json!(["ListQueues", "garbage", 200, null, {}]),
    ];
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(lines[0]["output"], json!({"clusters": []}));
    assert_eq!(lines[2]["output"], json!("<html>"));

    let Err(error) = Emulator::new(Options {
        record: Some(folder.0.clone()),
        ..Options::default()
    }) else {
        panic!("a folder is no file")
    };
    assert!(matches!(error, StartError::Record { .. }), "{error}");
}

#[test]
fn an_account_id_has_twelve_digits() {
    let options = Options {
        account_id: "1234".into(),
        transition: Duration::ZERO,
        ..Options::default()
    };
    let Err(error) = Emulator::new(options) else {
        panic!("started")
    };
    assert!(matches!(
        error,
        StartError::Option {
            name: "account_id",
            ..
        }
    ));
}
