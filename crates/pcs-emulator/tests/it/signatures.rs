//! Signatures, when somebody asks for them to be verified. The signer is AWS's SDK; boto3 and the AWS CLI sign
//! in `tests/contract`.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as Key;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{HeaderValue, Request};
use pcs_emulator::{Credentials, Options};
use serde_json::{Value, json};

use crate::world::World;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn world() -> World {
    World::with(Options {
        credentials: Some(Credentials::from_iter([(KEY, SECRET)])),
        ..Options::default()
    })
}

/// A `ListClusters` signed by AWS's signer.
fn signed(key: &str, secret: &str, region: &str, at: SystemTime) -> Request<Bytes> {
    let mut request = Request::post("http://127.0.0.1:3001/")
        .header("host", "127.0.0.1:3001")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AWSParallelComputingService.ListClusters")
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    let identity = Key::from_keys(key, secret, None).into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("pcs")
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new("POST", "http://127.0.0.1:3001/", headers, body).unwrap();
    let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

fn good() -> Request<Bytes> {
    signed(KEY, SECRET, "eu-west-1", SystemTime::now())
}

/// Status and error code; `None` for success.
fn outcome(world: &World, request: Request<Bytes>) -> (u16, Option<String>) {
    let response = world.send(request);
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    (
        response.status().as_u16(),
        body["__type"].as_str().map(str::to_owned),
    )
}

fn refused(code: &str) -> (u16, Option<String>) {
    (403, Some(code.to_owned()))
}

#[test]
fn a_request_is_taken_from_who_holds_the_secret() {
    let world = world();
    assert_eq!(outcome(&world, good()), (200, None));
    let wrong = signed(KEY, "another secret", "eu-west-1", SystemTime::now());
    assert_eq!(outcome(&world, wrong), refused("InvalidSignatureException"));
    let unknown = signed("AKIAI44QH8DHBEXAMPLE", SECRET, "eu-west-1", SystemTime::now());
    assert_eq!(outcome(&world, unknown), refused("UnrecognizedClientException"));
    assert_eq!(world.emulator.calls().len(), 3, "refused calls are calls");
}

#[test]
fn a_changed_request_is_not_what_was_signed() {
    let world = world();
    let mut body = good();
    *body.body_mut() = Bytes::from_static(br#"{"maxResults": 1}"#);
    let mut target = good();
    let delete = HeaderValue::from_static("AWSParallelComputingService.DeleteCluster");
    target.headers_mut().insert("x-amz-target", delete);
    let mut added = good();
    added
        .headers_mut()
        .insert("x-amz-security-token", HeaderValue::from_static("token"));
    let mut scope = good();
    let authorization = scope.headers()["authorization"].to_str().unwrap();
    let authorization = authorization.replace("/eu-west-1/", "/us-east-1/");
    let authorization = HeaderValue::from_str(&authorization).unwrap();
    scope.headers_mut().insert("authorization", authorization);
    for changed in [body, target, added, scope] {
        assert_eq!(outcome(&world, changed), refused("InvalidSignatureException"));
    }
}

#[test]
fn a_signature_lives_five_minutes_by_the_clock_of_the_system() {
    let world = world();
    // A test moves the emulator's clock, not its client's.
    world.emulator.advance(Duration::from_hours(48));
    assert_eq!(outcome(&world, good()), (200, None));
    let now = SystemTime::now();
    let six = Duration::from_mins(6);
    for at in [now - six, now + six] {
        let skewed = signed(KEY, SECRET, "eu-west-1", at);
        assert_eq!(outcome(&world, skewed), refused("InvalidSignatureException"));
    }
    let near = Duration::from_mins(4);
    for at in [now - near, now + near] {
        assert_eq!(outcome(&world, signed(KEY, SECRET, "eu-west-1", at)), (200, None));
    }
}

#[test]
fn what_must_be_signed_must_be_there() {
    let world = world();
    for (header, code) in [
        ("x-amz-date", "IncompleteSignature"),
        ("host", "IncompleteSignature"),
    ] {
        let mut request = good();
        request.headers_mut().remove(header);
        assert_eq!(outcome(&world, request), (400, Some(code.to_owned())), "{header}");
    }
    let mut unsigned = good();
    unsigned.headers_mut().remove("authorization");
    assert_eq!(outcome(&world, unsigned), refused("MissingAuthenticationToken"));
}

#[test]
fn without_keys_any_well_formed_signature_will_do() {
    let world = World::new();
    let made_up = signed(
        "AKIAI44QH8DHBEXAMPLE",
        "no secret",
        "eu-west-1",
        SystemTime::UNIX_EPOCH,
    );
    assert_eq!(outcome(&world, made_up), (200, None));
    world.ok("ListClusters", &json!({}));
}

#[test]
fn secrets_are_not_printed() {
    let options = Options {
        credentials: Some(Credentials::from_iter([(KEY, SECRET)])),
        ..Options::default()
    };
    let printed = format!("{options:?}");
    assert!(printed.contains(KEY) && !printed.contains(SECRET));
}
