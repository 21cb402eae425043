//! `UpdateComputeNodeGroup` with `iam`: the policies of a role that this API made become those that are listed.

use iam_emulator::Role as RoleSeed;

use super::*;

/// `UpdateComputeNodeGroup` with `iam` and a token of its own.
fn update(names: &[&str]) -> Value {
    let listed: Vec<String> = names.iter().map(|name| own_policy(name)).collect();
    let changes = json!({"clientToken": "update-5c0b-4a53", "iam": {"additionalIamPolicies": listed}});
    with_body(event("update-compute-node-group"), changes)
}

/// A group with a role that has the policies `a` and `b`; both ACTIVE.
async fn with_group() -> World {
    let world = start().await;
    assert_eq!(world.send(&create(&["a", "b"])).await.status, 202);
    world.settle();
    world.stack.iam_emulator.clear_calls();
    world.stack.pcs_emulator.clear_calls();
    world
}

fn refuse_updates(world: &World, code: &str) {
    world.stack.pcs_emulator.inject(pcs_emulator::Fault {
        action: Some("UpdateComputeNodeGroup".to_owned()),
        times: 9,
        effect: pcs_emulator::Effect::Error {
            status: http::StatusCode::BAD_REQUEST,
            code: code.to_owned(),
            message: "as the test orders".to_owned(),
        },
    });
}

/// Attaches a policy that is not allowed, as somebody else with rights to IAM could.
async fn attach_elsewhere(world: &World) -> &'static str {
    let evil = "arn:aws:iam::aws:policy/AdministratorAccess";
    let name = the_role(world, &["a", "b"]).await.role.role_name;
    let client = iam_client(world);
    let attach = client.attach_role_policy().role_name(&name).policy_arn(evil);
    attach.send().await.unwrap();
    evil
}

#[tokio::test]
async fn the_policies_become_those_listed_and_pcs_is_sent_the_rest() {
    let world = with_group().await;
    let answer = world.send(&update(&["c", "b"])).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    the_role(&world, &["b", "c"]).await;
    assert_eq!(
        write_names(&world),
        ["AttachRolePolicy", "DetachRolePolicy"],
        "first what is new"
    );
    let asked = world.stack.pcs_emulator.calls();
    let asked = asked
        .iter()
        .find(|call| call.action == "UpdateComputeNodeGroup")
        .unwrap();
    let body = asked.body.as_object().unwrap();
    assert!(
        !body.contains_key("iam") && !body.contains_key("iamInstanceProfileArn"),
        "{body:?}"
    );
    assert_eq!(body["scalingConfiguration"]["maxInstanceCount"], 8);
    assert_eq!(steps(&world).await, ["ROLE_POLICIES_CHANGED"]);
}

#[tokio::test]
async fn the_same_update_again_changes_nothing() {
    let world = with_group().await;
    let request = update(&["c"]);
    assert_eq!(world.send(&request).await.status, 202);
    world.stack.iam_emulator.clear_calls();
    assert_eq!(world.send(&request).await.status, 202);
    assert_eq!(write_names(&world), Vec::<String>::new());
}

/// A role at another place, one at ours without our tag, and one of another deployment.
#[tokio::test]
async fn a_role_that_this_api_did_not_make_is_not_changed() {
    let world = start().await;
    let ours = |name: &str| RoleSeed::new(name).boundary(Some(GUARD)).attach(own_policy("a"));
    for (name, role) in [
        ("elsewhere", ours("AWSPCS-elsewhere")),
        ("untagged", ours("AWSPCS-untagged").path(PATH)),
        (
            "foreign",
            ours("AWSPCS-foreign")
                .path(PATH)
                .tag("pcs-api:deployment", "z9y8x7w6v5"),
        ),
    ] {
        let (role_name, path) = (role.name.clone(), role.path.clone());
        let profile = iam_emulator::InstanceProfile::new(role_name.clone())
            .path(path.clone())
            .role(role_name.clone());
        let seed = Seed::new().role(role).instance_profile(profile);
        world.stack.iam_emulator.seed(seed).unwrap();
        let arn = format!("arn:aws:iam::123456789012:instance-profile{path}{role_name}");
        let changes =
            json!({"iamInstanceProfileArn": arn, "computeNodeGroupName": name, "clientToken": null});
        let created = with_body(event("create-compute-node-group"), changes);
        let created = world.send(&created).await;
        assert_eq!(created.status, 202, "{name}: {created:?}");
        world.settle();
        for dryrun in ["true", "false"] {
            let request = with_query(update(&["b"]), &[("dryrun", dryrun)]);
            let request = at(request, &[("computeNodeGroupIdentifier", name)]);
            let answer = world.send(&request).await;
            assert_eq!(refused(&answer), (403, "GuardrailDenied"), "{name}: {answer:?}");
            let role = format!("arn:aws:iam::123456789012:role{path}{role_name}");
            assert_eq!(rules(&answer), [("own-role", role.as_str())]);
        }
    }
    assert_eq!(write_names(&world), Vec::<String>::new());
    let asked = world.pcs_mutations();
    assert!(!asked.contains(&"UpdateComputeNodeGroup".to_owned()));
}

#[tokio::test]
async fn a_dry_run_decides_on_the_role_as_it_would_be() {
    let world = with_group().await;
    let dry = with_query(update(&["c"]), &[("dryrun", "true")]);
    let answer = world.send(&dry).await;
    assert_eq!(refused(&answer), (412, "DryRunOperation"), "{answer:?}");
    let passed = answer.body["passedRules"].as_array().unwrap();
    for rule in [
        "iam-admin-access",
        "allowlist",
        "own-role",
        "permissions-boundary",
        "trust-policy",
    ] {
        let times = passed.iter().filter(|passed| **passed == rule).count();
        assert_eq!(times, 1, "{rule}: {passed:?}");
    }
    assert_eq!(write_names(&world), Vec::<String>::new());
    assert_eq!(world.pcs_mutations(), Vec::<String>::new());
}

/// Listing the right policies is how a wrong one goes.
#[tokio::test]
async fn an_update_can_mend_a_role() {
    let world = with_group().await;
    let evil = attach_elsewhere(&world).await;
    let plain = json!({"clientToken": "plain-5c0b-4a53"});
    let plain = world
        .send(&with_body(event("update-compute-node-group"), plain))
        .await;
    assert_eq!(rules(&plain), [("allowlist", evil)]);
    let answer = world.send(&update(&["a"])).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    the_role(&world, &["a"]).await;
}

#[tokio::test]
async fn an_update_that_pcs_refuses_for_good_leaves_the_policies_as_they_were() {
    let world = with_group().await;
    refuse_updates(&world, "ValidationException");
    let answer = world.send(&update(&["c"])).await;
    assert_eq!(refused(&answer), (400, "ValidationException"), "{answer:?}");
    the_role(&world, &["a", "b"]).await;
    assert_eq!(
        steps(&world).await,
        ["ROLE_POLICIES_CHANGED", "ROLE_POLICIES_RESTORED"]
    );
}

/// What somebody else attached and is not allowed, this API does not attach again.
#[tokio::test]
async fn what_is_not_allowed_does_not_come_back() {
    let world = with_group().await;
    attach_elsewhere(&world).await;
    refuse_updates(&world, "ConflictException");
    let answer = world.send(&update(&["a", "c"])).await;
    assert_eq!(refused(&answer), (409, "ConflictException"), "{answer:?}");
    the_role(&world, &["a", "b"]).await;
}

#[tokio::test]
async fn policies_that_cannot_be_put_back_are_recorded() {
    let world = with_group().await;
    refuse_updates(&world, "ValidationException");
    // The change detaches two policies; taking it back begins with detaching what came.
    let denied = iam_emulator::Effect::Error {
        status: http::StatusCode::FORBIDDEN,
        code: "AccessDenied".to_owned(),
        message: "as the test orders".to_owned(),
    };
    for (times, effect) in [(2, iam_emulator::Effect::Delay(Duration::ZERO)), (1, denied)] {
        world.stack.iam_emulator.inject(iam_emulator::Fault {
            action: Some("DetachRolePolicy".to_owned()),
            times,
            effect,
        });
    }
    let answer = world.send(&update(&["c"])).await;
    assert_eq!(refused(&answer), (400, "ValidationException"), "{answer:?}");
    assert_eq!(steps(&world).await, ["ROLE_POLICIES_CHANGED", "ORPHAN"]);
}

#[tokio::test]
async fn when_it_is_not_known_whether_pcs_acted_the_same_request_goes_on() {
    let world = with_group().await;
    let request = update(&["c"]);
    refuse_updates(&world, "InternalServerException");
    assert_eq!(world.send(&request).await.status, 502);
    the_role(&world, &["c"]).await;
    world.stack.pcs_emulator.clear_faults();
    assert_eq!(world.send(&request).await.status, 202);
    the_role(&world, &["c"]).await;
}

#[tokio::test]
async fn a_change_that_iam_breaks_off_is_gone_on_with() {
    for step in ["AttachRolePolicy", "DetachRolePolicy"] {
        for effect in [iam_emulator::Effect::DropBefore, iam_emulator::Effect::DropAfter] {
            let case = format!("{step} {effect:?}");
            let world = with_group().await;
            world.stack.iam_emulator.inject(iam_emulator::Fault {
                action: Some(step.to_owned()),
                times: 3,
                effect,
            });
            let request = update(&["c", "d"]);
            let answer = world.send(&request).await;
            assert_eq!(
                refused(&answer),
                (503, "ServiceUnavailableException"),
                "{case}: {answer:?}"
            );
            assert_eq!(world.pcs_mutations(), Vec::<String>::new(), "{case}");
            assert_eq!(world.send(&request).await.status, 202, "{case}");
            the_role(&world, &["c", "d"]).await;
        }
    }
}

/// Ten policies are all that a role can have, and one is AWS's for compute nodes: one has to go before one can come.
#[tokio::test]
async fn a_full_role_can_be_changed() {
    let world = start().await;
    let names: Vec<String> = (0..20).map(|n| format!("n{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let document = json!({"Version": "2012-10-17", "Statement": []});
    let seed = names.iter().fold(Seed::new(), |seed, name| {
        seed.policy(Policy::new(own_policy(name), document.clone()))
    });
    world.stack.iam_emulator.seed(seed).unwrap();
    assert_eq!(world.send(&create(&names[..9])).await.status, 202);
    world.settle();
    let answer = world.send(&update(&names[9..18])).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    the_role(&world, &names[9..18]).await;
}

/// A role as earlier versions made it: registration by an inline policy, and all ten places taken.
async fn with_a_role_of_an_earlier_version() -> World {
    let world = with_group().await;
    let made = the_role(&world, &["a", "b"]).await;
    let registration = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "pcs:RegisterComputeNodeGroupInstance", "Resource": "*"},
    ]});
    let mut role = RoleSeed::new(made.role.role_name)
        .path(PATH)
        .boundary(Some(GUARD))
        .inline("RegisterComputeNodeGroupInstance", registration);
    for tag in made.role.tags.unwrap() {
        role = role.tag(tag.key, tag.value);
    }
    let mut seed = Seed::new();
    for n in 0..10 {
        let arn = own_policy(&format!("old-{n}"));
        let document = json!({"Version": "2012-10-17", "Statement": []});
        seed = seed.policy(Policy::new(arn.clone(), document));
        role = role.attach(arn);
    }
    world.stack.iam_emulator.seed(seed.role(role)).unwrap();
    world
}

/// An update of an earlier version's role leaves it the way in which its nodes register.
#[tokio::test]
async fn a_role_of_an_earlier_version_stays_valid_and_can_be_changed() {
    let world = with_a_role_of_an_earlier_version().await;
    let plain = json!({"clientToken": "plain-5c0b-4a53"});
    let plain = world
        .send(&with_body(event("update-compute-node-group"), plain))
        .await;
    assert_eq!(plain.status, 202, "{plain:?}");
    world.settle();
    assert_eq!(write_names(&world), Vec::<String>::new());
    let answer = world.send(&update(&["a", "c"])).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let made = the_role_with(&world, vec![own_policy("a"), own_policy("c")]).await;
    let inline: Vec<&String> = made.inline.keys().collect();
    assert_eq!(inline, ["RegisterComputeNodeGroupInstance"]);
}

/// What lets nodes register is not for the request to take away, nor has it to be listed.
#[tokio::test]
async fn the_policy_of_compute_nodes_stays_whatever_is_listed() {
    let world = with_group().await;
    let listed = json!({"iam": {"additionalIamPolicies": [NODE_POLICY, own_policy("c")]}});
    let answer = world.send(&with_body(update(&["a"]), listed)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    the_role(&world, &["c"]).await;
}

/// The same deployment with a list written by hand, which lacks the policy of compute nodes.
async fn update_under_a_short_list(world: &World) -> Answer {
    let mut variables = world.stack.variables().clone();
    let patterns = "arn:aws:iam::123456789012:policy/parallelcluster*";
    variables.insert("PCS_API_ADDITIONAL_IAM_POLICIES".to_owned(), patterns.to_owned());
    let gateway = crate::world::gateway(&variables);
    invoke(&gateway, &update(&["a", "c"]), Duration::from_secs(28)).await
}

/// It is asked for where the role gets it, and not of a role whose nodes register by an inline policy.
#[tokio::test]
async fn the_policy_of_compute_nodes_has_to_be_allowed_only_where_the_role_gets_it() {
    let world = with_group().await;
    let answer = update_under_a_short_list(&world).await;
    assert_eq!(refused(&answer), (403, "GuardrailDenied"), "{answer:?}");
    assert_eq!(rules(&answer), [("allowlist", NODE_POLICY)]);
    assert_eq!(write_names(&world), Vec::<String>::new());
    let world = with_a_role_of_an_earlier_version().await;
    let answer = update_under_a_short_list(&world).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    the_role_with(&world, vec![own_policy("a"), own_policy("c")]).await;
}

/// Another inline policy of the old name registers nothing.
#[tokio::test]
async fn the_policy_of_compute_nodes_goes_only_where_an_inline_policy_registers() {
    let world = with_group().await;
    let name = the_role(&world, &["a", "b"]).await.role.role_name;
    let deny = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
    ]});
    let client = iam_client(&world);
    let put = client.put_role_policy().role_name(&name);
    let put = put.policy_name("RegisterComputeNodeGroupInstance");
    put.policy_document(deny.to_string()).send().await.unwrap();
    let answer = world.send(&update(&["c"])).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let node_policy = NODE_POLICY.to_owned();
    the_role_with(&world, vec![own_policy("c"), node_policy]).await;
}
