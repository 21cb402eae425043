//! The loop that accepts connections, and the life of each of them.

use std::{fmt, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    Hosts, Refusal, Service, body, guard,
    meter::{Meter, Phase},
    room::{self, Place, Room},
    wire::Wire,
};

/// How long to wait when nobody can be accepted, as when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How long a client may take for its part. What the service takes for an answer is its own affair.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Between requests. SDKs keep idle connections for up to 90 seconds and do not like them closed under a request
    /// that they are just sending, so this is longer; those who need the room get it without that.
    pub idle: Duration,
    /// For the head of a request, from its first byte on.
    pub head: Duration,
    /// For the body.
    pub body: Duration,
    /// For taking the answer.
    pub answer: Duration,
    /// For all that is under way at the shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            idle: Duration::from_mins(2),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// How often a connection's deadline is looked at: what it is changes with each phase.
    pub(crate) fn look_again(&self) -> Duration {
        let shortest = self.head.min(self.body).min(self.answer).min(self.idle);
        (shortest / 2).max(Duration::from_millis(1))
    }
}

/// How ports are served.
#[derive(Clone, Debug)]
pub struct Server {
    hosts: Hosts,
    limits: Limits,
    connections: usize,
    /// Shared by the ports of the program.
    bodies: body::Room,
}

impl Default for Server {
    /// For a program with one port.
    fn default() -> Server {
        Server::one_of(1)
    }
}

impl Server {
    /// For a program with so many ports, which share what it may open.
    pub fn one_of(ports: usize) -> Server {
        Server {
            hosts: Hosts::default(),
            limits: Limits::default(),
            connections: room::share(ports),
            bodies: body::Room::default(),
        }
    }

    /// Answers to these hosts.
    #[must_use]
    pub fn hosts(mut self, hosts: Hosts) -> Server {
        self.hosts = hosts;
        self
    }

    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Server {
        self.limits = limits;
        self
    }

    /// With so many connections at once at most.
    #[must_use]
    pub fn connections(mut self, most: usize) -> Server {
        self.connections = most;
        self
    }

    /// Serves HTTP/1.1 with keep-alive until `shutdown`; requests under way then have [`Limits::drain`] to finish. A
    /// listener that other machines reach also answers to IP addresses.
    pub async fn serve<S: Service>(
        mut self,
        service: S,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        self.hosts = self.hosts.on(listener.local_addr()?.ip());
        let room = Room::of(self.connections);
        let (stop, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &room) => accepted,
                () = &mut shutdown => break,
            };
            // Those that have ended are forgotten.
            while connections.try_join_next().is_some() {}
            connections.spawn(accepted.run(self.clone(), service.clone(), stopped.clone()));
        }
        drop(listener);
        // Only fails when every connection is gone already.
        let _ = stop.send(true);
        let all = async { while connections.join_next().await.is_some() {} };
        // Whoever is still busy after that is cut off.
        let _ = tokio::time::timeout(self.limits.drain, all).await;
        connections.shutdown().await;
        Ok(())
    }
}

/// The next connection, with a place in the room. No error ends this: a connection that broke while it waited, or no file
/// descriptor left, says nothing of the next.
async fn accept(listener: &TcpListener, room: &Room) -> Connection {
    loop {
        if let Ok((stream, peer)) = listener.accept().await {
            // Answers are one small write; Nagle would hold them back for the peer's delayed acknowledgement. Only speed
            // is lost where that cannot be.
            let _ = stream.set_nodelay(true);
            let meter = Arc::new(Meter::new());
            let place = room.enter(&meter).await;
            return Connection {
                stream,
                peer,
                meter,
                place,
            };
        }
        room.make_room();
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    meter: Arc<Meter>,
    place: Place,
}

impl Connection {
    async fn run<S: Service>(self, server: Server, service: S, mut stopped: watch::Receiver<bool>) {
        let Connection {
            stream,
            peer,
            meter,
            place: _until_the_end,
        } = self;
        let port = Port {
            hosts: server.hosts,
            bodies: server.bodies,
            meter: Arc::clone(&meter),
            peer,
            service,
        };
        let refuse = port.service.clone();
        let unreadable = move |status| refuse.refuse(&Refusal::Unreadable(status), None);
        let wire = Wire::new(stream, Arc::clone(&meter), unreadable);
        let answer = service_fn(|request| port.respond(request));
        // The meter has the time of heads, and hyper's own would count idle time too.
        let connection = hyper::server::conn::http1::Builder::new()
            .header_read_timeout(None)
            // Who has said everything may still listen.
            .half_close(true)
            .serve_connection(TokioIo::new(wire), answer);
        let mut connection = pin!(connection);
        let mut over = pin!(meter.over(&server.limits));
        tokio::select! {
            // A client that goes away, or an answer that was dropped on purpose, concerns nobody else.
            _ended = connection.as_mut() => return,
            () = over.as_mut() => return,
            // A dropped sender is a stop too.
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        if matches!(meter.phase(), Phase::Idle | Phase::Head | Phase::Body) {
            return;
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ended = connection => {}
            () = over => {}
        }
    }
}

/// What a connection's requests meet.
struct Port<S> {
    hosts: Hosts,
    bodies: body::Room,
    meter: Arc<Meter>,
    peer: SocketAddr,
    service: S,
}

impl<S: Service> Port<S> {
    /// `Err` makes hyper end the connection without an answer.
    async fn respond(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, NoAnswer> {
        self.meter.enter(Phase::Body);
        let answer = self.answer(request).await;
        self.meter.enter(Phase::Answering);
        answer.map(|response| response.map(Full::new)).ok_or(NoAnswer)
    }

    async fn answer(&self, request: Request<Incoming>) -> Option<Response<Bytes>> {
        let (head, body) = request.into_parts();
        if let Err(refusal) = guard::check(&self.hosts, &head) {
            body::discard(body, &head.headers).await;
            return Some(self.service.refuse(&refusal, Some(head)));
        }
        let most = self.service.body_bytes_max(&head);
        match body::read(body, most, &head.headers, &self.bodies).await {
            Ok(body) => {
                self.meter.enter(Phase::Working);
                self.service
                    .answer(Request::from_parts(head, body.bytes.clone()), self.peer)
                    .await
            }
            Err(body::Unread::TooLarge) => Some(self.service.refuse(&Refusal::TooLarge { most }, Some(head))),
            Err(body::Unread::Broken) => None,
        }
    }
}

#[derive(Debug)]
struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ends without an answer")
    }
}

impl std::error::Error for NoAnswer {}

#[cfg(test)]
mod tests;
