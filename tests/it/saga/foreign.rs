//! What stands in IAM under the saga's names, or was done to what it made, and was not done by it.

use std::collections::BTreeSet;

use iam_emulator::{InstanceProfile as ProfileSeed, Role as RoleSeed};

use super::*;

/// The role that the request makes, with its name and tags, as somebody else would have to imitate it.
async fn expected_role() -> RoleSeed {
    let world = start().await;
    assert_eq!(world.send(&create(&["a", "b"])).await.status, 202);
    let made = the_role(&world, &["a", "b"]).await;
    let role = RoleSeed::new(made.role.role_name)
        .path(PATH)
        .boundary(Some(GUARD));
    let mut tags = made.role.tags.unwrap().into_iter();
    tags.try_fold(role, |role, tag| Some(role.tag(tag.key, tag.value)))
        .unwrap()
}

fn retagged(role: &RoleSeed, key: &str, value: &str) -> RoleSeed {
    let mut role = role.clone();
    for tag in role.tags.iter_mut().filter(|tag| tag.key == key) {
        value.clone_into(&mut tag.value);
    }
    role
}

#[tokio::test]
async fn a_role_of_the_same_name_that_is_not_ours_is_left_untouched() {
    let ours = expected_role().await;
    let mut untagged = ours.clone();
    untagged.tags.clear();
    let mut lower = ours.clone();
    lower.name = lower.name.to_lowercase();
    let shared = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"}, "Action": "sts:AssumeRole"},
    ]});
    let other_case = "arn:aws:iam::123456789012:policy/guard";
    for (case, role) in [
        ("path", ours.clone().path("/")),
        ("no tags", untagged),
        ("operation", retagged(&ours, "pcs-api:operation", &"0".repeat(64))),
        ("deployment", retagged(&ours, "pcs-api:deployment", "z9y8x7w6v5")),
        ("no boundary", ours.clone().boundary(None)),
        ("other boundary", ours.clone().boundary(Some(other_case))),
        ("trust", ours.clone().trust(shared)),
        ("case", lower),
    ] {
        let world = start().await;
        let seed = Seed::new().role(role);
        world.stack.iam_emulator.seed(seed).unwrap();
        let answer = world.send(&create(&["a", "b"])).await;
        assert_eq!(refused(&answer), (409, "ConflictException"), "{case}: {answer:?}");
        assert_eq!(write_names(&world), ["CreateRole"], "{case}");
        assert_eq!(writes(&world)[0].status.unwrap(), 409, "{case}");
        assert_eq!(world.pcs_mutations(), Vec::<String>::new(), "{case}");
    }
}

/// The very same role is adopted: that is what a repeated request finds.
#[tokio::test]
async fn a_role_that_is_ours_in_everything_is_adopted() {
    let world = start().await;
    let seed = Seed::new().role(expected_role().await);
    world.stack.iam_emulator.seed(seed).unwrap();
    let answer = world.send(&create(&["a", "b"])).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    the_role(&world, &["a", "b"]).await;
    assert_eq!(steps(&world).await[0], "ROLE_ADOPTED");
}

#[tokio::test]
async fn an_instance_profile_of_the_same_name_that_is_not_ours_is_left_untouched() {
    let role = expected_role().await;
    let ours = ProfileSeed::new(role.name.clone()).path(PATH);
    let ours = role.tags.iter().fold(ours, |profile, tag| {
        profile.tag(tag.key.clone(), tag.value.clone())
    });
    let mut untagged = ours.clone();
    untagged.tags.clear();
    for (case, profile) in [
        ("path", ours.clone().path("/aws-pcs/")),
        ("no tags", untagged),
        ("another role", ours.clone().role("AWSPCS-compute-node")),
    ] {
        let world = start().await;
        let seed = Seed::new().instance_profile(profile);
        world.stack.iam_emulator.seed(seed).unwrap();
        let answer = world.send(&create(&["a", "b"])).await;
        assert_eq!(refused(&answer), (409, "ConflictException"), "{case}: {answer:?}");
        let (roles, _) = made(&world).await;
        assert_eq!(roles, [], "{case}: the role that was made before is gone");
        for touched in [
            "AddRoleToInstanceProfile",
            "RemoveRoleFromInstanceProfile",
            "DeleteInstanceProfile",
        ] {
            assert!(!write_names(&world).contains(&touched.to_owned()), "{case}");
        }
    }
}

/// What the saga made is exempt from nothing: somebody attaches a policy meanwhile.
#[tokio::test]
async fn a_made_role_passes_the_same_rules_as_any_other() {
    let world = start().await;
    let request = create(&["a", "b"]);
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("CreateComputeNodeGroup".to_owned()),
        times: 3,
        effect: pcs_emulator::Effect::DropBefore,
    });
    assert_eq!(world.send(&request).await.status, 502);
    let name = the_role(&world, &["a", "b"]).await.role.role_name;
    let evil = "arn:aws:iam::aws:policy/AdministratorAccess";
    let client = iam_client(&world);
    let attach = client.attach_role_policy().role_name(&name).policy_arn(evil);
    attach.send().await.unwrap();
    let answer = world.send(&request).await;
    assert_eq!(refused(&answer), (403, "GuardrailDenied"), "{answer:?}");
    assert_eq!(rules(&answer), [("allowlist", evil)]);
    assert_eq!(
        steps(&world).await.last().unwrap(),
        "ORPHAN",
        "a group may run with it, and somebody has to look"
    );
    let attached = [
        own_policy("a"),
        own_policy("b"),
        evil.to_owned(),
        NODE_POLICY.to_owned(),
    ];
    the_role_with(&world, BTreeSet::from(attached).into_iter().collect()).await;
    assert_eq!(groups(&world).await, Vec::<Value>::new());
}
