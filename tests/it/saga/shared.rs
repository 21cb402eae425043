//! Another group can come to run with a role that this API made: from then on no repetition of the first request changes
//! it or takes it away.

use pcs_emulator::Effect;

use super::{
    faults::{inject_pcs, pcs_error, repeated_until_done},
    *,
};

const FORGOTTEN: Duration = Duration::from_hours(25);

/// Creates the group `second` with the profile of the one role that there is.
async fn second_group(world: &World, policies: &[&str]) {
    let profile = the_role(world, policies).await.profiles[0].arn.clone();
    let named = json!({
        "computeNodeGroupName": "second", "clientToken": "second-5c0b-4a53", "iamInstanceProfileArn": profile,
    });
    let answer = world
        .send(&with_body(event("create-compute-node-group"), named))
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    world.settle();
}

async fn removed_first(world: &World) {
    let answer = world.send(&event("delete-compute-node-group")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    world.settle();
    world.stack.pcs_emulator.advance(FORGOTTEN);
}

/// The first request has no answer but "not yet", another group begins to run with its profile, and then PCS refuses.
#[tokio::test]
async fn a_repeated_create_never_removes_the_role_of_another_group() {
    for code in [
        "ValidationException",
        "ResourceNotFoundException",
        "ConflictException",
        "ServiceQuotaExceededException",
        "AccessDeniedException",
    ] {
        let world = start().await;
        let request = create(&["a", "b"]);
        inject_pcs(&world, pcs_error("SomethingNewException"));
        let answer = world.send(&request).await;
        assert_eq!(
            refused(&answer),
            (503, "InstanceProfilePropagating"),
            "{code}: {answer:?}"
        );
        world.stack.pcs_emulator.clear_faults();
        second_group(&world, &["a", "b"]).await;
        let before = write_names(&world).len();
        inject_pcs(&world, pcs_error(code));
        let answer = world.send(&request).await;
        assert!(answer.status >= 400, "{code}: {answer:?}");
        assert_eq!(write_names(&world)[before..], ["CreateRole"], "{code}");
        the_role(&world, &["a", "b"]).await;
        let steps = steps(&world).await;
        assert_eq!(steps, ["ROLE_ADOPTED", "INSTANCE_PROFILE_ADOPTED"], "{code}");
    }
}

/// The first group is gone, and so is PCS's memory of its token.
#[tokio::test]
async fn a_create_repeated_after_its_group_is_gone_leaves_the_role_to_the_other_group() {
    let world = start().await;
    let request = create(&["a", "b"]);
    assert_eq!(world.send(&request).await.status, 202);
    world.settle();
    second_group(&world, &["a", "b"]).await;
    removed_first(&world).await;
    inject_pcs(&world, pcs_error("ValidationException"));
    let answer = world.send(&request).await;
    assert_eq!(refused(&answer), (400, "ValidationException"), "{answer:?}");
    the_role(&world, &["a", "b"]).await;
    world.stack.pcs_emulator.clear_faults();
    assert_eq!(world.send(&request).await.status, 202);
    assert_eq!(groups(&world).await.len(), 2);
    the_role(&world, &["a", "b"]).await;
}

/// What an update took from the role is not given back by whoever repeats the first request.
#[tokio::test]
async fn a_repeated_create_gives_no_policy_back_that_was_withdrawn() {
    let world = start().await;
    let request = create(&["a"]);
    assert_eq!(world.send(&request).await.status, 202);
    world.settle();
    second_group(&world, &["a"]).await;
    removed_first(&world).await;
    let update = json!({
        "clientToken": "update-5c0b-4a53", "iam": {"additionalIamPolicies": [own_policy("b")]},
    });
    let update = with_body(event("update-compute-node-group"), update);
    let update = at(update, &[("computeNodeGroupIdentifier", "second")]);
    assert_eq!(world.send(&update).await.status, 202);
    world.settle();
    let before = write_names(&world).len();
    let answer = world.send(&request).await;
    // A role so young may only be listed late; one that is old is another's by now.
    assert_eq!(
        refused(&answer),
        (503, "ServiceUnavailableException"),
        "{answer:?}"
    );
    assert_eq!(write_names(&world)[before..], ["CreateRole"]);
    the_role(&world, &["b"]).await;
    assert_eq!(groups(&world).await.len(), 1);
}

/// A state that passes by itself: the role waits for the same request, which goes on where it stopped.
#[tokio::test]
async fn a_conflict_that_passes_by_itself_keeps_the_role() {
    let world = start().await;
    let request = create(&["a", "b"]);
    inject_pcs(&world, pcs_error("ConflictException"));
    for _ in 0..3 {
        let answer = world.send(&request).await;
        assert_eq!(refused(&answer), (409, "ConflictException"), "{answer:?}");
    }
    let names = write_names(&world);
    assert_eq!(names.len(), 6 + 2, "one role for all tries: {names:?}");
    world.stack.pcs_emulator.clear_faults();
    repeated_until_done(&world, &request, "passed").await;
}

/// The name is taken: that does not pass.
#[tokio::test]
async fn a_conflict_with_a_group_of_that_name_leaves_nothing() {
    let world = start().await;
    assert_eq!(world.send(&create(&["a", "b"])).await.status, 202);
    let again = json!({"clientToken": "again-5c0b-4a53"});
    let answer = world.send(&with_body(create(&["a"]), again)).await;
    assert_eq!(refused(&answer), (409, "ConflictException"), "{answer:?}");
    assert_eq!(steps(&world).await.last().unwrap(), "ROLE_REMOVED");
    the_role(&world, &["a", "b"]).await;
}

/// What the read of the cluster tells need not be tried.
#[tokio::test]
async fn nothing_is_made_for_a_cluster_that_can_have_no_group() {
    let world = start().await;
    let request = create(&["a", "b"]);
    world.send(&event("delete-cluster")).await;
    let answer = world.send(&request).await;
    assert_eq!(refused(&answer), (409, "ConflictException"), "{answer:?}");
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.starts_with("the cluster is DELETING"), "{message}");
    world.settle();
    let anew = with_body(event("create-cluster"), json!({"clientToken": "anew-5c0b-4a53"}));
    assert_eq!(world.send(&anew).await.status, 202);
    let answer = world.send(&request).await;
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.starts_with("the cluster is CREATING"), "{message}");
    assert_eq!(write_names(&world), Vec::<String>::new());
    world.settle();
    repeated_until_done(&world, &request, "active").await;
}

/// More groups than PCS lists in one page, where PCS denies to read what does not exist.
#[tokio::test]
async fn a_group_is_looked_for_in_every_page_of_the_list() {
    let world = start_with(Options {
        unknown_names: pcs_emulator::UnknownNames::Denied,
        ..Options::default()
    })
    .await;
    let request = create(&["a", "b"]);
    inject_pcs(&world, pcs_error("SomethingNewException"));
    assert_eq!(world.send(&request).await.status, 503);
    world.stack.pcs_emulator.clear_faults();
    world.stack.pcs_emulator.clear_calls();
    let pages = [
        json!({"computeNodeGroups": [{"name": "one"}], "nextToken": "second"}),
        json!({"computeNodeGroups": [{"name": "two"}], "nextToken": "third"}),
        json!({"computeNodeGroups": [{"name": "three"}]}),
    ];
    for page in pages {
        world.stack.pcs_emulator.inject(pcs_emulator::Fault {
            action: Some("ListComputeNodeGroups".to_owned()),
            times: 1,
            effect: Effect::Garbage(page.to_string().into()),
        });
    }
    repeated_until_done(&world, &request, "pages").await;
    let calls = world.stack.pcs_emulator.calls().into_iter();
    let lists = calls.filter(|call| call.action == "ListComputeNodeGroups");
    let asked: Vec<Value> = lists.map(|call| call.body).take(3).collect();
    let page = |token: Value| json!([100, token]);
    let asked: Vec<Value> = asked
        .iter()
        .map(|body| json!([body["maxResults"], body["nextToken"]]))
        .collect();
    assert_eq!(
        asked,
        [page(Value::Null), page(json!("second")), page(json!("third"))]
    );
}
