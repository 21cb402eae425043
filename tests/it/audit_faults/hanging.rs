//! A table that never answers, by a clock that stands still while anything can go on. Nothing here leaves the process,
//! so that the time told is the product's own patience and nothing of the machine's.

use std::time::Duration;

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
use bytes::Bytes;
use tracing::level_filters::LevelFilter;

use super::{ATTEMPTS, Kind, call, creation, denial, failed_read, mutation, read, refusal};
use crate::{
    logs::Logs,
    wire::{Plan, Rows, TableEffect, TableFault, WRITTEN, What, Wire, response},
    world::World,
};

/// An answer that takes longer is none: the promise for a table that hangs.
const PATIENCE: Duration = Duration::from_secs(3);

/// The emulators, asked without a network; and a table that takes every row.
#[derive(Debug, Clone)]
pub(super) struct Inside {
    pcs: Pcs,
    iam: iam_emulator::Emulator,
    urls: [String; 2],
}

#[derive(Clone)]
struct Pcs(pcs_emulator::Emulator);

impl std::fmt::Debug for Pcs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pcs")
    }
}

impl HttpClient for Inside {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Inside {
    fn call(&self, request: Request) -> HttpConnectorFuture {
        let [pcs, iam] = &self.urls;
        let answer = if request.uri().starts_with(pcs) {
            match self.pcs.0.handle(plain(&request)) {
                pcs_emulator::Reply::Respond(answer) => Some(answer),
                pcs_emulator::Reply::RespondAfter(..) | pcs_emulator::Reply::Drop { .. } => None,
            }
        } else if request.uri().starts_with(iam) {
            match self.iam.handle(plain(&request)) {
                iam_emulator::Reply::Response(answer) => Some(answer),
                iam_emulator::Reply::Delay(..) | iam_emulator::Reply::Drop => None,
            }
        } else {
            return HttpConnectorFuture::ready(Ok(response(200, WRITTEN.to_owned())));
        };
        HttpConnectorFuture::ready(
            answer
                .map(back)
                .ok_or_else(|| ConnectorError::io("no answer".into())),
        )
    }
}

fn plain(request: &Request) -> http::Request<Bytes> {
    let mut plain = http::Request::builder()
        .method(request.method())
        .uri(request.uri());
    for (name, value) in request.headers() {
        plain = plain.header(name, value);
    }
    let body = request.body().bytes().unwrap_or_default();
    plain.body(Bytes::copy_from_slice(body)).unwrap()
}

fn back(answer: http::Response<Bytes>) -> Response {
    let (parts, body) = answer.into_parts();
    let mut back = Response::new(parts.status.as_u16().try_into().unwrap(), SdkBody::from(body));
    for (name, value) in &parts.headers {
        back.headers_mut()
            .append(name.as_str().to_owned(), value.to_str().unwrap().to_owned());
    }
    back
}

/// How one call went while writes of such rows hang.
struct Waited {
    status: i64,
    code: Option<String>,
    took: Duration,
    log: String,
    wire: Wire,
}

impl Inside {
    pub(super) fn wire(world: &World) -> Wire {
        let inside = Inside {
            pcs: Pcs(world.stack.pcs_emulator.clone()),
            iam: world.stack.iam_emulator.clone(),
            urls: [world.stack.pcs.clone(), world.stack.iam.clone()],
        };
        Wire::over(SharedHttpClient::new(inside), world)
    }
}

async fn waited(world: &World, kind: &Kind, at: Rows) -> Waited {
    let wire = Inside::wire(world);
    let gateway = wire.gateway(world);
    let logs = Logs::at(LevelFilter::INFO);
    let plan = Plan {
        table: vec![TableFault::new(at, TableEffect::Hang, u32::MAX)],
        ..Plan::default()
    };
    let began = tokio::time::Instant::now();
    let answer = call(&gateway, plan, &kind.event).await;
    Waited {
        status: answer.status,
        code: answer.body["code"].as_str().map(str::to_owned),
        took: began.elapsed(),
        log: logs.take(),
        wire,
    }
}

impl Waited {
    fn tries(&self, sk: &str) -> usize {
        let passed = self.wire.passed();
        let puts = passed
            .iter()
            .filter(|passed| matches!(&passed.what, What::Put { sk: put } if put == sk));
        puts.count()
    }
}

#[tokio::test]
async fn a_table_that_hangs_at_the_first_row_refuses_the_call_in_time() {
    let world = World::start().await;
    let created = world.cluster().await;
    let arn = created.body["cluster"]["arn"].as_str().unwrap();
    world.stack.pcs_emulator.clear_calls();
    tokio::time::pause();
    for kind in [read(), failed_read(), mutation(arn), denial(), refusal()] {
        let first = kind.stages[0];
        let at = if first == "9#COMPLETE" {
            Rows::Closing
        } else {
            Rows::Opening
        };
        let waited = waited(&world, &kind, at).await;
        assert_eq!(
            (waited.status, waited.code.as_deref()),
            (503, Some("AuditUnavailableException")),
            "{}",
            kind.name
        );
        assert!(waited.took < PATIENCE, "{} took {:?}", kind.name, waited.took);
        assert_eq!(waited.tries(first), ATTEMPTS, "{}", kind.name);
        assert!(waited.log.contains("AUDIT_UNAVAILABLE"), "{}", waited.log);
    }
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}

#[tokio::test]
async fn a_table_that_hangs_at_the_last_row_delays_the_truth_only_a_little() {
    let world = World::start().await;
    let created = world.cluster().await;
    let arn = created.body["cluster"]["arn"].as_str().unwrap();
    tokio::time::pause();
    for kind in [failed_read(), mutation(arn), denial(), creation()] {
        let waited = waited(&world, &kind, Rows::Closing).await;
        assert_eq!(waited.status, kind.status, "{} {:?}", kind.name, waited.code);
        assert!(waited.took < PATIENCE, "{} took {:?}", kind.name, waited.took);
        assert!(waited.tries("9#COMPLETE") >= 1, "{}", kind.name);
        assert!(waited.log.contains("AUDIT_INCOMPLETE"), "{}", waited.log);
    }
}
