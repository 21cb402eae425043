//! The DynamoDB that is part of this program, behind the same door as every other port.
//!
//! dynoxide has a server for a listener and nothing less, and that server lets every web page in. So it gets a listener
//! at an address of this machine that nobody knows, one connection is made to it, and the listener is gone: what is left
//! is a pair of connected sockets, both ends in this process.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use dynoxide::Database;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use local_http::{Refusal, Service};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

/// DynamoDB's own limit for requests.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The database does one thing at a time; more connections would only be file descriptors.
const CONNECTIONS_MAX: usize = 4;
/// What says something of a connection and not of the message, and what dynoxide would answer with leave for every page.
const LEFT_OUT: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::ORIGIN,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
];

type Sender = SendRequest<Full<Bytes>>;

/// A database and the connections to it.
#[derive(Clone)]
pub(crate) struct Dynamodb {
    database: Database,
    stopped: watch::Receiver<bool>,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Sender>>>,
}

impl Dynamodb {
    /// `stopped` ends the connections.
    pub(crate) fn new(database: Database, stopped: watch::Receiver<bool>) -> Dynamodb {
        Dynamodb {
            database,
            stopped,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            idle: Arc::default(),
        }
    }

    async fn forward(&self, request: Request<Bytes>) -> io::Result<Response<Bytes>> {
        let _place = self.places.acquire().await.map_err(io::Error::other)?;
        let mut sender = self.sender().await?;
        let (mut head, body) = request.into_parts();
        leave_out(&mut head.headers);
        let request = Request::from_parts(head, Full::new(body));
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let (mut head, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        leave_out(&mut head.headers);
        self.idle().push(sender);
        Ok(Response::from_parts(head, body))
    }

    /// An idle connection, or a new one.
    async fn sender(&self) -> io::Result<Sender> {
        loop {
            let idle = self.idle().pop();
            let Some(mut sender) = idle else {
                return self.connect().await;
            };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
    }

    async fn connect(&self) -> io::Result<Sender> {
        let listener = hidden_listener().await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let mut stopped = self.stopped.clone();
        let until = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let serving = dynoxide::server::serve_with_shutdown(listener, self.database.clone(), until);
        let mut health = Request::new(Full::default());
        health
            .headers_mut()
            .insert(header::HOST, HeaderValue::from_static("localhost"));
        // Once there is an answer the connection has a task of its own, and `serving` is dropped with the listener.
        let answer = tokio::select! {
            answer = sender.send_request(health) => answer.map_err(io::Error::other)?,
            ended = serving => return Err(io::Error::other(format!("DynamoDB did not start: {ended:?}"))),
        };
        answer.into_body().collect().await.map_err(io::Error::other)?;
        Ok(sender)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Sender>> {
        // A list of connections is whole after every push and pop.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hidden_listener() -> io::Result<TcpListener> {
    let [a, b, c, ..] = *uuid::Uuid::new_v4().as_bytes();
    match TcpListener::bind((Ipv4Addr::new(127, a, b, c), 0)).await {
        Ok(listener) => Ok(listener),
        // On some systems 127.0.0.1 is the only loopback address; then the port alone is unknown.
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}

fn leave_out(headers: &mut HeaderMap) {
    for name in &LEFT_OUT {
        headers.remove(name);
    }
}

impl Service for Dynamodb {
    fn body_bytes_max(&self, _: &Parts) -> usize {
        BODY_BYTES_MAX
    }

    async fn answer(&self, request: Request<Bytes>, _: SocketAddr) -> Option<Response<Bytes>> {
        Some(self.forward(request).await.unwrap_or_else(|error| {
            tracing::error!(%error, "DynamoDB gave no answer");
            failed(
                StatusCode::INTERNAL_SERVER_ERROR,
                "com.amazonaws.dynamodb.v20120810#InternalServerError",
                "DynamoDB gave no answer.",
            )
        }))
    }

    fn refuse(&self, refusal: &Refusal, _: Option<Parts>) -> Response<Bytes> {
        let code = match refusal {
            Refusal::ForeignHost(_) | Refusal::ForeignPage(_) => {
                "com.amazon.coral.service#AccessDeniedException"
            }
            Refusal::TooLarge { .. } | Refusal::Unreadable(_) => {
                "com.amazon.coral.service#SerializationException"
            }
        };
        failed(refusal.status(), code, &refusal.to_string())
    }
}

fn failed(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    let body = json!({"__type": code, "message": message});
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
