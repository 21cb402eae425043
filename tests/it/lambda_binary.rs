//! The Lambda binary gives the answers that `pcs-local` gives.
//!
//! `PCS_API_BOOTSTRAP` names the binary to drive (the release build in CI); without it the debug build is driven.

mod tls;

use std::{env, path::PathBuf};

use iam_emulator::{Role, Seed};
use serde_json::{Value, json};

use crate::{
    runtime_api::Function,
    sweep::scheduled,
    world::{Answer, World, answer, event, rows, with_body, with_query},
};

fn binary() -> PathBuf {
    env::var_os("PCS_API_BOOTSTRAP")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_pcs-api")), PathBuf::from)
}

/// Every event, in an order in which a cluster lives and dies.
const STORY: [&str; 41] = [
    "refused-test-invoke-stage",
    "refused-no-identity",
    "refused-foreign-api",
    "refused-foreign-account",
    "refused-not-a-rest-event",
    "refused-unknown-route",
    "refused-wrong-method",
    "refused-method-override",
    "refused-encoded-path",
    "refused-media-type",
    "refused-duplicate-keys",
    "refused-invalid-members",
    "refused-bad-region",
    "dryrun-create-cluster",
    "get-guardrails",
    "list-clusters",
    "create-cluster",
    "get-cluster",
    "update-cluster",
    "refused-foreign-profile",
    "refused-unknown-profile",
    "create-compute-node-group",
    "create-compute-node-group-with-iam",
    "create-cluster-with-job-submit-plugin",
    "create-compute-node-group-with-health-checks",
    "get-compute-node-group",
    "update-compute-node-group",
    "list-compute-node-groups",
    "create-queue",
    "get-queue",
    "update-queue",
    "list-queues",
    "tag-resource",
    "list-tags-for-resource",
    "untag-resource",
    "register-compute-node-group-instance",
    "delete-queue",
    "delete-compute-node-group",
    "delete-cluster",
    "list-audit-events",
    "get-audit-event",
];

#[test]
fn the_story_has_every_event() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("events");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut story = STORY.map(str::to_owned).to_vec();
    files.sort();
    story.sort();
    assert_eq!(story, files);
}

#[tokio::test]
async fn every_event_is_answered_as_pcs_local_answers_it() {
    let (local, remote) = (World::start().await, World::start().await);
    let function = Function::start(&binary(), remote.stack.variables()).await;
    let (mut local_names, mut remote_names) = (Names::default(), Names::default());
    for name in STORY {
        let expected = local.send(&local_names.fill(event(name))).await;
        let found = answer(&function.invoke(&remote_names.fill(event(name))).await.unwrap());
        assert_eq!(Names::hide(&found), Names::hide(&expected), "{name}");
        assert!(
            !name.starts_with("refused") || expected.status >= 400,
            "{name}: {expected:?}"
        );
        local_names.learn(&expected);
        remote_names.learn(&found);
        local.settle();
        remote.settle();
    }
    assert_eq!(
        remote.stages().await,
        local.stages().await,
        "and leaves the same rows"
    );
}

/// Ids and dates differ between two runs; everything else may not.
#[derive(Default)]
struct Names {
    cluster_arn: String,
    group_id: String,
}

impl Names {
    /// Puts this run's ids where the event needs some.
    fn fill(&self, event: Value) -> Value {
        let resource = event["resource"].as_str().unwrap_or_default().to_owned();
        let body = event["body"].as_str().unwrap_or_default().to_owned();
        if resource == "/v1/tags" {
            let mut query = vec![("resourceArn", self.cluster_arn.as_str())];
            if event["httpMethod"] == "DELETE" {
                query.push(("tagKeys", "team"));
            }
            return with_query(event, &query);
        }
        if body.contains("computeNodeGroupConfigurations") {
            let groups = json!({"computeNodeGroupConfigurations": [{"computeNodeGroupId": self.group_id}]});
            return with_body(event, groups);
        }
        event
    }

    fn learn(&mut self, answer: &Answer) {
        if let Some(arn) = answer.body["cluster"]["arn"].as_str() {
            arn.clone_into(&mut self.cluster_arn);
        }
        if let Some(id) = answer.body["computeNodeGroup"]["id"].as_str() {
            id.clone_into(&mut self.group_id);
        }
    }

    fn hide(answer: &Answer) -> Answer {
        let mut hidden = answer.clone();
        hide(&mut hidden.body);
        hidden
    }
}

/// Replaces what a run makes up: PCS ids, dates, addresses, secrets' versions.
fn hide(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, member) in object {
                match name.as_str() {
                    "createdAt" | "modifiedAt" | "privateIpAddress" | "secretArn" | "secretVersion" => {
                        *member = json!("hidden");
                    }
                    // A request without API Gateway's id is told the event id, which is new each time.
                    "requestId"
                        if member
                            .as_str()
                            .is_some_and(|id| id.len() == "01M7XY1Y221RVD2NKVD6WEQ328".len()) =>
                    {
                        *member = json!("hidden");
                    }
                    _ => hide(member),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(hide),
        Value::String(text) => {
            for id in ids(text) {
                *text = text.replace(&id, "pcs_hidden");
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn ids(text: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !word(c))
        .filter(|part| part.starts_with("pcs_") && part.len() == 14)
        .map(str::to_owned)
        .collect()
}

/// What arrives at a function is not always from API Gateway.
#[tokio::test]
async fn foreign_payloads_are_refused_and_recorded_not_crashed_on() {
    let world = World::start().await;
    let function = Function::start(&binary(), world.stack.variables()).await;
    let payloads = [
        json!(null),
        json!(7),
        json!("text"),
        json!([]),
        json!({}),
        json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}),
        json!({"httpMethod": "GET", "requestContext": {"elb": {"targetGroupArn": "arn"}}, "path": "/v1/clusters"}),
        json!({"httpMethod": "GET", "resource": "/v1/clusters", "requestContext": {"httpMethod": "GET"}}),
    ];
    for payload in &payloads {
        let answer = answer(&function.invoke(payload).await.unwrap());
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (403, &json!("AccessDeniedException")),
            "{payload}"
        );
    }
    assert_eq!(rows(&world.stack).await.len(), payloads.len());
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}

/// Even at the most talkative level, what opens a cluster's Slurm controller and what callers send stay out of the log.
#[tokio::test]
async fn secrets_and_bodies_are_not_logged() {
    let world = World::with(&[
        ("PCS_API_LOG_LEVEL", "DEBUG"),
        ("PCS_API_ENABLE_INSTANCE_REGISTRATION", "true"),
    ])
    .await;
    let function = Function::start(&binary(), world.stack.variables()).await;
    world.node_group().await;
    let tagged = with_body(
        event("create-cluster"),
        json!({"tags": {"password": "hunter2hunter2"}}),
    );
    function.invoke(&tagged).await.unwrap();
    let registered = answer(
        &function
            .invoke(&event("register-compute-node-group-instance"))
            .await
            .unwrap(),
    );
    assert_eq!(registered.status, 200, "{registered:?}");
    function.invoke(&event("list-clusters")).await.unwrap();
    let log = function.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line["operation"] == "RegisterComputeNodeGroupInstance"),
        "{log}"
    );
    for secret in [
        registered.body["sharedSecret"].as_str().unwrap(),
        "hunter2hunter2",
        "i-0123456789abcdef0-1",
    ] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

/// The one line of a read joins its row (by event id) to PCS's own trail (by PCS's request id).
#[tokio::test]
async fn a_call_is_one_line_with_the_ids_to_follow_it_by() {
    let world = World::with(&[("PCS_API_LOG_LEVEL", "INFO")]).await;
    let function = Function::start(&binary(), world.stack.variables()).await;
    function.invoke(&event("list-clusters")).await.unwrap();
    let row = world.rows().await.pop().unwrap();
    function.invoke(&event("refused-unknown-route")).await.unwrap();
    let log = function.log();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["event_id"], &line["status"]),
        (&row["eventId"], &json!(200)),
        "{log}"
    );
    assert!(
        line["downstream_request_id"]
            .as_str()
            .is_some_and(|id| !id.is_empty()),
        "{log}"
    );
}

/// What alarms stand on is counted in CloudWatch's embedded metric format, however quiet the log is.
#[tokio::test]
async fn denials_and_drift_are_counted() {
    let world = World::with(&[("PCS_API_LOG_LEVEL", "ERROR")]).await;
    let function = Function::start(&binary(), world.stack.variables()).await;
    world.node_group().await;
    function.invoke(&event("refused-unknown-profile")).await.unwrap();
    let worse = Role::new("AWSPCS-compute-node").attach("arn:aws:iam::aws:policy/AdministratorAccess");
    world.stack.iam_emulator.seed(Seed::new().role(worse)).unwrap();
    function.invoke(&scheduled()).await.unwrap();
    function.invoke(&event("list-clusters")).await.unwrap();
    let log = function.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for name in ["Denied", "GuardrailDrift"] {
        let line = lines
            .iter()
            .find(|line| line[name] == 1)
            .unwrap_or_else(|| panic!("{name}: {log}"));
        let metrics = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metrics["Namespace"], "PcsApi");
        assert_eq!(metrics["Metrics"], json!([{"Name": name, "Unit": "Count"}]));
        assert_eq!(metrics["Dimensions"], json!([["ApiId"]]));
        assert_eq!(line["ApiId"], world.stack.variables()["PCS_API_REST_API_ID"]);
        assert!(line["_aws"]["Timestamp"].is_i64());
    }
    assert_eq!(lines.len(), 2, "{log}");
}

/// Nothing defaults to open: a missing variable stops the start and is named.
#[tokio::test]
async fn a_wrong_configuration_stops_the_start_with_a_message() {
    let output = tokio::process::Command::new(binary())
        .env_clear()
        .env("PCS_API_REGION_SCOPE", "mars-1")
        .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message.lines().count(), 1, "{message}");
    for name in [
        "PCS_API_REGION_SCOPE",
        "PCS_API_AUDIT_TABLE",
        "PCS_API_ADDITIONAL_IAM_POLICIES",
        "AWS_REGION",
    ] {
        assert!(message.contains(name), "{name}: {message}");
    }
}

/// A value that is no text is not taken for one that is not set, which for these would mean AWS's own endpoint.
#[cfg(unix)]
#[tokio::test]
async fn a_variable_that_is_not_utf_8_is_refused_by_name() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    for name in [
        "AWS_ENDPOINT_URL_KMS",
        "PCS_API_ALLOWED_INLINE_ACTIONS",
        "PCS_API_STAGE",
    ] {
        let output = tokio::process::Command::new(binary())
            .env_clear()
            .env(name, OsStr::from_bytes(b"http://a\xff"))
            .output()
            .await
            .unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(&format!(" {name} must ")), "{message}");
    }
}

/// With nothing to trust every call would fail, with words about the other side.
#[cfg(unix)]
#[tokio::test]
async fn certificates_that_cannot_be_read_stop_the_start() {
    let world = World::start().await;
    let output = tokio::process::Command::new(binary())
        .env_clear()
        .envs(world.stack.variables())
        .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
        .env("AWS_LAMBDA_FUNCTION_NAME", "pcs-api")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("SSL_CERT_FILE", "/dev/zero")
        .output()
        .await
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    let expected =
        "the configuration is not usable: SSL_CERT_FILE names `/dev/zero`, which is not a regular file";
    assert!(message.starts_with(expected), "{message}");
}

/// What the runtime's library would panic at.
#[tokio::test]
async fn without_lambda_around_it_the_start_says_what_is_missing() {
    let world = World::start().await;
    let output = tokio::process::Command::new(binary())
        .env_clear()
        .envs(world.stack.variables())
        .env("AWS_LAMBDA_RUNTIME_API", "a b")
        .env("AWS_LAMBDA_FUNCTION_NAME", "pcs-api")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "x")
        .output()
        .await
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), message.lines().count()),
        (Some(2), 1),
        "{message}"
    );
    for name in [
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    ] {
        assert!(message.contains(&format!("{name} must be ")), "{name}: {message}");
    }
}

/// A panic is caught, answered and recorded, so the deployed binary has to be able to unwind: its unwinder is linked in,
/// and what cannot unwind aborts. The one panic to be had from outside is that of a message nobody can be given.
#[tokio::test]
async fn a_panic_unwinds() {
    let (reader, stderr) = std::io::pipe().unwrap();
    drop(reader);
    let status = tokio::process::Command::new(binary())
        .env_clear()
        .stderr(stderr)
        .status()
        .await
        .unwrap();
    assert_eq!(status.code(), Some(101), "{status}");
}
