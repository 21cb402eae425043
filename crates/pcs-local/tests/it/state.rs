//! What was answered is there after a kill, and a start on a folder that was used before is a quiet one.

use std::fs;

use crate::{
    program::{Running, place},
    start::client,
};

const POLICY: &str = "arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FAmazonS3ReadOnlyAccess";

#[test]
fn seeded_roles_stay_as_they_were_left() {
    let folder = place("seeded");
    let running = Running::with_data(&folder);
    for form in [
        &format!("Action=AttachRolePolicy&RoleName=AWSPCS-compute-node&PolicyArn={POLICY}"),
        "Action=RemoveRoleFromInstanceProfile&RoleName=AWSPCS-shared&InstanceProfileName=AWSPCS-shared",
        "Action=DeleteInstanceProfile&InstanceProfileName=AWSPCS-empty",
    ] {
        let (status, answer) = running.iam(form);
        assert_eq!(status, 200, "{answer}");
    }
    running.kill();
    for _ in 0..2 {
        let running = Running::with_data(&folder);
        let (_, attached) = running.iam("Action=ListAttachedRolePolicies&RoleName=AWSPCS-compute-node");
        assert!(attached.contains("AmazonS3ReadOnlyAccess"), "{attached}");
        let (_, shared) = running.iam("Action=GetInstanceProfile&InstanceProfileName=AWSPCS-shared");
        assert!(!shared.contains("<RoleName>"), "{shared}");
        assert_eq!(
            running
                .iam("Action=GetInstanceProfile&InstanceProfileName=AWSPCS-empty")
                .0,
            404
        );
        running.kill();
    }
    fs::remove_dir_all(folder).unwrap();
}

/// A kill between the table and its time to live leaves neither a warning nor a table that keeps its rows for ever.
#[test]
fn a_start_on_a_used_folder_warns_of_nothing_and_finishes_the_table() {
    let folder = place("quiet");
    let first = Running::with_data(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        use aws_sdk_dynamodb::types::TimeToLiveSpecification;
        let off = TimeToLiveSpecification::builder()
            .enabled(false)
            .attribute_name("expires")
            .build();
        client(first.url("dynamodb"))
            .update_time_to_live()
            .table_name("pcs-api-audit")
            .time_to_live_specification(off.unwrap())
            .send()
            .await
            .unwrap();
    });
    let told = first.kill();
    assert!(!told.contains("WARN"), "{told}");
    let second = Running::with_data(&folder);
    let enabled = runtime.block_on(async {
        let described = client(second.url("dynamodb"))
            .describe_time_to_live()
            .table_name("pcs-api-audit")
            .send()
            .await;
        let described = described.unwrap().time_to_live_description.unwrap();
        described.time_to_live_status.unwrap()
    });
    assert_eq!(enabled.as_str(), "ENABLED");
    let told = second.kill();
    assert!(!told.contains("WARN"), "{told}");
    fs::remove_dir_all(folder).unwrap();
}
