//! All five ports have the same manners.

use local_http::Limits;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// Only as a guard: nothing here waits for it in a run that passes.
const HANGS: Duration = Duration::from_mins(3);

fn ports(stack: &Stack) -> [(&str, &str); 5] {
    [
        (&stack.gateway, "/v1/clusters"),
        (&stack.pcs, "/_control/calls"),
        (&stack.iam, "/_control/calls"),
        (&stack.dynamodb, "/"),
        (&stack.page, "/"),
    ]
}

/// All that comes back until the connection ends.
async fn told(url: &str, request: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A request that is too long is not always taken to its end.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(HANGS, read).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_client_that_stalls_is_cut_off_at_every_port() {
    let short = Duration::from_secs(2);
    let limits = Limits {
        idle: short,
        head: short,
        body: short,
        answer: short,
        ..Limits::default()
    };
    let options = Options {
        limits,
        ..Options::default()
    };
    let stack = Stack::start(options).await.unwrap();
    let mut clients = JoinSet::new();
    for (url, path) in ports(&stack) {
        let post = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n");
        for sent in [
            String::new(),
            "GET / HT".to_owned(),
            format!("{post}Content-Length: 9\r\n\r\nx"),
            format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
        ] {
            let url = url.to_owned();
            clients.spawn(async move { (told(&url, &sent).await, url, sent) });
        }
    }
    for (told, url, sent) in clients.join_all().await {
        assert_eq!(told, "", "{url}: {sent}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn what_is_too_long_is_answered_in_the_form_of_each_port() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let long = "x".repeat(70_000);
    let headers = "X: x\r\n".repeat(200);
    for (url, path) in ports(&stack) {
        for (request, status) in [
            (
                format!("GET {path}?{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                "414",
            ),
            (
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"),
                "431",
            ),
            ("what is this\r\n\r\n".to_owned(), "400"),
        ] {
            let told = told(url, &request).await;
            let (head, body) = told.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{url}: {head}");
            assert!(
                head.contains(&format!("content-length: {}", body.len())),
                "{url}: {head}"
            );
            if url == stack.iam {
                assert!(body.contains("<ErrorResponse"), "{body}");
                continue;
            }
            let body: Value = serde_json::from_str(body).unwrap();
            assert!(body["message"].is_string(), "{url}: {body}");
            if url == stack.gateway {
                let names: Vec<_> = body.as_object().unwrap().keys().collect();
                assert_eq!(names, ["code", "message", "requestId"], "as the contract has it");
                assert_eq!(body["code"], "ValidationException");
            }
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn the_database_answers_many_at_once_and_lets_no_page_read() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let request =
        "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n\r\n";
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let url = stack.dynamodb.clone();
        asking.spawn(async move { told(&url, request).await });
    }
    for told in asking.join_all().await {
        assert!(
            told.starts_with("HTTP/1.1 200 OK") && told.contains("healthy"),
            "{told}"
        );
        assert!(!told.contains("access-control"), "no page may read it: {told}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_client_that_has_said_everything_is_answered() {
    let stack = Stack::start(Options::default()).await.unwrap();
    for (url, _) in ports(&stack) {
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())
            .await
            .unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        tokio::time::timeout(HANGS, read).await.unwrap().unwrap();
        assert!(
            bytes.starts_with(b"HTTP/1.1 "),
            "{url}: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
    stack.stop().await;
}
