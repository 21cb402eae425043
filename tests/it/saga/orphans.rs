//! What the sweep does with roles and profiles that this API made: nothing while they may be needed, and away with
//! them when no group uses them any more.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use pcs_emulator::UnseenProfiles;

use super::*;
use crate::sweep::sweep;

/// A folder for one test's state.
fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("pcs-api-orphans-{}-{count}", std::process::id()));
    // What a killed run left would be somebody else's state.
    let _ = fs::remove_dir_all(&path);
    path
}

/// The same world two hours later, as far as IAM's dates tell: IAM has no call that sets them.
async fn two_hours_later(world: World, folder: &Path, deployment: Option<&str>) -> World {
    world.stop().await;
    let file = folder.join("iam/iam.json");
    let mut account: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    age(&mut account, deployment);
    fs::write(&file, account.to_string()).unwrap();
    start_again(folder).await
}

fn age(value: &mut Value, deployment: Option<&str>) {
    match value {
        Value::Object(object) => {
            let is_tag = object.get("key").is_some_and(|key| key == "pcs-api:deployment");
            if let (true, Some(deployment)) = (is_tag, deployment) {
                object.insert("value".to_owned(), json!(deployment));
            }
            for (name, member) in object {
                match (
                    name.as_str(),
                    member.as_str().and_then(|text| text.parse::<Timestamp>().ok()),
                ) {
                    ("created", Some(created)) => {
                        *member = json!((created - SignedDuration::from_hours(2)).to_string());
                    }
                    _ => age(member, deployment),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| age(item, deployment)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn options(folder: &Path) -> Options {
    let variables = [ON, BOUNDED].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Options {
        data_dir: Some(folder.to_owned()),
        variables: variables.into(),
        ..Options::default()
    }
}

async fn start_again(folder: &Path) -> World {
    World::with_options(options(folder)).await
}

/// A world with a group whose role was made, two hours ago.
async fn with_an_old_role(folder: &Path, deployment: Option<&str>) -> World {
    let world = start_with(options(folder)).await;
    assert_eq!(world.send(&create(&["a", "b"])).await.status, 202);
    world.settle();
    assert_eq!(sweep(&world).await["rolesRemoved"], 0, "it is young");
    two_hours_later(world, folder, deployment).await
}

#[tokio::test]
async fn a_role_goes_once_its_group_is_gone() {
    let folder = folder();
    let world = with_an_old_role(&folder, None).await;
    assert_eq!(sweep(&world).await["rolesRemoved"], 0, "its group runs with it");
    the_role(&world, &["a", "b"]).await;

    assert_eq!(world.send(&event("delete-compute-node-group")).await.status, 202);
    world.settle();
    let report = sweep(&world).await;
    assert_eq!(
        (&report["rolesRemoved"], &report["complete"]),
        (&json!(1), &json!(true)),
        "{report}"
    );
    nothing_is_left(&world).await;
    let rows = world.rows().await;
    let row = rows
        .iter()
        .find(|row| row["step"] == "ROLE_REMOVED")
        .expect("a row for it");
    assert!(row["nodeRoleArn"].as_str().unwrap().contains("AWSPCS-"), "{row}");
    assert_eq!(sweep(&world).await["rolesRemoved"], 0);
    fs::remove_dir_all(folder).unwrap();
}

/// PCS takes the request, and the group ends in `CREATE_FAILED`. It exists and names the profile, so the role stays, for
/// the same request and for the sweep, until the group is deleted.
#[tokio::test]
async fn the_role_of_a_group_that_fails_later_stays_while_the_group_is_there() {
    let folder = folder();
    let unseen = Options {
        iam_propagation: Duration::from_secs(30),
        unseen_profiles: UnseenProfiles::FailsLater,
        ..options(&folder)
    };
    let world = start_with(unseen).await;
    let request = create(&["a", "b"]);
    let answer = world.send(&request).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    world.settle();
    let failed = groups(&world).await;
    assert_eq!(failed[0]["status"], "CREATE_FAILED", "{failed:?}");
    let made = the_role(&world, &["a", "b"]).await;
    let again = world.send(&request).await;
    assert_eq!(again.status, 202, "{again:?}");
    assert_eq!(steps(&world).await, ["ROLE_ADOPTED"]);
    assert_eq!(groups(&world).await.len(), 1);

    let world = two_hours_later(world, &folder, None).await;
    assert_eq!(sweep(&world).await["rolesRemoved"], 0, "its group is there");
    let stayed = the_role(&world, &["a", "b"]).await;
    assert_eq!(stayed.role.role_id, made.role.role_id);

    assert_eq!(world.send(&event("delete-compute-node-group")).await.status, 202);
    world.settle();
    assert_eq!(sweep(&world).await["rolesRemoved"], 1);
    nothing_is_left(&world).await;
    fs::remove_dir_all(folder).unwrap();
}

/// A deployment that is narrowed to another Region no longer sees the group, which runs on.
#[tokio::test]
async fn a_role_made_for_a_region_that_is_out_of_reach_stays() {
    let folder = folder();
    let world = with_an_old_role(&folder, None).await;
    world.stop().await;
    let mut narrowed = options(&folder);
    let scope = ("PCS_API_REGION_SCOPE".to_owned(), "us-west-2".to_owned());
    narrowed.variables.extend([scope]);
    let world = World::with_options(narrowed).await;
    let report = sweep(&world).await;
    assert_eq!(
        (&report["complete"], &report["rolesRemoved"]),
        (&json!(true), &json!(0)),
        "{report}"
    );
    the_role(&world, &["a", "b"]).await;
    fs::remove_dir_all(folder).unwrap();
}

/// Whatever was put on it meanwhile: a role that nobody uses goes whole.
#[tokio::test]
async fn a_role_with_inline_policies_goes_too() {
    let folder = folder();
    let world = with_an_old_role(&folder, None).await;
    let name = the_role(&world, &["a", "b"]).await.role.role_name;
    let client = iam_client(&world);
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
    ]});
    for policy in ["RegisterComputeNodeGroupInstance", "data"] {
        let put = client.put_role_policy().role_name(&name).policy_name(policy);
        put.policy_document(document.to_string()).send().await.unwrap();
    }
    world.send(&event("delete-compute-node-group")).await;
    world.settle();
    assert_eq!(sweep(&world).await["rolesRemoved"], 1);
    nothing_is_left(&world).await;
    fs::remove_dir_all(folder).unwrap();
}

/// IAM is one per account; another deployment's sweep must leave these alone.
#[tokio::test]
async fn a_role_of_another_deployment_stays() {
    let folder = folder();
    let world = with_an_old_role(&folder, Some("zzzzzzzzzz")).await;
    world.send(&event("delete-compute-node-group")).await;
    world.settle();
    assert_eq!(sweep(&world).await["rolesRemoved"], 0);
    assert_eq!(made(&world).await.0.len(), 1);
    fs::remove_dir_all(folder).unwrap();
}

/// A Region that could not be read may hold the group that uses the role. Roles of the others do not wait for it.
#[tokio::test]
async fn a_role_stays_while_its_region_cannot_be_read() {
    for (region, removed) in [("us-east-1", 0), ("eu-west-1", 1)] {
        let folder = folder();
        let world = with_an_old_role(&folder, None).await;
        world.send(&event("delete-compute-node-group")).await;
        world.settle();
        let denied = pcs_emulator::ClosedRegion::Denied("no".to_owned());
        world.stack.pcs_emulator.close_region(region, Some(denied));
        let report = sweep(&world).await;
        assert_eq!(
            (&report["regionsFailed"], &report["rolesRemoved"]),
            (&json!(1), &json!(removed)),
            "{region}: {report}"
        );
        assert_eq!(made(&world).await.0.len(), 1 - removed, "{region}");
        fs::remove_dir_all(folder).unwrap();
    }
}

/// Whatever step a request got stuck at, and whether or not it could be taken back: nobody comes again, and nothing
/// stays for good.
#[tokio::test]
async fn what_a_stuck_request_left_is_removed() {
    for stuck_at in [
        "AttachRolePolicy",
        "CreateInstanceProfile",
        "AddRoleToInstanceProfile",
        "DeleteRole",
    ] {
        let folder = folder();
        let world = start_with(options(&folder)).await;
        world.stack.iam_emulator.inject(iam_emulator::Fault {
            action: Some(stuck_at.to_owned()),
            times: 100,
            effect: iam_emulator::Effect::Error {
                status: http::StatusCode::INTERNAL_SERVER_ERROR,
                code: "ServiceFailure".to_owned(),
                message: "try again".to_owned(),
            },
        });
        // PCS refuses for good, so that the last of them is stuck while it takes the role back.
        world.stack.pcs_emulator.inject(pcs_emulator::Fault {
            action: Some("CreateComputeNodeGroup".to_owned()),
            times: 1,
            effect: pcs_emulator::Effect::Error {
                status: http::StatusCode::BAD_REQUEST,
                code: "ValidationException".to_owned(),
                message: "no".to_owned(),
            },
        });
        assert!(world.send(&create(&["a", "b"])).await.status >= 400, "{stuck_at}");
        assert_eq!(made(&world).await.0.len(), 1, "{stuck_at}: a role is left");
        let world = two_hours_later(world, &folder, None).await;
        assert_eq!(sweep(&world).await["rolesRemoved"], 1, "{stuck_at}");
        nothing_is_left(&world).await;
        fs::remove_dir_all(folder).unwrap();
    }
}
