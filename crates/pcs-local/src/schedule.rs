//! EventBridge's part: the scheduled event that makes the function sweep.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::Shell;

/// Invokes the function every `every`, until `shutdown`.
pub async fn run(shell: Arc<Shell>, every: Duration, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut times = tokio::time::interval_at(Instant::now() + every, every);
    loop {
        tokio::select! {
            _ = times.tick() => shell.sweep(&event(Timestamp::now())).await,
            () = &mut shutdown => return,
        }
    }
}

/// As EventBridge documents it.
fn event(now: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": format!("{now:.0}"),
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/pcs-api-sweep"],
        "detail": {},
    })
}
