//! How long a question to a large audit takes.
//!
//! ```text
//! cargo run --release --package pcs-local --example audit_query -- [ROWS] [FOLDER]
//! ```
//!
//! Fills a table on disk with ROWS rows (a million by default) of one day, all like one that the gateway wrote, and
//! times first pages of fifty through the client and the queries that the gateway uses. About 7 KB of disk a row; the
//! folder is removed at the end.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "an example may end loudly and prints what it measured"
)]

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use dynoxide::{AttributeValue, Database, ImportOptions, Item, actions::scan::ScanRequest};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use pcs_api::{
    audit::{
        query::{Filter, Source},
        record::row,
    },
    aws::Clients,
    config::Config,
    gateway::Gateway,
    lambda,
};
use pcs_local::stack::{Options, Stack};

/// Where the embedded DynamoDB keeps its tables.
const FILE: &str = "dynamodb/tables.sqlite";
const ROWS: u64 = 1_000_000;
const HOURS: u64 = 24;
const PRINCIPALS: u64 = 50;
const CLUSTERS: u64 = 200;
const PAGE: usize = 50;
/// Questions of each kind; each about another hour, principal or cluster.
const ASKED: u64 = 51;
/// Rows in one transaction of the import.
const BATCH: u64 = 10_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().map_or(ROWS, |rows| rows.parse().unwrap());
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("pcs-api-audit-query-{}", std::process::id()));
    // The last whole hours: each of them has as many rows as the others.
    let now = Timestamp::now().as_second();
    let day =
        Timestamp::from_second(now - now % 3600).unwrap() - SignedDuration::from_hours(HOURS.cast_signed());
    let began = Instant::now();
    let table = one_row(&folder).await;
    fill(&folder, &table, rows, day);
    let file = std::fs::metadata(folder.join(FILE)).unwrap();
    println!(
        "{rows} rows made in {} s, {} MB on disk",
        began.elapsed().as_secs(),
        file.len() / 1_000_000
    );
    ask(&folder, day).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn stack(folder: &Path) -> Stack {
    let options = Options {
        data_dir: Some(folder.to_owned()),
        ..Options::default()
    };
    Stack::start(options).await.unwrap()
}

fn config(stack: &Stack) -> Config {
    Config::read(|name| stack.variables().get(name).cloned()).unwrap()
}

/// Has the gateway write one row into a new table, and returns the table's name.
async fn one_row(folder: &Path) -> String {
    let stack = stack(folder).await;
    let gateway = Gateway::new(config(&stack));
    let event = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/list-clusters.json");
    let event = serde_json::from_slice(&std::fs::read(event).unwrap()).unwrap();
    let mut context = Context::default();
    context.deadline = u64::try_from(Timestamp::now().as_millisecond() + 20_000).unwrap();
    lambda::handle(&gateway, LambdaEvent::new(event, context))
        .await
        .unwrap();
    let table = stack.variables()["PCS_API_AUDIT_TABLE"].clone();
    stack.stop().await;
    table
}

/// Adds rows like the one that is there, evenly over the hours of `day`, the principals and the clusters.
fn fill(folder: &Path, table: &str, rows: u64, day: Timestamp) {
    let database = Database::new(&folder.join(FILE).to_string_lossy()).unwrap();
    let scan = ScanRequest {
        table_name: table.to_owned(),
        ..ScanRequest::default()
    };
    let like = database.scan(scan).unwrap().items.unwrap().remove(0);
    database.enable_bulk_loading().unwrap();
    let step = SignedDuration::from_hours(HOURS.cast_signed()).as_nanos() / i128::from(rows);
    for first in (0..rows).step_by(usize::try_from(BATCH).unwrap()) {
        let numbers = first..rows.min(first + BATCH);
        let items = numbers.map(|number| {
            let passed = SignedDuration::from_nanos_i128(step * i128::from(number));
            row_like(&like, number, day + passed)
        });
        database
            .import_items(table, items.collect(), ImportOptions::default())
            .unwrap();
    }
    database.disable_bulk_loading().unwrap();
}

fn row_like(like: &Item, number: u64, time: Timestamp) -> Item {
    let id = format!("01{number:024}");
    let at = format!("{time:.3}#{id}");
    let month: String = at.chars().take("2026-11".len()).collect();
    let cluster = format!("cluster-{}", mixed(number) % CLUSTERS);
    let mut row = like.clone();
    for (name, value) in [
        ("pk", format!("E#{id}")),
        ("at", at.clone()),
        ("eventId", id),
        ("eventTime", format!("{time:.3}")),
        (
            "byTime",
            row::time_key(time, u128::from(mixed(number) >> 32) % row::TIME_SHARDS),
        ),
        (
            "byPrincipal",
            row::principal_key(&principal(mixed(number) >> 8), &month),
        ),
        ("byResource", row::resource_key(&cluster)),
        ("byRequest", row::request_key(&format!("request-{number}"))),
    ] {
        row.insert(name.to_owned(), AttributeValue::S(value));
    }
    row
}

fn principal(number: u64) -> String {
    format!("AROAQUERY{:012}", number % PRINCIPALS)
}

/// The last steps of `SplitMix64`: numbers that follow one another come out far apart.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

/// Asks each kind of question and prints how long the first page took.
async fn ask(folder: &Path, day: Timestamp) {
    let stack = stack(folder).await;
    let config = config(&stack);
    let table = config.audit.table.clone();
    let clients = Clients::new(config.aws);
    println!("first page of {PAGE} by | median | longest of {ASKED}");
    for (name, question) in questions(day) {
        let mut took = Vec::new();
        for number in 0..ASKED {
            let filter = question(number);
            let is_one = matches!(filter.source, Source::Request(_));
            let asked = Instant::now();
            let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
            let page = filter
                .page(clients.dynamodb(), &table, None, PAGE, deadline)
                .await
                .unwrap();
            took.push(asked.elapsed());
            let expected = if is_one { 1 } else { PAGE };
            assert_eq!(
                page.events.len(),
                expected,
                "{name} {number}: more rows are needed"
            );
        }
        took.sort();
        let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
        println!("{name} | {median:.1?} | {longest:.1?}");
    }
    stack.stop().await;
}

/// The question of a number.
type Question = Box<dyn Fn(u64) -> Filter>;

fn questions(day: Timestamp) -> [(&'static str, Question); 5] {
    let hour = move |number: u64| {
        let from = day + SignedDuration::from_hours((number % HOURS).cast_signed());
        (from, from + SignedDuration::from_hours(1))
    };
    let whole = (day, day + SignedDuration::from_hours(HOURS.cast_signed()));
    let by_principal = |number: u64| Source::Principal(principal(number * 7));
    let by_cluster = |number: u64| Source::Cluster(vec![format!("cluster-{}", number * 3 % CLUSTERS)]);
    let by_request = |number: u64| Source::Request(format!("request-{}", number * 17));
    [
        (
            "principal and hour",
            Box::new(move |number| filter(by_principal(number), hour(number))),
        ),
        (
            "principal and day",
            Box::new(move |number| filter(by_principal(number), whole)),
        ),
        ("hour", Box::new(move |number| filter(Source::Time, hour(number)))),
        (
            "cluster and day",
            Box::new(move |number| filter(by_cluster(number), whole)),
        ),
        (
            "request id",
            Box::new(move |number| filter(by_request(number), whole)),
        ),
    ]
}

fn filter(source: Source, (from, to): (Timestamp, Timestamp)) -> Filter {
    Filter {
        source,
        from,
        to,
        operation: None,
        decision: None,
        region: None,
    }
}
