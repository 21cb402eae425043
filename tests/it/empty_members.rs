//! What is empty in a request: taken for absent, for "remove all", or refused because nobody can have meant it.

use serde_json::{Value, json};

use crate::{
    answers::{CLUSTER_ARN, ids, refused, with_text},
    world::{ALLOWED_POLICY, World, event, with_body, with_query},
};

const UPDATES: [&str; 3] = ["update-cluster", "update-compute-node-group", "update-queue"];

#[tokio::test]
async fn an_update_does_not_empty_what_was_never_meant() {
    let world = World::start().await;
    let subnets = r#"{"subnetIds":[],"securityGroupIds":[],"scalingConfiguration":{"minInstanceCount":0,"maxInstanceCount":1}}"#;
    let message = refused(
        &world,
        &with_text(event("update-compute-node-group"), subnets),
        400,
    )
    .await;
    assert!(
        message.contains("`subnetIds` must not be an empty list; leave it out"),
        "{message}"
    );
    for (name, body, paths) in [
        (
            "update-queue",
            json!({"computeNodeGroupConfigurations": [], "slurmConfiguration": {"slurmCustomSettings": []}}),
            &[
                "computeNodeGroupConfigurations",
                "slurmConfiguration.slurmCustomSettings",
            ][..],
        ),
        (
            "update-queue",
            json!({"computeNodeGroupConfigurations": [{"computeNodeGroupId": "pcs_abc1234567"}], "slurmConfiguration": {"slurmCustomSettings": []}}),
            &["slurmConfiguration.slurmCustomSettings"],
        ),
        (
            "update-cluster",
            json!({"slurmConfiguration": {"scaleDownIdleTimeInSeconds": 60, "slurmCustomSettings": [], "slurmdbdCustomSettings": [], "cgroupCustomSettings": [], "jobSubmitPlugins": []}}),
            &[
                "slurmConfiguration.slurmCustomSettings",
                "slurmConfiguration.slurmdbdCustomSettings",
                "slurmConfiguration.cgroupCustomSettings",
                "slurmConfiguration.jobSubmitPlugins",
            ],
        ),
        (
            "update-compute-node-group",
            json!({"slurmConfiguration": {"slurmCustomSettings": [], "gresCustomSettings": []}, "securityGroupIds": []}),
            &[
                "slurmConfiguration.slurmCustomSettings",
                "slurmConfiguration.gresCustomSettings",
            ],
        ),
        (
            "update-compute-node-group",
            json!({"slurmConfiguration": {"gresCustomSettings": []}, "iam": {"additionalIamPolicies": [ALLOWED_POLICY]}, "clientToken": "7f1c2c1e-5c0b"}),
            &["slurmConfiguration.gresCustomSettings"],
        ),
    ] {
        let message = refused(&world, &with_text(event(name), &body.to_string()), 400).await;
        for path in paths {
            let words = format!(
                "`{path}` is empty beside other changes: leave it out to keep what is there, or send it alone"
            );
            assert!(message.contains(&words), "{body}: {message}");
        }
        assert_eq!(
            message.matches("is empty beside").count(),
            paths.len(),
            "{message}"
        );
    }
}

/// The only compute node group of a queue could never be deleted otherwise.
#[tokio::test]
async fn an_empty_list_that_is_sent_alone_removes_all() {
    let world = World::start().await;
    let group = world.node_group().await;
    world.settle();
    let groups =
        json!({"computeNodeGroupConfigurations": [{"computeNodeGroupId": ids(&group, "computeNodeGroup")}]});
    let queue = world.send(&with_body(event("create-queue"), groups)).await;
    assert_eq!(queue.status, 202, "{queue:?}");
    world.settle();
    for body in [
        r#"{"clientToken":"7f1c2c1e-5c0b","computeNodeGroupConfigurations":[]}"#,
        r#"{"computeNodeGroupConfigurations":[],"slurmConfiguration":{}}"#,
        r#"{"slurmConfiguration":{"slurmCustomSettings":[]}}"#,
    ] {
        let answer = world.send(&with_text(event("update-queue"), body)).await;
        assert_eq!(answer.status, 202, "{body}: {answer:?}");
        world.settle();
    }
    let deleted = world.send(&event("delete-compute-node-group")).await;
    assert!((200..300).contains(&deleted.status), "{deleted:?}");
    for (name, member) in [
        ("update-cluster", "slurmCustomSettings"),
        ("update-cluster", "slurmdbdCustomSettings"),
        ("update-cluster", "cgroupCustomSettings"),
        ("update-cluster", "jobSubmitPlugins"),
        ("update-compute-node-group", "slurmCustomSettings"),
        ("update-compute-node-group", "gresCustomSettings"),
    ] {
        let body = json!({"slurmConfiguration": {member: []}}).to_string();
        let answer = world.send(&with_text(event(name), &body)).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(
            !message.contains("does not fit the contract"),
            "{body}: {answer:?}"
        );
    }
}

/// A dry run promises nothing that PCS refuses.
#[tokio::test]
async fn what_pcs_needs_is_not_given_by_something_empty() {
    let world = World::start().await;
    for (name, members, path) in [
        (
            "create-cluster",
            json!({"networking": {"subnetIds": null}}),
            "networking",
        ),
        (
            "create-cluster",
            json!({"networking": {"subnetIds": []}}),
            "networking.subnetIds",
        ),
        ("create-compute-node-group", json!({"subnetIds": []}), "subnetIds"),
        (
            "create-compute-node-group",
            json!({"instanceConfigs": []}),
            "instanceConfigs",
        ),
        (
            "create-compute-node-group",
            json!({"instanceConfigs": [{}]}),
            "instanceConfigs[0]",
        ),
        (
            "create-compute-node-group",
            json!({"instanceHealthChecks": {}}),
            "instanceHealthChecks",
        ),
        (
            "create-compute-node-group",
            json!({"instanceHealthChecks": {"healthMonitoring": {}}}),
            "instanceHealthChecks.healthMonitoring",
        ),
        (
            "create-compute-node-group",
            json!({"instanceHealthChecks": {"deepHealthChecks": {"onStart": {}}}}),
            "instanceHealthChecks.deepHealthChecks.onStart",
        ),
        (
            "create-compute-node-group",
            json!({"slurmConfiguration": {"gresCustomSettings": [{}]}}),
            "slurmConfiguration.gresCustomSettings[0]",
        ),
        (
            "create-queue",
            json!({"computeNodeGroupConfigurations": [{}]}),
            "computeNodeGroupConfigurations[0]",
        ),
        (
            "update-queue",
            json!({"computeNodeGroupConfigurations": [{}]}),
            "computeNodeGroupConfigurations[0]",
        ),
    ] {
        let mut request = with_body(event(name), members.clone());
        if members["networking"]["subnetIds"].is_null() && name == "create-cluster" {
            let mut body: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
            body["networking"] = json!({});
            request["body"] = json!(body.to_string());
        }
        for request in [with_query(request.clone(), &[("dryrun", "true")]), request] {
            let message = refused(&world, &request, 400).await;
            assert!(
                message.contains(&format!("`{path}` must")),
                "{name} {members}: {message}"
            );
        }
    }
}

#[tokio::test]
async fn an_empty_member_is_told_what_it_can_hold() {
    let world = World::start().await;
    for (name, body, words) in [
        (
            "update-queue",
            r#"{"slurmConfiguration":{}}"#,
            "`slurmConfiguration` is empty, so nothing would change; give slurmCustomSettings",
        ),
        (
            "update-compute-node-group",
            r#"{"spotOptions":{}}"#,
            "`spotOptions` is empty, so nothing would change; give allocationStrategy",
        ),
        (
            "update-cluster",
            r#"{"slurmConfiguration":{"accounting":{}}}"#,
            "`slurmConfiguration.accounting` is empty, so nothing would change; give at least one of defaultPurgeTimeInDays, mode",
        ),
        (
            "update-cluster",
            " \r\n\t",
            "the body is missing, so nothing would change; give at least one of",
        ),
    ] {
        let message = refused(&world, &with_text(event(name), body), 400).await;
        assert!(message.contains(words), "{body}: {message}");
    }
    let listed = world.send(&with_text(event("list-clusters"), " \n")).await;
    assert_eq!(listed.status, 200, "{listed:?}");
}

/// PCS documents what an empty list of security groups means.
#[tokio::test]
async fn an_update_that_means_an_empty_list_is_sent_with_it() {
    let world = World::start().await;
    world.node_group().await;
    world.settle();
    world.stack.pcs_emulator.clear_calls();
    world
        .send(&with_text(
            event("update-compute-node-group"),
            r#"{"securityGroupIds":[]}"#,
        ))
        .await;
    let sent = world.stack.pcs_emulator.calls();
    let update = sent
        .iter()
        .find(|call| call.action == "UpdateComputeNodeGroup")
        .unwrap();
    assert_eq!(update.body["securityGroupIds"], json!([]));
}

#[tokio::test]
async fn what_has_to_be_given_is_not_given_by_an_empty_list() {
    let world = World::start().await;
    let request = with_query(
        with_text(event("tag-resource"), r#"{"tags":{}}"#),
        &[("resourceArn", CLUSTER_ARN)],
    );
    assert!(
        refused(&world, &request, 400)
            .await
            .contains("`tags` must have 1 to 200 entries, has 0")
    );
    let networking = json!({"networking": {"subnetIds": []}});
    let message = refused(&world, &with_body(event("create-cluster"), networking), 400).await;
    assert!(
        message.contains("`networking.subnetIds` must have at least 1 item, has 0"),
        "{message}"
    );
}

/// What some generated clients send for each list and map that was never set.
#[tokio::test]
async fn on_creation_an_empty_list_or_map_is_as_if_it_were_left_out() {
    let world = World::start().await;
    let empties = json!({
        "tags": {},
        "slurmConfiguration": {"slurmCustomSettings": [], "slurmdbdCustomSettings": [], "cgroupCustomSettings": [], "jobSubmitPlugins": []},
        "networking": {"subnetIds": ["subnet-0123456789abcdef0"], "securityGroupIds": []},
    });
    let created = world.send(&with_body(event("create-cluster"), empties)).await;
    assert_eq!(created.status, 202, "{created:?}");
    world.settle();
    let empties = json!({
        "tags": {}, "securityGroupIds": [],
        "slurmConfiguration": {"slurmCustomSettings": [], "gresCustomSettings": []},
        "nodeLifecycleActions": {"stages": {
            "nodeBootstrapped": [{"name": "a", "scriptSource": {"scriptLocation": "s3://bucket/key"}, "arguments": []}],
            "nodeReady": [],
        }},
    });
    let group = world
        .send(&with_body(event("create-compute-node-group"), empties))
        .await;
    assert_eq!(group.status, 202, "{group:?}");
    let empties = json!({"tags": {}, "computeNodeGroupConfigurations": [], "slurmConfiguration": {"slurmCustomSettings": []}});
    let queue = world.send(&with_body(event("create-queue"), empties)).await;
    assert_eq!(queue.status, 202, "{queue:?}");
}

#[tokio::test]
async fn a_body_that_is_required_and_missing_is_refused() {
    let world = World::start().await;
    for body in [json!(null), json!("")] {
        for (name, words) in [
            (
                "update-cluster",
                "the body is missing, so nothing would change; give at least one of scheduler, slurm",
            ),
            (
                "update-compute-node-group",
                "the body is missing, so nothing would change; give at least one of amiId",
            ),
            (
                "update-queue",
                "the body is missing, so nothing would change; give at least one of computeNodeGroupConf",
            ),
            (
                "create-cluster",
                "`clusterName` is required; `networking` is required",
            ),
            ("create-queue", "`queueName` is required"),
            ("tag-resource", "`tags` is required"),
        ] {
            let mut request = event(name);
            request["body"] = body.clone();
            let message = refused(&world, &request, 400).await;
            assert!(message.contains(words), "{name}: {message}");
        }
    }
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_refused_also_in_a_dry_run() {
    let world = World::start().await;
    for name in UPDATES {
        for body in [
            "{}",
            r#"{"clientToken":"7f1c2c1e-5c0b-4a53"}"#,
            r#"{"slurmConfiguration":{}}"#,
            r#"{"slurmConfiguration":{},"clientToken":"7f1c2c1e-5c0b-4a53"}"#,
        ] {
            let request = with_text(event(name), body);
            let dry = with_query(request.clone(), &[("dryrun", "true")]);
            for request in [request, dry] {
                let message = refused(&world, &request, 400).await;
                assert!(
                    message.contains("nothing would change; give ") && message.contains("slurmConfiguration"),
                    "{name} {body}: {message}"
                );
                assert!(!message.contains("clientToken"), "{message}");
            }
        }
    }
    let nested = with_text(
        event("update-cluster"),
        r#"{"slurmConfiguration":{"accounting":{},"slurmRest":{}}}"#,
    );
    assert!(
        refused(&world, &nested, 400)
            .await
            .contains("nothing would change")
    );
}
