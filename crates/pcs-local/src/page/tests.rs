//! The page over its port: whom it answers, with which headers, and what it tells of the table.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::stack::{Options, Stack};

/// An answer as it came.
struct Told {
    status: u16,
    head: String,
    body: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = headers.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value)
    }
}

/// Sends exactly this request, without the empty line that ends it.
async fn send(stack: &Stack, request: &str) -> Told {
    let address = stack.page.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{}\r\nConnection: close\r\n\r\n",
        request.replace("{host}", address)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Told {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

async fn get(stack: &Stack, target: &str) -> Told {
    send(stack, &format!("GET {target} HTTP/1.1\r\nHost: {{host}}")).await
}

async fn start() -> Stack {
    Stack::start(Options::default()).await.unwrap()
}

fn dynamodb(stack: &Stack) -> Client {
    let credentials = aws_credential_types::Credentials::from_keys("AKIAIOSFODNN7EXAMPLE", "local", None);
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(credentials)
        .http_client(pcs_api::aws::http_client())
        .endpoint_url(&stack.dynamodb);
    Client::from_conf(config.build())
}

/// What no session name of AWS can hold, and a forged row could.
const HOSTILE: &str = "</script><script>alert(1)</script>\"\n\u{202e}\u{0}";

/// Puts the row of a call that ended now; `number` makes it the one after the call before.
async fn put(stack: &Stack, number: usize, more: &[(&str, AttributeValue)]) -> String {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let event_id = format!("01ARZ3NDEKTSV4RRFFQ69G{number:04}");
    let time = format!("{:.3}", jiff::Timestamp::now());
    let hour: String = time.chars().take("2026-11-21T13".len()).collect();
    let identity = [("sessionName".to_owned(), text(HOSTILE))].into();
    let mut request = dynamodb(stack)
        .put_item()
        .table_name("pcs-api-audit")
        .item("pk", text(&format!("E#{event_id}")))
        .item("sk", text("9#COMPLETE"))
        .item("at", text(&format!("{time}#{event_id}")))
        .item("byTime", text(&format!("T#{hour}#{}", number % 4)))
        .item("eventId", text(&event_id))
        .item("eventTime", text(&time))
        .item("stage", text("COMPLETE"))
        .item("userIdentity", AttributeValue::M(identity))
        .item("expires", AttributeValue::N("4102444800".to_owned()));
    for (name, value) in more {
        request = request.item(*name, value.clone());
    }
    request.send().await.unwrap();
    event_id
}

fn ids(told: &Told) -> Vec<String> {
    let json = told.json();
    let events = json["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["eventId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn only_a_loopback_name_is_answered() {
    let stack = start().await;
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST:80",
        "[::1]",
        "[::1]:3004",
        "127.0.0.1:8080",
    ] {
        let told = send(&stack, &format!("GET / HTTP/1.1\r\nHost: {host}")).await;
        assert_eq!(told.status, 200, "{host}");
    }
    // A name that its owner points at 127.0.0.1, and what only looks like one of ours.
    for host in [
        "attacker.example",
        "attacker.example:3004",
        "localhost.attacker.example",
        "127.0.0.1.attacker.example",
        "127.0.0.1@attacker.example",
        "attacker.example#localhost",
        "localhost:",
        "localhost:x",
        "localhost:80:80",
        "[::1",
        "[::1]x",
        "[::2]",
        "127.0.0.2",
        "0.0.0.0",
        "",
    ] {
        let told = send(&stack, &format!("GET /api/events HTTP/1.1\r\nHost: {host}")).await;
        assert!([400, 403].contains(&told.status), "{host:?}: {}", told.status);
        assert!(!told.body.contains("events"), "{host:?}");
    }
    for request in [
        "GET http://attacker.example/ HTTP/1.1\r\nHost: localhost",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example",
        "GET / HTTP/1.0",
    ] {
        assert_eq!(send(&stack, request).await.status, 403, "{request}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn it_is_only_read() {
    let stack = start().await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let told = send(
            &stack,
            &format!("{method} /api/events HTTP/1.1\r\nHost: {{host}}"),
        )
        .await;
        assert_eq!(
            (told.status, told.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
    let told = send(&stack, "HEAD / HTTP/1.1\r\nHost: {host}").await;
    assert_eq!((told.status, told.body.as_str()), (200, ""));
    assert_eq!(
        told.header("content-length"),
        Some(super::HTML.len().to_string().as_str())
    );
    stack.stop().await;
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_others_out() {
    let stack = start().await;
    for (target, status, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        ("/page.css", 200, "text/css; charset=utf-8"),
        ("/page.js", 200, "text/javascript; charset=utf-8"),
        ("/text.js", 200, "text/javascript; charset=utf-8"),
        ("/icon.svg", 200, "image/svg+xml"),
        ("/api/events", 200, "application/json"),
        ("/api/operations", 200, "application/json"),
        ("/api/clusters", 200, "application/json"),
        ("/api/events/01ARZ3NDEKTSV4RRFFQ69G5FAV", 404, "application/json"),
        ("/api/events/CURSOR_KEY", 404, "application/json"),
        ("/api/events?limit=0", 400, "application/json"),
        ("/page.rs", 404, "application/json"),
        ("/../Cargo.toml", 404, "application/json"),
    ] {
        let told = get(&stack, target).await;
        assert_eq!(
            (told.status, told.header("content-type")),
            (status, Some(kind)),
            "{target}"
        );
        let policy = told.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none';",
            "script-src 'self';",
            "style-src 'self';",
            "connect-src 'self';",
            "frame-ancestors 'none';",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{target}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(told.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(told.header("x-frame-options"), Some("DENY"));
        assert_eq!(told.header("cache-control"), Some("no-store"));
        assert_eq!(told.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(told.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(told.header("access-control-allow-origin"), None);
    }
    stack.stop().await;
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let stack = start().await;
    let first = get(&stack, "/api/events").await;
    let tag = first.header("etag").unwrap();
    let again = format!("GET /api/events HTTP/1.1\r\nHost: {{host}}\r\nIf-None-Match: {tag}");
    let told = send(&stack, &again).await;
    assert_eq!((told.status, told.body.as_str()), (304, ""));
    put(&stack, 1, &[]).await;
    assert_eq!(send(&stack, &again).await.status, 200);
    stack.stop().await;
}

#[tokio::test]
async fn calls_are_listed_newest_first_and_in_pages() {
    let stack = start().await;
    let decision = |text: &str| ("decision", AttributeValue::S(text.to_owned()));
    let name = |text: &str| ("eventName", AttributeValue::S(text.to_owned()));
    let mut put_in = Vec::new();
    for number in 0..5 {
        let denied = decision(if number == 3 { "DENY" } else { "ALLOW" });
        put_in.push(
            put(
                &stack,
                number,
                &[denied, name(if number == 1 { "GetQueue" } else { "GetCluster" })],
            )
            .await,
        );
    }
    let newest_first: Vec<String> = put_in.iter().rev().cloned().collect();
    let all = get(&stack, "/api/events").await;
    assert_eq!(
        (ids(&all), &all.json()["next"]),
        (newest_first.clone(), &Value::Null)
    );

    let mut found = Vec::new();
    let mut target = "/api/events?limit=2".to_owned();
    loop {
        let page = get(&stack, &target).await;
        found.extend(ids(&page));
        let Some(next) = page.json()["next"].as_str().map(|next| next.replace('#', "%23")) else {
            break;
        };
        target = format!("/api/events?limit=2&before={next}");
    }
    assert_eq!(found, newest_first);

    assert_eq!(ids(&get(&stack, "/api/events?decision=DENY").await), put_in[3..4]);
    assert_eq!(
        ids(&get(&stack, "/api/events?operation=GetQueue").await),
        put_in[1..2]
    );
    let since = all.json()["events"][1]["eventTime"].as_str().unwrap().to_owned();
    let after = ids(&get(&stack, &format!("/api/events?after={since}")).await);
    assert!(
        after.starts_with(&newest_first[..2]) && after.len() < 5,
        "{after:?}"
    );
    stack.stop().await;
}

/// No call is older than the table, so that two thousand years cost no more than the hours since it was made.
#[tokio::test]
async fn a_range_costs_no_more_than_the_table_can_hold() {
    let stack = start().await;
    let event_id = put(&stack, 1, &[]).await;
    for (query, expected) in [
        ("after=0001-01-01T00:00:00Z", vec![event_id.clone()]),
        ("after=-009999-01-02T02:00:00Z", vec![event_id.clone()]),
        (
            "after=0001-01-01T00:00:00Z&before=9999-12-30T22:00:00Z",
            vec![event_id.clone()],
        ),
        ("before=0001-01-01T00:00:00Z", vec![]),
        ("before=-009999-01-02T02:00:00Z", vec![]),
        ("after=9999-12-30T22:00:00Z", vec![]),
    ] {
        // Several at once, as the page in several windows.
        let target = format!("/api/events?{query}");
        let (told, other) = tokio::join!(get(&stack, &target), get(&stack, &target));
        for told in [told, other] {
            assert_eq!(told.status, 200, "{query}: {}", told.body);
            assert_eq!(
                (ids(&told), &told.json()["next"]),
                (expected.clone(), &Value::Null),
                "{query}"
            );
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn what_is_not_a_question_is_refused() {
    let stack = start().await;
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=1&limit=1",
        "before=yesterday",
        "before=2026-11-21T13:00:00Z%23SWEEP",
        "after=",
        "table=other",
        "operation=CreateClusters",
        "decision=allow",
    ] {
        let told = get(&stack, &format!("/api/events?{query}")).await;
        assert_eq!(told.status, 400, "{query}: {}", told.body);
        assert!(told.json()["message"].is_string());
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_call_is_told_by_all_its_rows_and_hostile_text_stays_one_string() {
    let stack = start().await;
    let told = AttributeValue::S(r#"{"clusterName":"demo"}"#.to_owned());
    let event_id = put(&stack, 1, &[("requestParameters", told)]).await;
    let listed = get(&stack, "/api/events").await;
    let story = get(&stack, &format!("/api/events/{event_id}")).await;
    assert_eq!(listed.json()["events"][0]["userIdentity"]["sessionName"], HOSTILE);
    let rows = story.json()["rows"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["userIdentity"]["sessionName"], HOSTILE);
    assert_eq!(rows[0]["requestParameters"]["clusterName"], "demo");
    for key in ["pk", "sk", "byTime"] {
        assert!(rows[0].get(key).is_none(), "{key}");
    }
    assert_eq!(story.body.lines().count(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn keys_of_other_rows_cannot_be_asked_for() {
    let stack = start().await;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let secret = dynamodb(&stack)
        .put_item()
        .table_name("pcs-api-audit")
        .item("pk", text("CURSOR_KEY"))
        .item("sk", text("0"))
        .item("secret", text("hush"));
    secret.send().await.unwrap();
    for target in [
        "/api/events",
        "/api/events/CURSOR_KEY",
        "/api/events/",
        "/api/events/01ARZ3NDEKTSV4RRFFQ69G5FAI",
        "/api/events/..%2FCURSOR_KEY",
    ] {
        assert!(!get(&stack, target).await.body.contains("hush"), "{target}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn clusters_are_those_of_the_emulator_in_this_process() {
    let stack = start().await;
    let told = get(&stack, "/api/clusters").await.json();
    assert_eq!(told, serde_json::json!({"clusters": [], "elsewhere": null}));
    stack.stop().await;

    let endpoint = "http://127.0.0.1:9";
    let variables = [("AWS_ENDPOINT_URL_PCS".to_owned(), endpoint.to_owned())].into();
    let options = Options {
        variables,
        ..Options::default()
    };
    let stack = Stack::start(options).await.unwrap();
    assert_eq!(get(&stack, "/api/clusters").await.json()["elsewhere"], endpoint);
    stack.stop().await;
}

/// Lookers wait for their turn, and not for ever: the table is the API's too.
#[tokio::test(start_paused = true)]
async fn a_read_that_gets_no_turn_is_told_to_come_again() {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"));
    let page = super::Page {
        dynamodb: Client::from_conf(config.build()),
        table: "pcs-api-audit".to_owned(),
        pcs: pcs_emulator::Emulator::new(pcs_emulator::Options::default()).unwrap(),
        pcs_elsewhere: None,
        // All turns are taken.
        reads: std::sync::Arc::new(tokio::sync::Semaphore::new(0)),
    };
    for path in ["/api/events", "/api/events/01ARZ3NDEKTSV4RRFFQ69G0001"] {
        let answer = page.answer(&path.parse().unwrap()).await;
        assert_eq!(answer.status, 503, "{path}");
    }
    assert_eq!(page.answer(&"/api/clusters".parse().unwrap()).await.status, 200);
}
