//! Requests that no client would send: members of the wrong type, at the wrong place, out of bounds. Whatever
//! comes, the answer is one that PCS's model allows, and what was there before is still answered well.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::{Map, Value, json};

use crate::world::{World, group_body};

static MODEL: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../model/pcs-2023-02-10.json")).unwrap());

/// Every member name of every structure of the model.
fn member_names() -> Vec<String> {
    let shapes = MODEL["shapes"].as_object().unwrap().values();
    let structures = shapes.filter_map(|shape| shape["members"].as_object());
    let mut names: Vec<String> = structures.flat_map(|members| members.keys().cloned()).collect();
    names.sort();
    names.dedup();
    names
}

/// Values that mean something somewhere, and some that mean nothing anywhere.
fn leaf() -> impl Strategy<Value = Value> {
    let words = [
        "demo",
        "nodes",
        "work",
        "pcs_donotexist",
        "",
        "SMALL",
        "SLURM",
        "25.11",
        "26.05",
        "STANDARD",
        "MANAGED",
        "SPOT",
        "subnet-0123456789abcdef0",
        "sg-0123456789abcdef0",
        "ami-0abc",
        "s3://bucket/script.sh",
        "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_nosuch0000",
        "token-0001",
        "é\u{0}\u{10ffff}",
    ];
    prop_oneof![
        6 => prop::sample::select(words.to_vec()).prop_map(|word| json!(word)),
        2 => prop_oneof![Just(-1_i64), Just(0), Just(1), Just(101), Just(i64::MAX)].prop_map(|n| json!(n)),
        1 => any::<bool>().prop_map(|b| json!(b)),
        1 => Just(Value::Null),
        1 => Just(json!(1.5)),
        1 => "\\PC{0,300}".prop_map(|text| json!(text)),
    ]
}

fn noise() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let names = prop::sample::select(member_names());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((names, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An action and a body for it: a good one, with some of the members it may have replaced by noise.
fn request() -> impl Strategy<Value = (String, Value)> {
    let actions: Vec<String> = MODEL["operations"].as_object().unwrap().keys().cloned().collect();
    let actions = prop::sample::select(actions);
    (actions, any::<bool>()).prop_flat_map(|(action, from_good)| {
        let input = MODEL["operations"][&action]["input"].as_str().unwrap();
        let members = MODEL["shapes"][input]["members"].as_object().unwrap();
        let members: Vec<String> = members.keys().cloned().collect();
        let start = if from_good { good(&members) } else { Map::new() };
        let most = members.len().min(4);
        let changes = prop::collection::vec((prop::sample::select(members), noise()), 0..=most);
        changes.prop_map(move |changes| {
            let mut body = start.clone();
            body.extend(changes);
            (action.clone(), Value::Object(body))
        })
    })
}

/// Good values of these members, as far as the world of these tests has some.
fn good(members: &[String]) -> Map<String, Value> {
    let mut known = group_body("demo", "more");
    known["computeNodeGroupIdentifier"] = json!("nodes");
    known["queueIdentifier"] = json!("work");
    known["queueName"] = json!("other");
    known["clusterName"] = json!("other");
    known["scheduler"] = json!({"type": "SLURM", "version": "25.11"});
    known["size"] = json!("SMALL");
    known["networking"] = json!({"subnetIds": ["subnet-0123456789abcdef0"]});
    known["bootstrapId"] = json!("i-1");
    let has = |name: &str| members.iter().any(|member| member == name);
    let known = known.as_object().unwrap().clone();
    known.into_iter().filter(|(name, _)| has(name)).collect()
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_comes_the_answer_has_its_shape(requests in prop::collection::vec(request(), 1..20)) {
        let world = World::new();
        let cluster = world.cluster("demo");
        let group = world.group(&cluster, "nodes");
        world.queue(&cluster, "work", &group);
        for (action, body) in &requests {
            // `World::call` holds each answer against its shape.
            let _answered = world.call(action, body);
            world.settle();
        }
        world.ok("ListClusters", &json!({}));
        prop_assert!(world.emulator.load(world.emulator.snapshot().unwrap()).is_ok());
    }
}
