//! Queues, tags, lists and client tokens.

use std::time::Duration;

use pcs_emulator::{Options, TokenReuse};
use serde_json::{Value, json};

use crate::world::{World, cluster_body, group_body, id_in};

#[test]
fn a_queue_names_groups_of_its_cluster() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let foreign = world.cluster("other");
    let foreign_group = world.group(&foreign, "nodes");
    let create = |groups: Value| {
        json!({"clusterIdentifier": cluster, "queueName": "work",
        "computeNodeGroupConfigurations": groups})
    };
    let named = |id: &str| json!([{"computeNodeGroupId": id}]);
    for id in ["pcs_donotexist", foreign_group.as_str()] {
        let failure = world.refused("CreateQueue", &create(named(id)));
        assert_eq!(
            (failure.code(), &failure.body["resourceId"]),
            ("ResourceNotFoundException", &json!(id))
        );
    }
    let at = "computeNodeGroupConfigurations";
    let failure = world.refused("CreateQueue", &create(json!([{}])));
    assert_eq!(failure.fields(), [format!("{at}[0].computeNodeGroupId")]);
    let creating = id_in(
        &world.ok("CreateComputeNodeGroup", &group_body(&cluster, "nodes")),
        "computeNodeGroup",
    );
    assert_eq!(
        world.refused("CreateQueue", &create(named(&creating))).code(),
        "ConflictException"
    );
    world.settle();
    let queue = world.ok("CreateQueue", &create(named(&creating)))["queue"].clone();
    assert_eq!(queue["computeNodeGroupConfigurations"], named(&creating));
    assert_eq!(queue["status"], "CREATING");
    assert_eq!(
        world.refused("CreateQueue", &create(json!([]))).code(),
        "ConflictException",
        "same name"
    );
    let id = queue["id"].as_str().unwrap();
    assert_eq!(
        queue["arn"],
        format!("arn:aws:pcs:us-east-1:123456789012:cluster/{cluster}/queue/{id}")
    );
}

#[test]
fn ten_queues_in_a_cluster() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let create = |name: String| json!({"clusterIdentifier": cluster, "queueName": name});
    for number in 0..10 {
        world.ok("CreateQueue", &create(format!("queue{number}")));
    }
    let eleventh = world.refused("CreateQueue", &create("more".into()));
    assert_eq!(eleventh.code(), "ServiceQuotaExceededException");
}

#[test]
fn a_queue_life_ends_before_its_cluster() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let group = world.group(&cluster, "nodes");
    let queue = world.queue(&cluster, "work", &group);
    let names = json!({"clusterIdentifier": cluster, "queueIdentifier": "work"});
    let mut update = names.clone();
    update["slurmConfiguration"] =
        json!({"slurmCustomSettings": [{"parameterName": "Nope", "parameterValue": "1"}]});
    let field = "slurmConfiguration.slurmCustomSettings[0].parameterName";
    assert_eq!(world.refused("UpdateQueue", &update).fields(), [field]);
    update["slurmConfiguration"]["slurmCustomSettings"][0]["parameterName"] = json!("Default");
    assert_eq!(world.ok("UpdateQueue", &update)["queue"]["status"], "UPDATING");
    assert_eq!(
        world.refused("DeleteQueue", &names).code(),
        "ConflictException",
        "an update is under way"
    );
    world.settle();
    world.ok("DeleteQueue", &names);
    world.settle();
    for identifier in [queue.as_str(), "work"] {
        let get = json!({"clusterIdentifier": cluster, "queueIdentifier": identifier});
        assert_eq!(
            world.refused("GetQueue", &get).code(),
            "ResourceNotFoundException"
        );
    }
}

#[test]
fn tags_are_shown_only_by_their_own_action() {
    let world = World::new();
    let mut body = cluster_body("demo");
    body["tags"] = json!({"team": "a"});
    let created = world.ok("CreateCluster", &body)["cluster"].clone();
    assert!(created.get("tags").is_none());
    let arn = created["arn"].as_str().unwrap();
    let tags = || world.ok("ListTagsForResource", &json!({"resourceArn": arn}))["tags"].clone();
    assert_eq!(tags(), json!({"team": "a"}));
    world.ok(
        "TagResource",
        &json!({"resourceArn": arn, "tags": {"team": "b", "empty": ""}}),
    );
    assert_eq!(tags(), json!({"team": "b", "empty": ""}));
    world.ok(
        "UntagResource",
        &json!({"resourceArn": arn, "tagKeys": ["team", "never"]}),
    );
    assert_eq!(tags(), json!({"empty": ""}));
    let many: serde_json::Map<String, Value> = (0..200).map(|n| (format!("k{n}"), json!("v"))).collect();
    let failure = world.refused("TagResource", &json!({"resourceArn": arn, "tags": many}));
    assert_eq!(failure.code(), "ServiceQuotaExceededException", "201 in all");
    let unknown = json!({"resourceArn": "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_donotexist"});
    assert_eq!(
        world.refused("ListTagsForResource", &unknown).code(),
        "ResourceNotFoundException"
    );
}

#[test]
fn pages_are_complete_and_tokens_are_bound() {
    let world = World::with(Options {
        queues_per_cluster: Some(25),
        ..Options::default()
    });
    let cluster = world.cluster("demo");
    let other = world.cluster("other");
    for number in 0..25 {
        world.ok(
            "CreateQueue",
            &json!({"clusterIdentifier": cluster, "queueName": format!("queue{number}")}),
        );
    }
    let list = |more: Value| {
        let mut body = json!({"clusterIdentifier": cluster});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let mut names = Vec::new();
    let mut sizes = Vec::new();
    let mut page = world.ok("ListQueues", &list(json!({"maxResults": 0})));
    loop {
        let queues = page["queues"].as_array().unwrap();
        sizes.push(queues.len());
        names.extend(queues.iter().map(|q| q["name"].as_str().unwrap().to_owned()));
        let Some(token) = page.get("nextToken").cloned() else {
            break;
        };
        page = world.ok("ListQueues", &list(json!({"nextToken": token})));
    }
    assert_eq!(sizes, [10, 10, 5]);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 25);

    let first = world.ok("ListQueues", &list(json!({"maxResults": 25})));
    assert!(first.get("nextToken").is_none(), "a full last page has no token");
    let token = world.ok("ListQueues", &list(json!({"maxResults": 1})))["nextToken"].clone();
    let invalid = |action: &str, body: &Value| {
        let failure = world.refused(action, body);
        assert_eq!((failure.code(), failure.status.as_u16()), ("InvalidToken", 400));
    };
    invalid(
        "ListQueues",
        &json!({"clusterIdentifier": other, "nextToken": token}),
    );
    invalid(
        "ListComputeNodeGroups",
        &json!({"clusterIdentifier": cluster, "nextToken": token}),
    );
    invalid("ListQueues", &list(json!({"nextToken": "nonsense"})));
    world.emulator.advance(Duration::from_secs(24 * 3600 + 1));
    invalid("ListQueues", &list(json!({"nextToken": token})));
}

#[test]
fn a_client_token_repeats_the_first_answer() {
    let world = World::new();
    let mut body = cluster_body("demo");
    body["clientToken"] = json!("token-0001");
    let first = world.ok("CreateCluster", &body);
    world.settle();
    assert_eq!(
        world.ok("CreateCluster", &body),
        first,
        "still CREATING, as the original answer said"
    );
    body["size"] = json!("LARGE");
    let failure = world.refused("CreateCluster", &body);
    assert_eq!(failure.code(), "ConflictException");
    assert_eq!(failure.body["resourceId"], first["cluster"]["id"]);

    let delete = json!({"clusterIdentifier": "demo", "clientToken": "token-0001"});
    world.ok("DeleteCluster", &delete);
    world.settle();
    assert_eq!(
        world.ok("DeleteCluster", &delete),
        json!({}),
        "gone, and the retry still succeeds"
    );
}

/// Tokens are kept for a day and 256 at a time: an emulator that runs for weeks does not grow.
#[test]
fn old_client_tokens_are_forgotten() {
    let world = World::new();
    world.cluster("demo");
    let create = |number: usize| {
        json!({"clusterIdentifier": "demo", "queueName": "work",
        "clientToken": format!("token-{number:04}")})
    };
    world.ok("CreateQueue", &create(0));
    world.settle();
    let update = |number: usize| {
        let body = json!({"clusterIdentifier": "demo", "queueIdentifier": "work",
            "clientToken": format!("token-{number:04}")});
        world.ok("UpdateQueue", &body);
        world.emulator.advance(Duration::from_mins(1));
    };
    (0..255).for_each(update);
    world.ok("CreateQueue", &create(0));
    update(255);
    assert_eq!(
        world.refused("CreateQueue", &create(0)).code(),
        "ConflictException",
        "no longer a replay"
    );
}

#[test]
fn a_call_that_failed_leaves_its_token_free() {
    let world = World::with(Options {
        token_reuse: TokenReuse::Validation,
        ..Options::default()
    });
    world.ok("CreateCluster", &cluster_body("one"));
    let mut body = cluster_body("two");
    body["clientToken"] = json!("token-0002");
    assert_eq!(
        world.refused("CreateCluster", &body).code(),
        "ServiceQuotaExceededException"
    );
    world.settle();
    world.ok("CreateCluster", &body);
    body["clusterName"] = json!("three");
    assert_eq!(
        world.refused("CreateCluster", &body).code(),
        "ValidationException"
    );
}
