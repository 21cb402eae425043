//! What must never be written down: each secret that a request can carry is a word that occurs nowhere else, and no
//! row, no line of the log and no error may hold it.

use std::time::Duration;

use pcs_emulator::{Effect, Fault};
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

use crate::{
    logs::Logs,
    wire::{PLAN, Plan, Service, Wire},
    world::{ALLOWED_POLICY, Answer, World, answer, at, event, invoke_as, table, with_body, with_query},
};

/// Where a request can carry a secret, and the word that stands for it.
const CANARIES: [(&str, &str); 12] = [
    ("client token in the body", "canary-aaaa-client-token-body"),
    ("client token in the query", "canary-bbbb-client-token-query"),
    ("next token", "canary-cccc-next-token"),
    ("Authorization header", "canary-dddd-authorization"),
    ("X-Amz-Security-Token header", "canary-eeee-security-token"),
    ("X-Amz-Signature header", "canary-ffff-signature"),
    (
        "X-Amz-Signature of a presigned URL",
        "canary-gggg-presigned-signature",
    ),
    (
        "X-Amz-Security-Token of a presigned URL",
        "canary-hhhh-presigned-token",
    ),
    ("X-Amz-Credential of a presigned URL", "canary-iiii-credential"),
    ("query of a script's URL", "canary-jjjj-script-url"),
    ("argument of a script", "canary-kkkk-script-argument"),
    ("value of a Slurm setting", "canary-llll-setting"),
];

fn canary(place: &str) -> &'static str {
    let found = CANARIES.iter().find(|(name, _)| *name == place);
    found.unwrap().1
}

/// The request with every secret that has a place in every request.
fn loaded(mut event: Value) -> Value {
    let headers = [
        ("Authorization", canary("Authorization header")),
        ("X-Amz-Security-Token", canary("X-Amz-Security-Token header")),
        ("X-Amz-Signature", canary("X-Amz-Signature header")),
    ];
    for (name, value) in headers {
        let value = if name == "Authorization" {
            format!("AWS4-HMAC-SHA256 Credential=AKIA/20261121, Signature={value}")
        } else {
            value.to_owned()
        };
        event["headers"][name] = json!(value);
        event["multiValueHeaders"][name] = json!([value]);
    }
    let query = [
        ("X-Amz-Signature", canary("X-Amz-Signature of a presigned URL")),
        (
            "X-Amz-Security-Token",
            canary("X-Amz-Security-Token of a presigned URL"),
        ),
        ("X-Amz-Credential", canary("X-Amz-Credential of a presigned URL")),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    ];
    for (name, value) in query {
        event["queryStringParameters"][name] = json!(value);
        event["multiValueQueryStringParameters"][name] = json!([value]);
    }
    event
}

fn with_scripts(event: Value, checksum: &Value) -> Value {
    let location = format!(
        "https://example.com/setup.sh?token={}",
        canary("query of a script's URL")
    );
    let mut source = json!({"scriptLocation": location, "checksum": checksum});
    if checksum.is_null() {
        source.as_object_mut().unwrap().remove("checksum");
    }
    let script = json!({
        "name": "setup",
        "scriptSource": source,
        "arguments": ["--password", canary("argument of a script")],
    });
    with_body(
        event,
        json!({
            "clientToken": canary("client token in the body"),
            "nodeLifecycleActions": {"stages": {"nodeReady": [script]}},
            "slurmConfiguration": {"slurmCustomSettings": [setting("Features")]},
        }),
    )
}

fn setting(parameter: &str) -> Value {
    json!({"parameterName": parameter, "parameterValue": canary("value of a Slurm setting")})
}

fn named(event: Value, name: &str, value: &str) -> Value {
    at(event, &[(name, value)])
}

/// Requests that succeed, that are refused at each place where one can be, and that fail in PCS. Statuses are what
/// they have with nothing wrong.
fn requests() -> Vec<(Value, i64)> {
    let token = canary("client token in the body");
    let query = [("clientToken", canary("client token in the query"))];
    let next = [("nextToken", canary("next token"))];
    let checksum = json!("0".repeat(64));
    let group = || event("create-compute-node-group");
    let nobody = |name: &str| {
        let mut event = loaded(event(name));
        event["body"] = json!(json!({"clientToken": token}).to_string());
        event
    };
    let settings = json!({
        "clusterName": "canary-cage",
        "clientToken": token,
        "slurmConfiguration": {"slurmCustomSettings": [setting("Prolog")]},
    });
    vec![
        (loaded(with_body(event("create-cluster"), settings)), 202),
        (loaded(with_scripts(group(), &checksum)), 202),
        // The same token for something else.
        (
            loaded(with_body(
                with_scripts(group(), &checksum),
                json!({"computeNodeGroupName": "other"}),
            )),
            409,
        ),
        // A script without a checksum, and a profile that does not pass.
        (loaded(with_scripts(group(), &Value::Null)), 403),
        (
            loaded(with_body(
                with_scripts(group(), &checksum),
                json!({"iamInstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/AWSPCS-shared"}),
            )),
            403,
        ),
        (
            loaded(with_query(
                with_scripts(group(), &checksum),
                &[("dryrun", "true")],
            )),
            412,
        ),
        // Values that the contract refuses.
        (loaded(with_scripts(group(), &json!([token]))), 400),
        (loaded(with_body(group(), json!({"clientToken": [token]}))), 400),
        (loaded(with_query(event("list-clusters"), &next)), 400),
        (
            loaded(with_query(
                event("list-clusters"),
                &[next[0], ("maxResults", token)],
            )),
            400,
        ),
        (
            loaded(with_query(event("list-clusters"), &[next[0], next[0]])),
            400,
        ),
        (
            loaded(with_query(
                named(event("delete-cluster"), "clusterIdentifier", "no-such-cluster"),
                &query,
            )),
            404,
        ),
        (
            loaded(with_query(event("delete-cluster"), &[query[0], query[0]])),
            400,
        ),
        (nobody("refused-foreign-account"), 403),
        (nobody("refused-no-identity"), 403),
        (nobody("refused-media-type"), 415),
        (nobody("refused-unknown-route"), 404),
        (nobody("refused-wrong-method"), 405),
    ]
}

fn assert_free_of(canaries: &[&str], what: &str, text: &str) {
    for canary in canaries {
        assert!(!text.contains(canary), "{canary} is in {what}: {text}");
    }
}

async fn send(world: &World, request: &Value, plan: Plan) -> Answer {
    let gateway = Wire::of(world).gateway(world);
    let invoked = invoke_as("canaries", &gateway, request, Duration::from_secs(28));
    answer(&PLAN.scope(plan.into(), invoked).await.unwrap())
}

#[tokio::test]
async fn no_secret_of_a_request_is_in_rows_log_or_errors() {
    let world = World::start().await;
    world.cluster().await;
    let canaries = CANARIES.map(|(_, word)| word);
    let logs = Logs::at(LevelFilter::DEBUG);
    for (request, status) in requests() {
        let answer = send(&world, &request, Plan::default()).await;
        assert_eq!(answer.status, status, "{answer:?} {request}");
        world.settle();
        // The token that was used for another request is the caller's own, who is told which one it was.
        let error = format!("{answer:?}");
        let error = match status {
            409 => error.replace("client token canary-aaaa-client-token-body was", ""),
            _ => error,
        };
        if status >= 400 {
            assert_free_of(&canaries, "an error", &error);
        }
    }
    // PCS that fails in every way, and a panic with the request in hand.
    let error = Effect::Error {
        status: http::StatusCode::INTERNAL_SERVER_ERROR,
        code: "InternalServerException".to_owned(),
        message: "not now".to_owned(),
    };
    for effect in [
        Effect::Throttle,
        error,
        Effect::DropBefore,
        Effect::Garbage("<html>".into()),
    ] {
        for (request, _) in requests() {
            world.stack.pcs_emulator.inject(Fault {
                action: None,
                times: 9,
                effect: effect.clone(),
            });
            let answer = send(&world, &request, Plan::default()).await;
            assert!(answer.status >= 400, "{answer:?}");
            assert_free_of(&canaries, "an error", &format!("{answer:?}"));
            world.stack.pcs_emulator.clear_faults();
        }
    }
    for (request, _) in requests() {
        for service in [Service::Pcs, Service::Iam, Service::Table] {
            let plan = Plan {
                panic: Some(service),
                ..Plan::default()
            };
            let answer = send(&world, &request, plan).await;
            if answer.status >= 400 {
                assert_free_of(&canaries, "an error", &format!("{answer:?}"));
            }
        }
    }
    let log = logs.take();
    assert!(log.lines().count() > 100 && log.contains("AUDIT_UNAVAILABLE"));
    assert_free_of(&canaries, "the log", &log);
    let rows = table(&world.stack).await;
    assert!(rows.len() > 150, "{}", rows.len());
    let rows = Value::from(rows).to_string();
    assert!(rows.contains("portal/1.0"), "rows do hold what callers send");
    assert_free_of(&canaries, "a row", &rows);
}

/// A secret as a service may repeat it.
fn repeated(secret: &str) -> Vec<String> {
    let (begin, end) = secret.split_at(secret.len() / 2);
    vec![
        secret.to_owned(),
        format!("1 validation error detected: Value '{secret}' at 'x' failed to satisfy constraint"),
        json!({"value": secret}).to_string(),
        secret.to_uppercase(),
        format!("{begin}... ...{end}"),
        secret
            .bytes()
            .fold(String::new(), |all, byte| format!("{all}%{byte:02X}")),
        secret
            .bytes()
            .fold(String::new(), |all, byte| format!("{all}\\u{byte:04x}")),
        secret.chars().rev().collect(),
    ]
}

/// Requests that are refused for a name, a key or a value that the caller made up, and the path that the record names.
fn with_words_of_the_caller(word: &str) -> Vec<(Value, &'static str)> {
    let cluster = |members: Value| with_body(event("create-cluster"), members);
    let text = |body: String| {
        let mut request = event("create-cluster");
        request["body"] = json!(body);
        request
    };
    let tags = |arn: String| with_query(event("list-tags-for-resource"), &[("resourceArn", &arn)]);
    let key = format!("{word}{}", "k".repeat(128));
    vec![
        (cluster(json!({word: 1})), "REDACTED"),
        (cluster(json!({"networking": {word: 1}})), "networking.REDACTED"),
        (cluster(json!({"tags": {key: "value"}})), "tags.*"),
        (cluster(json!({"tags": {word: 1}})), "tags.*"),
        (cluster(json!({"size": word})), "size"),
        (text(format!(r#"{{"{word}":1,"{word}":2}}"#)), "REDACTED"),
        (
            text(format!(r#"{{"tags":{{"{word}":"a","{word}":"b"}}}}"#)),
            "tags.*",
        ),
        (
            text(format!(r#"{{"size":{{"{word}":[{{"{word}":1,"{word}":2}}]}}}}"#)),
            "size.REDACTED",
        ),
        (text(word.to_owned()), ""),
        (text(format!(r#"{{"size":"{word}"#)), ""),
        (with_query(event("list-clusters"), &[(word, "1")]), "REDACTED"),
        (
            with_query(event("list-clusters"), &[(&format!("maxResults[{word}]"), "1")]),
            "maxResults.REDACTED",
        ),
        (with_query(event("list-clusters"), &[("region", word)]), "region"),
        (
            with_query(event("untag-resource"), &[("tagKeys", &format!("{word}|"))]),
            "tagKeys",
        ),
        (
            tags(format!(
                "arn:{word}:pcs:us-east-1:123456789012:cluster/pcs_abc1234567"
            )),
            "resourceArn",
        ),
        (
            tags(format!(
                "arn:aws-{word}:pcs:us-east-1:123456789012:cluster/pcs_abc1234567"
            )),
            "resourceArn",
        ),
        (
            tags(format!("arn:aws:pcs:{word}:123456789012:cluster/pcs_abc1234567")),
            "resourceArn",
        ),
        (
            tags(format!("arn:aws:pcs:us-east-1:123456789012:cluster/{word}")),
            "resourceArn",
        ),
        (
            tags(format!("arn:aws:pcs:us-east-1:123456789012:{word}/x")),
            "resourceArn",
        ),
    ]
}

/// The answer may repeat what its reader sent; the record says the same in words of the contract and ours.
#[tokio::test]
async fn our_own_sentences_keep_no_word_of_the_caller() {
    let world = World::start().await;
    let canary = "canary-mmmm-word";
    let logs = Logs::at(LevelFilter::DEBUG);
    for (request, path) in with_words_of_the_caller(canary) {
        let answer = send(&world, &request, Plan::default()).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let row = world.rows().await.pop().unwrap();
        let message = row["errorMessage"].as_str().unwrap();
        let is_named = path.is_empty() || message.contains(&format!("`{path}` "));
        assert!(is_named, "{path}: {message}");
        assert_free_of(&[canary, "mmmm"], "a row", &row.to_string());
    }
    let unknown = with_body(event("create-cluster"), json!({canary: 1}));
    let told = send(&world, &unknown, Plan::default()).await;
    assert!(
        told.body["message"].as_str().unwrap().contains(canary),
        "{told:?}"
    );
    assert_free_of(&[canary], "the log", &logs.take());
}

/// Whatever PCS and IAM repeat of a request in an error, the caller may read, who sent it; the table and the log do not
/// keep a part of it.
#[tokio::test]
async fn what_a_service_repeats_of_a_request_is_not_kept() {
    let world = World::that_makes_roles().await;
    world.cluster().await;
    let secret = canary("argument of a script");
    let request = with_body(
        with_scripts(event("create-compute-node-group"), &json!("0".repeat(64))),
        json!({"iamInstanceProfileArn": null, "iam": {"additionalIamPolicies": [ALLOWED_POLICY]}}),
    );
    let logs = Logs::at(LevelFilter::DEBUG);
    let mut tries = 0;
    for message in repeated(secret) {
        for code in [
            "ValidationException",
            "ConflictException",
            "ServiceQuotaExceededException",
            "ResourceNotFoundException",
            "AccessDeniedException",
            "InternalServerException",
            "SomethingNewException",
            &message,
        ] {
            world.stack.pcs_emulator.inject(Fault {
                action: Some("CreateComputeNodeGroup".to_owned()),
                times: 9,
                effect: Effect::Error {
                    status: http::StatusCode::BAD_REQUEST,
                    code: code.to_owned(),
                    message: format!("the subnet: {message}"),
                },
            });
            let answer = send(&world, &request, Plan::default()).await;
            assert!(answer.status >= 400, "{answer:?}");
            world.stack.pcs_emulator.clear_faults();
        }
        for code in [
            "LimitExceeded",
            "InvalidInput",
            "ValidationError",
            "AccessDenied",
            &message,
        ] {
            world.stack.iam_emulator.inject(iam_emulator::Fault {
                action: Some("AttachRolePolicy".to_owned()),
                times: 1,
                effect: iam_emulator::Effect::Error {
                    status: http::StatusCode::BAD_REQUEST,
                    code: code.to_owned(),
                    message: message.clone(),
                },
            });
            // What is complete is not touched again.
            tries += 1;
            let anew = json!({"clientToken": format!("try-{tries}-5c0b-4a53")});
            let anew = with_body(request.clone(), anew);
            let answer = send(&world, &anew, Plan::default()).await;
            assert!(answer.status >= 400, "{answer:?}");
            world.stack.iam_emulator.clear_faults();
        }
    }
    let rows = table(&world.stack).await;
    assert!(rows.iter().any(|row| {
        row["errorMessage"]
            .as_str()
            .is_some_and(|m| m.contains("its words"))
    }));
    for (what, text) in [("a row", Value::from(rows).to_string()), ("the log", logs.take())] {
        let (begin, end) = secret.split_at(secret.len() / 2);
        for part in repeated(secret).iter().map(String::as_str).chain([begin, end]) {
            assert!(
                !text.to_lowercase().contains(&part.to_lowercase()),
                "{part} is in {what}"
            );
        }
    }
}

/// The one secret that PCS answers with, and what opens a node's registration.
#[tokio::test]
async fn the_shared_secret_is_in_no_row_and_no_line() {
    let world = World::with(&[("PCS_API_ENABLE_INSTANCE_REGISTRATION", "true")]).await;
    world.node_group().await;
    let logs = Logs::at(LevelFilter::DEBUG);
    let request = loaded(event("register-compute-node-group-instance"));
    let answer = send(&world, &request, Plan::default()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let secrets = [
        answer.body["sharedSecret"].as_str().unwrap(),
        "i-0123456789abcdef0-1",
        canary("Authorization header"),
    ];
    let log = logs.take();
    assert!(log.contains("RegisterComputeNodeGroupInstance"), "{log}");
    assert_free_of(&secrets, "the log", &log);
    let rows = table(&world.stack).await;
    assert_free_of(&secrets, "a row", &Value::from(rows).to_string());
}
