//! PCS may have acted though its last word is a refusal: the answer to an earlier attempt, or to an earlier call, was
//! lost. What a group may run with is never taken away; what is certain to be of no use does not stay.

use pcs_emulator::{ClosedRegion, Effect};

use super::{
    faults::{inject_pcs, pcs_error, repeated_until_done},
    *,
};

const CREATE: &str = "CreateComputeNodeGroup";
const UPDATE: &str = "UpdateComputeNodeGroup";
const GET: &str = "GetComputeNodeGroup";

fn strike(world: &World, action: &str, times: u32, effect: Effect) {
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some(action.to_owned()),
        times,
        effect,
    });
}

async fn nothing_was_undone(world: &World, case: &str) {
    let names = write_names(world);
    let undone = names
        .iter()
        .any(|name| ["De", "Remove"].iter().any(|undo| name.starts_with(undo)));
    assert!(!undone, "{case}: {names:?}");
    let steps = steps(world).await;
    assert!(
        !steps.contains(&"ORPHAN".to_owned()),
        "{case}: nobody has to look: {steps:?}"
    );
    the_role(world, &["a", "b"]).await;
}

/// Whatever PCS says to the second attempt, and whatever it tells of the group.
#[tokio::test]
async fn a_group_keeps_its_role_when_the_answer_was_lost_and_the_repetition_is_refused() {
    for lost in [
        Effect::DropAfter,
        Effect::DropBefore,
        pcs_error("InternalServerException"),
    ] {
        for code in [
            "ConflictException",
            "AccessDeniedException",
            "ServiceQuotaExceededException",
            "SomethingNewException",
        ] {
            for told in [
                None,
                Some("ResourceNotFoundException"),
                Some("AccessDeniedException"),
            ] {
                let case = format!("{lost:?} {code} {told:?}");
                let world = start().await;
                let request = create(&["a", "b"]);
                strike(&world, CREATE, 1, lost.clone());
                strike(&world, CREATE, 9, pcs_error(code));
                if let Some(told) = told {
                    strike(&world, GET, 9, pcs_error(told));
                }
                let answer = world.send(&request).await;
                if matches!(lost, Effect::Error { .. })
                    && answer.status == 502
                    && code != "SomethingNewException"
                {
                    // PCS's own failures need not be tried again by the SDK.
                    continue;
                }
                assert!(answer.status >= 400, "{case}: {answer:?}");
                nothing_was_undone(&world, &case).await;
                world.stack.pcs_emulator.clear_faults();
                repeated_until_done(&world, &request, &case).await;
            }
        }
    }
}

/// The first call has no answer, and PCS is still at it when the second comes.
#[tokio::test]
async fn a_refusal_of_the_next_call_does_not_take_what_the_first_may_have_used() {
    for code in ["ConflictException", "AccessDeniedException"] {
        let world = start().await;
        let request = create(&["a", "b"]);
        inject_pcs(&world, Effect::DropBefore);
        assert_eq!(world.send(&request).await.status, 502);
        world.stack.pcs_emulator.clear_faults();
        inject_pcs(&world, pcs_error(code));
        let answer = world.send(&request).await;
        assert!(answer.status >= 400, "{code}: {answer:?}");
        nothing_was_undone(&world, code).await;
        world.stack.pcs_emulator.clear_faults();
        repeated_until_done(&world, &request, code).await;
    }
}

/// A throttled attempt is a refused one: there is no doubt.
#[tokio::test]
async fn a_refusal_after_a_throttled_attempt_leaves_nothing() {
    let world = start().await;
    strike(&world, CREATE, 1, Effect::Throttle);
    strike(&world, CREATE, 9, pcs_error("ValidationException"));
    let answer = world.send(&create(&["a", "b"])).await;
    assert_eq!(refused(&answer), (400, "ValidationException"), "{answer:?}");
    assert_eq!(steps(&world).await.last().unwrap(), "ROLE_REMOVED");
    nothing_is_left(&world).await;
}

#[tokio::test]
async fn policies_stay_as_pcs_was_told_when_the_answer_to_the_update_was_lost() {
    let world = start().await;
    assert_eq!(world.send(&create(&["a", "b"])).await.status, 202);
    world.settle();
    strike(&world, UPDATE, 1, Effect::DropAfter);
    strike(&world, UPDATE, 9, pcs_error("ConflictException"));
    let changes = json!({
        "clientToken": "update-5c0b-4a53", "iam": {"additionalIamPolicies": [own_policy("c")]},
    });
    let answer = world
        .send(&with_body(event("update-compute-node-group"), changes))
        .await;
    assert_eq!(refused(&answer), (502, "BadGatewayException"), "{answer:?}");
    the_role(&world, &["c"]).await;
    assert_eq!(steps(&world).await, ["ROLE_POLICIES_CHANGED"]);
    let groups = groups(&world).await;
    assert_eq!(groups[0]["scalingConfiguration"]["maxInstanceCount"], 8);
}

/// No sweep can read that Region, and every try would leave one more role.
#[tokio::test]
async fn nothing_is_made_where_there_can_be_no_group() {
    let denied = "with an explicit deny in a service control policy".to_owned();
    for (closed, expected) in [
        (ClosedRegion::NotEnabled, (400, "ValidationException")),
        (ClosedRegion::Denied(denied), (403, "UpstreamAccessDenied")),
    ] {
        let world = start().await;
        world
            .stack
            .pcs_emulator
            .close_region("af-south-1", Some(closed.clone()));
        for token in ["first-5c0b-4a53", "second-5c0b-4a53"] {
            let request = with_body(create(&["a"]), json!({"clientToken": token}));
            let request = with_query(request, &[("region", "af-south-1")]);
            let answer = world.send(&request).await;
            assert_eq!(refused(&answer), expected, "{closed:?}: {answer:?}");
        }
        assert_eq!(write_names(&world), Vec::<String>::new(), "{closed:?}");
    }
}

/// One role for each try would be left otherwise.
#[tokio::test]
async fn a_final_refusal_leaves_nothing_where_pcs_tells_nothing_of_the_group() {
    let world = start().await;
    let request = create(&["a"]);
    inject_pcs(&world, pcs_error("ServiceQuotaExceededException"));
    strike(&world, GET, 9, pcs_error("AccessDeniedException"));
    strike(
        &world,
        "ListComputeNodeGroups",
        9,
        pcs_error("AccessDeniedException"),
    );
    let answer = world.send(&request).await;
    assert_eq!(
        refused(&answer),
        (402, "ServiceQuotaExceededException"),
        "{answer:?}"
    );
    nothing_is_left(&world).await;
}

#[tokio::test]
async fn a_cluster_that_cannot_be_read_is_asked_for_again_before_anything_is_made() {
    let world = start().await;
    for effect in [Effect::DropBefore, pcs_error("InternalServerException")] {
        strike(&world, "GetCluster", 9, effect);
        let answer = world.send(&create(&["a", "b"])).await;
        assert_eq!(
            refused(&answer),
            (503, "ServiceUnavailableException"),
            "{answer:?}"
        );
        world.stack.pcs_emulator.clear_faults();
    }
    assert_eq!(write_names(&world), Vec::<String>::new());
}

/// What exists is not told as refused: the caller would make it again, and the trail would not know of it.
#[tokio::test]
async fn a_call_that_was_carried_out_is_not_told_as_refused() {
    for code in [
        "ServiceQuotaExceededException",
        "ConflictException",
        "ValidationException",
        "AccessDeniedException",
        "SomethingNewException",
    ] {
        let world = World::start().await;
        world.cluster().await;
        strike(&world, CREATE, 1, Effect::DropAfter);
        strike(&world, CREATE, 9, pcs_error(code));
        let answer = world.send(&event("create-compute-node-group")).await;
        assert_eq!(
            refused(&answer),
            (502, "BadGatewayException"),
            "{code}: {answer:?}"
        );
        let last = world.rows().await.pop().unwrap();
        let recorded = last["errorMessage"].as_str().unwrap();
        for text in [answer.body["message"].as_str().unwrap(), recorded] {
            assert!(
                text.contains("may have carried it out") && text.contains("same clientToken"),
                "{code}: {text}"
            );
        }
        assert!(!recorded.contains("the subnet"), "{recorded}");
        assert_eq!(groups(&world).await.len(), 1, "{code}: it is there");
    }
}

/// The group is gone, and the second attempt finds none.
#[tokio::test]
async fn a_deletion_that_was_carried_out_is_not_told_as_not_found() {
    let world = start().await;
    assert_eq!(world.send(&create(&["a", "b"])).await.status, 202);
    world.settle();
    strike(&world, "DeleteComputeNodeGroup", 1, Effect::DropAfter);
    strike(
        &world,
        "DeleteComputeNodeGroup",
        9,
        pcs_error("ResourceNotFoundException"),
    );
    let answer = world.send(&event("delete-compute-node-group")).await;
    assert_eq!(refused(&answer), (502, "BadGatewayException"), "{answer:?}");
}

/// A code that nobody has seen can mean the profile; it is waited for, and what PCS says is told.
#[tokio::test]
async fn a_refusal_that_is_not_known_is_waited_out_while_the_profile_is_young() {
    let world = start().await;
    let request = create(&["a", "b"]);
    inject_pcs(&world, pcs_error("InvalidIamInstanceProfile"));
    let answer = world.send(&request).await;
    assert_eq!(
        refused(&answer),
        (503, "InstanceProfilePropagating"),
        "{answer:?}"
    );
    let message = answer.body["message"].as_str().unwrap();
    assert!(
        message.contains("(PCS says: the subnet is not there)"),
        "{message}"
    );
    nothing_was_undone(&world, "unknown").await;
    world.stack.pcs_emulator.clear_faults();
    repeated_until_done(&world, &request, "unknown").await;
}

/// Names that a caller chooses do not decide what a refusal is about.
#[tokio::test]
async fn a_name_of_the_callers_does_not_turn_a_final_refusal_into_a_temporary_one() {
    let world = start().await;
    let request = at(
        create(&["a", "b"]),
        &[("clusterIdentifier", "iam-instance-profile-role")],
    );
    let answer = world.send(&request).await;
    assert_eq!(refused(&answer), (404, "ResourceNotFoundException"), "{answer:?}");
    nothing_is_left(&world).await;

    let named = |token: &str| {
        let named = json!({"computeNodeGroupName": "iam-nodes", "clientToken": token});
        with_body(create(&["a", "b"]), named)
    };
    assert_eq!(world.send(&named("named-5c0b-4a53")).await.status, 202);
    let answer = world.send(&named("again-5c0b-4a53")).await;
    assert_eq!(refused(&answer), (409, "ConflictException"), "{answer:?}");
    the_role(&world, &["a", "b"]).await;
}
