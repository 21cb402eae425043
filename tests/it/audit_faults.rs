//! The audit table throttles, hangs, refuses, breaks off and lies; at the opening row, at steps, at the closing row.
//! Nothing unrecorded may reach PCS or IAM, callers are told the truth, and what stayed open is closed by the sweep.

mod hanging;
mod kinds;
mod last_seconds;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use kinds::{Kind, creation, denial, failed_read, mutation, read, refusal};
use pcs_api::gateway::Gateway;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;

use crate::{
    logs::Logs,
    wire::{PLAN, Passed, Plan, Rows, TableEffect, TableFault, WRITTEN, What, Wire},
    world::{
        ALLOWED_POLICY, Answer, World, after_all_have_ended, answer, at, event, invoke_as, rows, with_body,
        with_query,
    },
};

/// As often as it is tried.
const ALWAYS: u32 = u32::MAX;
/// The SDK client of the audit table tries twice (`src/aws.rs`).
const ATTEMPTS: usize = 2;

/// What must come of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The retry succeeds: nobody notices.
    Recovers,
    /// There is no row.
    Unwritten,
    /// The row is there, and the gateway never learns it.
    Untold,
    /// There is no row, and the gateway cannot tell.
    Believed,
}

fn faults() -> Vec<(TableEffect, u32, Outcome)> {
    use Outcome::{Believed, Recovers, Untold, Unwritten};
    use TableEffect::{DropAfter, DropBefore, FailAfter, Lie, Panic, Refuse};
    let retried = [
        Refuse("ProvisionedThroughputExceededException"),
        Refuse("ThrottlingException"),
        DropBefore,
        DropAfter,
        FailAfter("InternalServerError"),
    ];
    let unwritten = [
        Refuse("ProvisionedThroughputExceededException"),
        Refuse("ThrottlingException"),
        Refuse("AccessDeniedException"),
        Refuse("ResourceNotFoundException"),
        Refuse("ValidationException"),
        Refuse("ConditionalCheckFailedException"),
        DropBefore,
        Lie("{}"),
        Lie(""),
        Lie("<html>proxy</html>"),
        Lie(r#"{"ConsumedCapacity":{"TableName":"pcs-api-aud"#),
        Panic,
    ];
    let untold = [DropAfter, FailAfter("InternalServerError")];
    let mut faults = Vec::new();
    faults.extend(retried.into_iter().map(|effect| (effect, 1, Recovers)));
    faults.extend(unwritten.into_iter().map(|effect| (effect, ALWAYS, Unwritten)));
    faults.extend(untold.into_iter().map(|effect| (effect, ALWAYS, Untold)));
    faults.push((Lie(WRITTEN), ALWAYS, Believed));
    faults
}

/// What a call under faults left behind.
struct Aftermath {
    answer: Answer,
    log: String,
    passed: Vec<Passed>,
    rows: Vec<Value>,
    /// The row of the same environment's next call.
    next: Value,
}

struct Bench {
    world: World,
    logs: Logs,
    arn: String,
    cases: u32,
}

impl Bench {
    async fn start() -> Bench {
        let world = World::start().await;
        let created = world.cluster().await;
        let arn = created.body["cluster"]["arn"].as_str().unwrap().to_owned();
        Bench {
            world,
            logs: Logs::at(LevelFilter::INFO),
            arn,
            cases: 0,
        }
    }

    /// Makes the call in a new environment while writes of these rows fail, and then one with nothing wrong.
    async fn under(&mut self, kind: &Kind, at: Rows, effect: &TableEffect, times: u32) -> Aftermath {
        let wire = Wire::of(&self.world);
        let gateway = wire.gateway(&self.world);
        self.logs.take();
        let plan = Plan {
            table: vec![TableFault::new(at, effect.clone(), times)],
            ..self.plan()
        };
        let id = lambda_id(plan.call);
        let answer = call(&gateway, plan, &kind.event).await;
        let (log, passed) = (self.logs.take(), wire.passed());
        let plan = self.plan();
        let next = lambda_id(plan.call);
        assert_eq!(call(&gateway, plan, &event("list-clusters")).await.status, 200);
        let mut rows = rows(&self.world.stack).await;
        rows.retain(|row| row["lambdaRequestId"] == id || row["lambdaRequestId"] == next);
        let next = rows.pop().unwrap();
        Aftermath {
            answer,
            log,
            passed,
            rows,
            next,
        }
    }

    /// Deletes a group that was made: a cluster has few.
    async fn make_room(&self, made: &Answer) {
        self.world.settle();
        let id = made.body["computeNodeGroup"]["id"].as_str().unwrap();
        let delete = with_query(event("delete-compute-node-group"), &[]);
        let delete = at(delete, &[("computeNodeGroupIdentifier", id)]);
        let deleted = self.world.send(&delete).await;
        assert!((200..300).contains(&deleted.status), "{deleted:?}");
        self.world.settle();
    }

    fn plan(&mut self) -> Plan {
        self.cases += 1;
        Plan {
            call: self.cases,
            ..Plan::default()
        }
    }

    /// Sweeps a quarter of an hour later. Every mutation's record is closed then, and those that were open say so.
    async fn sweep_closes(&self, open: &BTreeSet<String>) {
        let now = after_all_have_ended().await;
        let deadline = Instant::now() + Duration::from_secs(30);
        let gateway = Wire::of(&self.world).gateway(&self.world);
        let report = gateway.sweep("sweep", now, deadline).await.unwrap();
        assert_eq!(report.records_closed as usize, open.len());
        let mut unknown = BTreeSet::new();
        let mut pairs: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows(&self.world.stack).await {
            let id = row["eventId"].as_str().unwrap().to_owned();
            if row["decision"] == "UNKNOWN" {
                unknown.insert(id.clone());
            }
            match row["sk"].as_str().unwrap() {
                "0#RECEIVED" => *pairs.entry(id).or_default() += 1,
                "9#COMPLETE" | "9#PANIC" if pairs.contains_key(&id) => {
                    *pairs.get_mut(&id).unwrap() += 1;
                }
                _ => {}
            }
        }
        assert_eq!(&unknown, open);
        assert!(pairs.values().all(|rows| *rows == 2), "{pairs:?}");
    }
}

async fn call(gateway: &Gateway, plan: Plan, event: &Value) -> Answer {
    call_within(gateway, plan, event, Duration::from_secs(28)).await
}

async fn call_within(gateway: &Gateway, plan: Plan, event: &Value, left: Duration) -> Answer {
    let id = lambda_id(plan.call);
    let invoked = invoke_as(&id, gateway, event, left);
    answer(&PLAN.scope(Arc::new(plan), invoked).await.unwrap())
}

fn lambda_id(call: u32) -> String {
    format!("fault-{call:03}")
}

impl Aftermath {
    fn stages(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row["sk"].as_str().unwrap()).collect()
    }

    fn tries(&self, sk: &str) -> usize {
        let puts = self
            .passed
            .iter()
            .filter(|passed| matches!(&passed.what, What::Put { sk: put } if put == sk));
        puts.count()
    }

    #[track_caller]
    fn assert_pcs_was_not_asked(&self) {
        for passed in &self.passed {
            match &passed.what {
                What::Pcs { .. } => panic!("{passed:?}"),
                What::Iam { action, .. } => {
                    assert!(
                        action.starts_with("Get") || action.starts_with("List"),
                        "{passed:?}"
                    );
                }
                What::Put { .. } | What::Written { .. } => {}
            }
        }
    }

    #[track_caller]
    fn assert_refused_without_a_record(&self) {
        let told = (self.answer.status, self.answer.body["code"].as_str());
        assert_eq!(told, (503, Some("AuditUnavailableException")));
        assert!(self.answer.headers.contains_key("retry-after"));
        assert!(self.log.contains("AUDIT_UNAVAILABLE"), "{}", self.log);
        self.assert_pcs_was_not_asked();
    }

    /// Numbers of the chain that have no row, up to the next call's, and those that the next call's row declares.
    fn missing_and_declared(&self) -> (Vec<u64>, Vec<u64>) {
        let numbers = |value: &Value| value.as_u64().unwrap();
        let there: BTreeSet<u64> = self.rows.iter().map(|row| numbers(&row["chainSeq"])).collect();
        let missing = (1..numbers(&self.next["chainSeq"])).filter(|seq| !there.contains(seq));
        let declared = self.next["unacknowledged"].as_array();
        let declared = declared.into_iter().flatten().map(numbers);
        (missing.collect(), declared.collect())
    }

    /// Opened and not closed.
    fn is_open(&self) -> bool {
        self.stages().starts_with(&["0#RECEIVED"]) && !self.stages().iter().any(|sk| sk.starts_with("9#"))
    }

    fn event_id(&self) -> String {
        self.rows[0]["eventId"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn no_answer_is_released_and_nothing_done_without_the_first_row() {
    let mut bench = Bench::start().await;
    let mut open = BTreeSet::new();
    for kind in [read(), failed_read(), mutation(&bench.arn), denial(), refusal()] {
        let (first, at) = match kind.stages[0] {
            "9#COMPLETE" => ("9#COMPLETE", Rows::Closing),
            first => (first, Rows::Opening),
        };
        for (effect, times, outcome) in faults() {
            let after = bench.under(&kind, at, &effect, times).await;
            let case = format!(
                "{} {effect:?} x{times}: {:?} {}",
                kind.name, after.answer, after.log
            );
            assert!((1..=ATTEMPTS).contains(&after.tries(first)), "{case}");
            let (missing, declared) = after.missing_and_declared();
            match outcome {
                Outcome::Recovers => {
                    assert_eq!(after.answer.status, kind.status, "{case}");
                    assert_eq!(after.stages(), kind.stages, "{case}");
                    assert!(!after.log.contains("AUDIT_"), "{case}");
                    assert_eq!((missing, declared), (vec![], vec![]), "{case}");
                }
                Outcome::Unwritten => {
                    after.assert_refused_without_a_record();
                    assert_eq!(after.stages(), Vec::<&str>::new(), "{case}");
                    assert_eq!((missing, declared), (vec![1], vec![1]), "{case}");
                }
                Outcome::Untold => {
                    after.assert_refused_without_a_record();
                    assert_eq!(after.stages(), [first], "{case}");
                    assert_eq!((missing, declared), (vec![], vec![1]), "{case}");
                }
                Outcome::Believed => {
                    assert_eq!(after.answer.status, kind.status, "{case}");
                    assert_eq!(after.stages(), kind.stages[1..], "{case}");
                    assert!(!after.log.contains("AUDIT_"), "{case}");
                    assert_eq!(
                        (missing, declared),
                        (vec![1], vec![]),
                        "a gap that nobody declared"
                    );
                }
            }
            if after.is_open() {
                open.insert(after.event_id());
            }
        }
    }
    assert_eq!(
        open.len(),
        4,
        "mutation and denial, untold by drops and by errors"
    );
    bench.sweep_closes(&open).await;
}

#[tokio::test]
async fn the_caller_gets_the_truth_without_the_last_row() {
    let mut bench = Bench::start().await;
    let mut open = BTreeSet::new();
    for kind in [failed_read(), mutation(&bench.arn), denial()] {
        for (effect, times, outcome) in faults() {
            let after = bench.under(&kind, Rows::Closing, &effect, times).await;
            let case = format!(
                "{} {effect:?} x{times}: {:?} {}",
                kind.name, after.answer, after.log
            );
            assert_eq!(after.answer.status, kind.status, "{case}");
            assert!((1..=ATTEMPTS).contains(&after.tries("9#COMPLETE")), "{case}");
            let is_known = matches!(outcome, Outcome::Unwritten | Outcome::Untold);
            assert_eq!(after.log.contains("AUDIT_INCOMPLETE"), is_known, "{case}");
            assert!(!after.log.contains("AUDIT_UNAVAILABLE"), "{case}");
            let (missing, declared) = after.missing_and_declared();
            match outcome {
                Outcome::Recovers => {
                    assert_eq!(after.stages(), kind.stages, "{case}");
                    assert_eq!((missing, declared), (vec![], vec![]), "{case}");
                }
                Outcome::Unwritten => {
                    assert_eq!(after.stages(), kind.stages[..1], "{case}");
                    assert_eq!((missing, declared), (vec![2], vec![2]), "{case}");
                }
                Outcome::Untold => {
                    assert_eq!(after.stages(), kind.stages, "{case}");
                    assert_eq!((missing, declared), (vec![], vec![2]), "{case}");
                }
                Outcome::Believed => {
                    assert_eq!(after.stages(), kind.stages[..1], "{case}");
                    assert_eq!(
                        (missing, declared),
                        (vec![2], vec![]),
                        "a gap that nobody declared"
                    );
                }
            }
            if after.is_open() {
                open.insert(after.event_id());
            }
        }
    }
    let unwritten = faults()
        .iter()
        .filter(|(_, _, outcome)| matches!(outcome, Outcome::Unwritten | Outcome::Believed))
        .count();
    assert_eq!(open.len(), 2 * unwritten);
    bench.sweep_closes(&open).await;
}

/// The closing row comes first, so that the copy of it that is found by the new cluster's id declares it if it is lost,
/// even if the environment never writes again.
#[tokio::test]
async fn a_lost_closing_row_is_declared_by_the_copy_that_follows() {
    let mut bench = Bench::start().await;
    let kind = creation();
    let refused = TableEffect::Refuse("AccessDeniedException");
    let after = bench.under(&kind, Rows::Closing, &refused, 1).await;
    assert_eq!(after.answer.status, 202, "{:?}", after.answer);
    let table = crate::world::table(&bench.world.stack).await;
    let copy = table
        .iter()
        .find(|row| row["sk"] == "8#IDENTIFIED" && row["eventId"] == after.rows[0]["eventId"])
        .unwrap();
    assert_eq!(after.stages(), ["0#RECEIVED"]);
    assert_eq!(
        (&copy["chainSeq"], &copy["unacknowledged"]),
        (&json!(3), &json!([2]))
    );
}

/// A role is made in steps, each a row; without them the request is carried out all the same, and the closing row
/// says which are missing.
#[tokio::test]
async fn lost_steps_are_told_by_the_closing_row() {
    let world = World::that_makes_roles().await;
    world.cluster().await;
    let mut bench = Bench {
        world,
        logs: Logs::at(LevelFilter::INFO),
        arn: String::new(),
        cases: 0,
    };
    for (number, (effect, times, outcome)) in faults().into_iter().enumerate() {
        let changes = json!({
            "computeNodeGroupName": format!("group-{number}"),
            "clientToken": format!("lost-steps-{number}"),
            "iamInstanceProfileArn": null,
            "iam": {"additionalIamPolicies": [ALLOWED_POLICY]},
        });
        let kind = Kind {
            name: "role",
            event: with_body(event("create-compute-node-group"), changes),
            status: 202,
            stages: &[],
        };
        let after = bench.under(&kind, Rows::Step, &effect, times).await;
        let case = format!("{effect:?} x{times}: {:?} {}", after.answer, after.log);
        assert_eq!(after.answer.status, 202, "{case}");
        bench.make_room(&after.answer).await;
        let is_known = matches!(outcome, Outcome::Unwritten | Outcome::Untold);
        assert_eq!(after.log.contains("AUDIT_INCOMPLETE"), is_known, "{case}");
        let steps: Vec<u64> = (2..=5).collect();
        let there = after
            .stages()
            .iter()
            .filter(|sk| sk.starts_with("1#STEP#"))
            .count();
        let last = after.rows.last().unwrap();
        assert_eq!(
            (&last["sk"], &last["chainSeq"]),
            (&json!("9#COMPLETE"), &json!(6)),
            "{case}"
        );
        let declared = last.get("unacknowledged").cloned().unwrap_or(json!([]));
        match outcome {
            Outcome::Recovers => assert_eq!((there, declared), (4, json!([])), "{case}"),
            Outcome::Unwritten => assert_eq!((there, declared), (0, json!(steps)), "{case}"),
            Outcome::Untold => assert_eq!((there, declared), (4, json!(steps)), "{case}"),
            Outcome::Believed => assert_eq!((there, declared), (0, json!([])), "{case}"),
        }
    }
}
