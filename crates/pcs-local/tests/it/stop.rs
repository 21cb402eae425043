//! The end: what is under way is finished, with everything that it needs.

use std::time::Duration;

use pcs_emulator::{Effect, Fault};
use pcs_local::stack::{Options, Stack};
use serde_json::json;

use crate::{
    client,
    kills::{Folder, items},
};

async fn start(folder: &Folder) -> Stack {
    let options = Options {
        data_dir: Some(folder.path().to_owned()),
        ..Options::default()
    };
    Stack::start(options).await.unwrap()
}

/// Creates a cluster; PCS takes a while for it.
async fn create(gateway: String) -> std::io::Result<client::Answer> {
    let body = json!({
        "clusterName": "last", "size": "SMALL", "scheduler": {"type": "SLURM", "version": "25.05"},
        "networking": {"subnetIds": ["subnet-0123456789abcdef0"]},
    });
    client::call(&gateway, "POST", "/v1/clusters", Some(&body)).await
}

fn slow(stack: &Stack) {
    stack.pcs_emulator.inject(Fault {
        action: Some("CreateCluster".to_owned()),
        times: 1,
        effect: Effect::Delay(Duration::from_secs(1)),
    });
}

/// Waits until PCS has the call.
async fn under_way(stack: &Stack) {
    while stack.pcs_emulator.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn is_closed(stack: &Stack) -> bool {
    let rows = items(stack).await;
    rows.iter().any(|row| {
        let is = |name: &str, value: &str| {
            let found = row.get(name).and_then(|found| found.as_s().ok());
            found.is_some_and(|found| found == value)
        };
        is("eventName", "CreateCluster") && is("sk", "9#COMPLETE")
    })
}

/// As in AWS, where the function does not know of the client.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_client_leaves_goes_to_its_end() {
    let folder = Folder::new("leave");
    let stack = start(&folder).await;
    slow(&stack);
    let calling = tokio::spawn(create(stack.gateway.clone()));
    under_way(&stack).await;
    calling.abort();
    // The end waits for it too.
    stack.stop().await;
    let stack = start(&folder).await;
    assert!(is_closed(&stack).await, "the record was left open");
    stack.stop().await;
}

/// PCS has the call when the end begins, and its record is closed after PCS has answered: by then the table's port must
/// not be gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_under_way_is_answered_and_recorded() {
    let folder = Folder::new("stop");
    let stack = start(&folder).await;
    slow(&stack);
    let calling = tokio::spawn(create(stack.gateway.clone()));
    under_way(&stack).await;
    stack.stop().await;
    assert_eq!(calling.await.unwrap().unwrap().status, 202);

    let stack = start(&folder).await;
    assert!(is_closed(&stack).await, "the record was left open");
    stack.stop().await;
}
