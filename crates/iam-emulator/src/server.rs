//! The emulator on a socket: HTTP/1.1 with keep-alive, until told to stop.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

use crate::emulator::{Emulator, Reply, refusal};
use crate::error::IamError;

/// Larger than any IAM request: a role's inline policies are 10,240 characters at most.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long connections may take to finish once told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// The connection is to be closed without an answer: how hyper is told to do that.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

impl Emulator {
    /// Serves on `listener` until `shutdown` resolves, then lets open requests finish.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let connections = GracefulShutdown::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            let Ok((stream, _)) = accepted else {
                // A connection that broke while it waited, or no file descriptor left: the next may do.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            // Only speed is lost where it cannot be set.
            let _ = stream.set_nodelay(true);
            let emulator = self.clone();
            let service = service_fn(move |request| emulator.clone().respond(request));
            // SDKs keep idle connections for longer than hyper's 30 s for a request's head; closing one under
            // them would look like a fault that nobody ordered.
            let connection = hyper::server::conn::http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), service);
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                // A client that goes away, or a fault that drops it, concerns nobody else.
                let _ = connection.await;
            });
        }
        drop(listener);
        // Whoever is still busy after that is cut off.
        let _ = tokio::time::timeout(DRAIN, connections.shutdown()).await;
        Ok(())
    }

    async fn respond(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
        let (head, body) = request.into_parts();
        let reply = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => self.handle(Request::from_parts(head, body.to_bytes())),
            Err(_) => Reply::Response(refusal(&IamError::validation("Request body could not be read."))),
        };
        match reply {
            Reply::Response(response) => Ok(response.map(Full::new)),
            Reply::Delay(delay, response) => {
                tokio::time::sleep(delay).await;
                Ok(response.map(Full::new))
            }
            Reply::Drop => Err(Dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::emulator::Options;
    use crate::fault::{Effect, Fault};

    const REQUEST: &str = "GET /?Action=GetRole&Version=2010-05-08&RoleName=AWSPCS-a HTTP/1.1\r\nHost: iam\r\n\
                           Authorization: AWS4-HMAC-SHA256 x\r\n\r\n";

    /// Sends `REQUEST` and returns what came back until the end of the answer or of the connection.
    async fn call(stream: &mut TcpStream) -> String {
        stream.write_all(REQUEST.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&received).into_owned();
            let mut chunk = [0; 4096];
            if text.ends_with("</ErrorResponse>\n") {
                return text;
            }
            match stream.read(&mut chunk).await.unwrap() {
                0 => return text,
                n => received.extend_from_slice(&chunk[..n]),
            }
        }
    }

    #[tokio::test]
    async fn keeps_connections_drops_on_demand_and_stops() {
        let emulator = Emulator::new(Options::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(emulator.clone().serve(listener, async {
            stopped.await.unwrap();
        }));
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(call(&mut stream).await.starts_with("HTTP/1.1 404 Not Found\r\n"));
        emulator.inject(Fault {
            action: None,
            times: 1,
            effect: Effect::Delay(Duration::from_millis(30)),
        });
        let before = std::time::Instant::now();
        assert!(
            call(&mut stream).await.contains("<Code>NoSuchEntity</Code>"),
            "same connection"
        );
        assert!(before.elapsed() >= Duration::from_millis(30));
        emulator.inject(Fault {
            action: Some("GetRole".into()),
            times: 1,
            effect: Effect::DropBefore,
        });
        assert_eq!(call(&mut stream).await, "");
        let statuses: Vec<_> = emulator
            .calls()
            .into_iter()
            .map(|call| call.status.map(|status| status.as_u16()))
            .collect();
        assert_eq!(statuses, [Some(404), Some(404), None]);
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
