//! EventBridge's part: the scheduled event that makes the function sweep, and the one that makes it go on.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use crate::server::Shell;

/// As the template's rule for what the last sweep left.
const GO_ON_EVERY: Duration = Duration::from_mins(1);

/// Makes the function sweep every `every`, until `shutdown`, and go on in between.
///
/// With a trail that an earlier process left, it sweeps at the start, after `past`: processes that never live for `every`
/// would else leave their calls open and their hours without a digest. `caught_up` is dropped when that has ended.
pub async fn run(
    shell: Arc<Shell>,
    every: Duration,
    past: Option<impl Future<Output = Result<(), String>>>,
    caught_up: watch::Sender<()>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    if let Some(past) = past {
        match past.await {
            Ok(()) => catch_up(&shell).await,
            Err(error) => tracing::error!(error, "the trail of before is not swept"),
        }
    }
    drop(caught_up);
    let mut times = tokio::time::interval_at(Instant::now() + every, every);
    let mut in_between = tokio::time::interval_at(Instant::now() + GO_ON_EVERY, GO_ON_EVERY);
    loop {
        tokio::select! {
            _ = times.tick() => shell.sweep(&event(Timestamp::now())).await,
            _ = in_between.tick() => shell.sweep(&go_on()).await,
            () = &mut shutdown => return,
        }
    }
}

/// Closes what an earlier process left open, then sums up the hours since: the run after the one that closed them does.
async fn catch_up(shell: &Shell) {
    shell.sweep(&event(Timestamp::now())).await;
    shell.sweep(&go_on()).await;
}

/// The constant input of the template's rule.
fn go_on() -> Value {
    json!({"task": "continue"})
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
