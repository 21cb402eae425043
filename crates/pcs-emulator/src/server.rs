//! HTTP/1.1 around [`Emulator::handle`]; carries out delays and drops.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};

use crate::control;
use crate::emulator::Emulator;
use crate::wire::{BODY_BYTES_MAX, Reply};

/// How long calls under way may take to finish after the shutdown.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted, as when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn serve(
    emulator: Emulator,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connect(&emulator, stream, &graceful),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    let in_time = tokio::time::timeout(SHUTDOWN_MAX, graceful.shutdown()).await;
    in_time.map_err(|_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            "calls were still under way at the shutdown",
        )
    })
}

fn connect(emulator: &Emulator, stream: TcpStream, graceful: &GracefulShutdown) {
    // Answers are one small write; Nagle would hold them back for the peer's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        // The peer is gone already.
        return;
    }
    let emulator = emulator.clone();
    let service = service_fn(move |request| answer(emulator.clone(), request));
    let mut http = hyper::server::conn::http1::Builder::new();
    // SDKs keep idle connections for longer than hyper's 30 s for a request's head; closing one under them
    // would look like a fault that nobody ordered.
    let connection = http
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        // An error here is a peer that went away or a drop that a test ordered: nothing to report.
        let _ended = watched.await;
    });
}

/// `Err` makes hyper end the connection without an answer, which is what a drop is.
async fn answer(emulator: Emulator, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    let most = if parts.uri.path().starts_with(control::PREFIX) {
        control::BODY_BYTES_MAX
    } else {
        BODY_BYTES_MAX
    };
    let reply = match Limited::new(body, most).collect().await {
        Ok(body) => emulator.handle(Request::from_parts(parts, body.to_bytes())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => emulator.refuse_unread(parts),
        Err(error) => return Err(io::Error::other(error)),
    };
    match reply {
        Reply::Respond(response) => Ok(response.map(Full::new)),
        Reply::RespondAfter(delay, response) => {
            tokio::time::sleep(delay).await;
            Ok(response.map(Full::new))
        }
        Reply::Drop { .. } => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
    }
}
