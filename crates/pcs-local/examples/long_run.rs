//! Many clients for a while against a running `pcs-local`: which statuses they got, and what the process holds.
//!
//! ```text
//! cargo run --release --package pcs-local --example long_run -- URL PID [CLIENTS] [SECONDS]
//! ```
//!
//! URL is the gateway's of the READY line, PID the process. Reads, refusals and changes are mixed as callers mix them.
//! Once every ten seconds a line says how many calls there were, how many were answered 5xx, and the memory (Linux).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "an example may end loudly and prints what it measured"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;

#[path = "../tests/it/client.rs"]
#[expect(dead_code, reason = "the tests ask the emulators too")]
mod client;

const TOLD_EVERY: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Told {
    calls: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
    broken: AtomicU64,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(pid)) = (arguments.next(), arguments.next()) else {
        println!("usage: long_run URL PID [CLIENTS] [SECONDS]");
        return;
    };
    let mut number = |otherwise: u64| arguments.next().map_or(otherwise, |text| text.parse().unwrap());
    let (clients, seconds) = (number(32), number(300));
    let end = Instant::now() + Duration::from_secs(seconds);
    let told = Arc::new(Told::default());
    let running: Vec<_> = (0..clients)
        .map(|client| tokio::spawn(calls(url.clone(), client, end, Arc::clone(&told))))
        .collect();
    while Instant::now() < end {
        tokio::time::sleep(TOLD_EVERY).await;
        tell(&told, &pid);
    }
    for client in running {
        client.await.unwrap();
    }
    tell(&told, &pid);
}

async fn calls(url: String, client: u64, end: Instant, told: Arc<Told>) {
    for turn in 0_u64.. {
        if Instant::now() >= end {
            return;
        }
        let name = format!("c{client}-{turn}");
        let cluster = json!({
            "clusterName": name,
            "scheduler": {"type": "SLURM", "version": "25.11"},
            "size": "SMALL",
            "networking": {"subnetIds": ["subnet-0123456789abcdef0"]},
        });
        let (method, path, body) = match turn % 6 {
            0 => ("POST", "/v1/clusters?dryrun=true".to_owned(), Some(&cluster)),
            1 => ("POST", "/v1/clusters".to_owned(), Some(&cluster)),
            2 => ("GET", "/v1/clusters".to_owned(), None),
            3 => ("GET", "/v1/audit-events?maxResults=10".to_owned(), None),
            4 => ("DELETE", format!("/v1/clusters/c{client}-{}", turn - 3), None),
            _ => ("GET", "/v1/clusters?region=nowhere".to_owned(), None),
        };
        told.calls.fetch_add(1, Ordering::Relaxed);
        match client::call(&url, method, &path, body).await {
            Ok(answer) => *told.statuses.lock().unwrap().entry(answer.status).or_default() += 1,
            Err(_) => {
                told.broken.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn tell(told: &Told, pid: &str) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let memory = status.lines().find(|line| line.starts_with("VmRSS"));
    let memory = memory.unwrap_or("VmRSS: unknown").replace([' ', '\t'], "");
    let statuses = told.statuses.lock().unwrap();
    let failed: u64 = statuses.range(500..).map(|(_, count)| count).sum();
    let calls = told.calls.load(Ordering::Relaxed);
    let broken = told.broken.load(Ordering::Relaxed);
    println!("{calls} calls, {failed} answered 5xx, {broken} without an answer, {memory}; {statuses:?}");
}
