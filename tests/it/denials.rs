//! AWS denies the function something: the caller, the log and the record tell the permission, and nothing else of AWS's
//! sentence. Credentials that AWS does not take are a fault of the deployment, whichever service says so.

use http::StatusCode;
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

use crate::{
    logs::Logs,
    trace::traced,
    world::{World, event, with_body},
};

const OWN_ROLE: &str = "arn:aws:sts::123456789012:assumed-role/pcs-api-function/x";

/// As IAM, EC2 and PCS word it.
fn sentence(permission: &str, ending: &str) -> String {
    format!(
        "User: {OWN_ROLE} is not authorized to perform: {permission} on resource: \
         arn:aws:iam::123456789012:role/aws-pcs/pcs-api/AWSPCS-secret {ending}"
    )
}

fn iam_says(world: &World, action: &str, code: &str, message: &str) {
    world.stack.iam_emulator.inject(iam_emulator::Fault {
        action: Some(action.to_owned()),
        times: 9,
        effect: iam_emulator::Effect::Error {
            status: StatusCode::FORBIDDEN,
            code: code.to_owned(),
            message: message.to_owned(),
        },
    });
}

fn pcs_says(world: &World, code: &str, message: &str) {
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: None,
        times: 9,
        effect: pcs_emulator::Effect::Error {
            status: StatusCode::BAD_REQUEST,
            code: code.to_owned(),
            message: message.to_owned(),
        },
    });
}

/// The permission is in answer, log and record; of the rest of the sentence nothing.
async fn told_everywhere(world: &World, request: &Value, told: &str) {
    let logs = Logs::at(LevelFilter::INFO);
    let trace = traced(world, request).await;
    let log = logs.take();
    let class = (trace.answer.status, &trace.answer.body["code"]);
    assert_eq!(
        class,
        (403, &json!("UpstreamAccessDenied")),
        "{told}: {:?}",
        trace.answer
    );
    let message = trace.answer.body["message"].as_str().unwrap();
    assert!(message.contains(&format!("lacks {told};")), "{told}: {message}");
    let permission = told.split(' ').next().unwrap();
    assert!(
        log.contains(&format!("\"permission\":\"{permission}\"")),
        "{told}: {log}"
    );
    let closing = trace.rows.last().unwrap();
    assert_eq!(closing["errorMessage"], json!(message), "{told}");
    let rows = Value::from(trace.rows.clone()).to_string();
    for text in [&trace.answer.body.to_string(), &log, &rows] {
        assert!(
            !text.contains("pcs-api-function") && !text.contains("AWSPCS-secret"),
            "{text}"
        );
    }
}

/// One action can need more permissions than the one of its name.
#[tokio::test]
async fn a_denial_by_iam_names_the_permission_that_is_missing() {
    for (action, permission) in [
        ("CreateRole", "iam:TagRole"),
        ("CreateRole", "iam:CreateRole"),
        ("CreateInstanceProfile", "iam:TagInstanceProfile"),
        ("AddRoleToInstanceProfile", "iam:PassRole"),
    ] {
        for (ending, why) in [
            (
                "because no identity-based policy allows it",
                " (no identity-based policy allows it)",
            ),
            (
                "with an explicit deny in a service control policy",
                " (a service control policy denies it)",
            ),
            ("", ""),
        ] {
            let world = crate::saga::start().await;
            iam_says(&world, action, "AccessDenied", &sentence(permission, ending));
            told_everywhere(
                &world,
                &crate::saga::create(&["a"]),
                &format!("{permission}{why}"),
            )
            .await;
        }
    }
}

#[tokio::test]
async fn a_denied_read_of_a_role_that_is_there_is_not_blamed_on_what_makes_roles() {
    let world = World::start().await;
    world.cluster().await;
    iam_says(&world, "GetRole", "AccessDenied", &sentence("iam:GetRole", ""));
    let request = event("create-compute-node-group");
    told_everywhere(&world, &request, "iam:GetRole").await;
    let answer = world.send(&request).await;
    assert!(
        !answer.body.to_string().contains("EnableIamAdminAccess"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_denial_by_pcs_names_the_permission_that_is_missing() {
    let world = World::start().await;
    world.cluster().await;
    let update = with_body(
        event("update-cluster"),
        json!({"clientToken": "denied-by-pcs-1", "slurmConfiguration": {"scaleDownIdleTimeInSeconds": 100}}),
    );
    for request in [event("get-cluster"), update] {
        for permission in ["ec2:CreateLaunchTemplate", "iam:PassRole", "pcs:GetCluster"] {
            pcs_says(&world, "AccessDeniedException", &sentence(permission, ""));
            told_everywhere(&world, &request, permission).await;
            world.stack.pcs_emulator.clear_faults();
        }
    }
}

/// What names no permission stays as it was: nothing of it can be told.
#[tokio::test]
async fn a_denial_that_names_no_permission_tells_nothing_of_it() {
    let world = World::start().await;
    world.cluster().await;
    for message in [
        "You are not authorized to perform this operation",
        "x is not authorized to perform: arn:aws:iam::123456789012:role/pcs-api-function",
        "no",
    ] {
        pcs_says(&world, "AccessDeniedException", message);
        let answer = world.send(&event("get-cluster")).await;
        world.stack.pcs_emulator.clear_faults();
        let told = answer.body["message"].as_str().unwrap();
        assert!(
            told.starts_with("PCS denies access: the resource does not exist"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn credentials_that_aws_does_not_take_are_a_fault_of_the_deployment() {
    for code in [
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "OptInRequired",
        "RequestExpired",
    ] {
        let said = sentence("iam:GetRole", "");
        let world = World::start().await;
        world.cluster().await;
        iam_says(&world, "GetRole", code, &said);
        let read = (world, event("create-compute-node-group"));
        let world = crate::saga::start().await;
        iam_says(&world, "CreateRole", code, &said);
        let write = (world, crate::saga::create(&["a"]));
        let world = World::start().await;
        pcs_says(&world, code, &said);
        let pcs = (world, event("list-clusters"));
        for (world, request) in [read, write, pcs] {
            let logs = Logs::at(LevelFilter::INFO);
            let answer = world.send(&request).await;
            let log = logs.take();
            let class = (answer.status, &answer.body["code"]);
            assert_eq!(
                class,
                (500, &json!("InternalServerException")),
                "{code}: {answer:?}"
            );
            assert!(log.contains(&format!("\"code\":\"{code}\"")), "{code}: {log}");
            assert!(!log.contains("pcs-api-function"), "{log}");
        }
    }
}
