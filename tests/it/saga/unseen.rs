//! PCS does not see the profile that was just made: what it says of that has many wordings, and each is to be waited out
//! with what was made.

use std::{collections::BTreeSet, path::Path};

use pcs_emulator::{UnknownNames, UnseenProfiles};

use super::{faults::repeated_until_done, *};

/// Whatever PCS says of it.
#[tokio::test]
async fn while_pcs_does_not_see_the_profile_the_caller_is_told_to_come_back() {
    for unseen_profiles in [
        UnseenProfiles::Denied,
        UnseenProfiles::Name,
        UnseenProfiles::NameValue,
        UnseenProfiles::ArnValue,
        UnseenProfiles::AutoScaling,
        UnseenProfiles::Role,
        UnseenProfiles::Field,
        UnseenProfiles::NotFound,
    ] {
        for unknown_names in [UnknownNames::NotFound, UnknownNames::Denied] {
            comes_back_until_it_is_seen(unseen_profiles, unknown_names).await;
        }
    }
}

async fn comes_back_until_it_is_seen(unseen_profiles: UnseenProfiles, unknown_names: UnknownNames) {
    let world = start_with(Options {
        iam_propagation: Duration::from_mins(1),
        unseen_profiles,
        unknown_names,
        ..Options::default()
    })
    .await;
    let request = create(&["a", "b"]);
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let answer = world.send(&request).await;
        assert_eq!(
            refused(&answer),
            (503, "InstanceProfilePropagating"),
            "{answer:?}"
        );
        assert_eq!(answer.headers["retry-after"], "15");
        let message = answer.body["message"].as_str().unwrap();
        let is_quoted = unseen_profiles != UnseenProfiles::Denied;
        assert_eq!(message.contains("(PCS says: "), is_quoted, "{message}");
        let made = the_role(&world, &["a", "b"]).await;
        ids.insert((made.role.role_id, made.profiles[0].instance_profile_id.clone()));
        let last = world.rows().await.pop().unwrap();
        assert_eq!(
            (&last["sk"], &last["errorCode"]),
            (&json!("9#COMPLETE"), &json!("InstanceProfilePropagating"))
        );
    }
    assert_eq!(ids.len(), 1, "no try makes a younger one: {ids:?}");
    world.stack.iam_emulator.advance(Duration::from_secs(61));
    repeated_until_done(&world, &request, "propagated").await;
}

/// A profile that has been there for long is not "not seen yet": PCS means it. Another group can run with it by now, so
/// the role is left to the sweep.
#[tokio::test]
async fn a_refusal_for_an_old_role_is_taken_as_one() {
    for (unseen, expected) in [
        (UnseenProfiles::Denied, (403, "UpstreamAccessDenied")),
        (UnseenProfiles::Name, (400, "ValidationException")),
    ] {
        is_taken_as_one_for_an_old_role(unseen, expected).await;
    }
}

async fn is_taken_as_one_for_an_old_role(unseen_profiles: UnseenProfiles, expected: (i64, &str)) {
    let folder = format!("pcs-api-saga-{}-{unseen_profiles:?}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    let options = || Options {
        data_dir: Some(folder.clone()),
        unseen_profiles,
        iam_propagation: Duration::from_hours(1),
        ..Options::default()
    };
    let world = start_with(options()).await;
    let request = create(&["a", "b"]);
    let answer = world.send(&request).await;
    assert_eq!(
        refused(&answer),
        (503, "InstanceProfilePropagating"),
        "{answer:?}"
    );
    world.stop().await;
    age(&folder.join("iam").join("iam.json"));
    let variables = [ON, BOUNDED].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let world = World::with_options(Options {
        variables: BTreeMap::from(variables),
        ..options()
    })
    .await;
    let answer = world.send(&request).await;
    assert_eq!(refused(&answer), expected, "{answer:?}");
    let steps = steps(&world).await;
    assert_eq!(steps, ["ROLE_ADOPTED", "INSTANCE_PROFILE_ADOPTED"]);
    the_role(&world, &["a", "b"]).await;
    world.stop().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Makes everything in the saved account ten minutes older.
fn age(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let mut account: Value = serde_json::from_str(&text).unwrap();
    for list in ["roles", "profiles"] {
        for stored in account[list].as_array_mut().unwrap() {
            let created: jiff::Timestamp = stored["created"].as_str().unwrap().parse().unwrap();
            stored["created"] = json!((created - jiff::SignedDuration::from_mins(10)).to_string());
        }
    }
    std::fs::write(file, account.to_string()).unwrap();
}

/// Whether a group runs with the role cannot be asked just now: that is no reason to call the refusal final.
#[tokio::test]
async fn while_pcs_does_not_tell_of_the_group_nothing_is_given_up() {
    let world = start_with(Options {
        iam_propagation: Duration::from_mins(1),
        unseen_profiles: UnseenProfiles::Name,
        ..Options::default()
    })
    .await;
    let request = create(&["a", "b"]);
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("GetComputeNodeGroup".to_owned()),
        times: 9,
        effect: pcs_emulator::Effect::Throttle,
    });
    let answer = world.send(&request).await;
    assert_eq!(
        refused(&answer),
        (503, "InstanceProfilePropagating"),
        "{answer:?}"
    );
    world.stack.pcs_emulator.clear_faults();
    the_role(&world, &["a", "b"]).await;
    world.stack.iam_emulator.advance(Duration::from_secs(61));
    repeated_until_done(&world, &request, "throttled").await;
}

/// What PCS says is wrong with another member is wrong however young the profile is.
#[tokio::test]
async fn a_refusal_of_another_member_leaves_nothing_at_once() {
    let world = start().await;
    let checks = json!({"healthMonitoring": {"mode": "STANDARD"}});
    let request = with_body(create(&["a", "b"]), json!({"instanceHealthChecks": checks}));
    let answer = world.send(&request).await;
    assert_eq!(refused(&answer), (400, "ValidationException"), "{answer:?}");
    assert_eq!(answer.body["fieldErrors"][0]["path"], "instanceHealthChecks");
    assert_eq!(steps(&world).await.last().unwrap(), "ROLE_REMOVED");
    nothing_is_left(&world).await;
}

fn creation_is_answered(world: &World, code: &str, message: &str) {
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("CreateComputeNodeGroup".to_owned()),
        times: 9,
        effect: pcs_emulator::Effect::Error {
            status: http::StatusCode::BAD_REQUEST,
            code: code.to_owned(),
            message: message.to_owned(),
        },
    });
}

/// However PCS words it: what nobody but an administrator can mend is not called "not seen yet".
#[tokio::test]
async fn a_permission_that_is_missing_is_named_at_once() {
    let who = "User: arn:aws:sts::123456789012:assumed-role/pcs-api-fn/x is not authorized to perform:";
    let linked = "The provided credentials do not have permission to create the service-linked role for EC2 Spot \
                  Instances.";
    let pass = format!("{who} iam:PassRole on resource: x with an explicit deny in a service control policy");
    let make = format!("{who} iam:CreateServiceLinkedRole on resource: x");
    let run = format!("{who} ec2:RunInstances on resource: *");
    for (code, message, permission) in [
        (
            "AccessDeniedException",
            pass.as_str(),
            "iam:PassRole (a service control policy denies it)",
        ),
        ("AccessDeniedException", &make, "iam:CreateServiceLinkedRole"),
        ("AccessDeniedException", &run, "ec2:RunInstances"),
        ("ValidationException", &run, "ec2:RunInstances"),
        ("Client.UnauthorizedOperation", &run, "ec2:RunInstances"),
        ("ValidationException", linked, "iam:CreateServiceLinkedRole"),
        (
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "no",
            "iam:CreateServiceLinkedRole",
        ),
    ] {
        let world = start().await;
        creation_is_answered(&world, code, message);
        let answer = world.send(&create(&["a", "b"])).await;
        assert_eq!(
            refused(&answer),
            (403, "UpstreamAccessDenied"),
            "{code}: {answer:?}"
        );
        let told = answer.body["message"].as_str().unwrap();
        assert!(told.contains(&format!("lacks {permission};")), "{code}: {told}");
        assert!(!told.contains("resource: "), "{code}: {told}");
        nothing_is_left(&world).await;
    }
}

/// It can come from the new profile, and from a role of the function's that lacks it: the answer and the record tell both.
#[tokio::test]
async fn a_permission_that_can_come_from_the_new_profile_is_told_while_it_is_waited_for() {
    for permission in ["iam:PassRole", "iam:GetInstanceProfile"] {
        let world = start().await;
        let message = format!("User: x is not authorized to perform: {permission} on resource: y");
        creation_is_answered(&world, "AccessDeniedException", &message);
        let answer = world.send(&create(&["a", "b"])).await;
        assert_eq!(
            refused(&answer),
            (503, "InstanceProfilePropagating"),
            "{permission}: {answer:?}"
        );
        let last = world.rows().await.pop().unwrap();
        for text in [&answer.body["message"], &last["errorMessage"]] {
            assert!(text.as_str().unwrap().contains(permission), "{text}");
        }
        the_role(&world, &["a", "b"]).await;
    }
}
