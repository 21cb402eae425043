//! What must hold after the storm. What is expected comes from what passed on the wire, from the emulators' own lists
//! of calls, from the answers, and from a scan of the whole table; never from the index keys of the rows.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write,
};

use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::{
    chain::{self, Item},
    query::{Filter, Source},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{CALLS, Call, SHARED, lambda_id, requests::PRINCIPALS};
use crate::{
    wire::{Passed, What, form_value},
    world::{World, dynamodb},
};

/// The emulators forget calls beyond this many.
const CALLS_REMEMBERED: usize = 10_000;

pub type Calls = BTreeMap<u32, Call>;

/// Guards against a storm in a teacup: everything that was to happen did.
pub fn it_was_a_storm(calls: &Calls, passed: &[Passed]) {
    assert_eq!(calls.len(), CALLS as usize + SHARED);
    let mut statuses: BTreeMap<i64, usize> = BTreeMap::new();
    for answer in calls.values().filter_map(|call| call.answer.as_ref()) {
        *statuses.entry(answer.status).or_default() += 1;
    }
    for status in [
        200, 202, 204, 400, 403, 404, 405, 409, 412, 415, 429, 500, 502, 503, 504,
    ] {
        assert!(statuses.contains_key(&status), "no {status} in {statuses:?}");
    }
    let died = calls.values().filter(|call| call.answer.is_none()).count();
    assert!(died > 100, "{died} environments died");
    let changed: BTreeSet<Option<u32>> = passed
        .iter()
        .filter(|passed| passed.changes_something())
        .map(|passed| passed.call)
        .collect();
    assert!((2_500..4_000).contains(&changed.len()), "{}", changed.len());
    eprintln!(
        "storm: {statuses:?}, {died} died, {} calls asked for a change",
        changed.len()
    );
}

fn is_read(action: &str) -> bool {
    action.starts_with("Get") || action.starts_with("List")
}

impl Passed {
    fn changes_something(&self) -> bool {
        match &self.what {
            What::Pcs { action, .. } | What::Iam { action, .. } => !is_read(action),
            What::Written { .. } | What::Put { .. } => false,
        }
    }
}

/// DynamoDB had said that it has the opening row before PCS was asked anything, and before IAM was asked to change
/// anything.
pub fn rows_come_before_requests(passed: &[Passed]) {
    let mut opened: BTreeMap<u32, &str> = BTreeMap::new();
    for passed in passed {
        let Some(call) = passed.call else { continue };
        match &passed.what {
            What::Written { sk, of, .. } => {
                assert_eq!(of, &lambda_id(call), "a row of another call");
                if sk.starts_with("0#") {
                    opened.insert(call, sk);
                }
            }
            What::Pcs { action, .. } | What::Iam { action, .. } if !is_read(action) => {
                assert_eq!(opened.get(&call), Some(&"0#RECEIVED"), "{passed:?}");
            }
            What::Pcs { .. } => assert!(opened.contains_key(&call), "{passed:?}"),
            What::Iam { .. } | What::Put { .. } => {}
        }
    }
}

/// Every mutation that PCS and IAM received belongs, by its token, its mark or its role, to a call that sent just that
/// after its RECEIVED row (`rows_come_before_requests`), and that row is in the table.
pub fn what_emulators_saw_is_on_record(world: &World, calls: &Calls, rows: &[Value], passed: &[Passed]) {
    let received: HashSet<String> = rows
        .iter()
        .filter(|row| row["sk"] == "0#RECEIVED")
        .map(|row| row["lambdaRequestId"].as_str().unwrap().to_owned())
        .collect();
    let joins = Joins::new(calls, rows);
    let mut asked: HashSet<(u32, String, String)> = HashSet::new();
    for passed in passed {
        let Some(call) = passed.call else { continue };
        match &passed.what {
            What::Pcs { action, body } => {
                asked.insert((call, action.clone(), body.to_string()));
            }
            What::Iam { action, form } => {
                asked.insert((call, action.clone(), role_of(|name| form_value(form, name))));
            }
            What::Written { .. } | What::Put { .. } => {}
        }
    }
    let explained = |candidates: &BTreeSet<u32>, action: &str, content: String| {
        candidates.iter().any(|call| {
            received.contains(&lambda_id(*call))
                && asked.contains(&(*call, action.to_owned(), content.clone()))
        })
    };
    let (pcs, iam) = (&world.stack.pcs_emulator, &world.stack.iam_emulator);
    let (pcs, iam) = (pcs.calls(), iam.calls());
    assert!(pcs.len() < CALLS_REMEMBERED && iam.len() < CALLS_REMEMBERED);
    let mut mutations = 0;
    for call in pcs.iter().filter(|call| !is_read(&call.action)) {
        let candidates = joins.pcs(&call.action, &call.body);
        assert!(
            explained(&candidates, &call.action, call.body.to_string()),
            "{call:?} of {candidates:?}"
        );
        mutations += 1;
    }
    for call in iam.iter().filter(|call| call.is_write()) {
        let role = role_of(|name| call.params.get(name).cloned());
        let candidates = joins.roles.get(&role).cloned().unwrap_or_default();
        assert!(
            explained(&candidates, &call.action, role),
            "{call:?} of {candidates:?}"
        );
        mutations += 1;
    }
    assert!(mutations > 3_000, "{mutations}");
    eprintln!("storm: {mutations} mutations received by PCS and IAM");
}

/// A role and its instance profile have the same name.
fn role_of(value: impl Fn(&str) -> Option<String>) -> String {
    value("RoleName")
        .or_else(|| value("InstanceProfileName"))
        .unwrap_or_default()
}

/// Calls by what PCS and IAM are told of them.
#[derive(Default)]
struct Joins {
    events: BTreeMap<String, u32>,
    tokens: BTreeMap<String, BTreeSet<u32>>,
    marks: BTreeMap<String, u32>,
    roles: BTreeMap<String, BTreeSet<u32>>,
}

impl Joins {
    fn new(calls: &Calls, rows: &[Value]) -> Joins {
        let mut joins = Joins::default();
        for (number, call) in calls {
            if let (Some(token), Some(principal)) = (&call.sent.client_token, call.sent.principal) {
                for action in TOKEN_ACTIONS {
                    let sent = scoped(principal, action, token);
                    joins.tokens.entry(sent).or_default().insert(*number);
                }
            }
            if let Some(mark) = &call.sent.mark {
                joins.marks.insert(mark.clone(), *number);
            }
        }
        for row in rows {
            let Some(number) = number_of(row) else { continue };
            joins
                .events
                .insert(row["eventId"].as_str().unwrap().to_owned(), number);
            if let Some(role) = row["nodeRoleArn"].as_str() {
                let role = role.rsplit('/').next().unwrap().to_owned();
                joins.roles.entry(role).or_default().insert(number);
            }
        }
        joins
    }

    fn pcs(&self, action: &str, body: &Value) -> BTreeSet<u32> {
        let one = |call: Option<&u32>| call.copied().into_iter().collect();
        match action {
            "TagResource" => one(self.marks.get(body["tags"]["storm"].as_str().unwrap())),
            "UntagResource" => one(self.marks.get(body["tagKeys"][0].as_str().unwrap())),
            _ => {
                let token = body["clientToken"].as_str().unwrap();
                let by_token = self.tokens.get(token).cloned();
                by_token.unwrap_or_else(|| one(self.events.get(token)))
            }
        }
    }
}

const TOKEN_ACTIONS: [&str; 9] = [
    "CreateCluster",
    "UpdateCluster",
    "DeleteCluster",
    "CreateComputeNodeGroup",
    "UpdateComputeNodeGroup",
    "DeleteComputeNodeGroup",
    "CreateQueue",
    "UpdateQueue",
    "DeleteQueue",
];

/// What PCS is sent for a caller's token: SHA-256 over account, principal, action, Region and token, each after its
/// length in eight bytes.
fn scoped(principal: &str, action: &str, token: &str) -> String {
    let mut bytes = Vec::new();
    for part in ["123456789012", principal, action, "us-east-1", token] {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    let mut hex = String::new();
    for byte in Sha256::digest(bytes) {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

fn number_of(row: &Value) -> Option<u32> {
    row["lambdaRequestId"]
        .as_str()?
        .strip_prefix("storm-")?
        .parse()
        .ok()
}

/// Rows of a record by their sort key.
type Record<'a> = BTreeMap<&'a str, &'a Value>;

fn records(rows: &[Value]) -> BTreeMap<&str, Record<'_>> {
    let mut records: BTreeMap<&str, Record> = BTreeMap::new();
    for row in rows {
        let (pk, sk) = (row["pk"].as_str().unwrap(), row["sk"].as_str().unwrap());
        if let Some(id) = pk.strip_prefix("E#") {
            records.entry(id).or_default().insert(sk, row);
        }
    }
    records
}

fn closing<'a>(record: &Record<'a>) -> Option<&'a Value> {
    let complete = record.get("9#COMPLETE").copied();
    let panic = record.get("9#PANIC").copied();
    assert!(complete.is_none() || panic.is_none(), "closed twice: {record:?}");
    complete.or(panic)
}

/// Whoever got an answer is on record with it, and exactly once; whoever was told that there is no record has changed
/// nothing.
pub fn answers_are_on_record(calls: &Calls, rows: &[Value], passed: &[Passed]) {
    let changing = passed.iter().filter(|passed| passed.changes_something());
    let changing: HashSet<Option<u32>> = changing.map(|passed| passed.call).collect();
    let mut by_call: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for record in records(rows).into_values() {
        let number = record.values().find_map(|row| number_of(row)).unwrap();
        by_call.entry(number).or_default().push(record);
    }
    for (number, call) in calls {
        let records = by_call.remove(number).unwrap_or_default();
        assert!(records.len() <= 1, "{number} is on record more than once");
        let Some(answer) = &call.answer else { continue };
        if answer.body["code"] == "AuditUnavailableException" {
            assert!(!changing.contains(&Some(*number)), "{number}");
            continue;
        }
        let [record] = records.as_slice() else {
            panic!("{number} was answered and is not on record: {answer:?}")
        };
        match closing(record) {
            Some(row) => {
                let told = (row["httpStatus"].as_i64(), row["errorCode"].as_str());
                assert_eq!(
                    told,
                    (Some(answer.status), answer.body["code"].as_str()),
                    "{number}"
                );
            }
            // A read that failed and could not say so keeps the row that says it was let through.
            None => assert!(
                record.contains_key("0#READ") || record.contains_key("0#RECEIVED"),
                "{number}: {record:?}"
            ),
        }
    }
    assert!(by_call.is_empty(), "rows of calls that nobody made");
}

/// Event ids of records that are open, before a sweep.
pub fn left_open(rows: &[Value]) -> BTreeSet<String> {
    records(rows)
        .into_iter()
        .filter(|(_, record)| record.contains_key("0#RECEIVED") && closing(record).is_none())
        .map(|(id, _)| id.to_owned())
        .collect()
}

pub fn records_are_closed_once(rows: &[Value], were_open: &BTreeSet<String>) {
    let mut closed = 0;
    for (id, record) in records(rows) {
        if !record.contains_key("0#RECEIVED") {
            continue;
        }
        let closing = closing(&record).unwrap_or_else(|| panic!("{id} is open: {record:?}"));
        let by_sweep = closing["decision"] == "UNKNOWN";
        assert_eq!(by_sweep, were_open.contains(id), "{id}");
        closed += 1;
    }
    assert!(closed > 3_000, "{closed}");
}

/// Each row follows the one before it in its chain, and whatever number has no row was declared by a later one.
pub fn chains_are_whole(items: &[Item]) {
    let mut chains: BTreeMap<&str, BTreeMap<u64, &Item>> = BTreeMap::new();
    for item in items {
        assert_eq!(item["rowHash"].as_s().unwrap(), &chain::row_hash(item));
        let seq = item["chainSeq"].as_n().unwrap().parse().unwrap();
        let chain = chains.entry(item["chainId"].as_s().unwrap()).or_default();
        assert!(chain.insert(seq, item).is_none(), "two rows with one number");
    }
    let mut missing = 0;
    for (id, chain) in &chains {
        let mut declared: BTreeSet<u64> = BTreeSet::new();
        for (seq, item) in chain.iter().rev() {
            let previous = item["previousHash"].as_s().unwrap();
            match chain.get(&(seq - 1)) {
                Some(before) => assert_eq!(previous, before["rowHash"].as_s().unwrap(), "{id} {seq}"),
                None if *seq == 1 => assert_eq!(previous, chain::FIRST),
                None => {}
            }
            let told = item.get("unacknowledged").map(|told| told.as_l().unwrap());
            let told = told.into_iter().flatten();
            declared.extend(told.map(|seq| seq.as_n().unwrap().parse::<u64>().unwrap()));
            let first_before = chain.range(..seq).next_back().map_or(0, |(seq, _)| *seq);
            for gap in first_before + 1..*seq {
                assert!(declared.contains(&gap), "{gap} of chain {id} is gone");
                missing += 1;
            }
        }
    }
    assert!(missing > 100, "{missing}");
    eprintln!(
        "storm: {} rows in {} chains, {missing} numbers without a row, all declared",
        items.len(),
        chains.len()
    );
}

/// What one question must return: `at` and event id of each call, newest first.
type Expected = Vec<(String, String)>;

fn expected<'a>(records: &BTreeMap<&'a str, Record<'a>>, fits: impl Fn(&Record) -> bool) -> Expected {
    let fitting = records.iter().filter(|(_, record)| fits(record));
    let mut expected: Expected = fitting
        .map(|(id, record)| {
            let at = record.values().next().unwrap()["at"].as_str().unwrap();
            (at.to_owned(), (*id).to_owned())
        })
        .collect();
    expected.sort();
    expected.reverse();
    expected
}

pub async fn queries_return_everything_once(world: &World, rows: &[Value]) {
    let records = records(rows);
    let by = |fits: &dyn Fn(&Record) -> bool| expected(&records, fits);
    let all = by(&|_| true);
    assert!(all.len() > 9_000, "{}", all.len());
    ask(world, Source::Time, &all, 997).await;
    let any = |record: &Record, has: &dyn Fn(&Value) -> bool| record.values().any(|row| has(row));
    for (principal, size) in PRINCIPALS.into_iter().zip([1_000_000, 501, 333, 101, 77]) {
        let theirs = by(&|record| any(record, &|row| row["userIdentity"]["principalId"] == principal));
        assert!(theirs.len() > 1_000, "{}", theirs.len());
        ask(world, Source::Principal(principal.to_owned()), &theirs, size).await;
    }
    for (name, size) in [("storm-0", 101), ("storm-5", 29), ("demo-cluster", 97)] {
        let named = by(&|record| any(record, &|row| about(row) == Some(name)));
        assert!(named.len() > 20, "{name}: {}", named.len());
        ask(world, Source::Cluster(vec![name.to_owned()]), &named, size).await;
    }
    // A cluster by both its names: the id that PCS gave it when it was made, and calls that used that id.
    let made = |row: &Value| row["eventName"] == "CreateCluster" && row["decision"] == "ALLOW";
    let answered = rows
        .iter()
        .filter(|row| made(row) && row["httpStatus"] == 202)
        .take(3);
    for row in answered {
        let id = row["resourceArn"].as_str().unwrap().rsplit('/').next().unwrap();
        let identified = |row: &Value| {
            let arn = row["resourceArn"].as_str().unwrap_or_default();
            row["sk"] == "8#IDENTIFIED" && arn.contains(&format!("cluster/{id}"))
        };
        let known = by(&|record| any(record, &|row| about(row) == Some(id) || identified(row)));
        assert!(!known.is_empty());
        ask(world, Source::Cluster(vec![id.to_owned()]), &known, 7).await;
        let name = about(row).unwrap();
        let named = by(&|record| {
            any(record, &|row| {
                about(row).is_some_and(|about| about == id || about == name) || identified(row)
            })
        });
        ask(
            world,
            Source::Cluster(vec![id.to_owned(), name.to_owned()]),
            &named,
            53,
        )
        .await;
    }
    for request in ["test-invoke-request", "request-1", "request-4711", "request-9999"] {
        let of_request = by(&|record| any(record, &|row| row["requestID"] == request));
        ask(world, Source::Request(request.to_owned()), &of_request, 3).await;
    }
}

/// The cluster that the caller named, by name or by the id in an ARN.
fn about(row: &Value) -> Option<&str> {
    let named = row["resources"][0].as_str()?;
    let Some((_, inside)) = named.split_once(":cluster/") else {
        return Some(named);
    };
    inside.split('/').next()
}

/// Reads all pages and holds them against what is expected.
async fn ask(world: &World, source: Source, expected: &Expected, size: usize) {
    let filter = Filter {
        source: source.clone(),
        from: Timestamp::now() - SignedDuration::from_hours(1),
        // Sweeps are recorded at the time that they reckon from, which is after all calls have ended.
        to: Timestamp::now() + SignedDuration::from_hours(1),
        operation: None,
        decision: None,
        region: None,
    };
    let client = dynamodb(&world.stack.dynamodb);
    let deadline = Instant::now() + std::time::Duration::from_mins(2);
    let mut found = Expected::new();
    let mut before: Option<String> = None;
    loop {
        let page = filter
            .page(&client, world.table(), before.as_deref(), size, deadline)
            .await
            .unwrap();
        assert!(page.events.len() == size || page.next.is_none(), "a short page");
        assert!(
            !page.events.is_empty() || page.next.is_none(),
            "an empty page with more"
        );
        let text = |row: &Item, name: &str| row[name].as_s().unwrap().clone();
        found.extend(
            page.events
                .iter()
                .map(|row| (text(row, "at"), text(row, "eventId"))),
        );
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), expected.len(), "{source:?}");
    assert!(found == *expected, "{source:?} in another order");
}
