//! State over restarts, and who may start.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use pcs_emulator::{Emulator, Options, StartError};
use serde_json::json;

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
        "{",
        "{}",
        r#"{"format":99,"clock_offset":0,"page_key":"","accounts":{}}"#,
    ] {
        fs::write(folder.0.join("pcs-state.json"), text).unwrap();
        let Err(error) = Emulator::new(folder.options()) else {
            panic!("started with {text}")
        };
        assert!(matches!(error, StartError::State { .. }));
        assert!(error.to_string().contains("pcs-state.json"), "{error}");
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
