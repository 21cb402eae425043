//! A cluster's whole life through the gateway.

use serde_json::{Value, json};

use crate::world::{World, called_by, event, with_body, with_query};

#[tokio::test]
async fn a_cluster_lives_and_dies() {
    let world = World::start().await;
    let cluster = world.cluster().await.body["cluster"].clone();
    assert_eq!(cluster["status"], "CREATING");
    assert_eq!(
        world.send(&event("get-cluster")).await.body["cluster"]["status"],
        "ACTIVE"
    );

    let group = world.send(&event("create-compute-node-group")).await;
    assert_eq!(group.status, 202, "{group:?}");
    world.settle();
    let group_id = group.body["computeNodeGroup"]["id"].clone();
    let of_the_group = json!({"computeNodeGroupConfigurations": [{"computeNodeGroupId": group_id}]});
    let queue = world
        .send(&with_body(event("create-queue"), of_the_group.clone()))
        .await;
    assert_eq!(queue.status, 202, "{queue:?}");
    world.settle();

    for (name, changes) in [
        ("update-compute-node-group", json!({})),
        ("update-queue", of_the_group),
        ("update-cluster", json!({})),
    ] {
        let answer = world.send(&with_body(event(name), changes)).await;
        assert_eq!(answer.status, 202, "{name}: {answer:?}");
        world.settle();
    }
    for (name, list) in [
        ("list-clusters", "clusters"),
        ("list-compute-node-groups", "computeNodeGroups"),
        ("list-queues", "queues"),
    ] {
        let answer = world.send(&event(name)).await;
        assert_eq!(
            (answer.status, answer.body[list].as_array().unwrap().len()),
            (200, 1),
            "{name}: {answer:?}"
        );
    }
    for name in ["get-compute-node-group", "get-queue"] {
        assert_eq!(world.send(&event(name)).await.status, 200, "{name}");
    }

    let blocked = world.send(&event("delete-cluster")).await;
    assert_eq!(
        (blocked.status, &blocked.body["code"]),
        (409, &json!("ConflictException")),
        "{blocked:?}"
    );
    for name in ["delete-queue", "delete-compute-node-group", "delete-cluster"] {
        let answer = world.send(&event(name)).await;
        assert_eq!(answer.status, 202, "{name}: {answer:?}");
        world.settle();
    }
    let gone = world.send(&event("get-cluster")).await;
    assert_eq!(
        (gone.status, &gone.body["code"]),
        (404, &json!("ResourceNotFoundException")),
        "{gone:?}"
    );
}

#[tokio::test]
async fn tags_are_added_listed_and_removed() {
    let world = World::start().await;
    let arn = world.cluster().await.body["cluster"]["arn"]
        .as_str()
        .unwrap()
        .to_owned();
    let tagged = world
        .send(&with_query(event("tag-resource"), &[("resourceArn", &arn)]))
        .await;
    assert_eq!((tagged.status, tagged.body), (204, Value::Null));
    let listed = world
        .send(&with_query(
            event("list-tags-for-resource"),
            &[("resourceArn", &arn)],
        ))
        .await;
    assert_eq!(
        listed.body["tags"],
        json!({"team": "research", "costCenter": "4711"})
    );
    let query = [
        ("resourceArn", arn.as_str()),
        ("tagKeys", "team"),
        ("tagKeys", "costCenter"),
    ];
    assert_eq!(
        world
            .send(&with_query(event("untag-resource"), &query))
            .await
            .status,
        204
    );
    let listed = world
        .send(&with_query(
            event("list-tags-for-resource"),
            &[("resourceArn", &arn)],
        ))
        .await;
    assert_eq!(listed.body["tags"], json!({}));
}

/// The three newest members, which aws-sdk-pcs 1.97 does not know, reach PCS and come back; and the SDK's invented
/// `customLaunchTemplate` does not.
#[tokio::test]
async fn members_that_the_sdk_does_not_know_pass_both_ways() {
    let world = World::start().await;
    world.cluster().await;
    let managed = json!({
        "customLaunchTemplate": null, "launchTemplateMode": "MANAGED", "amiId": "ami-0123456789abcdef0",
        "securityGroupIds": ["sg-0123456789abcdef0"], "sshKeyName": "operators",
    });
    let created = world
        .send(&with_body(event("create-compute-node-group"), managed))
        .await;
    assert_eq!(created.status, 202, "{created:?}");
    let read = world.send(&event("get-compute-node-group")).await.body["computeNodeGroup"].clone();
    assert_eq!(read["launchTemplateMode"], "MANAGED");
    assert_eq!(read["securityGroupIds"], json!(["sg-0123456789abcdef0"]));
    assert_eq!(read["sshKeyName"], "operators");
    assert_eq!(read.get("customLaunchTemplate"), None);
}

/// And so do the two of botocore 1.44.8: a plugin on a cluster, health checks on a group of it.
#[tokio::test]
async fn job_submit_plugins_and_health_checks_pass_both_ways() {
    let world = World::start().await;
    let sent = |name: &str, pointer: &str| {
        let body: Value = serde_json::from_str(event(name)["body"].as_str().unwrap()).unwrap();
        body.pointer(pointer).unwrap().clone()
    };
    let (cluster, group) = (
        "create-cluster-with-job-submit-plugin",
        "create-compute-node-group-with-health-checks",
    );
    let created = world.send(&event(cluster)).await;
    assert_eq!(created.status, 202, "{created:?}");
    assert_eq!(
        created.body["cluster"]["slurmConfiguration"]["jobSubmitPlugins"],
        sent(cluster, "/slurmConfiguration/jobSubmitPlugins")
    );
    world.settle();
    let created = world.send(&event(group)).await;
    assert_eq!(created.status, 202, "{created:?}");
    let checks = sent(group, "/instanceHealthChecks");
    assert_eq!(created.body["computeNodeGroup"]["instanceHealthChecks"], checks);
}

#[tokio::test]
async fn the_same_token_of_the_same_caller_acts_once_and_of_another_caller_not_at_all() {
    let world = World::start().await;
    let request = event("create-cluster");
    let first = world.send(&request).await;
    let again = world.send(&request).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.body["cluster"]["id"], again.body["cluster"]["id"]);
    world.settle();
    // Another session of the same role is the same principal; another role is not.
    let session = world
        .send(&called_by(request.clone(), "AROADBQP57FF2AEXAMPLE", "other"))
        .await;
    assert_eq!(
        (session.status, &session.body["cluster"]["id"]),
        (202, &first.body["cluster"]["id"])
    );
    let other = world
        .send(&called_by(request, "AROAI3QHT5ZEXAMPLE000", "portal"))
        .await;
    assert_eq!(
        other.status, 409,
        "a replay would leak the first caller's answer: {other:?}"
    );
    let tokens: Vec<String> = world
        .stack
        .pcs_emulator
        .calls()
        .iter()
        .filter(|call| call.action == "CreateCluster")
        .map(|call| call.body["clientToken"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        tokens
            .iter()
            .all(|token| token.len() == 64 && token != "7f1c2c1e-5c0b-4a53-9d1f-0c3f4a2b8e10")
    );
    assert_eq!(tokens.iter().filter(|token| *token == &tokens[0]).count(), 3);
}

#[tokio::test]
async fn regions_are_kept_apart() {
    let world = World::start().await;
    world.cluster().await;
    let elsewhere = world
        .send(&with_query(event("list-clusters"), &[("region", "eu-west-1")]))
        .await;
    assert_eq!((elsewhere.status, &elsewhere.body["clusters"]), (200, &json!([])));
    let call = world.stack.pcs_emulator.calls().pop().unwrap();
    assert_eq!(call.region, "eu-west-1");
}
