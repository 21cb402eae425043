//! How many calls an hour the sweep keeps up with.
//!
//! ```text
//! cargo run --release --package pcs-local --example audit_sweep -- [CALLS]
//! ```
//!
//! Puts the rows of CALLS calls (120,000 by default; two reads for each mutation) into one hour of a table that another
//! process serves, then closes and sums up that hour as a sweep does, and says what a row costs this process: its
//! processor's time, which is what bounds a sweep on Lambda. Linux tells it in hundredths of a second.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "an example may end loudly and prints what it measured"
)]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use jiff::{SignedDuration, Timestamp};
use pcs_api::{
    audit::{Audit, progress::Progress},
    aws::Clients,
    config::Config,
};
use pcs_local::stack::{Options, Stack};

const CALLS: u64 = 120_000;
const HOUR: &str = "2026-11-21T13";
/// Execution environments that wrote the hour.
const CHAINS: u64 = 200;
/// What `BatchWriteItem` takes at once.
const BATCH: usize = 25;

#[tokio::main]
async fn main() {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("serve") {
        return serve().await;
    }
    let calls = argument.map_or(CALLS, |calls| calls.parse().unwrap());
    let (mut server, variables) = start();
    let config = Arc::new(Config::read(|name| variables.get(name).cloned()).unwrap());
    let clients = Clients::new(config.aws.clone());
    let rows = fill(&clients, &config.audit.table, calls).await;
    println!("{calls} calls left {rows} rows in one hour");
    measure(config, &clients, calls, rows).await;
    server.kill().unwrap();
}

/// The other process: the whole stack, of which the table is used, until it is killed.
async fn serve() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let variables = serde_json::to_string(stack.variables()).unwrap();
    println!("{variables}");
    std::io::stdout().flush().unwrap();
    std::future::pending::<()>().await;
}

fn start() -> (Child, BTreeMap<String, String>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut server = command.arg("serve").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    (server, serde_json::from_str(&line).unwrap())
}

async fn fill(clients: &Clients, table: &str, calls: u64) -> u64 {
    let stages = |call: u64| match call % 3 {
        0 => &["0#RECEIVED", "8#IDENTIFIED", "9#COMPLETE"][..],
        _ => &["0#READ"],
    };
    let all: Vec<(u64, &str)> = (0..calls)
        .flat_map(|call| stages(call).iter().map(move |stage| (call, *stage)))
        .collect();
    for some in all.chunks(BATCH) {
        let puts = some
            .iter()
            .map(|(call, stage)| put(*call, stage, calls))
            .collect::<Vec<_>>();
        let batch = clients.dynamodb().batch_write_item().request_items(table, puts);
        assert!(
            batch
                .send()
                .await
                .unwrap()
                .unprocessed_items
                .unwrap_or_default()
                .is_empty()
        );
    }
    all.len() as u64
}

fn put(call: u64, stage: &str, calls: u64) -> WriteRequest {
    let text = |value: String| AttributeValue::S(value);
    let begin: Timestamp = format!("{HOUR}:00:00Z").parse().unwrap();
    let at = begin + SignedDuration::from_millis((call * 3_600_000 / calls).cast_signed());
    let put = PutRequest::builder()
        .item("pk", text(format!("E#{call:026}")))
        .item("sk", text(stage.to_owned()))
        .item("byTime", text(format!("T#{HOUR}#{}", call % 4)))
        .item("at", text(format!("{at:.3}#{call:026}")))
        .item("rowHash", text(format!("{call:064x}")))
        .item("chainId", text(format!("{:026}", call % CHAINS)))
        .item("chainSeq", AttributeValue::N((call / CHAINS).to_string()))
        .item("expires", AttributeValue::N("4000000000".to_owned()));
    WriteRequest::builder().put_request(put.build().unwrap()).build()
}

async fn measure(config: Arc<Config>, clients: &Clients, calls: u64, rows: u64) {
    let audit = Audit::new(config);
    let begin: Timestamp = format!("{HOUR}:00:00Z").parse().unwrap();
    let end = begin + SignedDuration::from_hours(1);
    let deadline = tokio::time::Instant::now() + Duration::from_hours(1);
    let mut progress = Progress::first(begin);
    let (closing, ()) = cost("closing", rows, async {
        assert_eq!(
            audit.close_abandoned(clients, &mut progress, end, deadline).await,
            Ok(0)
        );
    })
    .await;
    let (summing, ()) = cost("summing up", rows, async {
        let later = end + SignedDuration::from_hours(2);
        let done = audit
            .digest_next_hour(clients, &mut progress, end, later, deadline)
            .await;
        assert_eq!(done, Ok(true));
    })
    .await;
    println!(
        "{:.1} us of a processor a call",
        (closing + summing) / calls as f64 * 1e6
    );
}

/// Runs it and says what it cost; returns the processor's seconds.
async fn cost<T>(name: &str, rows: u64, work: impl Future<Output = T>) -> (f64, T) {
    let (before, began) = (processor_seconds(), Instant::now());
    let done = work.await;
    let (spent, took) = (processor_seconds() - before, began.elapsed().as_secs_f64());
    println!(
        "{name}: {:.1} us of a processor a row, {:.0} rows a second here",
        spent / rows as f64 * 1e6,
        rows as f64 / took
    );
    (spent, done)
}

/// User and system time of this process: fields 14 and 15 of `proc_pid_stat(5)`, in hundredths of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}
