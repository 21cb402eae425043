//! A step fails, before or after it happened, and the request is repeated.

use pcs_emulator::Effect as PcsEffect;

use super::*;

const STEPS: [&str; 4] = [
    "CreateRole",
    "AttachRolePolicy",
    "CreateInstanceProfile",
    "AddRoleToInstanceProfile",
];

fn inject(world: &World, action: &str, times: u32, effect: iam_emulator::Effect) {
    world.stack.iam_emulator.inject(iam_emulator::Fault {
        action: Some(action.to_owned()),
        times,
        effect,
    });
}

pub(super) fn inject_pcs(world: &World, effect: PcsEffect) {
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("CreateComputeNodeGroup".to_owned()),
        times: 9,
        effect,
    });
}

fn error(status: u16, code: &str) -> iam_emulator::Effect {
    iam_emulator::Effect::Error {
        status: http::StatusCode::from_u16(status).unwrap(),
        code: code.to_owned(),
        message: "as the test orders".to_owned(),
    }
}

pub(super) fn pcs_error(code: &str) -> PcsEffect {
    PcsEffect::Error {
        status: http::StatusCode::BAD_REQUEST,
        code: code.to_owned(),
        // Nothing of the profile, and something that is not it.
        message: "the subnet is not there".to_owned(),
    }
}

/// Whatever was interrupted: the end of it is one role, one profile and one group that runs with it, and no role ever
/// stood without its boundary.
pub(super) async fn repeated_until_done(world: &World, request: &Value, case: &str) {
    let answer = world.send(request).await;
    assert_eq!(answer.status, 202, "{case}: {answer:?}");
    let made = the_role(world, &["a", "b"]).await;
    let groups = groups(world).await;
    assert_eq!(groups.len(), 1, "{case}: {groups:?}");
    let profile = &groups[0]["iamInstanceProfileArn"];
    assert_eq!(*profile, json!(made.profiles[0].arn), "{case}");
    for call in writes(world) {
        if call.action == "CreateRole" {
            let boundary = call.params.get("PermissionsBoundary").map(String::as_str);
            assert_eq!(boundary, Some(GUARD), "{case}");
        }
        assert!(!call.action.contains("RolePermissionsBoundary"), "{case}");
    }
}

/// Three times is as often as the gateway asks.
#[tokio::test]
async fn a_step_that_is_not_answered_is_gone_on_with_by_the_same_request() {
    for step in STEPS {
        for effect in [
            iam_emulator::Effect::DropBefore,
            iam_emulator::Effect::DropAfter,
            error(500, "ServiceFailure"),
            iam_emulator::Effect::Throttle,
        ] {
            let case = format!("{step} {effect:?}");
            let world = start().await;
            let request = create(&["a", "b"]);
            inject(&world, step, 3, effect);
            let answer = world.send(&request).await;
            assert_eq!(
                refused(&answer),
                (503, "ServiceUnavailableException"),
                "{case}: {answer:?}"
            );
            assert!(answer.headers.contains_key("retry-after"), "{case}");
            let asked = world.pcs_mutations();
            assert_eq!(asked, Vec::<String>::new(), "{case}: nothing half made is used");
            repeated_until_done(&world, &request, &case).await;
        }
    }
}

/// Once a role is there it is not true that nothing happened, and another token would make another role.
#[tokio::test]
async fn a_made_role_that_cannot_be_read_is_gone_on_with_by_the_same_request() {
    let world = start().await;
    let request = create(&["a", "b"]);
    inject(&world, "GetInstanceProfile", 3, error(500, "ServiceFailure"));
    let answer = world.send(&request).await;
    assert_eq!(
        refused(&answer),
        (503, "ServiceUnavailableException"),
        "{answer:?}"
    );
    let message = answer.body["message"].as_str().unwrap();
    assert!(
        message.contains("same clientToken") && !message.contains("nothing happened"),
        "{message}"
    );
    assert_eq!(made(&world).await.0.len(), 1);
    repeated_until_done(&world, &request, "a read").await;
    the_role(&world, &["a", "b"]).await;
}

/// An answer that was lost once is not even noticed.
#[tokio::test]
async fn a_step_whose_answer_is_lost_once_is_repeated_at_once() {
    for step in STEPS {
        for effect in [iam_emulator::Effect::DropBefore, iam_emulator::Effect::DropAfter] {
            let case = format!("{step} {effect:?}");
            let world = start().await;
            inject(&world, step, 1, effect);
            repeated_until_done(&world, &create(&["a", "b"]), &case).await;
        }
    }
}

/// Whether PCS acted is not known, so nothing is undone.
#[tokio::test]
async fn when_pcs_does_not_answer_everything_stays_and_the_same_request_goes_on() {
    for (effect, status) in [
        (PcsEffect::DropBefore, 502),
        (PcsEffect::DropAfter, 502),
        (PcsEffect::Throttle, 429),
        (pcs_error("InternalServerException"), 502),
        (PcsEffect::Garbage("<html>".into()), 502),
    ] {
        let case = format!("{effect:?}");
        let world = start().await;
        let request = create(&["a", "b"]);
        inject_pcs(&world, effect);
        let answer = world.send(&request).await;
        assert_eq!(answer.status, status, "{case}: {answer:?}");
        the_role(&world, &["a", "b"]).await;
        let undone = ["De", "Remove"];
        let names = write_names(&world);
        assert!(
            !names
                .iter()
                .any(|name| undone.iter().any(|undo| name.starts_with(undo))),
            "{case}: {names:?}"
        );
        world.stack.pcs_emulator.clear_faults();
        repeated_until_done(&world, &request, &case).await;
    }
}

#[tokio::test]
async fn when_pcs_is_too_slow_everything_stays_and_the_same_request_goes_on() {
    let world = start().await;
    let request = create(&["a", "b"]);
    inject_pcs(&world, PcsEffect::Delay(Duration::from_mins(1)));
    let answer = world.send_within(&request, Duration::from_secs(9)).await;
    assert_eq!(refused(&answer), (504, "GatewayTimeoutException"), "{answer:?}");
    world.stack.pcs_emulator.clear_faults();
    repeated_until_done(&world, &request, "slow").await;
}

#[tokio::test]
async fn two_same_requests_at_once_make_one_role_and_one_group() {
    let world = start().await;
    let request = create(&["a", "b"]);
    let (first, second) = tokio::join!(world.send(&request), world.send(&request));
    assert_eq!((first.status, second.status), (202, 202), "{first:?} {second:?}");
    let created = writes(&world)
        .into_iter()
        .filter(|call| call.action == "CreateRole");
    let created = created.filter(|call| call.status.unwrap().is_success());
    assert_eq!(created.count(), 1);
    repeated_until_done(&world, &request, "at once").await;
}

/// PCS refused and will refuse again: what was made for the request goes, and the token can be used anew.
#[tokio::test]
async fn what_pcs_refuses_for_good_leaves_nothing() {
    for (code, status) in [
        ("ValidationException", 400),
        ("ServiceQuotaExceededException", 402),
        ("ResourceNotFoundException", 404),
    ] {
        let world = start().await;
        let request = create(&["a", "b"]);
        inject_pcs(&world, pcs_error(code));
        let answer = world.send(&request).await;
        assert_eq!(answer.status, status, "{code}: {answer:?}");
        nothing_is_left(&world).await;
        assert_eq!(
            write_names(&world)[6..],
            [
                "RemoveRoleFromInstanceProfile",
                "DeleteInstanceProfile",
                "DetachRolePolicy",
                "DetachRolePolicy",
                "DetachRolePolicy",
                "DeleteRolePolicy",
                "DeleteRole",
            ],
            "{code}"
        );
        assert_eq!(steps(&world).await.last().unwrap(), "ROLE_REMOVED", "{code}");
        world.stack.pcs_emulator.clear_faults();
        repeated_until_done(&world, &request, code).await;
    }
}

/// The cluster is not there, and PCS says of an id it does not know that access is denied.
#[tokio::test]
async fn a_cluster_that_does_not_exist_leaves_nothing() {
    let world = start().await;
    for (cluster, status) in [("no-such-cluster", 404), ("pcs_doesnotexist", 403)] {
        let request = at(create(&["a", "b"]), &[("clusterIdentifier", cluster)]);
        let answer = world.send(&request).await;
        assert_eq!(answer.status, status, "{cluster}: {answer:?}");
        nothing_is_left(&world).await;
    }
}

#[tokio::test]
async fn what_iam_refuses_for_good_is_told_and_leaves_nothing() {
    let quota = (402, "ServiceQuotaExceededException");
    for (step, fault, expected) in [
        ("CreateRole", error(409, "LimitExceeded"), quota),
        ("AttachRolePolicy", error(409, "LimitExceeded"), quota),
        ("CreateInstanceProfile", error(409, "LimitExceeded"), quota),
        (
            "AttachRolePolicy",
            error(403, "AccessDenied"),
            (403, "UpstreamAccessDenied"),
        ),
        (
            "AttachRolePolicy",
            error(400, "PolicyNotAttachable"),
            (400, "ValidationException"),
        ),
    ] {
        let world = start().await;
        inject(&world, step, 1, fault);
        let answer = world.send(&create(&["a", "b"])).await;
        assert_eq!(refused(&answer), expected, "{step}: {answer:?}");
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.contains("IAM"), "{answer:?}");
        let permission = format!("lacks iam:{step};");
        assert_eq!(message.contains(&permission), expected.0 == 403, "{answer:?}");
        nothing_is_left(&world).await;
        assert_eq!(world.pcs_mutations(), Vec::<String>::new());
    }
}

/// A policy that cannot be looked at counts as neither good nor bad: nothing is begun, and a dry run promises nothing.
#[tokio::test]
async fn a_policy_that_cannot_be_looked_at_is_not_taken_for_a_good_one() {
    for (fault, expected) in [
        (error(403, "AccessDenied"), (403, "UpstreamAccessDenied")),
        (error(500, "ServiceFailure"), (503, "ServiceUnavailableException")),
        (
            iam_emulator::Effect::Throttle,
            (503, "ServiceUnavailableException"),
        ),
    ] {
        let world = start().await;
        let update = json!({"iam": {"additionalIamPolicies": [own_policy("a")]}});
        for request in [
            create(&["a"]),
            with_query(create(&["a"]), &[("dryrun", "true")]),
            with_body(event("update-compute-node-group"), update),
        ] {
            inject(&world, "GetPolicy", 9, fault.clone());
            let answer = world.send(&request).await;
            assert_eq!(refused(&answer), expected, "{fault:?}: {answer:?}");
            let message = answer.body["message"].as_str().unwrap();
            assert_eq!(
                message.contains("lacks iam:GetPolicy;"),
                expected.0 == 403,
                "{answer:?}"
            );
            assert_eq!(write_names(&world), Vec::<String>::new());
            assert_eq!(world.pcs_mutations(), Vec::<String>::new());
            world.stack.iam_emulator.clear_faults();
        }
    }
}

/// The caller is told why the request was refused; that something is left is for the record and the alarm.
#[tokio::test]
async fn what_cannot_be_undone_is_recorded_as_an_orphan() {
    for step in [
        "RemoveRoleFromInstanceProfile",
        "DeleteInstanceProfile",
        "DetachRolePolicy",
        "DeleteRole",
    ] {
        let world = start().await;
        inject_pcs(&world, pcs_error("ValidationException"));
        inject(&world, step, 9, error(403, "AccessDenied"));
        let answer = world.send(&create(&["a", "b"])).await;
        assert_eq!(
            refused(&answer),
            (400, "ValidationException"),
            "{step}: {answer:?}"
        );
        assert_eq!(steps(&world).await.last().unwrap(), "ORPHAN", "{step}");
        let (roles, profiles) = made(&world).await;
        let roles = roles.into_iter().map(|made| made.role.role_name);
        let profiles = profiles.into_iter().map(|profile| profile.instance_profile_name);
        let left: Vec<String> = roles.chain(profiles).collect();
        let rows = world.rows().await;
        let orphan = rows.iter().find(|row| row["step"] == "ORPHAN").unwrap();
        let name = orphan["nodeRoleArn"].as_str().unwrap().rsplit('/').next();
        assert_eq!(left, [name.unwrap()], "{step}");
    }
}

/// There is nothing inline to delete in a role of this version.
#[tokio::test]
async fn a_step_that_nothing_depends_on_leaves_no_orphan() {
    let world = start().await;
    inject_pcs(&world, pcs_error("ValidationException"));
    inject(&world, "DeleteRolePolicy", 9, error(403, "AccessDenied"));
    let answer = world.send(&create(&["a", "b"])).await;
    assert_eq!(refused(&answer), (400, "ValidationException"), "{answer:?}");
    assert_eq!(steps(&world).await.last().unwrap(), "ROLE_REMOVED");
    nothing_is_left(&world).await;
}

/// PCS may forget a token, and then refuses the same request because the group exists. Its role is in use.
#[tokio::test]
async fn a_late_repetition_never_takes_the_role_from_a_group() {
    let world = start().await;
    let request = create(&["a", "b"]);
    assert_eq!(world.send(&request).await.status, 202);
    let writes_so_far = write_names(&world).len();
    for code in [
        "ConflictException",
        "AccessDeniedException",
        "ValidationException",
    ] {
        inject_pcs(&world, pcs_error(code));
        let answer = world.send(&request).await;
        assert!((400..500).contains(&answer.status), "{code}: {answer:?}");
        assert_eq!(
            steps(&world).await,
            ["ROLE_ADOPTED"],
            "{code}: nothing for anybody to look at"
        );
        world.stack.pcs_emulator.clear_faults();
        the_role(&world, &["a", "b"]).await;
    }
    let repeated: Vec<String> = write_names(&world).split_off(writes_so_far);
    assert!(
        repeated.iter().all(|name| name == "CreateRole"),
        "only asked for and found: {repeated:?}"
    );
}

/// Nobody can tell whether a group runs with the role of an earlier try, so it stays; the sweep can tell.
#[tokio::test]
async fn a_role_that_may_be_in_use_is_not_removed() {
    let world = start().await;
    let request = create(&["a", "b"]);
    assert_eq!(world.send(&request).await.status, 202);
    for effect in [pcs_error("AccessDeniedException"), PcsEffect::DropBefore] {
        world.stack.pcs_emulator.inject(pcs_emulator::Fault {
            action: Some("GetComputeNodeGroup".to_owned()),
            times: 9,
            effect,
        });
        inject_pcs(&world, pcs_error("ConflictException"));
        let answer = world.send(&request).await;
        assert_ne!(answer.status, 202, "{answer:?}");
        assert_eq!(steps(&world).await, ["ROLE_ADOPTED"]);
        world.stack.pcs_emulator.clear_faults();
        the_role(&world, &["a", "b"]).await;
    }
}

#[tokio::test]
async fn a_token_belongs_to_one_request() {
    let world = start().await;
    assert_eq!(world.send(&create(&["a"])).await.status, 202);
    let other = with_body(create(&["a"]), json!({"computeNodeGroupName": "other"}));
    for request in [create(&["a", "b"]), other] {
        let answer = world.send(&request).await;
        assert_eq!(refused(&answer), (409, "ConflictException"), "{answer:?}");
        assert!(answer.body["message"].as_str().unwrap().contains("clientToken"));
        the_role(&world, &["a"]).await;
    }
}
