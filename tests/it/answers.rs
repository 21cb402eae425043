//! What a caller is told, and what of a request counts: empty lists, parameters as clients write them, tokens, ids.

use serde_json::{Value, json};

use crate::world::{ALLOWED_POLICY, Answer, World, event, with_body, with_query};

pub const CLUSTER_ARN: &str = "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_abc1234567";

pub fn with_text(mut request: Value, body: &str) -> Value {
    request["body"] = json!(body);
    request
}

/// A refusal that PCS heard nothing of, with its message.
pub async fn refused(world: &World, request: &Value, status: i64) -> String {
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

pub fn ids(answer: &Answer, kind: &str) -> String {
    answer.body[kind]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tagged_resource_is_named_by_its_ids() {
    let world = World::start().await;
    let id = "must have ids (pcs_...), not names";
    let form = "must be the ARN of a PCS cluster, compute node group or queue: arn:PARTITION:pcs:REGION:ACCOUNT:cluster/ID";
    for (arn, words) in [
        ("arn:aws:pcs:us-east-1:123456789012:cluster/demo", id),
        ("arn:aws:pcs:us-east-1:123456789012:cluster/pcs_", id),
        (
            "arn:aws:pcs:us-east-1:123456789012:cluster/demo/queue/pcs_abc1234567",
            id,
        ),
        (
            "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_abc1234567/computenodegroup/grp",
            id,
        ),
        ("arn:aws:pcs:us-east-1:123456789012:clusters/pcs_abc1234567", form),
        ("arn:aws:pcs:us-east-1:123456789012:user/x", form),
        (
            "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_abc1234567/node/pcs_abc1234567",
            form,
        ),
        ("arn:aws:pcs::123456789012:cluster/pcs_abc1234567", form),
        ("", "`resourceArn` is empty; it must be the ARN of a PCS cluster"),
    ] {
        for method in ["GET", "POST"] {
            let message = refused(&world, &tags(method, &[("resourceArn", arn)]), 400).await;
            assert!(message.contains(words), "{arn}: {message}");
        }
    }
    for arn in [
        CLUSTER_ARN.to_owned(),
        format!("{CLUSTER_ARN}/queue/pcs_def2345678"),
        format!("{CLUSTER_ARN}/computenodegroup/pcs_def2345678"),
    ] {
        let answer = world.send(&tags("GET", &[("resourceArn", &arn)])).await;
        assert_ne!(answer.status, 400, "{arn}: {answer:?}");
    }
}

#[tokio::test]
async fn every_sentence_has_a_subject_and_says_what_would_pass() {
    let world = World::start().await;
    let list = |name: &str, value: &str| with_query(event("list-audit-events"), &[(name, value)]);
    for (request, words) in [
        (
            list("endTime", "9999-12-31T23:59:59Z"),
            "`endTime` is later than any event; leave it out",
        ),
        (
            list("maxResults", "99999999999999999999"),
            "`maxResults` must be between 1 and",
        ),
        (list("", "1"), "a query parameter has no name; leave it out"),
        (list("X-Amz-Foo", "1"), "`X-Amz-Foo` is not a query parameter"),
        (
            list("X-Amz-Region", "eu-west-1"),
            "`X-Amz-Region` is not a query parameter",
        ),
        (
            with_body(event("create-cluster"), json!({"": 1})),
            "the body has a member without a name, which is not known here; known are",
        ),
        (
            with_body(event("create-cluster"), json!({"networking": {"": 1}})),
            "`networking` has a member without a name",
        ),
        (
            with_body(
                event("create-cluster"),
                json!({"slurmConfiguration": {"scaleDownIdleTimeInSeconds": 18_446_744_073_709_551_615_u64}}),
            ),
            "`slurmConfiguration.scaleDownIdleTimeInSeconds` must be between 1 and",
        ),
        (
            with_body(
                event("create-compute-node-group"),
                json!({"iam": {"additionalIamPolicies": [ALLOWED_POLICY]}}),
            ),
            "`iam` cannot go with `iamInstanceProfileArn`: name an existing",
        ),
    ] {
        let message = refused(&world, &request, 400).await;
        assert!(message.contains(words), "{message}");
    }
    let huge = r#"{"slurmConfiguration":{"scaleDownIdleTimeInSeconds":123456789012345678901234567890}}"#;
    let message = refused(&world, &with_text(event("update-cluster"), huge), 400).await;
    assert!(message.contains("must be between 1 and"), "{message}");
    let presigned = [
        "Algorithm",
        "Credential",
        "Date",
        "Expires",
        "Security-Token",
        "Signature",
        "SignedHeaders",
    ];
    let names: Vec<String> = presigned.iter().map(|name| format!("X-Amz-{name}")).collect();
    let query: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(
        world
            .send(&with_query(event("list-clusters"), &query))
            .await
            .status,
        200
    );
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
        message.contains("or give the value twice if it is one"),
        "{message}"
    );
    for (value, words) in [
        ("team|costCenter", "`tagKeys` has a `|`; repeat"),
        ("team;costCenter", "`tagKeys` has a semicolon; repeat"),
        (
            "[\"team\"]",
            "`tagKeys` begins with `[`, as a list in JSON does; repeat",
        ),
    ] {
        let message = refused(&world, &tags("DELETE", &[arn, ("tagKeys", value)]), 400).await;
        assert!(
            message.contains(words) && message.contains("give the value twice"),
            "{message}"
        );
    }
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

/// PCS's model bounds a key's length alone, so whatever was set has to be removable.
#[tokio::test]
async fn every_key_that_can_be_set_can_be_removed() {
    let world = World::start().await;
    let created = world.send(&event("create-cluster")).await;
    world.settle();
    let arn = created.body["cluster"]["arn"].as_str().unwrap();
    for key in [
        "zone(1)",
        "a#b",
        "a*",
        "'a'",
        "{team}",
        "\u{1f600}",
        "a\u{a0}b",
        "a\nb",
        "%74eam",
        "a,b",
        "a|b",
        "a;b",
        "[\"team\"]",
        "team é",
        "チーム",
    ] {
        let set = with_body(
            with_query(event("tag-resource"), &[("resourceArn", arn)]),
            json!({"tags": {key: "1"}}),
        );
        assert_eq!(world.send(&set).await.status, 204, "{key}");
        let keys = [("resourceArn", arn), ("tagKeys", key), ("tagKeys", key)];
        let once = keys.get(..2).unwrap();
        let is_taken_once = !key.contains([',', '|', ';', '[']);
        let query = if is_taken_once { once } else { &keys };
        let removed = world.send(&tags("DELETE", query)).await;
        assert_eq!(removed.status, 204, "{key}: {removed:?}");
        let listed = world.send(&tags("GET", &[("resourceArn", arn)])).await;
        assert!(listed.body["tags"].get(key).is_none(), "{key}: {listed:?}");
    }
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
