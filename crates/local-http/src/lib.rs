//! HTTP on a port of this machine: the manners that every port of `cargo local` and of the emulators has.
//!
//! What listens on a laptop is reached by every web page that its owner looks at, and by clients that stall, vanish or
//! come in crowds. So each request is held against the names of this machine and against what browsers say of its
//! origin before anybody looks at it ([`Hosts`]), each connection has a time for everything that depends on its client
//! ([`Limits`]), and when there are too many, the one that has been waited for longest makes room.

mod body;
mod guard;
mod hosts;
mod meter;
mod recent;
mod room;
mod server;
mod stop;
mod wire;

use std::{borrow::Cow, fmt, future::Future, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};

pub use guard::is_simple;
pub use hosts::Hosts;
pub use recent::Recent;
pub use server::{Limits, Server};
pub use stop::{asked_to_stop, reachable};

/// What answers on a port.
pub trait Service: Clone + Send + Sync + 'static {
    /// The longest body that a request with this head may have.
    fn body_bytes_max(&self, head: &Parts) -> usize;

    /// The answer to a whole request; `None` ends the connection without one.
    fn answer(
        &self,
        request: Request<Bytes>,
        peer: SocketAddr,
    ) -> impl Future<Output = Option<Response<Bytes>>> + Send;

    /// The answer, in the manner of this port, to what is refused before it is a whole request. `head` is there unless it
    /// could not be read.
    fn refuse(&self, refusal: &Refusal, head: Option<Parts>) -> Response<Bytes>;
}

/// Why a request is refused before anybody looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names another host than this machine: so do pages whose name was pointed at it.
    ForeignHost(String),
    /// A browser sent it for a page of another origin.
    ForeignPage(String),
    /// Its body is longer than the port takes.
    TooLarge { most: usize },
    /// It is not HTTP, or its target or its headers are too long to be read: 400, 414 or 431.
    Unreadable(StatusCode),
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::ForeignHost(_) | Refusal::ForeignPage(_) => StatusCode::FORBIDDEN,
            Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Unreadable(status) => *status,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Cow<'_, str> = match self {
            Refusal::ForeignHost(text) | Refusal::ForeignPage(text) => text.into(),
            Refusal::TooLarge { most } => format!("The body is longer than {most} bytes.").into(),
            Refusal::Unreadable(StatusCode::URI_TOO_LONG) => "The target of the request is too long.".into(),
            Refusal::Unreadable(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
                "The headers of the request are too long or too many.".into()
            }
            Refusal::Unreadable(_) => "The request is not HTTP/1.1 as it should be.".into(),
        };
        f.write_str(&text)
    }
}
