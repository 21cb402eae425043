//! What was answered is there after a kill, and a start on a folder that was used before is a quiet one.

use std::{fs, path::Path};

use crate::{
    program::{Running, place, program, refused},
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

fn without_tables(folder: &Path) {
    for file in ["tables.sqlite", "tables.sqlite-wal", "tables.sqlite-shm"] {
        let _ = fs::remove_file(folder.join("dynamodb").join(file));
    }
}

/// What the other parts keep would go on without a word of what was done before.
#[test]
fn a_trail_that_is_lost_is_not_begun_anew() {
    let folder = place("lost");
    let tables = folder.join("dynamodb/tables.sqlite");
    let refuse = || {
        let told = refused(&mut program(&["--data-dir".as_ref(), folder.as_os_str()]));
        assert!(told.contains(tables.to_str().unwrap()), "{told}");
        assert!(
            told.contains("the audit trail of this folder; put a good copy in its place"),
            "{told}"
        );
    };
    Running::with_data(&folder).kill();
    Running::with_data(&folder).kill();
    without_tables(&folder);
    refuse();
    fs::write(&tables, "").unwrap();
    refuse();
    fs::remove_dir_all(folder.join("dynamodb")).unwrap();
    refuse();
    fs::remove_dir_all(folder).unwrap();
}

/// Killed after the other parts had their state, with the table's file made and nothing in it, or before that.
#[test]
fn a_first_start_that_was_cut_off_before_its_table_starts_again() {
    let folder = place("cut-off");
    Running::with_data(&folder).kill();
    for has_file in [true, false] {
        fs::remove_file(folder.join("audit-trail-begun")).unwrap();
        without_tables(&folder);
        if has_file {
            fs::write(folder.join("dynamodb/tables.sqlite"), "").unwrap();
        }
        Running::with_data(&folder).kill();
        assert!(folder.join("audit-trail-begun").exists());
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn tables_that_another_program_has_locked_are_told_so() {
    let folder = place("locked");
    Running::with_data(&folder).kill();
    let tables = folder.join("dynamodb/tables.sqlite");
    let mut browser = rusqlite::Connection::open(&tables).unwrap();
    let reading = browser.transaction().unwrap();
    Running::with_data(&folder).kill();
    drop(reading);
    let writing = browser
        .transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)
        .unwrap();
    let told = refused(&mut program(&["--data-dir".as_ref(), folder.as_os_str()]));
    assert!(
        told.contains(tables.to_str().unwrap()) && told.contains("is locked by another program"),
        "{told}"
    );
    drop(writing);
    Running::with_data(&folder).kill();
    fs::remove_dir_all(folder).unwrap();
}
