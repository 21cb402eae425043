//! The protocol: routes, bodies, signatures, statuses.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use pcs_emulator::{HttpStatuses, Options};
use serde_json::{Value, json};

use crate::world::{World, cluster_body};

fn answer(world: &World, request: http::Request<Bytes>) -> (u16, String) {
    let response = world.send(request);
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert!(!body["message"].as_str().unwrap().is_empty());
    (
        response.status().as_u16(),
        body["__type"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_response_has_pcs_headers() {
    let world = World::new();
    let response = world.send(world.request("ListClusters", "{}"));
    assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.0");
    assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
    let empty = world.send(world.request("ListClusters", ""));
    assert_eq!(empty.status(), StatusCode::OK, "an empty body is an empty object");
}

#[test]
fn what_is_not_a_pcs_request_is_refused() {
    let world = World::new();
    let mut get = world.request("ListClusters", "");
    *get.method_mut() = Method::GET;
    assert_eq!(answer(&world, get).0, 404);
    let unknown = world.request("StopCluster", "{}");
    assert_eq!(
        answer(&world, unknown),
        (400, "UnknownOperationException".to_owned())
    );
    for body in ["{", "[]", "\"x\"", "{\"a\":1}x"] {
        let request = world.request("ListClusters", body);
        assert_eq!(
            answer(&world, request),
            (400, "SerializationException".to_owned()),
            "{body}"
        );
    }
    let large = world.request("ListClusters", vec![b' '; 1024 * 1024 + 1]);
    assert_eq!(answer(&world, large).0, 413);
    let mut unsigned = world.request("ListClusters", "{}");
    unsigned.headers_mut().remove("authorization");
    assert_eq!(
        answer(&world, unsigned),
        (403, "MissingAuthenticationToken".to_owned())
    );
    let mut malformed = world.request("ListClusters", "{}");
    malformed
        .headers_mut()
        .insert("authorization", HeaderValue::from_static("Basic x"));
    assert_eq!(answer(&world, malformed), (400, "IncompleteSignature".to_owned()));
}

#[test]
fn a_signature_can_be_left_out_when_allowed() {
    let options = Options {
        require_signature: false,
        default_region: "eu-west-1".into(),
        ..Options::default()
    };
    let world = World::with(options);
    let mut request = world.request("CreateCluster", cluster_body("demo").to_string());
    request.headers_mut().remove("authorization");
    let body: Value = serde_json::from_slice(world.send(request).body()).unwrap();
    assert!(
        body["cluster"]["arn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:pcs:eu-west-1:123456789012:")
    );
}

/// Both of AWS's tables: the API Reference (400) and the `httpError` traits of the Smithy model.
#[test]
fn statuses_follow_the_chosen_table() {
    let cases = [
        (
            "GetCluster",
            json!({"clusterIdentifier": "pcs_donotexist"}),
            "AccessDeniedException",
            403,
        ),
        (
            "GetCluster",
            json!({"clusterIdentifier": "nobody"}),
            "ResourceNotFoundException",
            404,
        ),
        ("GetCluster", json!({}), "ValidationException", 400),
        ("CreateCluster", cluster_body("demo"), "ConflictException", 409),
        (
            "CreateCluster",
            cluster_body("more"),
            "ServiceQuotaExceededException",
            402,
        ),
    ];
    for statuses in [HttpStatuses::Documented400, HttpStatuses::Smithy] {
        let world = World::with(Options {
            http_statuses: statuses,
            ..Options::default()
        });
        world.ok("CreateCluster", &cluster_body("demo"));
        for (action, body, code, smithy) in &cases {
            let failure = world.refused(action, body);
            let expected = if statuses == HttpStatuses::Smithy {
                *smithy
            } else {
                400
            };
            assert_eq!((failure.code(), failure.status.as_u16()), (*code, expected));
        }
    }
}

#[test]
fn the_control_plane_answers_in_plain_json() {
    let world = World::new();
    let id = world.ok("CreateCluster", &cluster_body("demo"))["cluster"]["id"].clone();
    let post = |path: &str, body: Value| {
        let request = http::Request::post(format!("/_control/{path}")).body(Bytes::from(body.to_string()));
        world.send(request.unwrap()).status().as_u16()
    };
    assert_eq!(post("advance", json!({"seconds": 3600})), 200);
    assert_eq!(world.cluster_status("demo"), "ACTIVE");
    assert_eq!(post("advance", json!({"seconds": -1})), 400);
    assert_eq!(
        post("fault", json!({"action": "Nonsense", "effect": "throttle"})),
        400
    );
    assert_eq!(post("fault", json!({"effect": "throttle"})), 200);
    assert_eq!(
        world.refused("ListClusters", &json!({})).code(),
        "ThrottlingException"
    );
    assert_eq!(post("fail", json!({"id": id, "code": "c", "message": "m"})), 200);
    assert_eq!(
        post("fail", json!({"id": "pcs_none", "code": "c", "message": "m"})),
        404
    );
    assert_eq!(post("suspend", json!({})), 400);
    assert_eq!(post("reset", json!({})), 200);
    assert_eq!(world.ok("ListClusters", &json!({})), json!({"clusters": []}));
    assert_eq!(post("nonsense", json!({})), 404);
}

/// Two requests on one connection, then a shutdown that closes it.
#[test]
fn the_state_is_taken_and_given_back_by_the_control_plane() {
    let world = World::new();
    let control = |method: Method, body: Vec<u8>| {
        let request = http::Request::builder().method(method).uri("/_control/state");
        let response = world.send(request.body(Bytes::from(body)).unwrap());
        (response.status(), response.into_body())
    };
    world.cluster("demo");
    let (status, state) = control(Method::GET, Vec::new());
    assert_eq!(status, StatusCode::OK);
    world.emulator.reset().unwrap();
    assert_eq!(control(Method::PUT, state.to_vec()).0, StatusCode::OK);
    assert_eq!(world.cluster_status("demo"), "ACTIVE");
    let torn = state.slice(..state.len() / 2).to_vec();
    for (body, expected) in [
        (torn, "EOF"),
        (b"{}".to_vec(), "not a state of this emulator: it has no `format`"),
    ] {
        let (status, answer) = control(Method::PUT, body);
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["message"].as_str().unwrap().contains(expected), "{answer}");
    }
    assert_eq!(world.cluster_status("demo"), "ACTIVE");
}

#[test]
fn a_connection_is_kept_until_the_shutdown() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = runtime.spawn(World::new().emulator.serve(listener, async move {
        let _told = stopped.await;
    }));
    let mut connection = TcpStream::connect(address).unwrap();
    for _ in 0..2 {
        connection
            .write_all(b"GET /_control/calls HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(br#"{"calls":[]}"#) {
            let mut byte = [0];
            connection.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    stop.send(()).unwrap();
    runtime.block_on(served).unwrap().unwrap();
    assert_eq!(connection.read(&mut [0]).unwrap(), 0, "closed");
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
}
