//! EventBridge's part: the scheduled event that makes the function sweep, and the one that makes it go on.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::Shell;

/// As the template's rule for what the last sweep left.
const GO_ON_EVERY: Duration = Duration::from_mins(1);

/// Makes the function sweep every `every`, until `shutdown`, and go on in between.
pub async fn run(shell: Arc<Shell>, every: Duration, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut times = tokio::time::interval_at(Instant::now() + every, every);
    let mut in_between = tokio::time::interval_at(Instant::now() + GO_ON_EVERY, GO_ON_EVERY);
    loop {
        tokio::select! {
            _ = times.tick() => shell.sweep(&event(Timestamp::now())).await,
            _ = in_between.tick() => shell.sweep(&json!({"task": "continue"})).await,
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
