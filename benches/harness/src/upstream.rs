//! What the functions under measure call: PCS and IAM are the emulators, in this process, and DynamoDB takes every
//! put and keeps none. A real table's store would take longer than everything else in a call and hide what is
//! measured; a fast one makes ratios to the bare handlers larger, not smaller.
//!
//! The same upstreams are offered in plain HTTP, over TLS, and with a latency that AWS would have.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::Outcome;

const PUT_DONE: &str = r#"{"ConsumedCapacity":{"TableName":"pcs-api-audit","CapacityUnits":6.0}}"#;

pub const PCS: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub const IAM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
pub const DYNAMODB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Where a function finds its upstreams.
#[derive(Debug, Clone)]
pub struct Endpoints {
    pub pcs: String,
    pub iam: String,
    pub dynamodb: String,
    /// Value of `SSL_CERT_FILE`, for TLS.
    pub trust: Option<String>,
}

/// How the upstreams are reached.
#[derive(Clone, Default)]
pub struct Wire {
    pub tls: Option<Tls>,
    /// Before every answer.
    pub latency: Duration,
}

#[derive(Clone)]
pub struct Tls {
    pub acceptor: TlsAcceptor,
    /// A file with the certificates to trust.
    pub trust: String,
}

/// Calls received, by service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub pcs: u64,
    pub iam: u64,
    pub dynamodb: u64,
}

#[derive(Clone)]
pub struct Upstreams {
    pub pcs: pcs_emulator::Emulator,
    pub iam: iam_emulator::Emulator,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    pcs: AtomicU64,
    iam: AtomicU64,
    dynamodb: AtomicU64,
    last_put: Mutex<Bytes>,
}

#[derive(Clone, Copy)]
enum Service {
    Pcs,
    Iam,
    DynamoDb,
}

impl Service {
    /// One each, as services have names of their own: a connection to one cannot take up another's TLS session.
    fn address(self) -> Ipv4Addr {
        match self {
            Service::Pcs => PCS,
            Service::Iam => IAM,
            Service::DynamoDb => DYNAMODB,
        }
    }
}

impl Upstreams {
    pub fn new(pcs: pcs_emulator::Emulator, iam: iam_emulator::Emulator) -> Upstreams {
        Upstreams {
            pcs,
            iam,
            seen: Arc::default(),
        }
    }

    /// Serves all three until the program ends.
    pub async fn serve(&self, wire: &Wire) -> Outcome<Endpoints> {
        Ok(Endpoints {
            pcs: self.listen(Service::Pcs, wire).await?,
            iam: self.listen(Service::Iam, wire).await?,
            dynamodb: self.listen(Service::DynamoDb, wire).await?,
            trust: wire.tls.as_ref().map(|tls| tls.trust.clone()),
        })
    }

    pub fn counts(&self) -> Counts {
        Counts {
            pcs: self.seen.pcs.load(Ordering::Relaxed),
            iam: self.seen.iam.load(Ordering::Relaxed),
            dynamodb: self.seen.dynamodb.load(Ordering::Relaxed),
        }
    }

    /// Body of the last put.
    pub fn last_put(&self) -> Bytes {
        let last = &self.seen.last_put;
        last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn listen(&self, service: Service, wire: &Wire) -> Outcome<String> {
        let listener = TcpListener::bind((service.address(), 0)).await?;
        let scheme = if wire.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let (upstreams, wire) = (self.clone(), wire.clone());
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    // No file descriptor left for the moment.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                // Only speed is lost where it cannot be set; the run then shows it.
                let _ = stream.set_nodelay(true);
                let (upstreams, wire) = (upstreams.clone(), wire.clone());
                tokio::spawn(async move {
                    match &wire.tls {
                        None => upstreams.talk(stream, service, wire.latency).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.acceptor.accept(stream).await {
                                upstreams.talk(stream, service, wire.latency).await;
                            }
                        }
                    }
                });
            }
        });
        Ok(url)
    }

    async fn talk<S>(self, stream: S, service: Service, latency: Duration)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answer = service_fn(|request| {
            let upstreams = self.clone();
            async move { Ok::<_, Infallible>(upstreams.answer(service, latency, request).await) }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        let connection = http
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), answer);
        // A function that was killed leaves a broken connection.
        let _ = connection.await;
    }

    async fn answer(
        &self,
        service: Service,
        latency: Duration,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return refusal();
        };
        let request = Request::from_parts(head, body.to_bytes());
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let (response, count) = match service {
            Service::Pcs => (self.pcs(request), &self.seen.pcs),
            Service::Iam => (self.iam(request), &self.seen.iam),
            Service::DynamoDb => (self.dynamodb(request), &self.seen.dynamodb),
        };
        count.fetch_add(1, Ordering::Relaxed);
        response.map(Full::new)
    }

    fn pcs(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self.pcs.handle(request) {
            pcs_emulator::Reply::Respond(response) | pcs_emulator::Reply::RespondAfter(_, response) => {
                response
            }
            pcs_emulator::Reply::Drop { .. } => refusal().map(|_| Bytes::new()),
        }
    }

    fn iam(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self.iam.handle(request) {
            iam_emulator::Reply::Response(response) | iam_emulator::Reply::Delay(_, response) => response,
            iam_emulator::Reply::Drop => refusal().map(|_| Bytes::new()),
        }
    }

    fn dynamodb(&self, request: Request<Bytes>) -> Response<Bytes> {
        let target = request.headers().get("x-amz-target");
        if target.is_none_or(|target| target != "DynamoDB_20120810.PutItem") {
            return refusal().map(|_| Bytes::new());
        }
        let mut last = self.seen.last_put.lock().unwrap_or_else(PoisonError::into_inner);
        *last = request.into_body();
        let mut response = Response::new(Bytes::from_static(PUT_DONE.as_bytes()));
        let json = http::HeaderValue::from_static("application/x-amz-json-1.0");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
        response
    }
}

fn refusal() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
