//! `slurmConfiguration.jobSubmitPlugins` of clusters.

use pcs_emulator::{Options, PluginUpdate};
use serde_json::{Value, json};

use crate::world::{World, cluster_body};

fn plugin(name: &str, key: &str) -> Value {
    json!({"name": name, "type": "STARLARK", "scriptSource": {
        "scriptLocation": format!("s3://scripts/{key}"), "s3VersionId": "v1", "checksum": "0".repeat(64)}})
}

fn with_plugins(plugins: &Value) -> Value {
    let mut body = cluster_body("demo");
    body["slurmConfiguration"] = json!({"jobSubmitPlugins": plugins});
    body
}

/// A cluster with the plugin `first`.
fn world(plugin_update: PluginUpdate) -> World {
    let world = World::with(Options {
        plugin_update,
        ..Options::default()
    });
    let plugins = json!([plugin("first", "1.star")]);
    let created = world.ok("CreateCluster", &with_plugins(&plugins));
    assert_eq!(
        created["cluster"]["slurmConfiguration"]["jobSubmitPlugins"],
        plugins
    );
    world.settle();
    world
}

fn update(plugins: &Value) -> Value {
    json!({"clusterIdentifier": "demo", "slurmConfiguration": {"jobSubmitPlugins": plugins}})
}

/// The plugins of the cluster, once it is ACTIVE.
fn shown(world: &World) -> Value {
    world.settle();
    let answer = world.ok("GetCluster", &json!({"clusterIdentifier": "demo"}));
    answer["cluster"]["slurmConfiguration"]["jobSubmitPlugins"].clone()
}

#[test]
fn the_list_of_an_update_replaces_the_clusters_and_an_empty_one_removes_it() {
    let world = world(PluginUpdate::Replace);
    let second = json!([plugin("second", "2.star")]);
    world.ok("UpdateCluster", &update(&second));
    assert_eq!(shown(&world), second);
    let other = json!({"clusterIdentifier": "demo",
        "slurmConfiguration": {"scaleDownIdleTimeInSeconds": 60}});
    world.ok("UpdateCluster", &other);
    assert_eq!(shown(&world), second);
    world.ok("UpdateCluster", &update(&json!([])));
    assert_eq!(shown(&world), Value::Null);
}

#[test]
fn merged_a_plugin_is_known_by_its_name() {
    let world = world(PluginUpdate::Merge);
    let newer = json!([plugin("first", "2.star")]);
    world.ok("UpdateCluster", &update(&newer));
    assert_eq!(shown(&world), newer);
    let two = world.refused("UpdateCluster", &update(&json!([plugin("second", "2.star")])));
    assert_eq!(two.fields(), ["slurmConfiguration.jobSubmitPlugins"]);
    world.ok("UpdateCluster", &update(&json!([])));
    assert_eq!(shown(&world), newer);
}

#[test]
fn what_the_model_refuses_is_refused_with_its_field() {
    let world = World::new();
    let changed = |pointer: &str, value: Value| {
        let mut body = with_plugins(&json!([plugin("first", "1.star")]));
        *body
            .pointer_mut(&format!("/slurmConfiguration/jobSubmitPlugins/0{pointer}"))
            .unwrap() = value;
        body
    };
    let at = "slurmConfiguration.jobSubmitPlugins";
    let cases = [
        (
            with_plugins(&json!([plugin("first", "1.star"), plugin("second", "2.star")])),
            at.to_owned(),
        ),
        (changed("/name", json!("two words")), format!("{at}[0].name")),
        (changed("/type", json!("LUA")), format!("{at}[0].type")),
        (
            changed(
                "/scriptSource/scriptLocation",
                json!("https://example.com/x.star"),
            ),
            format!("{at}[0].scriptSource.scriptLocation"),
        ),
        (
            changed("/scriptSource", json!({})),
            format!("{at}[0].scriptSource.scriptLocation"),
        ),
        (
            changed("/scriptSource/checksum", json!("0".repeat(63))),
            format!("{at}[0].scriptSource.checksum"),
        ),
    ];
    for (body, field) in cases {
        let failure = world.refused("CreateCluster", &body);
        assert_eq!(failure.code(), "ValidationException");
        assert!(failure.fields().iter().all(|name| *name == field), "{failure:?}");
    }
}
