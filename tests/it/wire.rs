//! The wire between gateways and what they call: a log of what passed, in the order of one clock, and faults.
//!
//! It takes the place of the SDK's connector, so everything above it is the product. Which call of a test a request
//! is for is known from the task that sends it.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::{Request, Response},
};
use aws_smithy_types::body::SdkBody;
use pcs_api::{
    aws::{Clients, http_client},
    config::Config,
    gateway::Gateway,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::world::World;

tokio::task_local! {
    /// The call that this task makes.
    pub static PLAN: Arc<Plan>;
}

/// What shall go wrong with one call.
#[derive(Debug, Default)]
pub struct Plan {
    pub call: u32,
    pub table: Vec<TableFault>,
    pub panic: Option<Service>,
    pub death: Option<Death>,
    /// How long PCS's answers take, and IAM's.
    pub pcs_takes: Duration,
    pub iam_takes: Duration,
    /// Told when the environment has died: the call's future must then be dropped.
    pub died: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Pcs,
    Iam,
    Table,
}

/// When the environment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The opening row is there, and nobody was told.
    Opened,
    /// PCS was asked and has acted.
    Asked,
    /// The closing row was about to be sent.
    Closing,
    /// The closing row is there.
    Closed,
}

/// Rows of a call's record, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// `0#READ`, `0#RECEIVED`.
    Opening,
    Step,
    /// `8#IDENTIFIED`, `9#COMPLETE`, `9#PANIC`.
    Closing,
}

impl Rows {
    fn of(sk: &str) -> Option<Rows> {
        match sk.split('#').next()? {
            "0" => Some(Rows::Opening),
            "1" => Some(Rows::Step),
            "8" | "9" => Some(Rows::Closing),
            _ => None,
        }
    }
}

/// Something that goes wrong with the first `times` writes of such rows.
#[derive(Debug)]
pub struct TableFault {
    pub rows: Rows,
    pub effect: TableEffect,
    pub left: AtomicU32,
}

impl TableFault {
    pub fn new(rows: Rows, effect: TableEffect, times: u32) -> TableFault {
        TableFault {
            rows,
            effect,
            left: AtomicU32::new(times),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableEffect {
    /// 400 with this exception; nothing is written.
    Refuse(&'static str),
    /// No answer, ever; nothing is written.
    Hang,
    /// The row is written, and told so late.
    Slow(Duration),
    /// The connection ends; nothing is written.
    DropBefore,
    /// The connection ends; the row is written.
    DropAfter,
    /// 500 with this exception; the row is written.
    FailAfter(&'static str),
    /// 200 with this body; nothing is written.
    Lie(&'static str),
    Panic,
}

/// What DynamoDB says of a row it has written, as far as the gateway looks.
pub const WRITTEN: &str = r#"{"ConsumedCapacity":{"TableName":"pcs-api-audit","CapacityUnits":1.0}}"#;

/// Something that passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Passed {
    /// `None`: of no call, like a sweep.
    pub call: Option<u32>,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// DynamoDB has said that it wrote this row, whatever the gateway was told then.
    Written { pk: String, sk: String, of: String },
    /// A row is about to be sent, or to be lost on the way.
    Put { sk: String },
    /// A request to PCS that is about to be sent.
    Pcs { action: String, body: Value },
    /// A request to IAM that is about to be sent: its form, as sent.
    Iam { action: String, form: String },
}

/// Shared by the gateways of a test.
#[derive(Debug, Clone)]
pub struct Wire {
    inner: SharedHttpClient,
    pcs: String,
    iam: String,
    passed: Arc<Mutex<Vec<Passed>>>,
}

impl Wire {
    pub fn of(world: &World) -> Wire {
        Wire::over(http_client(), world)
    }

    /// With something else than a network below.
    pub fn over(inner: SharedHttpClient, world: &World) -> Wire {
        Wire {
            inner,
            pcs: world.stack.pcs.clone(),
            iam: world.stack.iam.clone(),
            passed: Arc::default(),
        }
    }

    /// A new execution environment.
    pub fn gateway(&self, world: &World) -> Gateway {
        let config = Config::read(|name| world.stack.variables().get(name).cloned()).unwrap();
        let http = OnceLock::from(SharedHttpClient::new(self.clone()));
        let clients = Clients::over(config.aws.clone(), http);
        Gateway::with_clients(config, clients)
    }

    /// Everything that passed so far; a position is a time.
    pub fn passed(&self) -> Vec<Passed> {
        self.passed.lock().unwrap().clone()
    }

    fn note(&self, plan: Option<&Arc<Plan>>, what: What) {
        let call = plan.map(|plan| plan.call);
        self.passed.lock().unwrap().push(Passed { call, what });
    }

    fn service(&self, uri: &str) -> Service {
        if uri.starts_with(&self.pcs) {
            Service::Pcs
        } else if uri.starts_with(&self.iam) {
            Service::Iam
        } else {
            Service::Table
        }
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector {
            inner,
            wire: self.clone(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    wire: Wire,
}

impl HttpConnector for Connector {
    fn call(&self, request: Request) -> HttpConnectorFuture {
        let plan = PLAN.try_with(Arc::clone).ok();
        let service = self.wire.service(request.uri());
        if let Some(plan) = &plan
            && plan.panic == Some(service)
        {
            burst();
        }
        let action = action(&request);
        let bytes = request.body().bytes().unwrap_or_default().to_vec();
        match service {
            Service::Table if action == "PutItem" => self.put(request, plan, &bytes),
            Service::Table => self.inner.call(request),
            Service::Pcs => {
                let body = serde_json::from_slice(&bytes).unwrap();
                self.wire.note(plan.as_ref(), What::Pcs { action, body });
                let takes = plan.as_ref().map(|plan| plan.pcs_takes).unwrap_or_default();
                let dies = plan.filter(|plan| plan.death == Some(Death::Asked));
                let sent = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    let answer = late(sent, takes).await;
                    die(dies).await;
                    answer
                })
            }
            Service::Iam => {
                let form = String::from_utf8(bytes).unwrap();
                let action = form_value(&form, "Action").unwrap_or_default();
                self.wire.note(plan.as_ref(), What::Iam { action, form });
                let takes = plan.map(|plan| plan.iam_takes).unwrap_or_default();
                HttpConnectorFuture::new(late(self.inner.call(request), takes))
            }
        }
    }
}

impl Connector {
    fn put(&self, request: Request, plan: Option<Arc<Plan>>, bytes: &[u8]) -> HttpConnectorFuture {
        let item = serde_json::from_slice::<Value>(bytes).unwrap()["Item"].take();
        let text = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
        let (pk, sk, of) = (text("pk"), text("sk"), text("lambdaRequestId"));
        self.wire.note(plan.as_ref(), What::Put { sk: sk.clone() });
        let rows = Rows::of(&sk);
        let effect = plan.as_ref().and_then(|plan| strike(plan, rows?));
        if effect == Some(TableEffect::Panic) {
            burst();
        }
        let death = |moment: Death, at: Rows| {
            let plan = plan.clone().filter(|plan| plan.death == Some(moment));
            plan.filter(|_| rows == Some(at))
        };
        let dies_before = death(Death::Closing, Rows::Closing);
        let dies_after = death(Death::Opened, Rows::Opening).or_else(|| death(Death::Closed, Rows::Closing));
        let written = match effect {
            None | Some(TableEffect::DropAfter | TableEffect::FailAfter(_) | TableEffect::Slow(_)) => {
                Some(self.inner.call(request))
            }
            Some(_) => None,
        };
        let wire = self.wire.clone();
        HttpConnectorFuture::new(async move {
            die(dies_before).await;
            let mut answer = None;
            if let Some(written) = written {
                let response = written.await?;
                // This DynamoDB refuses a row only if it has it: an attempt before, whose answer came too late, wrote it.
                if response.status().is_success() || response.status().as_u16() == 400 {
                    wire.note(plan.as_ref(), What::Written { pk, sk, of });
                }
                answer = Some(response);
            }
            die(dies_after).await;
            match effect {
                None => Ok(answer.unwrap()),
                Some(TableEffect::Slow(takes)) => {
                    tokio::time::sleep(takes).await;
                    Ok(answer.unwrap())
                }
                Some(TableEffect::Refuse(code)) => Ok(exception(400, code)),
                Some(TableEffect::FailAfter(code)) => Ok(exception(500, code)),
                Some(TableEffect::Lie(body)) => Ok(response(200, body.to_owned())),
                Some(TableEffect::DropBefore | TableEffect::DropAfter) => {
                    Err(ConnectorError::io("connection reset by peer".into()))
                }
                Some(TableEffect::Hang | TableEffect::Panic) => std::future::pending().await,
            }
        })
    }
}

async fn late<T>(answer: impl Future<Output = T>, takes: Duration) -> T {
    let answer = answer.await;
    // Even a sleep of no time lasts until the next millisecond.
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    answer
}

/// The effect of the first fault that is left for such a row.
fn strike(plan: &Plan, rows: Rows) -> Option<TableEffect> {
    let fits = plan.table.iter().filter(|fault| fault.rows == rows);
    let mut left = fits.filter(|fault| {
        let used = |left: u32| left.checked_sub(1);
        fault
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, used)
            .is_ok()
    });
    left.next().map(|fault| fault.effect.clone())
}

/// Ends the environment: nothing that it waits for comes any more.
async fn die(plan: Option<Arc<Plan>>) {
    if let Some(plan) = plan {
        plan.died.notify_one();
        std::future::pending::<()>().await;
    }
}

/// A panic without the hook's report: ten dozen of them would bury what a test says.
fn burst() -> ! {
    std::panic::resume_unwind(Box::new("a bug in the gateway"))
}

/// The last part of `X-Amz-Target`.
fn action(request: &Request) -> String {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

/// A value of an HTML form.
pub fn form_value(form: &str, name: &str) -> Option<String> {
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let value = value.replace('+', " ");
    let value = percent_encoding::percent_decode_str(&value);
    Some(value.decode_utf8().unwrap().into_owned())
}

fn exception(status: u16, code: &str) -> Response {
    let code = format!("com.amazonaws.dynamodb.v20120810#{code}");
    response(status, json!({"__type": code, "message": "not now"}).to_string())
}

pub fn response(status: u16, body: String) -> Response {
    let mut response = Response::new(status.try_into().unwrap(), SdkBody::from(body));
    response
        .headers_mut()
        .insert("content-type", "application/x-amz-json-1.0");
    response
}
