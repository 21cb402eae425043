//! Sessions shorter than an hour on one folder: the trail is swept all the same.

use std::time::Duration;

use pcs_api::audit::chain::Item;
use pcs_local::stack::{Options, Stack};

use crate::{
    client,
    kills::{Folder, items},
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
    let rows = items(stack).await;
    let is = |row: &Item, name: &str, value: &str| {
        row.get(name)
            .is_some_and(|of| of.as_s().is_ok_and(|of| of == value))
    };
    let ends = rows
        .iter()
        .filter(|row| is(row, "eventName", "Sweep") && is(row, "sk", "9#COMPLETE"));
    ends.count()
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
