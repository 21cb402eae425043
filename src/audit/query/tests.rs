use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
};
use serde_json::{Value, json};

use super::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// From the first moment there is to the last: 156 million hours, of which none is made before its turn. As a
/// list they are gigabytes.
#[test]
fn hours_of_a_range_are_made_one_by_one() {
    for source in [
        Source::Time,
        Source::Principal("AROADBQP57FF2AEXAMPLE".to_owned()),
    ] {
        let filter = Filter {
            source,
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            operation: None,
            decision: None,
            region: None,
        };
        let mut groups = filter.groups("2026-11-30T22:59:59.999Z#01M7XY1Y221RVD2NKVD6WEQ328");
        let newest = groups.next().unwrap();
        assert_eq!(
            newest
                .keys
                .first()
                .and_then(|key| key.split('#').rfind(|part| part.starts_with("2026"))),
            Some(if newest.index == "byTime" {
                "2026-11-30T22"
            } else {
                "2026-11"
            })
        );
        assert_eq!(groups.size_hint().0, 0, "nothing of it is there yet");
    }
}

/// A table with a row each second that takes 100 ms for two of them, and how far down it was read.
#[derive(Debug, Clone, Default)]
struct Slow(Arc<AtomicU64>);

impl HttpConnector for Slow {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
        let rows: Vec<Value> = if body.contains("T#2026-11-21T13#0") {
            let read = self.0.fetch_add(2, Ordering::SeqCst);
            (read..read + 2).map(|back| row_at(59 - back)).collect()
        } else {
            Vec::new()
        };
        let last = rows.last().map(|_| json!({"pk": {"S": "x"}}));
        let mut page = json!({"Items": rows});
        page.as_object_mut()
            .unwrap()
            .extend(last.map(|key| ("LastEvaluatedKey".to_owned(), key)));
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(HttpResponse::new(
                200.try_into().unwrap(),
                page.to_string().into(),
            ))
        })
    }
}

fn row_at(second: u64) -> Value {
    json!({"pk": {"S": "E#x"}, "sk": {"S": "9#COMPLETE"}, "decision": {"S": "ALLOW"},
        "at": {"S": format!("2026-11-21T13:59:{second:02}.500Z#x")}})
}

/// Whoever goes on where it stopped must not miss what is left of the hour.
#[tokio::test(start_paused = true)]
async fn a_question_out_of_time_says_how_far_it_looked() {
    let slow = Slow::default();
    let connector = SharedHttpConnector::new(slow.clone());
    let http_client = http_client_fn(move |_, _| connector.clone());
    let credentials = aws_sdk_dynamodb::config::Credentials::new("a", "b", None, None, "test");
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(credentials)
        .http_client(http_client);
    let client = Client::from_conf(config.build());
    let filter = Filter {
        source: Source::Time,
        from: time("2026-11-21T00:00:00Z"),
        to: time("2026-11-21T14:00:00Z"),
        operation: None,
        decision: Some("DENY".to_owned()),
        region: None,
    };
    let before = Some("2026-11-21T13:59:59.999Z");
    let soon = Instant::now() + Duration::from_millis(1_050);
    let ended = filter.page(&client, "t", before, 10, soon).await;
    let Err(QueryError::OutOfTime { reached }) = ended else {
        panic!("{ended:?}");
    };
    let read = slow.0.load(Ordering::SeqCst);
    assert!((4..40).contains(&read), "{read}");
    // The row below the last that was looked at was read, or is the next one to be.
    let next = time("2026-11-21T14:00:00Z") - SignedDuration::from_secs(i64::try_from(read).unwrap());
    assert!(reached >= next, "{reached}, read down to {next}");
    assert!(reached < time("2026-11-21T13:59:59Z"), "{reached}");
    let at_once = filter.page(&client, "t", before, 10, Instant::now()).await;
    assert_eq!(at_once, Err(QueryError::Unreadable), "nothing was looked at");
}

#[test]
fn hours_and_months_go_backwards_and_miss_none() {
    let told: Vec<String> = hours(time("2026-11-30T22:59:59Z"), time("2026-12-01T00:00:00Z"))
        .map(row::hour)
        .collect();
    assert_eq!(told, ["2026-12-01T00", "2026-11-30T23", "2026-11-30T22"]);
    let told: Vec<String> = months(time("2025-11-30T22:59:59Z"), time("2026-01-01T00:00:00Z"))
        .map(|(month, _)| month)
        .collect();
    assert_eq!(told, ["2026-01", "2025-12", "2025-11"]);
    assert_eq!(
        hours(time("2026-11-30T22:59:59Z"), time("2026-11-30T22:00:00Z")).count(),
        1
    );
}
