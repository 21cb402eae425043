//! `iam` in a request: the role and the instance profile that this API makes, step by step, and what is left when a
//! step fails. The same request with the same token goes on where it stopped.

mod doubt;
mod faults;
mod foreign;
mod kills;
mod orphans;
mod shared;
mod unseen;
mod update;

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_iam::types::{InstanceProfile, Role};
use iam_emulator::{Policy, ReceivedCall, Seed};
use pcs_local::stack::Options;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::world::{Answer, World, at, event, invoke, with_body, with_query};

const GUARD: &str = "arn:aws:iam::123456789012:policy/Guard";
const PATH: &str = "/aws-pcs/pcs-api/";
const ON: (&str, &str) = ("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "true");
const BOUNDED: (&str, &str) = ("PCS_API_PERMISSIONS_BOUNDARY", GUARD);

/// What every made role has: with it nodes register.
const NODE_POLICY: &str = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy";

/// A policy of this account that the default patterns let pass.
fn own_policy(name: &str) -> String {
    format!("arn:aws:iam::123456789012:policy/parallelcluster-{name}")
}

/// A world in which roles are made, with a boundary, the policies `a` to `d`, and a cluster.
pub async fn start() -> World {
    start_with(Options::default()).await
}

pub async fn start_with(mut options: Options) -> World {
    for (name, value) in [ON, BOUNDED] {
        options
            .variables
            .entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    let world = World::with_options(options).await;
    let document = json!({"Version": "2012-10-17", "Statement": []});
    let policies = ["a", "b", "c", "d"].map(own_policy);
    let seed = policies.into_iter().fold(
        Seed::new().policy(Policy::new(GUARD, document.clone())),
        |seed, arn| seed.policy(Policy::new(arn, document.clone())),
    );
    world.stack.iam_emulator.seed(seed).unwrap();
    world.cluster().await;
    world.stack.pcs_emulator.clear_calls();
    world
}

/// `CreateComputeNodeGroup` with `iam` that lists these policies of the account.
pub fn create(names: &[&str]) -> Value {
    let listed: Vec<String> = names.iter().map(|name| own_policy(name)).collect();
    with_body(
        event("create-compute-node-group"),
        json!({"iamInstanceProfileArn": null, "iam": {"additionalIamPolicies": listed}}),
    )
}

pub fn iam_client(world: &World) -> aws_sdk_iam::Client {
    let config = aws_sdk_iam::Config::builder()
        .behavior_version(aws_sdk_iam::config::BehaviorVersion::latest())
        .region(aws_sdk_iam::config::Region::new("us-east-1"))
        .credentials_provider(aws_credential_types::Credentials::from_keys("test", "test", None))
        .http_client(pcs_api::aws::http_client())
        .endpoint_url(&world.stack.iam)
        .build();
    aws_sdk_iam::Client::from_conf(config)
}

/// A role below the product's path, as IAM shows it.
#[derive(Debug, PartialEq)]
struct Made {
    role: Role,
    attached: Vec<String>,
    inline: BTreeMap<String, Value>,
    profiles: Vec<InstanceProfile>,
}

/// Everything below the product's path: roles with what they have, and profiles without a role.
async fn made(world: &World) -> (Vec<Made>, Vec<InstanceProfile>) {
    let client = iam_client(world);
    let listed = client.list_roles().path_prefix(PATH).send().await.unwrap();
    let mut roles = Vec::new();
    for role in listed.roles {
        let name = role.role_name;
        let role = client.get_role().role_name(&name).send().await.unwrap().role;
        let attached = client.list_attached_role_policies().role_name(&name).send();
        let attached = attached.await.unwrap().attached_policies.unwrap_or_default();
        let mut inline = BTreeMap::new();
        let names = client.list_role_policies().role_name(&name).send().await.unwrap();
        for policy in names.policy_names {
            let read = client.get_role_policy().role_name(&name).policy_name(&policy);
            let document = decoded(&read.send().await.unwrap().policy_document);
            inline.insert(policy, document);
        }
        let profiles = client.list_instance_profiles_for_role().role_name(&name).send();
        roles.push(Made {
            role: role.unwrap(),
            attached: attached.into_iter().map(|p| p.policy_arn.unwrap()).collect(),
            inline,
            profiles: profiles.await.unwrap().instance_profiles,
        });
    }
    let profiles = client.list_instance_profiles().path_prefix(PATH).send();
    let profiles = profiles.await.unwrap().instance_profiles;
    let empty = profiles.into_iter().filter(|profile| profile.roles.is_empty());
    (roles, empty.collect())
}

/// The only role there is, complete: what a finished saga leaves. It has these policies of the account and AWS's for
/// compute nodes.
async fn the_role(world: &World, policies: &[&str]) -> Made {
    let listed = policies.iter().map(|name| own_policy(name));
    let made = the_role_with(world, listed.chain([NODE_POLICY.to_owned()]).collect()).await;
    assert_eq!(made.inline, BTreeMap::new());
    made
}

/// The only role there is, and exactly these policies attached.
async fn the_role_with(world: &World, policies: Vec<String>) -> Made {
    let (mut roles, empty) = made(world).await;
    assert_eq!((roles.len(), empty.len()), (1, 0), "{roles:?} {empty:?}");
    let made = roles.pop().unwrap();
    let mut attached = made.attached.clone();
    attached.sort();
    assert_eq!(attached, policies);
    let boundary = made.role.permissions_boundary.as_ref().unwrap();
    assert_eq!(boundary.permissions_boundary_arn.as_deref(), Some(GUARD));
    let [profile] = made.profiles.as_slice() else {
        panic!("{:?}", made.profiles)
    };
    assert_eq!(profile.instance_profile_name, made.role.role_name);
    made
}

async fn nothing_is_left(world: &World) {
    let (roles, empty) = made(world).await;
    assert_eq!((roles.len(), empty.len()), (0, 0), "{roles:?} {empty:?}");
}

fn decoded(document: &str) -> Value {
    serde_json::from_str(&percent_decode_str(document).decode_utf8().unwrap()).unwrap()
}

/// Writes that IAM received, in order.
fn writes(world: &World) -> Vec<ReceivedCall> {
    let calls = world.stack.iam_emulator.calls().into_iter();
    calls.filter(ReceivedCall::is_write).collect()
}

fn write_names(world: &World) -> Vec<String> {
    writes(world).into_iter().map(|call| call.action).collect()
}

/// The compute node groups that PCS has, in whole.
async fn groups(world: &World) -> Vec<Value> {
    let listed = world.send(&event("list-compute-node-groups")).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    let listed = listed.body["computeNodeGroups"].as_array().unwrap().clone();
    let mut groups = Vec::new();
    for group in listed {
        let id = group["id"].as_str().unwrap();
        let read = at(
            event("get-compute-node-group"),
            &[("computeNodeGroupIdentifier", id)],
        );
        groups.push(world.send(&read).await.body["computeNodeGroup"].clone());
    }
    groups
}

/// What the step rows of the last mutation say.
async fn steps(world: &World) -> Vec<String> {
    let rows = world.rows().await;
    let last = rows.iter().rposition(|row| row["sk"] == "0#RECEIVED").unwrap();
    let steps = rows[last..].iter().filter_map(|row| row["step"].as_str());
    steps.map(str::to_owned).collect()
}

fn refused(answer: &Answer) -> (i64, &str) {
    (answer.status, answer.body["code"].as_str().unwrap_or_default())
}

/// Rule and subject of every violation.
fn rules(answer: &Answer) -> Vec<(&str, &str)> {
    let violations = answer.body["violations"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    violations
        .iter()
        .map(|violation| {
            (
                violation["rule"].as_str().unwrap(),
                violation["subject"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_role_is_made_and_the_group_runs_with_it() {
    let world = start().await;
    let answer = world.send(&create(&["b", "a"])).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(
        write_names(&world),
        [
            "CreateRole",
            "AttachRolePolicy",
            "AttachRolePolicy",
            "AttachRolePolicy",
            "CreateInstanceProfile",
            "AddRoleToInstanceProfile",
        ]
    );
    let made = the_role(&world, &["a", "b"]).await;
    assert_eq!(made.role.path, PATH);
    assert!(made.role.role_name.starts_with("AWSPCS-") && made.role.role_name.len() == 39);
    let trust = decoded(made.role.assume_role_policy_document.as_deref().unwrap());
    assert_eq!(trust["Statement"].as_array().unwrap().len(), 1);
    assert_eq!(
        trust["Statement"][0]["Principal"],
        json!({"Service": "ec2.amazonaws.com"})
    );
    let tags = made.role.tags.unwrap().into_iter();
    let tags: BTreeMap<String, String> = tags.map(|tag| (tag.key, tag.value)).collect();
    assert_eq!(tags["pcs-api:deployment"], "a1b2c3d4e5");
    assert_eq!(tags["pcs-api:cluster"], "demo-cluster");
    assert_eq!(tags["pcs-api:compute-node-group"], "compute");
    assert_eq!(tags["pcs-api:region"], "us-east-1");
    assert_eq!(tags["pcs-api:operation"].len(), 64);

    let profile = json!(made.profiles[0].arn);
    let asked = world.stack.pcs_emulator.calls();
    let asked = asked
        .iter()
        .find(|call| call.action == "CreateComputeNodeGroup")
        .unwrap();
    assert_eq!(asked.body["iamInstanceProfileArn"], profile);
    assert!(asked.body.get("iam").is_none());
    assert_eq!(answer.body["computeNodeGroup"]["iamInstanceProfileArn"], profile);
}

/// Not set afterwards: a role without it never exists.
#[tokio::test]
async fn the_role_has_its_boundary_from_creation_on() {
    let world = start().await;
    assert_eq!(world.send(&create(&["a"])).await.status, 202);
    let calls = writes(&world);
    let call = &calls[0];
    assert_eq!(call.action, "CreateRole");
    assert_eq!(call.params["PermissionsBoundary"], GUARD);
    assert_eq!(call.params["Path"], PATH);
    let trust: Value = serde_json::from_str(&call.params["AssumeRolePolicyDocument"]).unwrap();
    assert_eq!(trust["Statement"][0]["Action"], "sts:AssumeRole");
    assert!(
        call.params.keys().any(|name| name.starts_with("Tags.member.5.")),
        "{:?}",
        call.params
    );
}

/// A deployment without a boundary makes roles without one.
#[tokio::test]
async fn a_boundary_is_set_only_where_one_is_configured() {
    let world = start_with(Options {
        variables: BTreeMap::from([(BOUNDED.0.to_owned(), String::new())]),
        ..Options::default()
    })
    .await;
    assert_eq!(world.send(&create(&["a"])).await.status, 202);
    assert!(!writes(&world)[0].params.contains_key("PermissionsBoundary"));
}

#[tokio::test]
async fn each_step_is_on_record_after_the_opening_row() {
    let world = start().await;
    assert_eq!(world.send(&create(&["a"])).await.status, 202);
    let rows = world.rows().await;
    let rows = &rows[rows.len() - 6..];
    let keys: Vec<&str> = rows.iter().map(|row| row["sk"].as_str().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "0#RECEIVED",
            "1#STEP#01",
            "1#STEP#02",
            "1#STEP#03",
            "1#STEP#04",
            "9#COMPLETE"
        ]
    );
    assert_eq!(
        steps(&world).await,
        [
            "ROLE_CREATED",
            "ROLE_POLICIES_SET",
            "INSTANCE_PROFILE_CREATED",
            "ROLE_ADDED_TO_INSTANCE_PROFILE",
        ]
    );
    let made = the_role(&world, &["a"]).await;
    for row in rows {
        assert_eq!(row["nodeRoleArn"], made.role.arn, "{row}");
    }
    let downstream = rows[5]["downstream"].as_array().unwrap();
    for call in writes(&world) {
        assert!(
            downstream.iter().any(|row| row["action"] == call.action.as_str()),
            "{}",
            call.action
        );
    }
}

/// Without a record nothing is written to IAM.
#[tokio::test]
async fn without_an_audit_table_nothing_is_made() {
    let world = start().await;
    let mut variables = world.stack.variables().clone();
    variables.insert("PCS_API_AUDIT_TABLE".to_owned(), "no-such-table".to_owned());
    let gateway = crate::world::gateway(&variables);
    let answer = invoke(&gateway, &create(&["a"]), Duration::from_secs(28)).await;
    assert_eq!(refused(&answer), (503, "AuditUnavailableException"));
    assert_eq!(write_names(&world), Vec::<String>::new());
    assert_eq!(world.pcs_mutations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_role_is_not_begun_without_the_time_to_make_it() {
    let world = start().await;
    let answer = world.send_within(&create(&["a"]), Duration::from_secs(4)).await;
    assert_eq!(refused(&answer), (504, "GatewayTimeoutException"));
    assert!(
        answer.body["message"]
            .as_str()
            .unwrap()
            .contains("nothing happened")
    );
    assert_eq!(write_names(&world), Vec::<String>::new());
}

#[tokio::test]
async fn a_deployment_that_makes_no_roles_says_so_and_writes_nothing() {
    let world = start_with(Options {
        variables: BTreeMap::from([(ON.0.to_owned(), "false".to_owned())]),
        ..Options::default()
    })
    .await;
    let update = json!({"iam": {"additionalIamPolicies": [own_policy("a")]}});
    for request in [
        create(&["a"]),
        with_query(create(&["a"]), &[("dryrun", "true")]),
        with_body(event("update-compute-node-group"), update),
    ] {
        let answer = world.send(&request).await;
        assert_eq!(refused(&answer), (403, "GuardrailDenied"), "{answer:?}");
        assert_eq!(rules(&answer), [("iam-admin-access", "iam")]);
    }
    assert_eq!(write_names(&world), Vec::<String>::new());
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
    let shown = world.send(&event("get-guardrails")).await;
    assert_eq!(shown.body["guardrails"]["iamAdminAccess"], false);
}

#[tokio::test]
async fn a_dry_run_decides_and_makes_nothing() {
    let world = start().await;
    let dry = |request| with_query(request, &[("dryrun", "true")]);
    let answer = world.send(&dry(create(&["a"]))).await;
    assert_eq!(refused(&answer), (412, "DryRunOperation"), "{answer:?}");
    assert_eq!(
        answer.body["passedRules"],
        json!(["iam-admin-access", "allowlist"])
    );
    let bad = json!({"iam": {"additionalIamPolicies": ["arn:aws:iam::aws:policy/AdministratorAccess"]}});
    let answer = world.send(&dry(with_body(create(&["a"]), bad))).await;
    assert_eq!(refused(&answer), (403, "GuardrailDenied"));
    assert_eq!(write_names(&world), Vec::<String>::new());
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
    let shown = world.send(&event("get-guardrails")).await;
    assert_eq!(shown.body["guardrails"]["iamAdminAccess"], true);
}

#[tokio::test]
async fn every_policy_that_is_not_allowed_is_named_before_anything_is_made() {
    let world = start().await;
    let bad = [
        "arn:aws:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::999999999999:policy/parallelcluster-a",
    ];
    let listed = json!({"iam": {"additionalIamPolicies": [bad[0], own_policy("a"), bad[1]]}});
    let answer = world.send(&with_body(create(&["a"]), listed)).await;
    assert_eq!(
        rules(&answer),
        [("allowlist", bad[0]), ("allowlist", bad[1])],
        "{answer:?}"
    );
    let allowed = answer.body["violations"][0]["allowed"].as_array().unwrap();
    assert_eq!(allowed.len(), 13, "the patterns that would pass");
    assert_eq!(write_names(&world), Vec::<String>::new());
    let last = world.rows().await.pop().unwrap();
    assert_eq!(
        (&last["sk"], &last["decision"]),
        (&json!("9#COMPLETE"), &json!("DENY"))
    );
}

/// A list written by hand may lack what every made role has.
#[tokio::test]
async fn a_list_without_the_policy_of_compute_nodes_is_told_before_anything_is_made() {
    let patterns = "arn:aws:iam::123456789012:policy/parallelcluster*";
    let world = start_with(Options {
        variables: BTreeMap::from([("PCS_API_ADDITIONAL_IAM_POLICIES".to_owned(), patterns.to_owned())]),
        ..Options::default()
    })
    .await;
    let both = json!({"iam": {"additionalIamPolicies": [NODE_POLICY, own_policy("a")]}});
    for request in [
        create(&["a"]),
        with_query(create(&["a"]), &[("dryrun", "true")]),
        with_body(create(&["a"]), both),
    ] {
        let answer = world.send(&request).await;
        assert_eq!(refused(&answer), (403, "GuardrailDenied"), "{answer:?}");
        assert_eq!(rules(&answer), [("allowlist", NODE_POLICY)], "told once");
        assert_eq!(answer.body["violations"][0]["allowed"], json!([patterns]));
    }
    assert_eq!(write_names(&world), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_that_cannot_be_carried_out_is_refused_before_anything_is_made() {
    let world = start().await;
    let policy = own_policy("a");
    let other_case = policy.replace("-a", "-A");
    let many: Vec<String> = (0..10).map(|n| own_policy(&n.to_string())).collect();
    let iam = |listed: Value| json!({"iam": {"additionalIamPolicies": listed}});
    for (changes, path) in [
        (json!({"iamInstanceProfileArn": crate::world::PROFILE}), "iam"),
        (json!({"iam": null}), "iamInstanceProfileArn"),
        (json!({"clientToken": null}), "clientToken"),
        (iam(json!([])), "iam.additionalIamPolicies"),
        (iam(json!(many)), "iam.additionalIamPolicies"),
        (iam(json!([policy, other_case])), "iam.additionalIamPolicies[1]"),
        (iam(json!(["Guard"])), "iam.additionalIamPolicies[0]"),
        (
            iam(json!([policy, own_policy("nobody-made")])),
            "iam.additionalIamPolicies[1]",
        ),
        (
            json!({"iam": {"additionalIamPolicies": [policy], "roleName": "x"}}),
            "iam.roleName",
        ),
    ] {
        let answer = world.send(&with_body(create(&["a"]), changes.clone())).await;
        assert_eq!(refused(&answer), (400, "ValidationException"), "{changes}");
        let errors = answer.body["fieldErrors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{answer:?}");
        assert_eq!(errors[0]["path"], path, "{answer:?}");
        if path == "iam" || path == "iamInstanceProfileArn" {
            let message = answer.body["message"].as_str().unwrap();
            assert!(message.contains("`iamInstanceProfileArn`") && message.contains("`iam`"));
        }
    }
    assert_eq!(write_names(&world), Vec::<String>::new());
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}

/// Callers learn of IAM what they said themselves.
#[tokio::test]
async fn answers_hold_no_policy_documents() {
    let world = start().await;
    let answers = [
        world.send(&create(&["a"])).await,
        world.send(&create(&["b"])).await,
    ];
    assert_eq!(refused(&answers[1]), (409, "ConflictException"));
    for answer in answers {
        let text = answer.body.to_string();
        for word in ["Statement", "sts:AssumeRole", GUARD, ":role/"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}
