//! What the audit table says about each kind of call.

use std::sync::Arc;

use jiff::Timestamp;
use pcs_api::{
    audit::{
        Audit, query,
        record::{Entry, Step},
    },
    aws::Clients,
    config::Config,
    request::ApiRequest,
};
use serde_json::{Value, json};

use crate::world::{World, called_by, event, plain_item, with_body};

#[tokio::test]
async fn a_mutation_is_on_record_before_and_after() {
    let world = World::start().await;
    let created = world.cluster().await;
    let rows = world.rows().await;
    assert_eq!(world.stages().await, ["0#RECEIVED", "9#COMPLETE"]);
    let (received, complete) = (&rows[0], &rows[1]);
    assert_eq!(received["pk"], complete["pk"]);
    for row in [received, complete] {
        assert_eq!(row["eventName"], "CreateCluster");
        assert_eq!(row["readOnly"], false);
        assert_eq!(row["awsRegion"], "us-east-1");
        assert_eq!(row["resources"], json!(["demo-cluster"]));
        assert_eq!(row["sourceIPAddress"], "192.0.2.10");
        assert_eq!(
            row["requestID"],
            event("create-cluster")["requestContext"]["requestId"]
        );
        assert_eq!(
            row["userIdentity"],
            json!({
                "type": "AssumedRole",
                "principalId": "AROADBQP57FF2AEXAMPLE",
                "arn": "arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal",
                "accountId": "123456789012",
                "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
                "sessionName": "portal",
                "organizationId": "o-exampleorgid",
            })
        );
    }
    assert_eq!(received.get("httpStatus"), None);
    assert_eq!(
        (&complete["decision"], &complete["httpStatus"]),
        (&json!("ALLOW"), &json!(202))
    );
    assert_eq!(complete["resourceArn"], created.body["cluster"]["arn"]);
    assert_eq!(complete["downstream"][0]["action"], "CreateCluster");
    assert!(
        complete["downstream"][0]["requestId"]
            .as_str()
            .is_some_and(|id| !id.is_empty())
    );
}

#[tokio::test]
async fn a_read_is_one_row_and_a_failed_read_says_how_it_ended() {
    let world = World::start().await;
    assert_eq!(world.send(&event("list-clusters")).await.status, 200);
    assert_eq!(world.stages().await, ["0#READ"]);
    assert_eq!(world.send(&event("get-cluster")).await.status, 404);
    assert_eq!(world.stages().await, ["0#READ", "0#READ", "9#COMPLETE"]);
    let closing = &world.rows().await[2];
    assert_eq!(
        (&closing["httpStatus"], &closing["decision"]),
        (&json!(404), &json!("ALLOW"))
    );
    assert_eq!(closing["downstream"][0]["errorCode"], "ResourceNotFoundException");
}

#[tokio::test]
async fn rows_are_found_by_time_principal_resource_and_request() {
    let world = World::start().await;
    world.cluster().await;
    let rows = world.rows().await;
    let key = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
    let month = rows[1]["eventTime"].as_str().unwrap().get(..7).unwrap();
    let hour = rows[1]["eventTime"].as_str().unwrap().get(..13).unwrap();
    for row in &rows {
        let by_time = key(row, "byTime").unwrap();
        assert!(by_time.starts_with(&format!("T#{hour}#")), "{by_time}");
        assert!(
            row["at"]
                .as_str()
                .unwrap()
                .ends_with(row["eventId"].as_str().unwrap())
        );
    }
    assert_eq!(
        key(&rows[0], "byPrincipal"),
        None,
        "the opening row is not listed twice"
    );
    let principal = format!("P#AROADBQP57FF2AEXAMPLE#{month}");
    assert_eq!(key(&rows[1], "byPrincipal"), Some(principal));
    assert_eq!(key(&rows[1], "byResource").as_deref(), Some("R#demo-cluster"));
    let request_id = event("create-cluster")["requestContext"]["requestId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(key(&rows[1], "byRequest"), Some(format!("Q#{request_id}")));
}

#[tokio::test]
async fn rows_expire_after_the_configured_days() {
    let world = World::with(&[("PCS_API_AUDIT_RETENTION_DAYS", "30")]).await;
    world.send(&event("list-clusters")).await;
    let row = &world.rows().await[0];
    let seconds_now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let days = (row["expires"].as_u64().unwrap() - seconds_now).div_ceil(24 * 60 * 60);
    assert_eq!(days, 30);
}

#[tokio::test]
async fn a_refused_caller_is_on_record_as_denied() {
    let world = World::start().await;
    world.send(&event("refused-no-identity")).await;
    let row = &world.rows().await[0];
    assert_eq!(
        (&row["decision"], row.get("userIdentity")),
        (&json!("DENY"), None)
    );
}

/// `sharedSecret` opens the cluster's Slurm controller: callers get it, no record does.
#[tokio::test]
async fn the_shared_secret_is_answered_and_nowhere_written() {
    let world = World::with(&[("PCS_API_ENABLE_INSTANCE_REGISTRATION", "true")]).await;
    world.node_group().await;
    let answer = world.send(&event("register-compute-node-group-instance")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let secret = answer.body["sharedSecret"].as_str().unwrap().to_owned();
    assert!(!secret.is_empty());
    let all = Value::from(world.rows().await).to_string();
    assert!(
        !all.contains(&secret) && !all.contains("i-0123456789abcdef0-1"),
        "{all}"
    );
}

/// Whatever callers choose freely must not make a record too big to write, or one row look like two.
#[tokio::test]
async fn hostile_strings_stay_in_one_row_of_bounded_size() {
    let world = World::start().await;
    let mut request = called_by(
        event("list-clusters"),
        "AROADBQP57FF2AEXAMPLE",
        "quote\"\nnewline",
    );
    request["requestContext"]["identity"]["userAgent"] = json!("\"\n\u{0}é".repeat(100_000));
    assert_eq!(world.send(&request).await.status, 200);
    let rows = world.rows().await;
    assert_eq!(rows.len(), 1);
    assert!(rows[0]["userAgent"].as_str().unwrap().len() <= 1024);
    assert_eq!(rows[0]["userIdentity"]["sessionName"], "quote\"\nnewline");
}

/// What the contract does not call safe is not kept; expected values from `tests/contract/recorded.golden`.
#[tokio::test]
async fn what_was_asked_and_answered_is_on_record_without_secrets() {
    let world = World::start().await;
    let setting = json!([{"parameterName": "Prolog", "parameterValue": "hunter2hunter2"}]);
    let request = with_body(
        event("create-cluster"),
        json!({"slurmConfiguration": {"slurmCustomSettings": setting}, "clientToken": "hunter2hunter2"}),
    );
    assert_eq!(world.send(&request).await.status, 202);
    let rows = world.rows().await;
    assert!(!Value::from(rows.clone()).to_string().contains("hunter2hunter2"));
    let recorded =
        |row: &Value, name: &str| serde_json::from_str::<Value>(row[name].as_str().unwrap()).unwrap();
    let asked = recorded(&rows[0], "requestParameters");
    assert_eq!(asked["clusterName"], "demo-cluster");
    assert_eq!(asked["clientToken"], "REDACTED");
    assert_eq!(
        asked["slurmConfiguration"]["slurmCustomSettings"],
        json!([{"parameterName": "Prolog", "parameterValue": "REDACTED"}])
    );
    assert_eq!(rows[1].get("requestParameters"), None, "once is enough");
    let answered = recorded(&rows[1], "responseElements");
    assert_eq!(answered["cluster"]["status"], "CREATING");
    assert_eq!(rows[0].get("responseElements"), None);
}

/// CloudTrail keeps no answers of reads either.
#[tokio::test]
async fn answers_of_reads_are_not_recorded() {
    let world = World::start().await;
    world.cluster().await;
    world.send(&event("get-cluster")).await;
    let read = world.rows().await.pop().unwrap();
    assert_eq!(
        (&read["sk"], read.get("responseElements")),
        (&json!("0#READ"), None)
    );
    assert_eq!(
        read["requestParameters"],
        json!({"clusterIdentifier": "demo-cluster"}).to_string()
    );
}

/// 64 KiB and what was cut off, by length and hash; never a call that fails because it is big.
#[tokio::test]
async fn a_big_request_is_recorded_in_part() {
    let world = World::start().await;
    let tags: serde_json::Map<String, Value> = (0..50)
        .map(|number| (format!("{number:0>128}"), Value::from("é".repeat(256))))
        .collect();
    let settings: Vec<Value> = (0..1_500)
        .map(|number| json!({"parameterName": format!("{number:a>40}"), "parameterValue": "x"}))
        .collect();
    let request = with_body(
        event("create-cluster"),
        json!({"tags": tags, "slurmConfiguration": {"slurmCustomSettings": settings}}),
    );
    world.send(&request).await;
    let rows = world.rows().await;
    let kept = rows[0]["requestParameters"].as_str().unwrap();
    assert!(
        kept.len() <= 64 * 1024 && kept.len() > 64 * 1024 - 4,
        "{}",
        kept.len()
    );
    let cut = &rows[0]["truncated"];
    assert_eq!(cut["attribute"], "requestParameters");
    assert!(cut["bytes"].as_u64().unwrap() > 64 * 1024);
    assert_eq!(cut["sha256"].as_str().map(str::len), Some(64));
}

/// SHA-256 of `abc`, from FIPS 180-2; API Gateway may wrap the same body in base64.
#[tokio::test]
async fn the_hash_is_that_of_the_bytes_sent() {
    let world = World::start().await;
    for (body, is_base64) in [("abc", false), ("YWJj", true)] {
        let mut request = event("create-cluster");
        request["body"] = json!(body);
        request["isBase64Encoded"] = json!(is_base64);
        assert_eq!(world.send(&request).await.status, 400);
    }
    for row in world.rows().await {
        assert_eq!(
            row["bodySha256"],
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(row["bodyBytes"], 3);
    }
}

/// A sweep can have a step for each compute node group.
#[tokio::test]
async fn a_record_of_several_hundred_steps_is_whole_and_in_order() {
    const STEPS: usize = 620;
    let world = World::start().await;
    let config = Config::read(|name| world.stack.variables().get(name).cloned()).unwrap();
    let clients = Clients::new(config.aws.clone());
    let audit = Audit::new(Arc::new(config));
    let mut entry = Entry::begin(&ApiRequest::default(), "steps", Timestamp::now());
    let opened = audit.open(&clients, &entry).await.unwrap();
    for _ in 0..STEPS {
        audit
            .step(&clients, &mut entry, Step::GuardrailDrift, &opened)
            .await;
    }
    let id = entry.event_id.to_string();
    let rows = query::rows(clients.dynamodb(), audit.table(), &id).await.unwrap();
    let rows: Vec<Value> = rows.iter().map(plain_item).collect();
    let numbers: Vec<u64> = rows.iter().map(|row| row["chainSeq"].as_u64().unwrap()).collect();
    assert_eq!(
        numbers,
        (1..=STEPS as u64 + 1).collect::<Vec<_>>(),
        "in the order of their chain"
    );
    assert!(rows.iter().all(|row| row.get("unacknowledged").is_none()));
}
