//! Sessions shorter than an hour on one folder: the trail is swept all the same.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
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

/// Its calls would come into hours that have their digest: a trail that is not whole, for ever.
#[tokio::test]
async fn a_clock_behind_the_sweeps_of_a_folder_is_refused() {
    let folder = Folder::new("behind");
    let start = || program::program(&["--data-dir".as_ref(), folder.path().as_os_str()]);
    for (minutes, is_refused) in [(-1, false), (5, true)] {
        let running = program::Running::with_data(folder.path());
        let until = Timestamp::now() + SignedDuration::from_mins(minutes);
        // As a sweep records its progress, a quarter of an hour after that.
        let recorded = until + SignedDuration::from_mins(15);
        let text = |text: String| AttributeValue::S(text);
        let row = [
            ("pk", text("SWEEP".to_owned())),
            ("sk", text(format!("{recorded:.9}"))),
            ("closedUntil", text(until.to_string())),
            ("digestedUntil", text(until.to_string())),
        ];
        let put = started::client(running.url("dynamodb"))
            .put_item()
            .table_name("pcs-api-audit")
            .set_item(Some(row.map(|(name, value)| (name.to_owned(), value)).into()));
        put.send().await.unwrap();
        running.kill();
        if is_refused {
            let told = program::refused(&mut start());
            assert!(told.contains(&format!("swept until {until:.0}")), "{told}");
            assert!(told.contains("set the clock right"), "{told}");
        } else {
            program::Running::with_data(folder.path()).kill();
        }
    }
}
