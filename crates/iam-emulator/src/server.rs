//! The emulator on a port.

use std::{future::Future, io, net::SocketAddr};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use local_http::{Refusal, Server, Service};
use tokio::net::TcpListener;

use crate::control;
use crate::emulator::{Emulator, Reply, refusal};
use crate::error::IamError;

/// Larger than any IAM request: a role's inline policies are 10,240 characters at most.
const BODY_BYTES_MAX: usize = 1024 * 1024;

impl Emulator {
    /// Serves on `listener` until `shutdown` resolves, then lets open requests finish.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        self.serve_as(Server::default(), listener, shutdown).await
    }

    /// As [`serve`](Self::serve), in the manner of `server`.
    pub async fn serve_as(
        self,
        server: Server,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        server.serve(self, listener, shutdown).await
    }
}

impl Service for Emulator {
    fn body_bytes_max(&self, _: &Parts) -> usize {
        BODY_BYTES_MAX
    }

    async fn answer(&self, request: Request<Bytes>, _: SocketAddr) -> Option<Response<Bytes>> {
        if let Some(refusal) = control::refuse_simple(&request) {
            return Some(refusal);
        }
        match self.handle(request) {
            Reply::Response(response) => Some(response),
            Reply::Delay(delay, response) => {
                tokio::time::sleep(delay).await;
                Some(response)
            }
            Reply::Drop => None,
        }
    }

    fn refuse(&self, refused: &Refusal, head: Option<Parts>) -> Response<Bytes> {
        if head.is_some_and(|head| head.uri.path().starts_with(control::PREFIX)) {
            return control::refuse(refused.status(), &refused.to_string());
        }
        refusal(&IamError::unread(refused))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::emulator::Options;
    use crate::fault::{Effect, Fault};

    const REQUEST: &str = "GET /?Action=GetRole&Version=2010-05-08&RoleName=AWSPCS-a HTTP/1.1\r\nHost: localhost\r\n\
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
