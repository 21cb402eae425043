//! What a request's members may hold beyond their schemas, and that everything wrong with them is told at once.

use serde_json::{Value, json};

use crate::{
    answers::{refused, with_text},
    world::{World, event, with_body, with_query},
};

/// A dry run is worth as much as what is checked before PCS: what PCS refuses for certain is told here.
#[tokio::test]
async fn a_dry_run_tells_of_reserved_keys_and_crossed_bounds() {
    let world = World::start().await;
    for (name, change, words) in [
        (
            "create-cluster",
            json!({"tags": {"aws:team": "x"}}),
            "`tags.aws:team` begins with `aws:`",
        ),
        (
            "create-queue",
            json!({"tags": {"AWS:": "x"}}),
            "`tags.AWS:` begins with `aws:`",
        ),
        (
            "tag-resource",
            json!({"tags": {"Aws:x": "x", "aws": "fine"}}),
            "`tags.Aws:x` begins with `aws:`",
        ),
        (
            "create-compute-node-group",
            json!({"scalingConfiguration": {"minInstanceCount": 3, "maxInstanceCount": 2}}),
            "`scalingConfiguration.minInstanceCount` must not be above `maxInstanceCount`",
        ),
        (
            "update-compute-node-group",
            json!({"scalingConfiguration": {"minInstanceCount": 1, "maxInstanceCount": 0}}),
            "`scalingConfiguration.minInstanceCount` must not be above `maxInstanceCount`",
        ),
    ] {
        let message = refused(&world, &with_body(event(name), change.clone()), 400).await;
        assert!(message.contains(words), "{name} {change}: {message}");
    }
}

#[tokio::test]
async fn bounds_that_meet_and_keys_that_only_look_reserved_pass() {
    let world = World::start().await;
    let keys = json!({"aws": "x", "awsteam": "x", "x:aws:": "x", "äws:": "x", "é": "x"});
    let create = with_body(event("create-cluster"), json!({"tags": keys}));
    let answer = world.send(&create).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    world.settle();
    let equal = json!({"scalingConfiguration": {"minInstanceCount": 2, "maxInstanceCount": 2}});
    let answer = world
        .send(&with_body(event("create-compute-node-group"), equal))
        .await;
    assert_ne!(answer.status, 400, "{answer:?}");
}

fn told(message: &str, words: &[&str]) {
    for words in words {
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[tokio::test]
async fn what_stands_twice_hides_nothing_else() {
    let world = World::start().await;
    let text = r#"{"size":"A","size":"B","foo":1}"#;
    let message = refused(&world, &with_text(event("create-cluster"), text), 400).await;
    told(
        &message,
        &[
            "`size` is given more than once",
            "`size` must be one of",
            "`foo` is not known",
            "`clusterName` is required",
        ],
    );
}

#[tokio::test]
async fn how_questions_of_the_audit_go_together_is_told_with_the_rest() {
    let world = World::start().await;
    let ask = |query: &[(&str, &str)]| with_query(event("list-audit-events"), query);
    let query = [
        ("maxResults", "0"),
        ("principalId", "AROAEXAMPLEID1234567"),
        ("requestId", "abc"),
        ("startTime", "2026-02-30T00:00:00Z"),
        ("endTime", "yesterday"),
    ];
    let message = refused(&world, &ask(&query), 400).await;
    told(
        &message,
        &[
            "`maxResults` must be between 1 and 100",
            "give at most one of principalId, clusterIdentifier and requestId",
            "`endTime` must be a time",
        ],
    );
    let query = [("maxResults", "0"), ("startTime", "2026-02-30T00:00:00Z")];
    let message = refused(&world, &ask(&query), 400).await;
    told(
        &message,
        &["`maxResults` must be", "`startTime` is not a date that exists"],
    );
    let message = refused(&world, &ask(&[("startTime", "2999-01-01T00:00:00Z")]), 400).await;
    told(&message, &["`startTime` is in the future"]);
    assert!(!message.contains("endTime"), "{message}");
}

#[tokio::test]
async fn a_region_out_of_reach_hides_no_fault_of_the_arn() {
    let world = World::start().await;
    let mut request = event("list-tags-for-resource");
    request["queryStringParameters"] = json!(null);
    request["multiValueQueryStringParameters"] = json!({});
    let query = [
        ("region", "us-gov-west-1"),
        (
            "resourceArn",
            "arn:aws:pcs:us-east-1:999999999999:cluster/pcs_abc1234567",
        ),
    ];
    let message = refused(&world, &with_query(request, &query), 400).await;
    told(
        &message,
        &[
            "`region` is of another partition",
            "`resourceArn` is of the account 999999999999",
        ],
    );
    assert!(!message.contains("is of the Region"), "{message}");
}

#[tokio::test]
async fn iam_that_is_null_is_not_there() {
    let world = World::start().await;
    let group = |iam: &str| {
        let mut body: Value =
            serde_json::from_str(event("create-compute-node-group")["body"].as_str().unwrap()).unwrap();
        body.as_object_mut().unwrap().remove("clientToken");
        let body = body.to_string();
        with_text(
            event("create-compute-node-group"),
            &body.replacen('{', &format!("{{\"iam\":{iam},"), 1),
        )
    };
    let message = refused(&world, &group("null"), 400).await;
    told(&message, &["`iam` must not be null; leave it out instead"]);
    assert!(
        !message.contains("clientToken") && !message.contains("cannot go with"),
        "{message}"
    );
}

#[tokio::test]
async fn numbers_are_told_how_they_are_written() {
    let world = World::start().await;
    let bounds = |text: &str| {
        let body =
            format!(r#"{{"scalingConfiguration":{{"minInstanceCount":{text},"maxInstanceCount":2}}}}"#);
        with_text(event("update-compute-node-group"), &body)
    };
    for (text, words) in [
        (
            "60.0",
            "must be an integer, written without a fraction or an exponent",
        ),
        (
            "6e1",
            "must be an integer, written without a fraction or an exponent",
        ),
        ("1e400", "the body holds a number that is too large"),
        ("2147483648", "must be between 0 and 2147483647"),
    ] {
        let message = refused(&world, &bounds(text), 400).await;
        told(&message, &[words]);
    }
    let answer = world.send(&bounds("-0")).await;
    assert_ne!(answer.status, 400, "{answer:?}");
}

/// What a call was about is found by the name that it was called with, however long that was.
#[tokio::test]
async fn a_call_about_a_long_name_is_found_by_it() {
    let world = World::start().await;
    let name = format!("pcs_{}", "a".repeat(2044));
    let mut request = event("get-cluster");
    request["pathParameters"] = json!({"clusterIdentifier": name});
    request["path"] = json!(format!("/v1/clusters/{name}"));
    let answer = world.send(&request).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    let query = [("clusterIdentifier", name.as_str())];
    let found = world.send(&with_query(event("list-audit-events"), &query)).await;
    let events = found.body["auditEvents"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{found:?}");
    let longer = format!("pcs_{}", "a".repeat(9000));
    request["pathParameters"] = json!({"clusterIdentifier": longer});
    request["path"] = json!(format!("/v1/clusters/{longer}"));
    let message = refused(&world, &request, 400).await;
    told(&message, &["`clusterIdentifier` is too long to be"]);
}

#[tokio::test]
async fn awss_own_policies_can_be_asked_for_on_a_laptop() {
    let world = World::with(&[("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "true")]).await;
    world.cluster().await;
    let iam = json!({"additionalIamPolicies": ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]});
    let request = with_body(
        event("create-compute-node-group"),
        json!({"iamInstanceProfileArn": null, "iam": iam}),
    );
    let answer = world.send(&request).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}
