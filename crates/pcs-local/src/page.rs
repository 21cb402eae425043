//! The page to look at: the audit trail live, the story of one call, and the clusters with their states.
//!
//! It reads and never writes, and has no credentials to give away; what must not happen is that another site reads it
//! through the person's browser. What `local_http` keeps from every port it keeps from this one; beyond that no other
//! origin may frame an answer, and what callers wrote can only become text: the policy forbids every script but our own,
//! and `require-trusted-types-for` every way to turn text into markup.

mod events;

use std::{net::SocketAddr, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts};
use local_http::{Refusal, Service};
use pcs_api::operations::Operation;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

const HTML: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/page.css");
const SCRIPT: &str = include_str!("../page/page.js");
const TEXT: &str = include_str!("../page/text.js");
const ICON: &str = include_str!("../page/icon.svg");

const BODY_BYTES_MAX: usize = 64 * 1024;
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
    /// How many reads of the table go on at once: it is the API's too, and lookers must not slow callers.
    pub(crate) reads: Arc<Semaphore>,
}

/// One for what is looked at, one for what is scrolled to.
pub(crate) const READS_MAX: usize = 2;

impl Service for PagePort {
    /// It takes no bodies; a small one is read, so that its sender reads the refusal.
    fn body_bytes_max(&self, _: &Parts) -> usize {
        BODY_BYTES_MAX
    }

    async fn answer(&self, request: Request<Bytes>, _: SocketAddr) -> Option<Response<Bytes>> {
        let answer = if request.method() == Method::GET || request.method() == Method::HEAD {
            self.0.answer(request.uri()).await
        } else {
            Answer::fault(StatusCode::METHOD_NOT_ALLOWED, "this page is only read")
        };
        Some(finished(answer, request.headers()))
    }

    fn refuse(&self, refusal: &Refusal, _: Option<Parts>) -> Response<Bytes> {
        finished(
            Answer::fault(refusal.status(), &refusal.to_string()),
            &HeaderMap::new(),
        )
    }
}

/// The page on a port.
#[derive(Clone)]
pub(crate) struct PagePort(pub(crate) Arc<Page>);

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
    async fn answer(&self, uri: &Uri) -> Answer {
        match uri.path() {
            "/" => Answer::text("text/html; charset=utf-8", HTML),
            "/page.css" => Answer::text("text/css; charset=utf-8", STYLE),
            "/page.js" => Answer::text("text/javascript; charset=utf-8", SCRIPT),
            "/text.js" => Answer::text("text/javascript; charset=utf-8", TEXT),
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

/// With the headers that every answer has. An answer that the page has already is not sent again.
fn finished(answer: Answer, asked: &HeaderMap) -> Response<Bytes> {
    let tag = format!("\"{}\"", BASE64_STANDARD.encode(Sha256::digest(&answer.body)));
    let has_it = asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let is_known = answer.status == StatusCode::OK && has_it;
    let mut response = Response::new(if is_known { Bytes::new() } else { answer.body });
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
