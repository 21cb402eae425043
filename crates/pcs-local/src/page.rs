//! The page to look at: the audit trail live, the story of one call, and the clusters with their states.
//!
//! It reads and never writes, and has no credentials to give away; what must not happen is that another site reads it
//! through the person's browser. So the Host must be a loopback name (or a name that an attacker rebinds to 127.0.0.1
//! would do), no other origin may read or frame an answer, and what callers wrote can only become text: the policy
//! forbids every script but our own, and `require-trusted-types-for` every way to turn text into markup.

mod events;

use std::{future::Future, io, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use pcs_api::operations::Operation;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::server;

const HTML: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/page.css");
const SCRIPT: &str = include_str!("../page/page.js");
const ICON: &str = include_str!("../page/icon.svg");

const JSON_TYPE: &str = "application/json";
const HEADERS: [(header::HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        header::HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// What the page shows, and where it reads it.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) table: String,
    pub(crate) pcs: pcs_emulator::Emulator,
    /// The endpoint that the API asks instead of `pcs`, if it is another.
    pub(crate) pcs_elsewhere: Option<String>,
}

/// Serves the page until `shutdown`.
pub(crate) async fn serve(
    page: Page,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let page = Arc::new(page);
    let answer = move |request: Request<Incoming>, _peer| {
        let page = Arc::clone(&page);
        async move {
            page.respond(request.method(), request.uri(), request.headers())
                .await
        }
    };
    server::connections(listener, shutdown, answer).await
}

/// An answer before it has its headers.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
}

impl Answer {
    fn text(content_type: &'static str, body: &'static str) -> Answer {
        Answer {
            status: StatusCode::OK,
            content_type,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    fn json(value: &Value) -> Answer {
        Answer {
            status: StatusCode::OK,
            content_type: JSON_TYPE,
            body: Bytes::from(value.to_string()),
        }
    }

    fn fault(status: StatusCode, message: &str) -> Answer {
        Answer {
            status,
            ..Answer::json(&json!({"message": message}))
        }
    }
}

impl Page {
    async fn respond(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let answer = match refusal(method, uri, headers) {
            Some(refusal) => refusal,
            None => self.answer(uri).await,
        };
        finished(answer, headers)
    }

    async fn answer(&self, uri: &Uri) -> Answer {
        match uri.path() {
            "/" => Answer::text("text/html; charset=utf-8", HTML),
            "/page.css" => Answer::text("text/css; charset=utf-8", STYLE),
            "/page.js" => Answer::text("text/javascript; charset=utf-8", SCRIPT),
            "/icon.svg" => Answer::text("image/svg+xml", ICON),
            "/api/operations" => Answer::json(
                &json!({"operations": Operation::all().map(Operation::name).collect::<Vec<_>>()}),
            ),
            "/api/clusters" => self.clusters(),
            "/api/events" => self.events(uri.query().unwrap_or_default()).await,
            path => match path.strip_prefix("/api/events/") {
                Some(event_id) => self.event(event_id).await,
                None => Answer::fault(StatusCode::NOT_FOUND, "there is nothing here"),
            },
        }
    }

    /// From the emulator in this process, and not by a call to PCS: those who test look at the calls that PCS got.
    fn clusters(&self) -> Answer {
        Answer::json(&json!({"clusters": self.pcs.clusters(), "elsewhere": self.pcs_elsewhere}))
    }
}

/// Why a request is not answered, whatever it asks for.
fn refusal(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Answer> {
    if !is_loopback(uri, headers) {
        let message = "the Host of the request is not a loopback name";
        return Some(Answer::fault(StatusCode::MISDIRECTED_REQUEST, message));
    }
    if method != Method::GET && method != Method::HEAD {
        return Some(Answer::fault(
            StatusCode::METHOD_NOT_ALLOWED,
            "this page is only read",
        ));
    }
    None
}

/// Whether every name the request gives for this server is one that only this machine can mean; any port, so that a
/// forwarded one works.
fn is_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_ours = |authority: &str| {
        let authority = authority.to_ascii_lowercase();
        ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .filter_map(|name| authority.strip_prefix(name))
            .any(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
    };
    host.to_str().is_ok_and(is_ours)
        && uri
            .authority()
            .is_none_or(|authority| is_ours(authority.as_str()))
}

/// With the headers that every answer has. An answer that the page has already is not sent again.
fn finished(answer: Answer, asked: &HeaderMap) -> Response<Full<Bytes>> {
    let tag = format!("\"{}\"", BASE64_STANDARD.encode(Sha256::digest(&answer.body)));
    let has_it = asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let is_known = answer.status == StatusCode::OK && has_it;
    let mut response = Response::new(Full::from(if is_known { Bytes::new() } else { answer.body }));
    *response.status_mut() = if is_known {
        StatusCode::NOT_MODIFIED
    } else {
        answer.status
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_known {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(answer.content_type),
        );
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests;
