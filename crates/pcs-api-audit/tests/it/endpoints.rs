//! What answers in the place of DynamoDB, and is another thing: a sentence that names it, and nothing of the SDK's.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use crate::{
    commands::{ended, program},
    table::TABLE,
};

const EVENT_ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
/// Names of the SDK's own layers and types, and of its way to print them.
const SDK_WORDS: [&str; 8] = [
    "dispatch failure",
    "service error",
    "response error",
    "unhandled",
    "client error",
    "SdkBody",
    "Request {",
    "Error {",
];

/// A port where each connection gets these bytes once it has sent some, and is closed; with none it hears nothing.
fn port(answer: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming().flatten() {
            match answer {
                Some(answer) => {
                    std::thread::spawn(move || send(stream, answer));
                }
                // Kept, so that it stays open.
                None => silent.push(stream),
            }
        }
    });
    address.to_string()
}

/// After the whole request: a connection that is closed before may be reset.
fn send(mut stream: TcpStream, answer: &[u8]) {
    let mut asked = Vec::new();
    let mut bytes = [0; 4_096];
    while !asked.ends_with(b"}") && !asked.starts_with(b"\x16") {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => asked.extend(&bytes[..count]),
        }
    }
    let _ = stream.write_all(answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_dynamodb_is_told_in_one_sentence() {
    for (answer, expected) in [
        (
            &b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 6\r\n\r\n<html>"[..],
            "is no DynamoDB; change --endpoint-url, AWS_ENDPOINT_URL_DYNAMODB or the profile's endpoint_url: it answers with HTTP status 404 and text/html",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 6\r\n\r\n<html>",
            "it answers with HTTP status 200 and text/html",
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 23\r\n\r\n{\"message\":\"Forbidden\"}",
            "it answers with HTTP status 403 and application/json",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "it answers with HTTP status 302",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 99\r\n\r\n{",
            "is no DynamoDB",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
            "is no DynamoDB; change --endpoint-url, AWS_ENDPOINT_URL_DYNAMODB or the profile's endpoint_url: it answers \
             without `Items`",
        ),
        (b"", "does not answer in HTTP; change --endpoint-url"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not answer in HTTP"),
        // TLS's alert for a record that is none.
        (b"\x15\x03\x03\x00\x02\x02\x46", "(https:// where TLS is spoken)"),
    ] {
        let port = port(Some(answer));
        for command in [&["query"][..], &["verify"], &["show", EVENT_ID], &["export"], &["tail"]] {
            told(command, &format!("http://{port}"), expected).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_answers_is_not_waited_for_without_end() {
    let port = port(None);
    told(
        &["verify"],
        &format!("http://{port}"),
        "no DynamoDB answers at http://",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_where_none_is_spoken_is_told_in_one_sentence() {
    let port = port(Some(
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ));
    told(&["query"], &format!("https://{port}"), "DynamoDB").await;
}

async fn told(command: &[&str], endpoint: &str, expected: &str) {
    let mut command = program(None, command);
    command
        .args(["--table", TABLE, "--endpoint-url", endpoint])
        .env("AWS_MAX_ATTEMPTS", "1");
    let (status, told) = ended(command).await;
    assert_eq!((status, told.lines().count()), (Some(2), 1), "{expected}: {told}");
    assert!(told.contains(expected), "{expected}: {told}");
    assert!(told.contains(endpoint), "{expected}: {told}");
    for word in SDK_WORDS {
        assert!(!told.contains(word), "{word}: {told}");
    }
}

/// A profile's endpoint is looked at as a variable's is: the SDK would show the whole request. Keys of the environment
/// do not count beside a profile that is an argument.
#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_of_a_profile_is_named_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(
        &file,
        "[profile odd]\nendpoint_url = !!\n[profile closed]\naws_access_key_id = test\naws_secret_access_key = test\nservices = s\n[services s]\ndynamodb =\n  endpoint_url = http://127.0.0.1:9\n",
    )
    .unwrap();
    for (profile, expected) in [
        (
            "odd",
            "the endpoint of DynamoDB must be a URL like http://127.0.0.1:3003; change --endpoint-url",
        ),
        (
            "closed",
            "no DynamoDB answers at http://127.0.0.1:9; change --endpoint-url",
        ),
        ("absent", "--profile: there is no profile `absent`"),
    ] {
        let mut command = program(None, &["query", "--table", TABLE, "--profile", profile]);
        command.env("AWS_CONFIG_FILE", &file).env("AWS_MAX_ATTEMPTS", "1");
        let (status, told) = ended(command).await;
        assert_eq!((status, told.lines().count()), (Some(2), 1), "{told}");
        assert!(told.contains(expected), "{told}");
        assert!(SDK_WORDS.iter().all(|word| !told.contains(word)), "{told}");
    }
}

/// The SDK panics at what cannot be in a header.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_sent_are_refused() {
    for (variable, value, expected) in [
        (
            "AWS_ACCESS_KEY_ID",
            "a\nb",
            "AWS_ACCESS_KEY_ID holds a line break",
        ),
        ("AWS_ACCESS_KEY_ID", "é", "the access key id"),
        (
            "AWS_EXECUTION_ENV",
            "a\nb",
            "AWS_EXECUTION_ENV holds a line break",
        ),
        ("AWS_SECRET_ACCESS_KEY", "a b", "the secret access key"),
        (
            "AWS_SESSION_TOKEN",
            "a\r\nb",
            "AWS_SESSION_TOKEN holds a line break",
        ),
    ] {
        let mut command = program(
            None,
            &["query", "--table", TABLE, "--endpoint-url", "http://127.0.0.1:9"],
        );
        command.env(variable, value);
        let (status, told) = ended(command).await;
        assert_eq!((status, told.lines().count()), (Some(2), 1), "{variable}: {told}");
        assert!(told.contains(expected), "{variable}: {told}");
    }
}
