//! Ten thousand calls of sixteen clients while everything behind the gateway fails, and what the audit must say of
//! them afterwards.

mod check;
mod requests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use iam_emulator::{Policy, Seed};
use jiff::SignedDuration;
use pcs_api::gateway::Gateway;
use pcs_local::stack::Options;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    wire::{Death, PLAN, Plan, Rows, Service, TableEffect, TableFault, Wire},
    world::{Answer, World, after_all_have_ended, answer, invoke_as},
};
use requests::{Dice, Sent};

const CALLS: u32 = 10_000;
const CLIENTS: usize = 16;
/// Clients that have an environment of their own, which dies now and then.
const MORTAL: usize = 4;
/// Environments that the other clients share.
const SHARED: usize = 4;
/// What waits on purpose is what a run takes long for.
const DELAYS: u32 = 60;
const HANGS: u32 = 40;

struct Storm {
    world: World,
    wire: Wire,
    shared: Vec<Gateway>,
    next: AtomicU32,
    delays: AtomicU32,
    hangs: AtomicU32,
    /// ARNs of clusters that were made.
    clusters: Mutex<Vec<String>>,
    calls: Mutex<BTreeMap<u32, Call>>,
}

/// A call and how it went for the caller.
struct Call {
    sent: Sent,
    /// `None`: the environment died.
    answer: Option<Answer>,
}

/// How Lambda knows a call; the rows say it, whatever API Gateway's request id was.
fn lambda_id(call: u32) -> String {
    format!("storm-{call}")
}

impl Storm {
    async fn begin() -> Storm {
        let guard = "arn:aws:iam::123456789012:policy/Guard";
        let variables = [
            ("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "true"),
            ("PCS_API_PERMISSIONS_BOUNDARY", guard),
            ("PCS_API_REGION_SCOPE", "us-east-1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let world = World::with_options(Options {
            variables: BTreeMap::from(variables),
            transition: Duration::ZERO,
            ..Options::default()
        })
        .await;
        let document = json!({"Version": "2012-10-17", "Statement": []});
        let arns = requests::POLICIES.into_iter().chain([guard]);
        let seed = arns.fold(Seed::new(), |seed, arn| {
            seed.policy(Policy::new(arn, document.clone()))
        });
        world.stack.iam_emulator.seed(seed).unwrap();
        let wire = Wire::of(&world);
        let shared = (0..SHARED).map(|_| wire.gateway(&world)).collect();
        Storm {
            world,
            wire,
            shared,
            next: AtomicU32::new(0),
            delays: AtomicU32::new(DELAYS),
            hangs: AtomicU32::new(HANGS),
            clusters: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// Makes calls until all are made.
    async fn client(self: Arc<Storm>, client: usize) {
        let mut own = (client < MORTAL).then(|| self.wire.gateway(&self.world));
        loop {
            let call = self.next.fetch_add(1, Ordering::SeqCst);
            if call >= CALLS {
                return;
            }
            let mut dice = Dice::of(call);
            let sent = requests::request(call, &mut dice, &self.clusters);
            self.break_something(&mut dice);
            let left = match dice.roll(100) {
                0 => Duration::from_secs(1),
                1..4 => Duration::from_millis(2_500),
                _ => Duration::from_secs(28),
            };
            let plan = self.plan(call, own.is_some(), &mut dice);
            let gateway = own.as_ref().unwrap_or_else(|| &self.shared[client % SHARED]);
            let answer = self.call(gateway, plan, &sent.event, left).await;
            if answer.is_none() {
                own = Some(self.wire.gateway(&self.world));
            }
            self.learn(answer.as_ref());
            self.calls.lock().unwrap().insert(call, Call { sent, answer });
        }
    }

    /// `None`: the environment died under it.
    async fn call(&self, gateway: &Gateway, plan: Plan, event: &Value, left: Duration) -> Option<Answer> {
        let plan = Arc::new(plan);
        let id = lambda_id(plan.call);
        let invoked = PLAN.scope(Arc::clone(&plan), invoke_as(&id, gateway, event, left));
        tokio::select! {
            biased;
            () = plan.died.notified() => None,
            returned = invoked => Some(answer(&returned.unwrap())),
        }
    }

    /// What shall happen to the call on the wire.
    fn plan(&self, call: u32, mortal: bool, dice: &mut Dice) -> Plan {
        let mut plan = Plan {
            call,
            ..Plan::default()
        };
        match dice.roll(100) {
            0..12 => plan.table = vec![self.table_fault(dice)],
            12..14 => {
                plan.panic = Some(*dice.one(&[Service::Pcs, Service::Pcs, Service::Iam]));
            }
            14..24 if mortal => {
                plan.death = Some(*dice.one(&[Death::Opened, Death::Asked, Death::Closing, Death::Closed]));
            }
            _ => {}
        }
        plan
    }

    fn table_fault(&self, dice: &mut Dice) -> TableFault {
        let rows = *dice.one(&[Rows::Opening, Rows::Step, Rows::Closing, Rows::Closing]);
        let once_or_more = *dice.one(&[1, 1, 2, 9]);
        let effect = match dice.roll(12) {
            0 => TableEffect::Refuse("ProvisionedThroughputExceededException"),
            1 => TableEffect::Refuse("ThrottlingException"),
            2 => TableEffect::Refuse("AccessDeniedException"),
            3 => TableEffect::Refuse("ResourceNotFoundException"),
            4 => TableEffect::DropBefore,
            5 | 6 => TableEffect::DropAfter,
            7 | 8 => TableEffect::FailAfter("InternalServerError"),
            9 => TableEffect::Lie("{}"),
            10 => TableEffect::Panic,
            _ if take(&self.hangs) => TableEffect::Hang,
            _ => TableEffect::Lie("<html>proxy</html>"),
        };
        TableFault::new(rows, effect, once_or_more)
    }

    /// Strikes whichever calls of PCS and IAM come next.
    fn break_something(&self, dice: &mut Dice) {
        // Some trouble outlasts the retries of every call under way.
        let times = match dice.roll(16) {
            0 => 50,
            longer => 1 + u32::try_from(longer % 4).unwrap(),
        };
        match dice.roll(100) {
            0..4 => self.world.stack.pcs_emulator.inject(pcs_emulator::Fault {
                action: None,
                times,
                effect: self.pcs_effect(dice),
            }),
            4 => self.world.stack.iam_emulator.inject(iam_emulator::Fault {
                action: None,
                times,
                effect: iam_effect(dice),
            }),
            _ => {}
        }
    }

    fn pcs_effect(&self, dice: &mut Dice) -> pcs_emulator::Effect {
        use pcs_emulator::Effect;
        let error = |status, code: &str| Effect::Error {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.to_owned(),
            message: "not now".to_owned(),
        };
        match dice.roll(8) {
            0 | 1 => Effect::Throttle,
            2 => error(500, "InternalServerException"),
            3 => error(400, "ConflictException"),
            4 => Effect::DropBefore,
            5 => Effect::DropAfter,
            _ if take(&self.delays) => Effect::Delay(Duration::from_millis(200 + dice.roll(1_500))),
            _ => Effect::Garbage("<html>proxy</html>".into()),
        }
    }

    fn learn(&self, answer: Option<&Answer>) {
        let arn = answer.and_then(|answer| answer.body["cluster"]["arn"].as_str());
        self.clusters.lock().unwrap().extend(arn.map(str::to_owned));
    }

    fn calm(&self) {
        self.world.stack.pcs_emulator.clear_faults();
        self.world.stack.iam_emulator.clear_faults();
    }

    /// An environment declares rows that it could not write with the next row that it can: one more call each.
    async fn let_everybody_declare(&self) {
        for (call, gateway) in (CALLS..).zip(&self.shared) {
            let plan = Plan {
                call,
                ..Plan::default()
            };
            let sent = requests::last(call);
            let answer = self
                .call(gateway, plan, &sent.event, Duration::from_secs(28))
                .await;
            self.calls.lock().unwrap().insert(call, Call { sent, answer });
        }
    }

    /// As the schedule does a quarter of an hour later; returns how many records it closed.
    async fn sweep(&self) -> u32 {
        let now = after_all_have_ended().await;
        let deadline = Instant::now() + Duration::from_mins(1);
        let gateway = self.wire.gateway(&self.world);
        let report = gateway.sweep("sweep", now, deadline).await.unwrap();
        report.records_closed
    }
}

fn iam_effect(dice: &mut Dice) -> iam_emulator::Effect {
    use iam_emulator::Effect;
    match dice.roll(4) {
        0 => Effect::Throttle,
        1 => Effect::Error {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "ServiceFailure".to_owned(),
            message: "not now".to_owned(),
        },
        2 => Effect::DropBefore,
        _ => Effect::DropAfter,
    }
}

/// Whether there was one left to take.
fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_in_a_storm_are_all_on_record() {
    let began = std::time::Instant::now();
    let told = |what: &str| eprintln!("storm: {what} after {:.1} s", began.elapsed().as_secs_f64());
    let storm = Arc::new(Storm::begin().await);
    let clients = (0..CLIENTS).map(|client| tokio::spawn(Arc::clone(&storm).client(client)));
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    storm.calm();
    storm.let_everybody_declare().await;
    told("all calls made");

    let passed = storm.wire.passed();
    let calls = std::mem::take(&mut *storm.calls.lock().unwrap());
    let rows = storm.world.rows().await;
    check::it_was_a_storm(&calls, &passed);
    check::rows_come_before_requests(&passed);
    check::what_emulators_saw_is_on_record(&storm.world, &calls, &rows, &passed);
    check::answers_are_on_record(&calls, &rows, &passed);
    told("order and answers checked");

    let open = check::left_open(&rows);
    assert!(open.len() > 50, "{}", open.len());
    assert_eq!(storm.sweep().await as usize, open.len());
    assert_eq!(storm.sweep().await, 0, "nothing is closed twice");
    told("swept");

    let items = crate::world::items(&storm.world.stack).await;
    check::chains_are_whole(&items);
    let rows = crate::world::table(&storm.world.stack).await;
    check::records_are_closed_once(&rows, &open);
    check::queries_return_everything_once(&storm.world, &rows).await;
    told("chains and queries checked");
    let later = after_all_have_ended().await + SignedDuration::from_hours(2);
    crate::later::is_whole_later(&storm.world, later).await;
    told("a day of sweeps checked");
}
