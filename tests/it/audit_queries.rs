//! Questions to the audit through the API: found by each index, paged, and refused when they make no sense.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{Answer, World, at, called_by, event, with_body, with_query};

/// `ListAuditEvents` with these parameters; an auditor asks.
async fn list(world: &World, parameters: &[(&str, &str)]) -> Answer {
    let request = with_query(event("list-audit-events"), parameters);
    world
        .send(&called_by(request, "AROAAUDITOREXAMPLE123", "auditor"))
        .await
}

async fn get(world: &World, event_id: &str) -> Answer {
    let request = at(event("get-audit-event"), &[("eventId", event_id)]);
    world.send(&request).await
}

/// All pages of a question; a page with a token must not be empty.
async fn all(world: &World, parameters: &[(&str, &str)], page_size: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut asked = parameters.to_vec();
        asked.push(("maxResults", page_size));
        asked.extend(token.as_deref().map(|token| ("nextToken", token)));
        let answer = list(world, &asked).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let events = answer.body["auditEvents"].as_array().unwrap();
        assert!(events.len() <= page_size.parse().unwrap());
        found.extend(events.iter().cloned());
        token = answer.body["nextToken"].as_str().map(str::to_owned);
        if token.is_none() {
            return found;
        }
        assert!(!events.is_empty(), "an empty page with a token");
    }
}

fn ids(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["eventId"].as_str().unwrap())
        .collect()
}

/// Calls of every kind: allowed, failed, denied, invalid; two callers; a cluster by name and by id. Returns the
/// cluster's id.
async fn busy(world: &World) -> String {
    let created = world.cluster().await;
    let id = created.body["cluster"]["id"].as_str().unwrap().to_owned();
    world.send(&event("list-clusters")).await;
    world.send(&event("get-queue")).await;
    world.send(&event("refused-bad-region")).await;
    let unwanted = json!({"iamInstanceProfileArn": "arn:aws:iam::999999999999:instance-profile/AWSPCS-x"});
    let denied = with_body(event("create-compute-node-group"), unwanted);
    assert_eq!(world.send(&denied).await.status, 403);
    let by_id = called_by(event("get-cluster"), "AROAOTHEREXAMPLE12345", "pipeline");
    let by_id = at(by_id, &[("clusterIdentifier", &id)]);
    assert_eq!(world.send(&by_id).await.status, 200);
    id
}

#[tokio::test]
async fn each_index_finds_each_call_once_newest_first() {
    let world = World::start().await;
    let cluster_id = busy(&world).await;
    let operations = |events: &[Value]| -> Vec<String> {
        let names = events
            .iter()
            .map(|event| event["eventName"].as_str().unwrap_or("-").to_owned());
        names.collect()
    };
    let portal = [
        "CreateComputeNodeGroup",
        "CreateCluster",
        "GetQueue",
        "ListClusters",
        "CreateCluster",
    ];
    for page_size in ["1", "2", "3", "100"] {
        let by_time = all(&world, &[("operation", "GetCluster")], page_size).await;
        assert_eq!(operations(&by_time), ["GetCluster"]);
        let found = all(&world, &[("principalId", "AROADBQP57FF2AEXAMPLE")], page_size).await;
        assert_eq!(operations(&found), portal, "{page_size}");
        let found = all(&world, &[("principalId", "AROAOTHEREXAMPLE12345")], page_size).await;
        assert_eq!(operations(&found), ["GetCluster"]);
        let found = all(&world, &[("clusterIdentifier", "demo-cluster")], page_size).await;
        assert_eq!(
            operations(&found),
            ["CreateComputeNodeGroup", "GetQueue", "CreateCluster"]
        );
        let found = all(&world, &[("clusterIdentifier", &cluster_id)], page_size).await;
        assert_eq!(
            operations(&found),
            ["GetCluster", "CreateCluster"],
            "the answer told the id"
        );
        let both = [
            ("clusterIdentifier", "demo-cluster"),
            ("clusterIdentifier", &cluster_id),
        ];
        let found = all(&world, &both, page_size).await;
        assert_eq!(
            operations(&found),
            [
                "GetCluster",
                "CreateComputeNodeGroup",
                "GetQueue",
                "CreateCluster"
            ]
        );
        let found = all(&world, &[("decision", "DENY")], page_size).await;
        assert_eq!(operations(&found), ["CreateComputeNodeGroup"]);
    }
    let request_id = event("get-queue")["requestContext"]["requestId"].clone();
    let found = all(&world, &[("requestId", request_id.as_str().unwrap())], "10").await;
    assert!(operations(&found).contains(&"GetQueue".to_owned()));
}

#[tokio::test]
async fn by_time_every_call_comes_once_with_how_it_ended() {
    let world = World::start().await;
    busy(&world).await;
    let found = all(&world, &[], "2").await;
    let found: Vec<Value> = found
        .into_iter()
        .filter(|event| event["eventName"] != "ListAuditEvents")
        .collect();
    let unique: BTreeSet<&str> = ids(&found).into_iter().collect();
    assert_eq!((found.len(), unique.len()), (6, 6), "{found:?}");
    let mut times: Vec<&str> = found
        .iter()
        .map(|event| event["eventTime"].as_str().unwrap())
        .collect();
    times.reverse();
    assert!(times.is_sorted());
    let failed = found
        .iter()
        .find(|event| event["eventName"] == "GetQueue")
        .unwrap();
    assert_eq!(
        (&failed["stage"], &failed["httpStatus"], &failed["errorCode"]),
        (
            &json!("COMPLETE"),
            &json!(404),
            &json!("ResourceNotFoundException")
        )
    );
    let read = found
        .iter()
        .find(|event| event["eventName"] == "GetCluster")
        .unwrap();
    assert_eq!(
        (&read["stage"], &read["decision"]),
        (&json!("READ"), &json!("ALLOW"))
    );
    for own in ["pk", "sk", "at", "byTime", "rowHash", "expires"] {
        assert_eq!(read.get(own), None, "{own}");
    }
}

/// Asking the audit is on record too, and as a question about the audit, not about the cluster.
#[tokio::test]
async fn reading_the_audit_is_recorded() {
    let world = World::start().await;
    list(&world, &[("clusterIdentifier", "demo-cluster")]).await;
    let row = &world.rows().await[0];
    assert_eq!(
        (&row["eventName"], &row["sk"], row.get("byResource")),
        (&json!("ListAuditEvents"), &json!("0#READ"), None)
    );
    assert_eq!(row["userIdentity"]["sessionName"], "auditor");
    let answer = get(&world, row["eventId"].as_str().unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(world.rows().await.len(), 2);
}

#[tokio::test]
async fn one_call_is_told_with_all_its_rows() {
    let world = World::start().await;
    world.cluster().await;
    let found = all(&world, &[("clusterIdentifier", "demo-cluster")], "10").await;
    let id = found[0]["eventId"].as_str().unwrap();
    let answer = get(&world, id).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["auditEvent"]["eventId"], id);
    let rows = answer.body["auditEvent"]["rows"].as_array().unwrap();
    let stages: Vec<&Value> = rows.iter().map(|row| &row["stage"]).collect();
    assert_eq!(stages.first(), Some(&&json!("RECEIVED")));
    assert_eq!(stages.last(), Some(&&json!("COMPLETE")));
    assert!(
        rows.iter()
            .all(|row| row.get("pk").is_none() && row["rowHash"].is_string())
    );
}

#[tokio::test]
async fn an_event_that_is_not_there_is_not_found() {
    let world = World::start().await;
    let answer = get(&world, "01M7XY1Y221RVD2NKVD6WEQ328").await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (404, &json!("ResourceNotFoundException"))
    );
    for odd in [
        "SWEEP",
        "01m7xy1y221rvd2nkvd6weq328",
        "81M7XY1Y221RVD2NKVD6WEQ328",
        "01M7XY1Y221RVD2NKVD6WEQ32",
    ] {
        assert_eq!(get(&world, odd).await.status, 400, "{odd}");
    }
}

/// DynamoDB removes rows days after they expired; nobody is shown them until then.
#[tokio::test]
async fn expired_rows_are_not_shown() {
    let world = World::start().await;
    world.cluster().await;
    let found = all(&world, &[("clusterIdentifier", "demo-cluster")], "10").await;
    let id = found[0]["eventId"].as_str().unwrap();
    crate::world::expire(&world.stack, &format!("E#{id}")).await;
    assert_eq!(
        all(&world, &[("clusterIdentifier", "demo-cluster")], "10").await,
        [] as [Value; 0]
    );
    assert_eq!(get(&world, id).await.status, 404);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_named() {
    let world = World::start().await;
    for (parameters, path) in [
        (&[("maxResults", "100000")][..], "maxResults"),
        (&[("maxResults", "0")], "maxResults"),
        (&[("limit", "100000")], "limit"),
        (
            &[
                ("startTime", "2026-11-21T00:00:00Z"),
                ("endTime", "2026-11-20T00:00:00Z"),
            ],
            "startTime",
        ),
        (
            &[
                ("startTime", "2026-11-20T00:00:00Z"),
                ("endTime", "2026-11-20T00:00:00Z"),
            ],
            "startTime",
        ),
        (
            &[
                ("startTime", "2026-01-01T00:00:00Z"),
                ("endTime", "2026-03-01T00:00:00Z"),
            ],
            "startTime",
        ),
        (&[("startTime", "2026-02-30T00:00:00Z")], "startTime"),
        (&[("startTime", "yesterday")], "startTime"),
        (&[("startTime", "0000-01-01T00:00:00Z")], "startTime"),
        (&[("endTime", "9999-12-31T23:59:59-23:59")], "endTime"),
        (&[("principalId", "AROAX"), ("requestId", "x")], "principalId"),
        (
            &[
                ("principalId", "AROADBQP57FF2AEXAMPLE"),
                ("clusterIdentifier", "demo-cluster"),
            ],
            "",
        ),
        (&[("decision", "PERHAPS")], "decision"),
        (&[("operation", "DropTable")], "operation"),
        (&[("nextToken", "anything")], "nextToken"),
        (&[("region", "us-east-1")], "region"),
    ] {
        let answer = list(&world, parameters).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (400, &json!("ValidationException")),
            "{parameters:?} {answer:?}"
        );
        let paths: Vec<&str> = answer.body["fieldErrors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["path"].as_str().unwrap())
            .collect();
        assert!(paths.contains(&path), "{parameters:?}: {paths:?}");
    }
}

/// A token is no key to another question, nor for another caller.
#[tokio::test]
async fn a_token_is_good_for_its_caller_and_its_question_only() {
    let world = World::start().await;
    for _ in 0..4 {
        world.send(&event("list-clusters")).await;
    }
    let question = [("operation", "ListClusters"), ("maxResults", "2")];
    let first = list(&world, &question).await;
    let token = first.body["nextToken"].as_str().expect("more pages");
    let with_token = |parameters: &[(&'static str, &'static str)]| {
        let mut parameters: Vec<(&str, String)> = parameters
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        parameters.push(("nextToken", token.to_owned()));
        parameters
    };
    for parameters in [
        with_token(&[("operation", "GetCluster")]),
        with_token(&[("operation", "ListClusters"), ("decision", "DENY")]),
        with_token(&[]),
        with_token(&[
            ("operation", "ListClusters"),
            ("startTime", "2026-11-20T00:00:00Z"),
        ]),
    ] {
        let parameters: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = list(&world, &parameters).await;
        assert_eq!(answer.status, 400, "{parameters:?}");
        assert_eq!(answer.body["fieldErrors"][0]["path"], "nextToken");
    }
    let parameters = [("operation", "ListClusters"), ("nextToken", token)];
    let request = with_query(event("list-audit-events"), &parameters);
    let other = called_by(request.clone(), "AROAOTHEREXAMPLE12345", "auditor");
    assert_eq!(world.send(&other).await.status, 400, "another caller");
    let same = called_by(request, "AROAAUDITOREXAMPLE123", "another-session");
    let answer = world.send(&same).await;
    assert_eq!(
        answer.status, 200,
        "another session of the same role, and another page size: {answer:?}"
    );
    assert_eq!(answer.body["auditEvents"].as_array().unwrap().len(), 2);
    // Another execution environment knows the same key.
    let other_environment = crate::world::gateway(world.stack.variables());
    let again = crate::world::invoke(
        &other_environment,
        &called_by(
            with_query(event("list-audit-events"), &parameters),
            "AROAAUDITOREXAMPLE123",
            "x",
        ),
        std::time::Duration::from_secs(28),
    )
    .await;
    assert_eq!(again.body["auditEvents"], answer.body["auditEvents"]);
}

/// With time running out, what was found is answered and can be gone on from; if nothing was found, the answer says
/// from when on there is nothing.
#[tokio::test]
async fn without_time_an_answer_is_never_empty_with_a_token() {
    let world = World::start().await;
    let before = Timestamp::now() - SignedDuration::from_hours(24 * 30);
    let request = with_query(
        event("list-audit-events"),
        &[("startTime", &format!("{before:.0}")), ("decision", "UNKNOWN")],
    );
    // Too little time to look through a month; how much is too little to begin with depends on the machine.
    let mut answer = None;
    for more in 0..200 {
        let left = std::time::Duration::from_millis(1_560 + more * 5);
        let told = world.send_within(&request, left).await;
        let had_no_time = [503, 504].contains(&told.status);
        answer = Some(told);
        if !had_no_time {
            break;
        }
    }
    let answer = answer.unwrap();
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(
        answer.body["message"]
            .as_str()
            .unwrap()
            .contains("nothing fits since"),
        "{answer:?}"
    );
}

/// No call is older than PCS, or of tomorrow: such a range is answered without a look at its hours.
#[tokio::test]
async fn a_range_in_which_no_call_can_be_is_empty() {
    let world = World::start().await;
    world.cluster().await;
    for (from, to) in [
        ("9998-01-01T00:00:00Z", "9998-01-31T00:00:00Z"),
        ("0001-01-02T00:00:00Z", "0001-02-01T00:00:00Z"),
    ] {
        for other in [("operation", "CreateCluster"), ("clusterIdentifier", "demo")] {
            let range = [("startTime", from), ("endTime", to), other];
            let answer = world.send(&with_query(event("list-audit-events"), &range)).await;
            assert_eq!(
                (answer.status, &answer.body),
                (200, &json!({"auditEvents": []})),
                "{from}"
            );
        }
    }
}
