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

/// PCS has the call when the end begins, and its record is closed after PCS has answered: by then the table's port must
/// not be gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_under_way_is_answered_and_recorded() {
    let folder = Folder::new("stop");
    let stack = start(&folder).await;
    stack.pcs_emulator.inject(Fault {
        action: Some("CreateCluster".to_owned()),
        times: 1,
        effect: Effect::Delay(Duration::from_secs(1)),
    });
    let gateway = stack.gateway.clone();
    let calling = tokio::spawn(async move {
        let body = json!({
            "clusterName": "last", "size": "SMALL", "scheduler": {"type": "SLURM", "version": "25.05"},
            "networking": {"subnetIds": ["subnet-0123456789abcdef0"]},
        });
        client::call(&gateway, "POST", "/v1/clusters", Some(&body)).await
    });
    while stack.pcs_emulator.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stack.stop().await;
    assert_eq!(calling.await.unwrap().unwrap().status, 202);

    let stack = start(&folder).await;
    let rows = items(&stack).await;
    let closed = rows.iter().find(|row| {
        let is = |name: &str, value: &str| row[name].as_s().is_ok_and(|found| found == value);
        row.contains_key("eventName") && is("eventName", "CreateCluster") && is("sk", "9#COMPLETE")
    });
    assert!(closed.is_some(), "the record was left open");
    stack.stop().await;
}
