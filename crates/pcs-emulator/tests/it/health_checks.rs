//! `instanceHealthChecks`. Expectations are the API model's text; nearly none of it is in the shapes.

use pcs_emulator::{Options, UnsetDefaults};
use serde_json::{Value, json};

use crate::world::{World, group_body};

const CHECKS: &str = "instanceHealthChecks";

/// A group that may have every check, in a cluster new enough for them.
fn gpu_group(cluster: &str, name: &str, checks: &Value) -> Value {
    let mut body = group_body(cluster, name);
    body["instanceConfigs"] = json!([{"instanceType": "p5.48xlarge"}]);
    body[CHECKS] = checks.clone();
    body
}

#[test]
fn what_the_text_asks_for_is_refused_with_its_field_on_create_and_update() {
    let world = World::new();
    let cluster = world.cluster_of("demo", "26.05", "SMALL");
    let whole = json!({"healthMonitoring": {"mode": "STANDARD"}});
    let group = world.ok("CreateComputeNodeGroup", &gpu_group(&cluster, "nodes", &whole))["computeNodeGroup"]
        ["id"]
        .clone();
    world.settle();
    let on_start = "instanceHealthChecks.deepHealthChecks.onStart";
    let cases = [
        (json!({}), CHECKS.to_owned()),
        (
            json!({"healthMonitoring": {}}),
            format!("{CHECKS}.healthMonitoring"),
        ),
        (
            json!({"healthMonitoring": {"repairAction": "AUTO"}}),
            format!("{CHECKS}.healthMonitoring.mode"),
        ),
        (
            json!({"healthMonitoring": {"mode": "NONE", "repairAction": "AUTO"}}),
            format!("{CHECKS}.healthMonitoring.repairAction"),
        ),
        (
            json!({"deepHealthChecks": {}}),
            format!("{CHECKS}.deepHealthChecks"),
        ),
        (json!({"deepHealthChecks": {"onStart": {}}}), on_start.to_owned()),
        (
            json!({"deepHealthChecks": {"onStart": {"repairAction": "REPLACE"}}}),
            format!("{on_start}.profile"),
        ),
        (
            json!({"deepHealthChecks": {"onStart": {"profile": "NONE", "repairAction": "NONE"}}}),
            format!("{on_start}.repairAction"),
        ),
    ];
    for (checks, field) in cases {
        let created = world.refused("CreateComputeNodeGroup", &gpu_group(&cluster, "other", &checks));
        assert_eq!(
            (created.code(), created.fields()),
            ("ValidationException", vec![field.as_str()])
        );
        let update =
            json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": group, CHECKS: checks});
        let updated = world.refused("UpdateComputeNodeGroup", &update);
        assert_eq!(
            (updated.code(), updated.fields()),
            ("ValidationException", vec![field.as_str()])
        );
    }
}

#[test]
fn both_halves_may_be_wrong_at_once() {
    let world = World::new();
    let cluster = world.cluster_of("demo", "26.05", "SMALL");
    let checks = json!({"healthMonitoring": {}, "deepHealthChecks": {"onStart": {"repairAction": "AUTO"}}});
    let failure = world.refused("CreateComputeNodeGroup", &gpu_group(&cluster, "nodes", &checks));
    let expected = [
        "instanceHealthChecks.healthMonitoring",
        "instanceHealthChecks.deepHealthChecks.onStart.profile",
    ];
    assert_eq!(failure.fields(), expected);
}

#[test]
fn they_need_slurm_26_05() {
    let world = World::new();
    let checks = json!({"healthMonitoring": {"mode": "NONE"}});
    for (name, version, accepted) in [("older", "25.11", false), ("newer", "26.05", true)] {
        let cluster = world.cluster_of(name, version, "SMALL");
        let body = gpu_group(&cluster, "nodes", &checks);
        if accepted {
            world.ok("CreateComputeNodeGroup", &body);
        } else {
            let failure = world.refused("CreateComputeNodeGroup", &body);
            assert_eq!(failure.fields(), [CHECKS]);
            let group = world.group(&cluster, "plain");
            let update = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": group,
                CHECKS: checks});
            assert_eq!(
                world.refused("UpdateComputeNodeGroup", &update).fields(),
                [CHECKS]
            );
        }
    }
}

#[test]
fn a_deep_check_needs_nvidia_gpus_in_every_instance_type() {
    let world = World::new();
    let cluster = world.cluster_of("demo", "26.05", "SMALL");
    let field = "instanceHealthChecks.deepHealthChecks.onStart.profile";
    let body = |name: &str, types: &[&str], profile: &str| {
        let configs: Vec<Value> = types.iter().map(|t| json!({"instanceType": t})).collect();
        let checks = json!({"deepHealthChecks": {"onStart": {"profile": profile}}});
        let mut body = gpu_group(&cluster, name, &checks);
        body["instanceConfigs"] = json!(configs);
        body
    };
    for types in [
        &["g4ad.xlarge"][..],
        &["trn2.48xlarge"],
        &["g5.xlarge", "c6i.xlarge"],
        &["gibberish"],
    ] {
        let failure = world.refused("CreateComputeNodeGroup", &body("nodes", types, "QUICK"));
        assert_eq!(failure.fields(), [field], "{types:?}");
        let bad = types.last().unwrap();
        let message = failure.body["fieldList"][0]["message"].as_str().unwrap();
        assert!(message.contains(bad), "{message}");
    }
    for (number, types) in [
        &["g4dn.xlarge"][..],
        &["p6e-gb200.36xlarge"],
        &["gr6.4xlarge", "g6.4xlarge"],
    ]
    .into_iter()
    .enumerate()
    {
        world.ok(
            "CreateComputeNodeGroup",
            &body(&format!("gpu{number}"), types, "LONG"),
        );
    }
    world.ok("CreateComputeNodeGroup", &body("plain", &["c6i.xlarge"], "NONE"));
    world.settle();
    let update = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": "plain",
        CHECKS: {"deepHealthChecks": {"onStart": {"profile": "MEDIUM"}}}});
    assert_eq!(world.refused("UpdateComputeNodeGroup", &update).fields(), [field]);
}

#[test]
fn an_update_replaces_all_of_them_and_one_without_them_changes_nothing() {
    // Documented defaults are asked for: `repairAction` is not among those that are shown.
    let world = World::with(Options {
        unset_defaults: UnsetDefaults::Shown,
        ..Options::default()
    });
    let cluster = world.cluster_of("demo", "26.05", "SMALL");
    let checks = json!({"healthMonitoring": {"mode": "STANDARD", "repairAction": "ISOLATE"},
        "deepHealthChecks": {"onStart": {"profile": "QUICK"}}});
    let created = world.ok("CreateComputeNodeGroup", &gpu_group(&cluster, "nodes", &checks));
    assert_eq!(created["computeNodeGroup"][CHECKS], checks);
    world.settle();
    let update = |changes: Value| {
        let mut body = changes;
        body["clusterIdentifier"] = json!(cluster);
        body["computeNodeGroupIdentifier"] = json!("nodes");
        let updated = world.ok("UpdateComputeNodeGroup", &body)["computeNodeGroup"][CHECKS].clone();
        world.settle();
        updated
    };
    assert_eq!(update(json!({"amiId": "ami-0abc"})), checks);
    let half = json!({"healthMonitoring": {"mode": "STANDARD"}});
    assert_eq!(update(json!({CHECKS: half})), half);
    let names = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": "nodes"});
    assert_eq!(
        world.ok("GetComputeNodeGroup", &names)["computeNodeGroup"][CHECKS],
        half
    );
}

#[test]
fn a_node_is_told_its_checks() {
    let world = World::new();
    let cluster = world.cluster_of("demo", "26.05", "SMALL");
    let checks = json!({"deepHealthChecks": {"onStart": {"profile": "MEDIUM", "repairAction": "REPLACE"}}});
    world.ok("CreateComputeNodeGroup", &gpu_group(&cluster, "nodes", &checks));
    world.settle();
    let node = json!({"clusterIdentifier": cluster, "bootstrapId": "i-1"});
    assert_eq!(
        world.ok("RegisterComputeNodeGroupInstance", &node)[CHECKS],
        checks
    );
}
