//! What a caller is told, and what of a request counts: empty lists, parameters as clients write them, tokens, ids.

use serde_json::{Value, json};

use crate::world::{Answer, World, event, with_body, with_query};

const CLUSTER_ARN: &str = "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_abc1234567";

fn with_text(mut request: Value, body: &str) -> Value {
    request["body"] = json!(body);
    request
}

/// A refusal that PCS heard nothing of, with its message.
async fn refused(world: &World, request: &Value, status: i64) -> String {
    world.stack.pcs_emulator.clear_calls();
    let answer = world.send(request).await;
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
    answer.body["message"].as_str().unwrap().to_owned()
}

fn tags(method: &str, query: &[(&str, &str)]) -> Value {
    let name = match method {
        "DELETE" => "untag-resource",
        "POST" => "tag-resource",
        _ => "list-tags-for-resource",
    };
    let mut request = event(name);
    request["queryStringParameters"] = json!(null);
    request["multiValueQueryStringParameters"] = json!({});
    with_query(request, query)
}

fn ids(answer: &Answer, kind: &str) -> String {
    answer.body[kind]["id"].as_str().unwrap().to_owned()
}

const UPDATES: [&str; 3] = ["update-cluster", "update-compute-node-group", "update-queue"];

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
                    message.contains("nothing would change; give at least one of")
                        && message.contains("slurmConfiguration"),
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

#[tokio::test]
async fn an_update_does_not_empty_what_was_never_meant() {
    let world = World::start().await;
    for (name, body, path) in [
        (
            "update-queue",
            r#"{"clientToken":"7f1c2c1e-5c0b","computeNodeGroupConfigurations":[]}"#,
            "computeNodeGroupConfigurations",
        ),
        (
            "update-compute-node-group",
            r#"{"subnetIds":[],"securityGroupIds":[],"scalingConfiguration":{"minInstanceCount":0,"maxInstanceCount":1}}"#,
            "subnetIds",
        ),
    ] {
        let message = refused(&world, &with_text(event(name), body), 400).await;
        assert!(
            message.contains(&format!("`{path}` must not be an empty list; leave it out")),
            "{message}"
        );
    }
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
async fn a_time_is_told_its_form() {
    let world = World::start().await;
    for text in ["2026-11-27", "2026-11-27T09:00:00", "now", ""] {
        let message = refused(
            &world,
            &with_query(event("list-audit-events"), &[("startTime", text)]),
            400,
        )
        .await;
        assert!(
            message.contains("must be a time with a zone, such as 2026-11-20T09:00:00Z"),
            "{message}"
        );
        assert!(!message.contains("characters"), "{message}");
    }
}

/// PCS knows the token by a hash. The caller is told his own, and the record, which keeps no tokens, neither.
#[tokio::test]
async fn a_conflict_about_a_token_names_the_callers_own() {
    let world = World::start().await;
    let token = "token-of-the-caller-0815";
    let first = with_body(event("create-cluster"), json!({"clientToken": token}));
    assert_eq!(world.send(&first).await.status, 202);
    world.settle();
    let second = with_body(first, json!({"size": "MEDIUM"}));
    let answer = world.send(&second).await;
    let message = answer.body["message"].as_str().unwrap();
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(message.contains(token), "{message}");
    let is_hash = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(!message.split(' ').any(is_hash), "{message}");
    for row in world.rows().await {
        assert!(!row.to_string().contains(token), "{row}");
    }
}

#[tokio::test]
async fn a_queue_wants_the_id_of_a_group() {
    let world = World::start().await;
    for name in ["create-queue", "update-queue"] {
        let groups = json!({"computeNodeGroupConfigurations": [{"computeNodeGroupId": "pcs_def2345678"}, {"computeNodeGroupId": "compute"}]});
        let message = refused(&world, &with_body(event(name), groups), 400).await;
        assert!(
            message.contains(
                "`computeNodeGroupConfigurations[1].computeNodeGroupId` must be an id (pcs_...), not a name"
            ),
            "{message}"
        );
    }
}

#[tokio::test]
async fn keys_are_repeated_and_never_joined() {
    let world = World::start().await;
    let arn = ("resourceArn", CLUSTER_ARN);
    let message = refused(
        &world,
        &tags("DELETE", &[arn, ("tagKeys", "team,costCenter")]),
        400,
    )
    .await;
    assert!(
        message
            .contains("`tagKeys` has a comma; repeat the parameter for each value (`tagKeys=a&tagKeys=b`)"),
        "{message}"
    );
    assert!(
        message.contains("give a value that has a comma twice"),
        "{message}"
    );
    for name in ["tagKeys[]", "tagKeys[0]", "tagKeys%5B%5D"] {
        let message = refused(&world, &tags("DELETE", &[arn, (name, "team")]), 400).await;
        assert!(
            message.contains("write `tagKeys` without brackets and repeat it"),
            "{message}"
        );
    }
    let message = refused(&world, &tags("DELETE", &[arn, ("tagkeys", "team")]), 400).await;
    assert!(
        message.contains("`tagkeys` is not a query parameter of this operation (did you mean tagKeys?)"),
        "{message}"
    );
    let message = refused(
        &world,
        &with_query(event("list-audit-events"), &[("clusterIdentifier", "one,two")]),
        400,
    )
    .await;
    assert!(
        message.contains("`clusterIdentifier` has a comma; repeat the parameter")
            && !message.contains("twice"),
        "{message}"
    );
    let message = refused(
        &world,
        &with_query(event("list-audit-events"), &[("decision[eq]", "DENY")]),
        400,
    )
    .await;
    assert!(message.contains("write `decision` without brackets"), "{message}");
}

#[tokio::test]
async fn a_key_that_has_a_comma_can_be_removed() {
    let world = World::start().await;
    let created = world
        .send(&with_body(
            event("create-cluster"),
            json!({"tags": {"a,b": "1", "c": "2"}}),
        ))
        .await;
    world.settle();
    let arn = created.body["cluster"]["arn"].as_str().unwrap();
    let removed = world
        .send(&tags(
            "DELETE",
            &[("resourceArn", arn), ("tagKeys", "a,b"), ("tagKeys", "a,b")],
        ))
        .await;
    assert_eq!(removed.status, 204, "{removed:?}");
    let listed = world.send(&tags("GET", &[("resourceArn", arn)])).await;
    assert_eq!(listed.body["tags"], json!({"c": "2"}));
}

#[tokio::test]
async fn an_arn_of_elsewhere_is_told_what_differs() {
    let world = World::start().await;
    for (arn, words) in [
        (
            "arn:aws:pcs:eu-west-1:123456789012:cluster/pcs_abc1234567",
            "is of the Region eu-west-1, and the request is for us-east-1; send it with `region=eu-west-1`",
        ),
        (
            "arn:aws:pcs:mars-1:123456789012:cluster/pcs_abc1234567",
            "is of the Region mars-1, which this API does not reach",
        ),
        (
            "arn:aws:pcs:us-gov-west-1:123456789012:cluster/pcs_abc1234567",
            "which this API does not reach",
        ),
        (
            "arn:aws:pcs:us-east-1:999999999999:cluster/pcs_abc1234567",
            "is of the account 999999999999; this API reaches 123456789012",
        ),
        (
            "arn:aws-cn:pcs:us-east-1:123456789012:cluster/pcs_abc1234567",
            "is of the partition aws-cn; this API reaches aws",
        ),
        (
            "arn:aws:ec2:pcs:us-east-1:123456789012:cluster/pcs_abc1234567",
            "must be the ARN of a PCS cluster",
        ),
        (
            "arn:aws:x:pcs:us-east-1:123456789012:cluster/pcs_abc1234567",
            "must be the ARN of a PCS cluster",
        ),
    ] {
        for (method, keys) in [
            ("GET", None),
            ("DELETE", Some(("tagKeys", "team"))),
            ("POST", None),
        ] {
            let query: Vec<_> = std::iter::once(("resourceArn", arn)).chain(keys).collect();
            let message = refused(&world, &tags(method, &query), 400).await;
            assert!(
                message.contains("`resourceArn`") && message.contains(words),
                "{arn}: {message}"
            );
        }
    }
    let all = "arn:aws-cn:pcs:eu-west-1:999999999999:cluster/pcs_abc1234567";
    let answer = world.send(&tags("GET", &[("resourceArn", all)])).await;
    assert_eq!(
        answer.body["fieldErrors"].as_array().unwrap().len(),
        3,
        "{answer:?}"
    );
}

#[tokio::test]
async fn the_region_of_the_arn_and_of_the_request_go_together() {
    let world = World::start().await;
    let arn = "arn:aws:pcs:eu-west-1:123456789012:cluster/pcs_abc1234567";
    let answer = world
        .send(&tags("GET", &[("resourceArn", arn), ("region", "eu-west-1")]))
        .await;
    assert_ne!(answer.status, 400, "{answer:?}");
    assert_eq!(ids(&world.cluster().await, "cluster").get(..4), Some("pcs_"));
}
