//! Requests that must change nothing, and say why.

use serde_json::{Value, json};

use crate::world::{World, at, event, with_body, with_query};

/// Sends the event; whatever it is, PCS must hear nothing and the record must be one closing row.
async fn refused(world: &World, event: &Value, status: i64, code: &str) -> Value {
    let before = world.rows().await.len();
    world.stack.pcs_emulator.clear_calls();
    let answer = world.send(event).await;
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (status, Some(code)),
        "{answer:?}"
    );
    assert!(
        answer.body["message"]
            .as_str()
            .is_some_and(|message| message.len() > 20),
        "{answer:?}"
    );
    assert!(answer.body["requestId"].is_string());
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
    let rows = world.rows().await;
    assert_eq!(rows.len(), before + 1, "one row");
    let row = rows
        .iter()
        .max_by_key(|row| row["at"].as_str().unwrap().to_owned())
        .unwrap();
    assert_eq!(
        (row["sk"].as_str(), row["httpStatus"].as_i64()),
        (Some("9#COMPLETE"), Some(status))
    );
    assert_eq!(row["errorCode"].as_str(), Some(code));
    answer.body
}

fn paths(body: &Value) -> Vec<&str> {
    body["fieldErrors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["path"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_refused_event_of_the_repository_is_refused() {
    let world = World::start().await;
    for (name, status, code) in [
        ("refused-test-invoke-stage", 403, "AccessDeniedException"),
        ("refused-no-identity", 403, "AccessDeniedException"),
        ("refused-foreign-api", 403, "AccessDeniedException"),
        ("refused-foreign-account", 403, "AccessDeniedException"),
        ("refused-not-a-rest-event", 403, "AccessDeniedException"),
        ("refused-unknown-route", 404, "ResourceNotFoundException"),
        ("refused-wrong-method", 405, "MethodNotAllowedException"),
        ("refused-method-override", 403, "AccessDeniedException"),
        ("refused-encoded-path", 400, "ValidationException"),
        ("refused-media-type", 415, "UnsupportedMediaTypeException"),
        ("refused-duplicate-keys", 400, "ValidationException"),
        ("refused-invalid-members", 400, "ValidationException"),
        ("refused-bad-region", 400, "ValidationException"),
        ("register-compute-node-group-instance", 403, "GuardrailDenied"),
    ] {
        refused(&world, &event(name), status, code).await;
    }
}

/// The credentials of one partition are good in no other: PCS would only say that it does not know them.
#[tokio::test]
async fn a_region_of_another_partition_is_a_field_error() {
    let world = World::start().await;
    for region in ["us-gov-west-1", "eusc-de-east-1", "us-iso-east-1"] {
        let request = with_query(event("get-cluster"), &[("region", region)]);
        let body = refused(&world, &request, 400, "ValidationException").await;
        assert_eq!(paths(&body), ["region"]);
        let message = body["message"].as_str().unwrap();
        assert!(
            message.contains("us-west-2")
                && message.contains("is of another partition (aws-")
                && !message.contains("did you mean"),
            "{message}"
        );
    }
}

/// It may be somebody's try to get past the policies of API Gateway, so it counts as a denial, of what was asked for.
#[tokio::test]
async fn an_overridden_method_is_a_denial_on_record() {
    let world = World::start().await;
    for (name, value) in [
        ("X-HTTP-Method-Override", json!("DELETE")),
        ("x-http-method-override", json!("")),
    ] {
        let mut request = event("delete-cluster");
        request["headers"][name] = value.clone();
        request["multiValueHeaders"] = json!(null);
        let body = refused(&world, &request, 403, "AccessDeniedException").await;
        assert!(
            body["message"]
                .as_str()
                .unwrap()
                .contains("X-HTTP-Method-Override")
        );
        let row = world.rows().await.pop().unwrap();
        assert_eq!(
            (&row["decision"], &row["eventName"]),
            (&json!("DENY"), &json!("DeleteCluster"))
        );
        assert!(row["userIdentity"]["arn"].is_string(), "{row}");
    }
}

/// Rules of execute-api by path are about the path as it was sent; one that says the same thing in another way may
/// not be held by them.
#[tokio::test]
async fn a_path_in_another_form_is_a_denial_on_record() {
    let world = World::start().await;
    world.cluster().await;
    world.stack.pcs_emulator.clear_calls();
    for path in [
        json!("/v1/clusters/%64emo-cluster"),
        json!("/v1/clusters/%64%65%6D%6F-cluster"),
        json!("/v1/clusters/demo%2dcluster"),
        json!("/v1/clusters/demo-cluster/"),
        json!("/v1//clusters/demo-cluster"),
        json!("/v1/x/../clusters/demo-cluster"),
        json!("/v1/Clusters/demo-cluster"),
        json!("/v1/clusters/another"),
        json!("/b%61se/v1/clusters/demo-cluster"),
        json!(""),
        json!(null),
    ] {
        let mut request = event("delete-cluster");
        request["path"] = path.clone();
        let body = refused(&world, &request, 400, "ValidationException").await;
        assert!(
            body["message"].as_str().unwrap().contains("without escapes"),
            "{body}"
        );
        let row = world.rows().await.pop().unwrap();
        assert_eq!(
            (&row["decision"], &row["eventName"], &row["sk"]),
            (&json!("DENY"), &json!("DeleteCluster"), &json!("9#COMPLETE")),
            "{path}"
        );
        assert!(row["userIdentity"]["arn"].is_string(), "{row}");
    }
    let mut request = event("delete-cluster");
    request.as_object_mut().unwrap().remove("path");
    refused(&world, &request, 400, "ValidationException").await;
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
    request["path"] = json!("/base/v1/clusters/demo-cluster");
    let answer = world.send(&request).await;
    assert!((200..300).contains(&answer.status), "a custom domain: {answer:?}");
}

/// What is wrong besides is told with it, and no other error of the path.
#[tokio::test]
async fn a_path_in_another_form_is_told_with_all_else() {
    let world = World::start().await;
    let mut request = with_query(event("get-cluster"), &[("colour", "blue")]);
    request["path"] = json!("/v1/clusters/%64emo-cluster");
    let body = refused(&world, &request, 400, "ValidationException").await;
    assert_eq!(paths(&body), ["", "colour"]);
    let request = at(event("get-cluster"), &[("clusterIdentifier", "no cluster")]);
    let body = refused(&world, &request, 400, "ValidationException").await;
    assert_eq!(paths(&body), ["", "clusterIdentifier"]);
    assert_eq!(world.rows().await.pop().unwrap()["decision"], "DENY");
}

/// The decision is about the path and the header, whatever else is wrong; a request without them is an error.
#[tokio::test]
async fn a_try_to_get_past_the_policies_is_a_denial_whatever_else_is_wrong() {
    let world = World::start().await;
    let update = |path: &str| {
        let mut request = event("update-cluster");
        request["path"] = json!(path);
        request
    };
    let mut media = update("/v1/clusters/%64emo-cluster");
    for headers in ["headers", "multiValueHeaders"] {
        media[headers] = json!({});
    }
    media["headers"]["Content-Type"] = json!("text/plain");
    let mut large = update("/v1/clusters/demo-cluster/");
    large["body"] = json!(" ".repeat(1024 * 1024 + 1));
    let mut broken = update("/v1/clusters//demo-cluster");
    broken["body"] = json!("{");
    let mut region = with_query(update("/v1/%63lusters/demo-cluster"), &[("region", "mars-1")]);
    region["body"] = json!("{}");
    let mut method = event("refused-wrong-method");
    method["path"] = json!("/v1/%63lusters");
    let mut unknown = event("refused-unknown-route");
    unknown["path"] = json!("/v1/%63lusters");
    for request in [media, large, broken, region, method, unknown] {
        let body = refused(&world, &request, 400, "ValidationException").await;
        assert_eq!(paths(&body)[0], "", "{body}");
        assert!(
            body["message"].as_str().unwrap().contains("without escapes"),
            "{body}"
        );
        assert_eq!(world.rows().await.pop().unwrap()["decision"], "DENY", "{request}");
    }
    for name in [
        "refused-wrong-method",
        "refused-unknown-route",
        "refused-media-type",
        "refused-invalid-members",
    ] {
        let mut request = event(name);
        request["headers"]["X-HTTP-Method-Override"] = json!("GET");
        request["multiValueHeaders"] = json!(null);
        refused(&world, &request, 403, "AccessDeniedException").await;
        assert_eq!(world.rows().await.pop().unwrap()["decision"], "DENY", "{name}");
    }
    for (name, status, code) in [
        ("refused-wrong-method", 405, "MethodNotAllowedException"),
        ("refused-unknown-route", 404, "ResourceNotFoundException"),
        ("refused-media-type", 415, "UnsupportedMediaTypeException"),
    ] {
        refused(&world, &event(name), status, code).await;
        assert_eq!(world.rows().await.pop().unwrap()["decision"], "ERROR", "{name}");
    }
}

#[tokio::test]
async fn all_field_errors_are_reported_at_once() {
    let world = World::start().await;
    let body = refused(
        &world,
        &event("refused-invalid-members"),
        400,
        "ValidationException",
    )
    .await;
    let mut found = paths(&body);
    found.sort_unstable();
    let expected = [
        "clientToken",
        "clusterName",
        "colour",
        "networking.subnetIds[0]",
        "scheduler.type",
        "scheduler.version",
        "size",
        "slurmConfiguration.scaleDownIdleTimeInSeconds",
    ];
    assert_eq!(found, expected, "{body:#}");
}

#[tokio::test]
async fn malformed_bodies_are_told_apart() {
    let world = World::start().await;
    for (body, words) in [
        ("{\"clusterName\":\"a", "not valid JSON"),
        ("{} {}", "more than one JSON value"),
        ("\u{feff}{}", "byte order mark"),
        ("[1]", "must be a JSON object"),
        (&"[".repeat(100_000), "127 levels"),
        (r#"{"size":"SMALL","size":"LARGE"}"#, "more than once"),
    ] {
        let mut request = event("create-cluster");
        request["body"] = json!(body);
        let answer = refused(&world, &request, 400, "ValidationException").await;
        assert!(
            answer["message"].as_str().unwrap().contains(words),
            "{words}: {answer}"
        );
    }
    let mut request = event("create-cluster");
    request["isBase64Encoded"] = json!(true);
    for (body, words) in [("@@@", "base64"), ("/w==", "UTF-8")] {
        request["body"] = json!(body);
        let answer = refused(&world, &request, 400, "ValidationException").await;
        assert!(answer["message"].as_str().unwrap().contains(words), "{answer}");
    }
    request["isBase64Encoded"] = json!(false);
    request["body"] = json!("x".repeat(1024 * 1024 + 1));
    refused(&world, &request, 413, "RequestTooLargeException").await;
}

#[tokio::test]
async fn names_match_whole_and_the_look_ahead_means_what_it_says() {
    let world = World::start().await;
    for name in [
        "pcs_abcdef",
        "ab",
        "1abc",
        "abc_def",
        "abc\n",
        "abc def",
        &"a".repeat(41),
    ] {
        let request = with_body(event("create-cluster"), json!({"clusterName": name}));
        let answer = refused(&world, &request, 400, "ValidationException").await;
        assert_eq!(paths(&answer), ["clusterName"], "{name}");
    }
}

#[tokio::test]
async fn query_parameters_are_checked_like_members() {
    let world = World::start().await;
    for (query, path) in [
        (vec![("maxResults", "0")], "maxResults"),
        (vec![("maxResults", "101")], "maxResults"),
        (vec![("maxResults", "ten")], "maxResults"),
        (vec![("maxResults", "1"), ("maxResults", "2")], "maxResults"),
        (vec![("region", "mars-1")], "region"),
        (vec![("region", "us-east-1.evil.example/")], "region"),
        (vec![("colour", "blue")], "colour"),
        (vec![("dryrun", "true")], "dryrun"),
    ] {
        let answer = refused(
            &world,
            &with_query(event("list-clusters"), &query),
            400,
            "ValidationException",
        )
        .await;
        assert_eq!(paths(&answer), [path]);
    }
    let request = with_query(event("create-cluster"), &[("dryrun", "maybe")]);
    assert_eq!(
        paths(&refused(&world, &request, 400, "ValidationException").await),
        ["dryrun"]
    );
}

#[tokio::test]
async fn a_deployment_scoped_to_a_region_reaches_no_other() {
    let world = World::with(&[("PCS_API_REGION_SCOPE", "us-east-1")]).await;
    let request = with_query(event("list-clusters"), &[("region", "eu-west-1")]);
    let answer = refused(&world, &request, 400, "ValidationException").await;
    assert!(
        answer["message"].as_str().unwrap().contains("us-east-1"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_wrong_method_is_told_the_right_ones() {
    let world = World::start().await;
    let answer = world.send(&event("refused-wrong-method")).await;
    assert_eq!(answer.status, 405);
    assert!(
        answer
            .headers
            .get("allow")
            .is_some_and(|allow| allow.contains("GET")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_dry_run_stops_before_pcs() {
    let world = World::start().await;
    let answer = refused(&world, &event("dryrun-create-cluster"), 412, "DryRunOperation").await;
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .contains("passes every check of this API and would have been sent to PCS")
    );
    assert_eq!(world.rows().await[0]["decision"], "ALLOW");
}

/// No header, query parameter or body member can name a caller or turn a test call into a genuine one.
#[tokio::test]
async fn a_forged_context_in_headers_changes_nothing() {
    let world = World::start().await;
    let mut request = event("refused-no-identity");
    let identity = event("list-clusters")["requestContext"]["identity"].to_string();
    for headers in ["headers", "multiValueHeaders"] {
        for name in [
            "X-Amzn-Request-Context",
            "X-HTTP-Method-Override",
            "X-Forwarded-For",
            "Authorization",
        ] {
            request[headers][name] = if headers == "headers" {
                json!(identity)
            } else {
                json!([identity])
            };
        }
    }
    refused(&world, &request, 403, "AccessDeniedException").await;
}
