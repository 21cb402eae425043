//! What callers and the record are told when something behind the gateway is broken.

use std::{sync::OnceLock, time::Duration};

use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};
use pcs_api::{
    aws::{Clients, http_client},
    config::Config,
    gateway::Gateway,
};
use pcs_emulator::{Effect, Fault};
use serde_json::json;
use tokio::{net::TcpListener, time::Instant};

use crate::world::{PROFILE, World, event, gateway, invoke, with_body};

fn fault(times: u32, effect: Effect) -> Fault {
    Fault {
        action: None,
        times,
        effect,
    }
}

/// A port that nobody listens on.
async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A port that accepts connections and never answers. The listener must be kept.
async fn silent_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn without_an_audit_table_nothing_happens() {
    let world = World::start().await;
    world.cluster().await;
    world.stack.pcs_emulator.clear_calls();
    let (_kept, silent) = silent_port().await;
    for endpoint in [closed_port().await, silent] {
        let mut variables = world.stack.variables().clone();
        variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), endpoint);
        let gateway = gateway(&variables);
        for name in [
            "delete-cluster",
            "get-cluster",
            "list-clusters",
            "create-compute-node-group",
            "refused-bad-region",
        ] {
            // The time told is the product's own patience and nothing of the machine's.
            tokio::time::pause();
            let begin = Instant::now();
            let answer = invoke(&gateway, &event(name), Duration::from_secs(28)).await;
            let took = begin.elapsed();
            tokio::time::resume();
            assert_eq!(
                (answer.status, &answer.body["code"]),
                (503, &json!("AuditUnavailableException")),
                "{name}"
            );
            assert!(answer.headers.contains_key("retry-after"));
            assert!(took < Duration::from_secs(3), "{name} took {took:?}");
        }
    }
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}

#[tokio::test]
async fn an_audit_table_that_refuses_rows_refuses_calls() {
    let world = World::start().await;
    let mut variables = world.stack.variables().clone();
    variables.insert("PCS_API_AUDIT_TABLE".to_owned(), "no-such-table".to_owned());
    let answer = invoke(
        &gateway(&variables),
        &event("create-cluster"),
        Duration::from_secs(28),
    )
    .await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (503, &json!("AuditUnavailableException"))
    );
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}

#[tokio::test]
async fn pcs_out_of_reach_is_a_bad_gateway() {
    let world = World::start().await;
    let mut variables = world.stack.variables().clone();
    variables.insert("AWS_ENDPOINT_URL_PCS".to_owned(), closed_port().await);
    let gateway = gateway(&variables);
    let answer = invoke(&gateway, &event("create-cluster"), Duration::from_secs(28)).await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (502, &json!("BadGatewayException")),
        "{answer:?}"
    );
    let rows = world.rows().await;
    assert_eq!(world.stages().await, ["0#RECEIVED", "9#COMPLETE"]);
    assert_eq!(
        (&rows[1]["httpStatus"], &rows[1]["downstream"][0]["errorCode"]),
        (&json!(502), &json!("Unreachable"))
    );
}

/// Whether PCS was sent the call decides what the caller may do next.
#[tokio::test]
async fn a_call_whose_answer_is_lost_is_not_called_one_that_did_not_reach_pcs() {
    for effect in [Effect::DropBefore, Effect::DropAfter] {
        let world = World::start().await;
        world.stack.pcs_emulator.inject(fault(9, effect));
        let answer = world.send(&event("create-cluster")).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        let message = answer.body["message"].as_str().unwrap();
        assert!(
            message.contains("may have carried out the call") && message.contains("same clientToken"),
            "{message}"
        );
        let rows = world.rows().await;
        assert_eq!(rows[1]["downstream"][0]["errorCode"], "Unanswered");
        assert_eq!(rows[1]["errorMessage"], message);
        world.stack.pcs_emulator.clear_faults();
        world.stack.pcs_emulator.inject(fault(9, Effect::DropBefore));
        let answer = world.send(&event("list-clusters")).await;
        assert_eq!(
            answer.body["message"], "PCS did not answer; retry",
            "a read does nothing"
        );
    }
}

/// Nothing is sent before the handshake is over.
#[tokio::test]
async fn a_handshake_that_is_not_answered_sends_nothing() {
    let world = World::start().await;
    let (_kept, url) = silent_port().await;
    let mut variables = world.stack.variables().clone();
    variables.insert("AWS_ENDPOINT_URL_PCS".to_owned(), url.replace("http:", "https:"));
    let gateway = gateway(&variables);
    for (left, expected) in [
        (
            Duration::from_secs(28),
            "PCS could not be reached and was sent nothing; retry",
        ),
        (
            Duration::from_millis(2_500),
            "time ran out before PCS was asked; nothing happened; retry",
        ),
    ] {
        let answer = invoke(&gateway, &event("create-cluster"), left).await;
        assert_eq!(answer.body["message"], expected, "{answer:?}");
    }
}

#[tokio::test]
async fn slow_pcs_is_given_up_in_time_and_the_record_says_so() {
    let world = World::start().await;
    world
        .stack
        .pcs_emulator
        .inject(fault(9, Effect::Delay(Duration::from_mins(1))));
    let answer = world
        .send_within(&event("create-cluster"), Duration::from_secs(5))
        .await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (504, &json!("GatewayTimeoutException")),
        "{answer:?}"
    );
    assert!(
        answer.body["message"]
            .as_str()
            .unwrap()
            .contains("may still carry out"),
        "{answer:?}"
    );
    let rows = world.rows().await;
    assert_eq!(
        (&rows[1]["sk"], &rows[1]["httpStatus"]),
        (&json!("9#COMPLETE"), &json!(504))
    );
}

#[tokio::test]
async fn without_time_left_pcs_is_not_asked() {
    let world = World::start().await;
    let answer = world
        .send_within(&event("create-cluster"), Duration::from_secs(1))
        .await;
    assert_eq!(answer.status, 504);
    assert!(
        answer.body["message"]
            .as_str()
            .unwrap()
            .contains("nothing happened"),
        "{answer:?}"
    );
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}

#[tokio::test]
async fn throttling_is_retried_and_then_passed_on() {
    let world = World::start().await;
    world.stack.pcs_emulator.inject(fault(1, Effect::Throttle));
    assert_eq!(
        world.send(&event("list-clusters")).await.status,
        200,
        "one retry suffices"
    );
    world.stack.pcs_emulator.inject(fault(9, Effect::Throttle));
    let answer = world.send(&event("list-clusters")).await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (429, &json!("ThrottlingException")),
        "{answer:?}"
    );
    assert!(answer.headers["retry-after"].parse::<u32>().unwrap() >= 1);
}

#[tokio::test]
async fn garbage_from_pcs_is_a_bad_gateway_and_not_passed_on() {
    let world = World::start().await;
    for garbage in ["<html>proxy</html>", "[]", "{\"clusters\": 7}", "{\"clusters\""] {
        let garbage = Effect::Garbage(garbage.into());
        world.stack.pcs_emulator.inject(fault(3, garbage));
        let answer = world.send(&event("list-clusters")).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (502, &json!("BadGatewayException")),
            "{answer:?}"
        );
        assert!(!answer.body.to_string().contains("proxy"));
        world.stack.pcs_emulator.clear_faults();
    }
}

/// A connection that died while the environment was frozen, or an answer that was lost: the same token goes out
/// again and acts once.
#[tokio::test]
async fn a_broken_connection_is_retried_without_acting_twice() {
    for effect in [Effect::DropBefore, Effect::DropAfter] {
        let world = World::start().await;
        world.send(&event("list-clusters")).await;
        world.stack.pcs_emulator.inject(fault(1, effect));
        let created = world.send(&event("create-cluster")).await;
        assert_eq!(created.status, 202, "{created:?}");
        let listed = world.send(&event("list-clusters")).await;
        assert_eq!(listed.body["clusters"].as_array().unwrap().len(), 1);
    }
}

/// Without a token of the caller the gateway makes one per call, so its own retries act once too.
#[tokio::test]
async fn a_call_without_a_token_is_retried_without_acting_twice() {
    let world = World::start().await;
    world.stack.pcs_emulator.inject(fault(1, Effect::DropAfter));
    let created = world
        .send(&with_body(event("create-cluster"), json!({"clientToken": null})))
        .await;
    assert_eq!(created.status, 202, "{created:?}");
}

#[tokio::test]
async fn pcs_errors_are_told_by_code_whatever_their_status() {
    let world = World::start().await;
    for (code, expected_status, expected_code) in [
        ("ConflictException", 409, "ConflictException"),
        (
            "ServiceQuotaExceededException",
            402,
            "ServiceQuotaExceededException",
        ),
        ("ResourceNotFoundException", 404, "ResourceNotFoundException"),
        ("ValidationException", 400, "ValidationException"),
        ("AccessDeniedException", 403, "UpstreamAccessDenied"),
        ("InternalServerException", 502, "BadGatewayException"),
        ("ExpiredTokenException", 500, "InternalServerException"),
        ("SomethingNewException", 502, "BadGatewayException"),
    ] {
        for status in [400, 418, 500] {
            let message = "User: arn:aws:sts::123456789012:assumed-role/pcs-api-function/x is not allowed";
            let effect = Effect::Error {
                status: http::StatusCode::from_u16(status).unwrap(),
                code: code.to_owned(),
                message: message.to_owned(),
            };
            world.stack.pcs_emulator.inject(fault(9, effect));
            let answer = world.send(&event("get-cluster")).await;
            world.stack.pcs_emulator.clear_faults();
            let found = (answer.status, answer.body["code"].as_str().unwrap());
            assert_eq!(found, (expected_status, expected_code), "{code} with {status}");
            assert!(
                !answer.body.to_string().contains("pcs-api-function"),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_iam_does_not_answer_refuses_the_call() {
    let world = World::start().await;
    world.cluster().await;
    for action in [
        "GetInstanceProfile",
        "GetRole",
        "ListAttachedRolePolicies",
        "ListRolePolicies",
    ] {
        world.stack.pcs_emulator.clear_calls();
        world.stack.iam_emulator.inject(iam_emulator::Fault {
            action: Some(action.to_owned()),
            times: 3,
            effect: iam_emulator::Effect::Error {
                status: http::StatusCode::INTERNAL_SERVER_ERROR,
                code: "ServiceFailure".to_owned(),
                message: "try again".to_owned(),
            },
        });
        let answer = world.send(&event("create-compute-node-group")).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (503, &json!("ServiceUnavailableException")),
            "{action}"
        );
        assert_eq!(world.pcs_actions(), Vec::<String>::new(), "{action}");
    }
    // A slow machine may have used up fewer attempts than faults.
    world.stack.iam_emulator.clear_faults();
    let unknown = with_body(
        event("create-compute-node-group"),
        json!({"iamInstanceProfileArn": PROFILE}),
    );
    assert_eq!(
        world.send(&unknown).await.status,
        202,
        "and with IAM back it passes"
    );
}

/// Panics instead of connecting to one host.
#[derive(Debug)]
struct Explosive {
    inner: SharedHttpClient,
    host: String,
}

impl HttpClient for Explosive {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        let host = self.host.clone();
        SharedHttpConnector::new(ExplosiveConnector { inner, host })
    }
}

#[derive(Debug)]
struct ExplosiveConnector {
    inner: SharedHttpConnector,
    host: String,
}

impl aws_smithy_runtime_api::client::http::HttpConnector for ExplosiveConnector {
    fn call(&self, request: aws_smithy_runtime_api::http::Request) -> HttpConnectorFuture {
        assert!(!request.uri().starts_with(&self.host), "a bug in the gateway");
        self.inner.call(request)
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_recorded() {
    let world = World::start().await;
    let config = Config::read(|name| world.stack.variables().get(name).cloned()).unwrap();
    let explosive = Explosive {
        inner: http_client(),
        host: world.stack.pcs.clone(),
    };
    let clients = Clients::over(
        config.aws.clone(),
        OnceLock::from(SharedHttpClient::new(explosive)),
    );
    let gateway = Gateway::with_clients(config, clients);
    for (name, stages) in [
        ("create-cluster", &["0#RECEIVED", "9#PANIC"][..]),
        ("list-clusters", &["0#RECEIVED", "9#PANIC", "0#READ", "9#PANIC"]),
    ] {
        let answer = invoke(&gateway, &event(name), Duration::from_secs(28)).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (500, &json!("InternalServerException")),
            "{answer:?}"
        );
        assert!(!answer.body.to_string().contains("a bug in the gateway"));
        assert_eq!(world.stages().await, stages);
    }
    assert_eq!(
        invoke(&gateway, &event("refused-bad-region"), Duration::from_secs(28))
            .await
            .status,
        400,
        "it lives on"
    );
}
