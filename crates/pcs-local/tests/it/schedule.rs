//! Sessions shorter than an hour on one folder: the trail is swept all the same.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use pcs_api::audit::chain::Item;
use pcs_local::stack::{Options, Stack};

use crate::{
    client,
    kills::{Folder, items},
    program, start as started,
};

async fn start(folder: &Folder) -> Stack {
    let options = Options {
        data_dir: Some(folder.path().to_owned()),
        sweep_every: Some(Duration::from_hours(1)),
        ..Options::default()
    };
    Stack::start(options).await.unwrap()
}

/// Sweeps that have come to their end.
async fn sweeps(stack: &Stack) -> usize {
    ended(&items(stack).await)
}

fn ended(rows: &[Item]) -> usize {
    let is = |row: &Item, name: &str, value: &str| {
        row.get(name)
            .is_some_and(|of| of.as_s().is_ok_and(|of| of == value))
    };
    let ends = rows
        .iter()
        .filter(|row| is(row, "eventName", "Sweep") && is(row, "sk", "9#COMPLETE"));
    ends.count()
}

/// Whoever waits for READY may verify the trail at once.
#[tokio::test]
async fn a_folder_with_a_past_is_swept_before_ready() {
    let folder = Folder::new("ready");
    let first = program::Running::with_data(folder.path());
    let answer = client::call(first.url("gateway"), "GET", "/v1/clusters", None).await;
    assert_eq!(answer.unwrap().status, 200);
    first.kill();
    let second = program::Running::with_data(folder.path());
    let scan = started::client(second.url("dynamodb"))
        .scan()
        .table_name("pcs-api-audit");
    let rows: Vec<HashMap<String, AttributeValue>> = scan
        .into_paginator()
        .items()
        .send()
        .collect::<Result<_, _>>()
        .await
        .unwrap();
    assert!(ended(&rows) >= 1, "{rows:?}");
}

#[tokio::test]
async fn a_folder_with_a_past_is_swept_at_every_start() {
    let folder = Folder::new("sessions");
    // The first has nothing behind it.
    for session in 0..=2 {
        let stack = start(&folder).await;
        let answer = client::call(&stack.gateway, "GET", "/v1/clusters", None).await;
        assert_eq!(answer.unwrap().status, 200);
        while sweeps(&stack).await < session {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stack.stop().await;
    }
}
