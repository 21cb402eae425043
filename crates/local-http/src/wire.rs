//! A connection as hyper sees it: what comes and goes is noted in its meter, and what hyper answers by itself to what it
//! cannot read (a status and no body) becomes an answer in the manner of the port.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Response, StatusCode, header};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::meter::{Meter, Phase};

pub(crate) struct Wire<F> {
    stream: TcpStream,
    meter: Arc<Meter>,
    unreadable: F,
    /// What stands in for hyper's own answer and is not sent yet; its end is the connection's.
    instead: Option<Bytes>,
}

impl<F: Fn(StatusCode) -> Response<Bytes>> Wire<F> {
    pub(crate) fn new(stream: TcpStream, meter: Arc<Meter>, unreadable: F) -> Wire<F> {
        Wire {
            stream,
            meter,
            unreadable,
            instead: None,
        }
    }

    /// The status, if these bytes are an answer that no request led to: none has been read to its end of the head.
    fn hypers_own(&self, bytes: &[u8]) -> Option<StatusCode> {
        if !matches!(self.meter.phase(), Phase::Idle | Phase::Head) {
            return None;
        }
        let status = bytes.strip_prefix(b"HTTP/1.")?.get(2..5)?;
        StatusCode::from_bytes(status).ok()
    }
}

fn written(response: &Response<Bytes>) -> Bytes {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = BytesMut::from(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
    for (name, value) in response.headers() {
        if name == header::CONTENT_LENGTH || name == header::CONNECTION {
            continue;
        }
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let length = response.body().len();
    bytes.extend_from_slice(format!("content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes());
    bytes.extend_from_slice(response.body());
    bytes.freeze()
}

/// Nothing in it is pinned.
impl<F> Unpin for Wire<F> {}

impl<F> AsyncRead for Wire<F> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.meter.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl<F: Fn(StatusCode) -> Response<Bytes>> AsyncWrite for Wire<F> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_none() {
            let Some(status) = this.hypers_own(bytes) else {
                return Pin::new(&mut this.stream).poll_write(cx, bytes);
            };
            this.instead = Some(written(&(this.unreadable)(status)));
            this.meter.enter(Phase::Answering);
        }
        while let Some(rest) = this.instead.as_mut().filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut this.stream).poll_write(cx, rest))?;
            rest.advance(sent);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.meter.bytes_are_out();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
