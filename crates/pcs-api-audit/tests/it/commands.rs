//! The program, run as an operator runs it, against a table over HTTP.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use pcs_local::stack::{Options, Stack};
use serde_json::{Value, json};

use crate::table::{
    SECRET, TABLE, TRAIL, delete, dynamodb, event, gateway, invoke, is_of, number, put, scan, secret_row,
    sweep_twice, text,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pcs-api-audit");

pub fn program(stack: Option<&Stack>, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear();
    // Nothing of the person's own configuration may reach the run.
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ] {
        command.env(name, value);
    }
    if let Some(stack) = stack {
        command
            .args(["--table", TABLE])
            .env("AWS_ENDPOINT_URL_DYNAMODB", &stack.dynamodb);
    }
    command
}

pub async fn run(stack: &Stack, arguments: &[&str]) -> (Option<i32>, String) {
    ended(program(Some(stack), arguments)).await
}

/// Exit status and standard output, while the stack goes on serving.
pub async fn ended(mut command: Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    let stdout = String::from_utf8(stdout).unwrap();
    (status.code(), if stdout.is_empty() { stderr } else { stdout })
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A stack whose API was used: a cluster was created, by a caller with a hostile session name too.
pub async fn used() -> Stack {
    let stack = Stack::start(Options::default()).await.unwrap();
    let gateway = gateway(&stack);
    assert_eq!(invoke(&gateway, event("create-cluster")).await, 202);
    stack.pcs_emulator.advance(Duration::from_mins(1));
    assert_eq!(invoke(&gateway, event("list-clusters")).await, 200);
    assert_eq!(invoke(&gateway, event("refused-unknown-profile")).await, 403);
    let mut hostile = event("get-cluster");
    let caller = "AROAHOSTILEEXAMPLE:a\u{1b}[2J\n2026-11-21T00:00:00.000Z ALLOW   200";
    hostile["requestContext"]["identity"]["caller"] = json!(caller);
    hostile["requestContext"]["identity"]["user"] = json!(caller);
    let arn = format!(
        "arn:aws:sts::123456789012:assumed-role/Evil/{}",
        caller.split_once(':').unwrap().1
    );
    hostile["requestContext"]["identity"]["userArn"] = json!(arn);
    assert_eq!(invoke(&gateway, hostile).await, 200);
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_over_http_is_verified_and_what_is_deleted_is_named() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let client = dynamodb(&stack.dynamodb);
    put(&client, TRAIL.rows.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, &TRAIL.public_key).unwrap();
    let verify = ["verify", "--public-key", key.to_str().unwrap()];
    let (status, told) = run(&stack, &verify).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.starts_with(&format!("whole: {} rows in 4 chains\n", TRAIL.rows.len())),
        "{told}"
    );
    assert!(told.contains("0 not checked, 0 unsigned"), "{told}");
    let row = &TRAIL.rows[TRAIL.digested()];
    delete(&client, row).await;
    let (status, told) = run(&stack, &verify).await;
    assert_eq!(status, Some(1), "{told}");
    let named = format!(
        "missing-row: number 2 of chain {} is missing, between",
        text(row, "chainId")
    );
    assert!(told.contains(&named), "{told}");
    let (status, told) = run(&stack, &[&verify[..], &["--json"]].concat()).await;
    let lines = json_lines(&told);
    assert_eq!(
        (status, &lines.last().unwrap()["summary"]["findings"]),
        (Some(1), &json!(lines.len() - 1))
    );
    let missing = lines
        .iter()
        .find(|line| line["finding"] == "missing-row")
        .unwrap();
    assert_eq!(
        (&missing["chainId"], &missing["chainSeq"]),
        (&json!(text(row, "chainId")), &json!(2))
    );
}

/// What this API really writes, as it stands, with digests of idle hours.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_use_is_whole_and_its_export_too() {
    let stack = used().await;
    sweep_twice(&stack).await;
    let client = dynamodb(&stack.dynamodb);
    let rows = scan(&client).await;
    // The row that holds the one secret, as the last of a chain.
    let last = rows
        .iter()
        .filter(|row| is_of(row, "GetCluster"))
        .max_by_key(|row| number(row, "chainSeq"))
        .unwrap();
    let mut secret = secret_row(last);
    let seq = number(last, "chainSeq") + 1;
    secret.insert(
        "chainSeq".to_owned(),
        aws_sdk_dynamodb::types::AttributeValue::N(seq.to_string()),
    );
    secret.insert("previousHash".to_owned(), last["rowHash"].clone());
    let hash = pcs_api::audit::chain::row_hash(&secret);
    secret.insert(
        "rowHash".to_owned(),
        aws_sdk_dynamodb::types::AttributeValue::S(hash),
    );
    put(&client, vec![secret]).await;
    let (status, told) = run(&stack, &["verify"]).await;
    assert_eq!(status, Some(0), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.jsonl");
    let export = ["export", "--raw", "--output", file.to_str().unwrap()];
    assert_eq!(run(&stack, &export).await.0, Some(0));
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = std::str::from_utf8(SECRET).unwrap();
    assert!(!text.contains(&BASE64_STANDARD.encode(SECRET)) && !text.contains(secret));
    let (status, told) = ended(program(None, &["verify", "--file", file.to_str().unwrap()])).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("note: 1 row exported without its secret"), "{told}");
    changed_file_is_not_whole(&file, &text).await;
    // A part of the table proves nothing.
    let part = folder.path().join("part.jsonl");
    let export = [
        "export",
        "--raw",
        "--from",
        "1h",
        "--output",
        part.to_str().unwrap(),
    ];
    assert_eq!(run(&stack, &export).await.0, Some(0));
    assert!(std::fs::read_to_string(&part).unwrap().lines().count() > 5);
    assert_eq!(
        ended(program(None, &["verify", "--file", part.to_str().unwrap()]))
            .await
            .0,
        Some(2)
    );
}

async fn changed_file_is_not_whole(file: &Path, text: &str) {
    let changed = text.replacen("demo-cluster", "demo-clusteR", 1);
    std::fs::write(file, changed).unwrap();
    let (status, told) = ended(program(None, &["verify", "--file", file.to_str().unwrap()])).await;
    assert_eq!(status, Some(1), "{told}");
    assert!(told.starts_with("changed-row: E#"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_listed_found_and_shown() {
    let stack = used().await;
    let (status, told) = run(&stack, &["tail"]).await;
    assert_eq!(status, Some(0));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    let operations: Vec<&str> = lines
        .iter()
        .map(|line| line.split(' ').rev().nth(3).unwrap())
        .collect();
    assert_eq!(
        operations,
        [
            "CreateCluster",
            "ListClusters",
            "CreateComputeNodeGroup",
            "GetCluster"
        ]
    );
    assert!(lines[0].contains(" ALLOW   202  arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal "));
    assert!(lines[2].contains(" DENY    403 "), "{told}");
    // One line, however the session is called.
    assert!(
        lines[3].contains("/Evil/a\\u{1b}[2J\\u{a}2026-11-21T00:00:00.000Z\\u{20}ALLOW"),
        "{told}"
    );
    let found = |told: &str| told.lines().count();
    for (arguments, expected) in [
        (&["query"][..], 4),
        (&["query", "--limit", "3"], 3),
        (&["query", "--principal", "AROAHOSTILEEXAMPLE"], 1),
        (&["query", "--cluster", "demo-cluster"], 3),
        (&["query", "--operation", "CreateCluster"], 1),
        (&["query", "--decision", "deny"], 1),
        (&["query", "--decision", "ALLOW", "--of-region", "us-east-1"], 3),
        (&["query", "--of-region", "eu-west-1"], 0),
        (&["query", "--to", "1h", "--from", "3h"], 0),
    ] {
        let mut command = program(Some(&stack), arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        assert_eq!(
            found(std::str::from_utf8(&output.stdout).unwrap()),
            expected,
            "{arguments:?}"
        );
        assert_eq!(
            (output.status.code(), output.stderr.is_empty()),
            (Some(0), true),
            "{arguments:?}"
        );
    }
    let request_id = event("create-cluster")["requestContext"]["requestId"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, told) = run(&stack, &["query", "--request-id", &request_id, "--json"]).await;
    let created = json_lines(&told)
        .into_iter()
        .find(|call| call["eventName"] == "CreateCluster")
        .unwrap();
    assert_eq!(
        (&created["httpStatus"], &created["decision"]),
        (&json!(202), &json!("ALLOW"))
    );
    let id = created["eventId"].as_str().unwrap();
    let (_, story) = run(&stack, &["show", id]).await;
    for expected in [
        " CreateCluster in us-east-1: demo-cluster\n",
        "\n  caller    arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal (AROADBQP57FF2AEXAMPLE), key ",
        "\n  decision  ALLOW\n",
        "\n  outcome   202 after ",
        "\n   1  RECEIVED  before anything happened\n",
        "\n   1  pcs:CreateCluster                ok request id ",
    ] {
        assert!(story.contains(expected), "{expected}: {story}");
    }
    assert!(story.lines().count() < 25, "{story}");
    let (_, rows) = run(&stack, &["show", id, "--json"]).await;
    let rows = json_lines(&rows);
    assert_eq!(rows[0]["requestParameters"]["clusterName"], "demo-cluster");
    assert_eq!(
        run(&stack, &["show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]).await.0,
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_export_is_shaped_as_cloudtrails_records() {
    let stack = used().await;
    let (status, whole) = run(&stack, &["export"]).await;
    let (_, part) = run(&stack, &["export", "--from", "1h"]).await;
    assert_eq!(status, Some(0));
    let mut records = json_lines(&whole);
    records.sort_by_key(|record| {
        record["additionalEventData"]["eventTime"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    assert_eq!(
        records,
        json_lines(&part),
        "by time, the same records in the order of time"
    );
    let created = &records[0];
    let id = created["eventID"].as_str().unwrap();
    let (_, rows) = run(&stack, &["show", id, "--json"]).await;
    let rows = json_lines(&rows);
    let complete = rows.last().unwrap();
    let identity = json!({
        "type": "AssumedRole",
        "principalId": "AROADBQP57FF2AEXAMPLE:portal",
        "arn": "arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal",
        "accountId": "123456789012",
        "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "sessionContext": {"sessionIssuer": {
            "type": "Role", "principalId": "AROADBQP57FF2AEXAMPLE", "accountId": "123456789012",
            "userName": "PcsApiUserRole",
        }},
    });
    let time = complete["eventTime"].as_str().unwrap();
    let expected = [
        ("eventVersion", json!("1.11")),
        ("userIdentity", identity),
        (
            "eventTime",
            json!(format!("{}Z", time.split('.').next().unwrap())),
        ),
        ("eventSource", json!("pcs-api")),
        ("eventName", json!("CreateCluster")),
        ("awsRegion", json!("us-east-1")),
        ("sourceIPAddress", json!("192.0.2.10")),
        ("requestParameters", rows[0]["requestParameters"].clone()),
        ("responseElements", complete["responseElements"].clone()),
        (
            "requestID",
            event("create-cluster")["requestContext"]["requestId"].clone(),
        ),
        ("readOnly", json!(false)),
        ("eventType", json!("ActivityLog")),
        ("eventCategory", json!("ActivityAuditLog")),
        ("recipientAccountId", json!("123456789012")),
        (
            "resources",
            json!([{"ARN": complete["resourceArn"], "accountId": "123456789012", "type": "AWS::PCS::Cluster"}]),
        ),
    ];
    for (name, value) in expected {
        assert_eq!(created[name], value, "{name}");
    }
    assert_eq!(created["additionalEventData"]["decision"], "ALLOW");
    assert_eq!(created["additionalEventData"]["eventTime"], complete["eventTime"]);
    assert_eq!(created["responseElements"]["cluster"]["name"], "demo-cluster");
    assert_eq!(created.get("errorCode"), None);
    let denied = records
        .iter()
        .find(|record| record["eventName"] == "CreateComputeNodeGroup")
        .unwrap();
    assert_eq!(denied["additionalEventData"]["decision"], "DENY");
    assert!(denied["errorCode"].is_string() && denied["errorMessage"].is_string());
    let read = records
        .iter()
        .find(|record| record["eventName"] == "ListClusters")
        .unwrap();
    assert_eq!(
        (&read["responseElements"], &read["readOnly"]),
        (&Value::Null, &json!(true))
    );
}

/// `pcs-api-audit tail --follow | head -1`, and the reader who has seen enough.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_are_followed_and_a_closed_pipe_is_no_error() {
    let stack = used().await;
    let mut tail = program(Some(&stack), &["tail", "--follow", "--since", "5m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(tail.stdout.take().unwrap());
    let gateway = gateway(&stack);
    let mut seen = String::new();
    for expected in ["CreateCluster", "DeleteCluster"] {
        if expected == "DeleteCluster" {
            assert_eq!(invoke(&gateway, event("delete-cluster")).await, 202);
        }
        while !seen.contains(&format!(" {expected} ")) {
            let (reader, line) = tokio::task::spawn_blocking(move || {
                let mut line = String::new();
                stdout.read_line(&mut line).unwrap();
                (stdout, line)
            })
            .await
            .unwrap();
            stdout = reader;
            assert!(!line.is_empty(), "it ended after {seen}");
            write!(seen, "{line}").unwrap();
        }
    }
    assert_eq!(seen.matches(" CreateCluster ").count(), 1, "{seen}");
    drop(stdout);
    // The next line finds nobody.
    invoke(&gateway, event("delete-cluster")).await;
    let (status, stderr) = tokio::task::spawn_blocking(move || {
        let mut stderr = String::new();
        tail.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (tail.wait().unwrap(), stderr)
    })
    .await
    .unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_with_status_2() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("odd");
    std::fs::write(&odd, "odd\n").unwrap();
    let odd = odd.to_str().unwrap();
    for (arguments, expected) in [
        (&["verify", "--file", "/does/not/exist"][..], "could not be read"),
        (&["verify", "--file", odd], "line 1 is no row in DynamoDB JSON"),
        (
            &["verify", "--file", odd, "--public-key", odd],
            "neither PEM nor base64",
        ),
        (&["verify"], "--table"),
        (
            &["tail", "--table", "x", "--since", "yesterday"],
            "must be a duration",
        ),
        (
            &[
                "verify",
                "--table",
                "no-such-table",
                "--endpoint-url",
                &stack.dynamodb,
            ],
            "the table could not be read: there is no table `no-such-table` in Region us-east-1 at http",
        ),
    ] {
        let (status, told) = ended(program(None, arguments)).await;
        assert_eq!(status, Some(2), "{arguments:?}: {told}");
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
    let mut command = program(None, &["tail", "--table", "x", "--endpoint-url", &stack.dynamodb]);
    command.env_remove("AWS_REGION");
    let (status, told) = ended(command).await;
    assert_eq!(status, Some(2));
    assert!(told.contains("no Region is known"), "{told}");
}
