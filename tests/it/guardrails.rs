//! Every rule for instance profiles: refused before PCS hears of the call, with the rule, the subject and what would
//! pass; on record; in dry run too.

mod documents;

use iam_emulator::{InstanceProfile, Role, Seed};
use serde_json::{Value, json};

use crate::{
    trace::{rules, traced},
    world::{Answer, World, event, with_body, with_query},
};

fn profile(name: &str) -> String {
    format!("arn:aws:iam::123456789012:instance-profile/{name}")
}

fn create_with(arn: &str) -> Value {
    with_body(
        event("create-compute-node-group"),
        json!({"iamInstanceProfileArn": arn}),
    )
}

/// Status and violations, no mutating call in either emulator, and the rows.
async fn check_denied(world: &World, request: &Value, expected: &[&str]) -> Answer {
    let trace = traced(world, request).await;
    trace.assert_denied(expected);
    trace.assert_downstream_is_complete();
    let dryrun = request["queryStringParameters"]["dryrun"] == "true";
    assert!(trace.rows.iter().all(|row| row["dryRun"] == dryrun));
    trace.answer
}

#[tokio::test]
async fn each_seeded_profile_breaks_its_rule() {
    let world = World::start().await;
    world.cluster().await;
    for (name, rule) in [
        ("AWSPCS-administrator", "allowlist"),
        ("AWSPCS-inline", "inline-policy"),
        ("AWSPCS-shared", "trust-policy"),
        ("AWSPCS-empty", "one-role"),
        ("compute-node", "role-name"),
        ("AWSPCS-nobody", "profile-exists"),
        ("other-path/AWSPCS-compute-node", "profile-arn"),
    ] {
        let answer = check_denied(&world, &create_with(&profile(name)), &[rule]).await;
        assert!(
            answer.body["message"].as_str().unwrap().contains("AWSPCS"),
            "{answer:?}"
        );
        let dry = with_query(create_with(&profile(name)), &[("dryrun", "true")]);
        check_denied(&world, &dry, &[rule]).await;
    }
    let allowed = world
        .send(&create_with(&profile("AWSPCS-administrator")))
        .await
        .body["violations"][0]["allowed"]
        .clone();
    assert_eq!(
        allowed.as_array().unwrap().len(),
        13,
        "the patterns that would pass"
    );
}

/// A profile of this name exists here, which is what `GetInstanceProfile` would find.
#[tokio::test]
async fn a_profile_of_another_account_or_partition_is_refused() {
    let world = World::start().await;
    world.cluster().await;
    for arn in [
        "arn:aws:iam::999999999999:instance-profile/AWSPCS-compute-node",
        "arn:aws-cn:iam::123456789012:instance-profile/AWSPCS-compute-node",
    ] {
        check_denied(&world, &create_with(arn), &["own-account"]).await;
    }
}

#[tokio::test]
async fn every_violation_is_reported_at_once() {
    let world = World::with(&[(
        "PCS_API_PERMISSIONS_BOUNDARY",
        "arn:aws:iam::123456789012:policy/Guard",
    )])
    .await;
    world.cluster().await;
    let role = Role::new("AWSPCS-worst")
        .attach("arn:aws:iam::aws:policy/AdministratorAccess")
        .attach("arn:aws:iam::aws:policy/PowerUserAccess")
        .inline(
            "one",
            json!({"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}),
        )
        .trust(json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}));
    let seed = Seed::new()
        .role(role)
        .instance_profile(InstanceProfile::new("AWSPCS-worst").role("AWSPCS-worst"));
    world.stack.iam_emulator.seed(seed).unwrap();
    let expected = [
        "trust-policy",
        "permissions-boundary",
        "allowlist",
        "allowlist",
        "inline-policy",
    ];
    check_denied(&world, &create_with(&profile("AWSPCS-worst")), &expected).await;
}

/// Whoever names the profile of any other role of the account is told that it is not one, and nothing of its policies.
#[tokio::test]
async fn a_role_that_no_node_can_have_keeps_its_policies_to_itself() {
    let world = World::start().await;
    world.node_group().await;
    let document = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
    let seed = Seed::new()
        .role(
            Role::new("payroll")
                .attach("arn:aws:iam::aws:policy/AdministratorAccess")
                .attach("arn:aws:iam::123456789012:policy/telling-name")
                .boundary(Some("arn:aws:iam::123456789012:policy/telling-bound"))
                .inline("telling-inline", document)
                .trust(
                    json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}),
                ),
        )
        .instance_profile(InstanceProfile::new("payroll").role("payroll"));
    world.stack.iam_emulator.seed(seed).unwrap();
    let update = with_body(
        event("update-compute-node-group"),
        json!({"iamInstanceProfileArn": profile("payroll")}),
    );
    for request in [create_with(&profile("payroll")), update] {
        for dryrun in [false, true] {
            let request = if dryrun {
                with_query(request.clone(), &[("dryrun", "true")])
            } else {
                request.clone()
            };
            let answer = check_denied(&world, &request, &["role-name"]).await;
            let told = answer.body.to_string();
            for secret in ["telling", "Administrator", "trust", "inline"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn the_boundary_must_be_the_configured_one() {
    let guard = "arn:aws:iam::123456789012:policy/Guard";
    let world = World::with(&[("PCS_API_PERMISSIONS_BOUNDARY", guard)]).await;
    world.cluster().await;
    check_denied(
        &world,
        &create_with(&profile("AWSPCS-compute-node")),
        &["permissions-boundary"],
    )
    .await;
    for (name, boundary, expected) in [
        ("AWSPCS-lower", "arn:aws:iam::123456789012:policy/guard", 403),
        ("AWSPCS-guarded", guard, 202),
    ] {
        let role = Role::new(name).boundary(Some(boundary));
        let seed = Seed::new()
            .role(role)
            .instance_profile(InstanceProfile::new(name).role(name));
        world.stack.iam_emulator.seed(seed).unwrap();
        assert_eq!(
            world.send(&create_with(&profile(name))).await.status,
            expected,
            "{name}"
        );
    }
}

/// The policy that does not pass is on the last page of its list.
#[tokio::test]
async fn every_page_of_the_attached_policies_is_read() {
    let world = World::start().await;
    world.cluster().await;
    let allowed = (0..150).map(|n| format!("arn:aws:iam::123456789012:policy/parallelcluster-{n:03}"));
    let role = allowed.fold(Role::new("AWSPCS-many"), Role::attach);
    let role = role.attach("arn:aws:iam::aws:policy/AdministratorAccess");
    let seed = Seed::new()
        .role(role)
        .instance_profile(InstanceProfile::new("AWSPCS-many").role("AWSPCS-many"));
    world.stack.iam_emulator.seed(seed).unwrap();
    check_denied(&world, &create_with(&profile("AWSPCS-many")), &["allowlist"]).await;
}

/// Registration may be allowed inline: that is PCS's documented minimum.
#[tokio::test]
async fn an_inline_policy_may_allow_registration_and_nothing_else() {
    let world = World::start().await;
    world.cluster().await;
    let register = "pcs:RegisterComputeNodeGroupInstance";
    for (name, statement, expected) in [
        (
            "AWSPCS-a",
            json!({"Effect": "Allow", "Action": register, "Resource": "*"}),
            202,
        ),
        (
            "AWSPCS-b",
            json!([{"Effect": "Allow", "Action": [register, "s3:GetObject"], "Resource": "*"}]),
            403,
        ),
        (
            "AWSPCS-c",
            json!({"Effect": "Allow", "Action": "pcs:*", "Resource": "*"}),
            403,
        ),
        (
            "AWSPCS-d",
            json!({"Effect": "Allow", "Action": "*", "Resource": "*"}),
            403,
        ),
        ("AWSPCS-e", json!([]), 403),
    ] {
        let role = Role::new(name).inline(
            "register",
            json!({"Version": "2012-10-17", "Statement": statement}),
        );
        let seed = Seed::new()
            .role(role)
            .instance_profile(InstanceProfile::new(name).role(name));
        world.stack.iam_emulator.seed(seed).unwrap();
        let request = with_body(
            create_with(&profile(name)),
            json!({"clientToken": null, "computeNodeGroupName": name}),
        );
        let answer = world.send(&request).await;
        assert_eq!(answer.status, expected, "{name}: {answer:?}");
    }
}

/// What the deployment lists besides, callers can see, and a refusal says.
#[tokio::test]
async fn what_may_stand_in_inline_policies_is_for_the_deployment_to_list() {
    let world = World::with(&[("PCS_API_ALLOWED_INLINE_ACTIONS", "s3:Get*,sqs:SendMessage")]).await;
    world.cluster().await;
    let list = json!([
        "pcs:RegisterComputeNodeGroupInstance",
        "s3:Get*",
        "sqs:SendMessage"
    ]);
    let shown = world.send(&event("get-guardrails")).await;
    assert_eq!(shown.body["guardrails"]["allowedInlineActions"], list);
    let with = |name: &str, statement: Value| {
        let document = json!({"Version": "2012-10-17", "Statement": statement});
        let role = Role::new(name).inline("data", document);
        let profile = InstanceProfile::new(name).role(name);
        let seed = Seed::new().role(role).instance_profile(profile);
        world.stack.iam_emulator.seed(seed).unwrap();
    };
    let bucket = "arn:aws:s3:::example-bucket/*";
    with(
        "AWSPCS-good",
        json!([
            {"Effect": "Allow", "Action": ["s3:GetObject", "SQS:SendMessage"], "Resource": "*"},
            {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"},
        ]),
    );
    with(
        "AWSPCS-bad",
        json!({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": bucket}),
    );
    let denied = check_denied(&world, &create_with(&profile("AWSPCS-bad")), &["inline-policy"]).await;
    assert_eq!(denied.body["violations"][0]["allowed"], list);
    let answer = world.send(&create_with(&profile("AWSPCS-good"))).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// An update that does not mention the profile is checked against the one that the group has now.
#[tokio::test]
async fn an_update_is_checked_even_when_it_leaves_the_profile_alone() {
    let world = World::start().await;
    world.node_group().await;
    assert_eq!(world.send(&event("update-compute-node-group")).await.status, 202);
    world.settle();
    let worse = Role::new("AWSPCS-compute-node").attach("arn:aws:iam::aws:policy/AdministratorAccess");
    world.stack.iam_emulator.seed(Seed::new().role(worse)).unwrap();
    let request = with_body(event("update-compute-node-group"), json!({"clientToken": null}));
    check_denied(&world, &request, &["allowlist"]).await;
}

#[tokio::test]
async fn deciding_writes_nothing_to_iam() {
    let world = World::start().await;
    world.node_group().await;
    let calls = world.stack.iam_emulator.calls();
    assert!(!calls.is_empty());
    assert!(
        calls
            .iter()
            .all(|call| call.action.starts_with("Get") || call.action.starts_with("List"))
    );
}

#[tokio::test]
async fn a_dry_run_names_every_rule_that_passed() {
    let world = World::start().await;
    world.cluster().await;
    let answer = world
        .send(&with_query(
            event("create-compute-node-group"),
            &[("dryrun", "true")],
        ))
        .await;
    assert_eq!(answer.status, 412, "{answer:?}");
    let all = [
        "own-account",
        "profile-exists",
        "profile-arn",
        "one-role",
        "role-name",
        "trust-policy",
        "permissions-boundary",
        "allowlist",
        "inline-policy",
    ];
    assert_eq!(answer.body["passedRules"], json!(all));
    assert_eq!(world.pcs_mutations(), ["CreateCluster"]);
    let denied = with_query(create_with(&profile("AWSPCS-shared")), &[("dryrun", "true")]);
    let denied = world.send(&denied).await;
    assert_eq!(
        denied.body["passedRules"].as_array().unwrap().len(),
        all.len() - 1
    );
}

/// The role that was decided on is on record by id and by a hash of all it may do.
#[tokio::test]
async fn the_inspected_role_is_on_record() {
    let guard = "arn:aws:iam::123456789012:policy/Guard";
    let world = World::with(&[("PCS_API_PERMISSIONS_BOUNDARY", guard)]).await;
    world.cluster().await;
    let role = Role::new("AWSPCS-guarded")
        .id("AROADBQP57FF2AEXAMPL2")
        .boundary(Some(guard));
    let document = json!({"Version": "2012-10-17", "Statement": []});
    let seed = Seed::new()
        .policy(iam_emulator::Policy::new(guard, document.clone()).version("v3", document))
        .role(role)
        .instance_profile(InstanceProfile::new("AWSPCS-guarded").role("AWSPCS-guarded"));
    world.stack.iam_emulator.seed(seed).unwrap();
    let created = world.send(&create_with(&profile("AWSPCS-guarded"))).await;
    assert_eq!(created.status, 202, "{created:?}");
    let row = world.rows().await.pop().unwrap();
    let inspected = &row["inspected"];
    assert_eq!(inspected["roleId"], "AROADBQP57FF2AEXAMPL2");
    assert_eq!(
        inspected["roleArn"],
        "arn:aws:iam::123456789012:role/AWSPCS-guarded"
    );
    assert_eq!(
        (
            &inspected["permissionsBoundaryArn"],
            &inspected["permissionsBoundaryVersion"]
        ),
        (&json!(guard), &json!("v3"))
    );
    assert_eq!(inspected["policySetHash"].as_str().map(str::len), Some(64));
}

#[tokio::test]
async fn a_script_from_outside_s3_needs_a_checksum() {
    let world = World::start().await;
    world.cluster().await;
    let script = |checksum: Value| {
        let source =
            json!({"scriptLocation": "https://example.com/setup.sh?token=hunter2", "checksum": checksum});
        json!({"stages": {"nodeReady": [{"name": "setup", "scriptSource": source}]}})
    };
    let mut without = script(Value::Null);
    without["stages"]["nodeReady"][0]["scriptSource"]
        .as_object_mut()
        .unwrap()
        .remove("checksum");
    let request = with_body(
        event("create-compute-node-group"),
        json!({"nodeLifecycleActions": without}),
    );
    let answer = check_denied(&world, &request, &["script-source"]).await;
    assert!(!answer.body.to_string().contains("hunter2"));
    assert!(!Value::from(world.rows().await).to_string().contains("hunter2"));
    let with = json!({"nodeLifecycleActions": script(json!("0".repeat(64)))});
    assert_eq!(
        world
            .send(&with_body(event("create-compute-node-group"), with))
            .await
            .status,
        202
    );
}

/// A job submit plugin is a script in the controller. PCS takes it from S3 alone, so one from elsewhere breaks the
/// contract; one without the checksum that the deployment asks for breaks the rule.
#[tokio::test]
async fn a_job_submit_plugin_is_held_against_the_rule_for_scripts() {
    let world = World::with(&[("PCS_API_LIFECYCLE_SCRIPTS", "CHECKSUM")]).await;
    world.cluster().await;
    let plugin = |source: Value| {
        let plugin = json!({"name": "limits", "type": "STARLARK", "scriptSource": source});
        json!({"slurmConfiguration": {"jobSubmitPlugins": [plugin]}, "clientToken": null})
    };
    let from_s3 = "s3://example-bucket/limits.star";
    let elsewhere = "https://example.com/limits.star?token=hunter2";
    for name in ["create-cluster", "update-cluster"] {
        for dryrun in ["false", "true"] {
            let request = |source| with_query(with_body(event(name), plugin(source)), &[("dryrun", dryrun)]);
            let denied = request(json!({"scriptLocation": from_s3}));
            let denied = check_denied(&world, &denied, &["script-source"]).await;
            assert_eq!(denied.body["violations"][0]["subject"], from_s3);

            world.stack.pcs_emulator.clear_calls();
            let refused = world.send(&request(json!({"scriptLocation": elsewhere}))).await;
            assert_eq!(refused.status, 400, "{name}: {refused:?}");
            assert_eq!(
                refused.body["fieldErrors"][0]["path"],
                "slurmConfiguration.jobSubmitPlugins[0].scriptSource.scriptLocation"
            );
            assert_eq!(world.pcs_actions(), Vec::<String>::new());
            let row = world.rows().await.pop().unwrap();
            assert_eq!(
                (&row["sk"], &row["httpStatus"]),
                (&json!("9#COMPLETE"), &json!(400))
            );
            assert!(!row.to_string().contains("hunter2"), "{row}");
        }
    }
    let good = plugin(json!({"scriptLocation": from_s3, "checksum": "0".repeat(64)}));
    let answer = world.send(&with_body(event("update-cluster"), good)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

#[tokio::test]
async fn callers_can_see_what_would_pass() {
    let guard = "arn:aws:iam::123456789012:policy/Guard";
    let patterns = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy";
    let world = World::with(&[
        ("PCS_API_PERMISSIONS_BOUNDARY", guard),
        ("PCS_API_ADDITIONAL_IAM_POLICIES", patterns),
        ("PCS_API_REGION_SCOPE", "us-east-1"),
    ])
    .await;
    let answer = world.send(&event("get-guardrails")).await;
    let guardrails = &answer.body["guardrails"];
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(guardrails["permissionsBoundary"], guard);
    assert_eq!(guardrails["additionalIamPolicies"], json!([patterns]));
    assert_eq!(guardrails["regions"], json!(["us-east-1"]));
    assert_eq!(
        world.stages().await,
        ["0#READ"],
        "and it is on record like any read"
    );
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
    let named: Vec<&str> = guardrails["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["rule"].as_str().unwrap())
        .collect();
    world.cluster().await;
    let denied = world.send(&create_with(&profile("AWSPCS-shared"))).await;
    for rule in rules(&denied).into_iter().chain(
        denied.body["passedRules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r.as_str().unwrap()),
    ) {
        assert!(named.contains(&rule), "{rule}");
    }
}
