//! The control plane: JSON on paths IAM does not have.

use serde_json::{Value, json};

use super::*;

fn ask(emulator: &Emulator, request: http::request::Builder, body: &str) -> (u16, Value) {
    let request = request.body(Bytes::from(body.to_owned())).unwrap();
    let Reply::Response(response) = emulator.handle(request) else {
        panic!("no answer")
    };
    let body = serde_json::from_slice(response.body()).unwrap();
    (response.status().as_u16(), body)
}

fn post(emulator: &Emulator, name: &str, body: &Value) -> (u16, Value) {
    let request = Request::post(format!("/_control/{name}"));
    ask(emulator, request, &body.to_string())
}

fn get(emulator: &Emulator, name: &str) -> Value {
    let (status, body) = ask(emulator, Request::get(format!("/_control/{name}")), "");
    assert_eq!(status, 200, "{body}");
    body
}

#[test]
fn drives_everything_that_rust_tests_can() {
    let emulator = fresh(Options {
        propagation: Duration::from_secs(10),
        ..Options::default()
    });
    let ok = (200, json!({}));
    let seed = json!({"roles": [{"name": "AWSPCS-a"}], "instanceProfiles": [{"name": "AWSPCS-a"}]});
    assert_eq!(post(&emulator, "seed", &seed), ok);
    done(
        &emulator,
        "Action=AddRoleToInstanceProfile&InstanceProfileName=AWSPCS-a&RoleName=AWSPCS-a",
    );
    let passes = "passes?instanceProfileArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Ainstance-profile%2FAWSPCS-a";
    assert_eq!(get(&emulator, passes), json!({"passes": false}));
    assert_eq!(post(&emulator, "advance", &json!({"seconds": 10})), ok);
    assert_eq!(get(&emulator, passes), json!({"passes": true}));
    assert_eq!(
        get(&emulator, "calls"),
        json!({"calls": [{
            "action": "AddRoleToInstanceProfile",
            "params": {"InstanceProfileName": "AWSPCS-a", "RoleName": "AWSPCS-a"},
            "status": 200,
            "isWrite": true,
        }]}),
        "the control plane itself is not in the log"
    );
    assert_eq!(post(&emulator, "clear-calls", &json!({})), ok);
    assert_eq!(get(&emulator, "calls"), json!({"calls": []}));
    assert_eq!(post(&emulator, "reset", &json!({})), ok);
    assert_eq!(refused(&emulator, "Action=GetRole&RoleName=AWSPCS-a").0, 404);
}

#[test]
fn orders_every_fault() {
    let emulator = emulator(100);
    let read = "Action=GetRole&RoleName=AWSPCS-node";
    let order = |effect: Value| {
        let (status, body) = post(
            &emulator,
            "fault",
            &json!({"action": "GetRole", "effect": effect}),
        );
        assert_eq!(status, 200, "{body}");
        answer(&emulator, read)
    };
    assert_eq!(order(json!("throttle")).unwrap().0, 400);
    assert_eq!(
        order(json!({"garbage": {"body": "<"}})),
        Some((200, "<".to_owned()))
    );
    let error = json!({"error": {"status": 503, "code": "ServiceUnavailable", "message": "later"}});
    assert_eq!(text(&order(error).unwrap().1, "Message"), "later");
    assert_eq!(order(json!("dropBefore")), None);
    assert_eq!(order(json!("dropAfter")), None);
    assert_eq!(order(json!({"delay": {"seconds": 0.5}})).unwrap().0, 200);
    assert_eq!(
        post(&emulator, "fault", &json!({"times": 9, "effect": "throttle"})).0,
        200
    );
    assert_eq!(post(&emulator, "clear-faults", &json!({})).0, 200);
    done(&emulator, read);
}

#[test]
fn says_what_is_wrong_with_an_order() {
    let emulator = emulator(100);
    for (name, body, status) in [
        ("fault", json!({"action": "GetRol", "effect": "throttle"}), 400),
        ("fault", json!({"effect": "explode"}), 400),
        (
            "fault",
            json!({"effect": {"error": {"status": 7, "code": "", "message": ""}}}),
            400,
        ),
        ("advance", json!({"seconds": -1}), 400),
        ("advance", json!({"hours": 1}), 400),
        (
            "seed",
            json!({"instanceProfiles": [{"name": "p", "roles": ["gone"]}]}),
            400,
        ),
        ("seed", json!({"users": []}), 400),
        ("explode", json!({}), 404),
    ] {
        let (got, answer) = post(&emulator, name, &body);
        assert_eq!(got, status, "{name} {body}: {answer}");
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(ask(&emulator, Request::get("/_control/passes"), "").0, 400);
    assert_eq!(ask(&emulator, Request::get("/_control/seed"), "").0, 404);
}
