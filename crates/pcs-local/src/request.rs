//! A request as it came over the wire: raw target, headers in order, whole body.
//!
//! Signatures are over what the client sent, so nothing here is decoded or normalized. What API Gateway would
//! not read at all is turned away here.

use std::net::IpAddr;

use bytes::Bytes;
use http::{header, request::Parts};

use crate::gateway_response::Rejection;

/// API Gateway's quota for the request line and all header values together.
pub const HEAD_BYTES_MAX: usize = 10_240;

/// A request that API Gateway would look at.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    source_ip: IpAddr,
}

impl ReceivedRequest {
    /// `target` is what stood between method and version on the request line. `source_ip` is the peer.
    pub fn new(
        method: impl Into<String>,
        target: impl Into<String>,
        headers: Vec<(String, String)>,
        body: impl Into<Bytes>,
        source_ip: IpAddr,
    ) -> Result<Self, Rejection> {
        let request = Self {
            method: method.into(),
            target: target.into(),
            headers,
            body: body.into(),
            source_ip,
        };
        request.check_size()?;
        request.check_target()?;
        Ok(request)
    }

    /// What hyper read. Header values that are not text are refused: they could not be put into an event.
    pub fn from_parts(parts: &Parts, body: Bytes, source_ip: IpAddr) -> Result<Self, Rejection> {
        // A proxy names the host in the target too (RFC 9112, 3.2.2); another one than the signed would compete with it.
        if let Some(authority) = parts.uri.authority() {
            let host = parts.headers.get(header::HOST).map(http::HeaderValue::as_bytes);
            if host.is_none_or(|host| !host.eq_ignore_ascii_case(authority.as_str().as_bytes())) {
                return Err(Rejection::bad_request());
            }
        }
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| {
                let value = std::str::from_utf8(value.as_bytes()).map_err(|_| Rejection::bad_request())?;
                Ok((name.as_str().to_owned(), value.to_owned()))
            })
            .collect::<Result<_, Rejection>>()?;
        Self::new(parts.method.as_str(), target, headers, body, source_ip)
    }

    /// The same request with another `Host`.
    pub(crate) fn sent_to(&self, host: &str) -> Self {
        let mut request = self.clone();
        for (_, value) in request
            .headers
            .iter_mut()
            .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            host.clone_into(value);
        }
        request
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    /// Path and query as sent.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path as sent, percent-encoded.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query as sent, without its question mark; empty when there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Names as sent, in the order sent.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Every value of the header `name`, whatever its case.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self
            .headers
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub fn source_ip(&self) -> IpAddr {
        self.source_ip
    }

    fn check_size(&self) -> Result<(), Rejection> {
        let values: usize = self.headers.iter().map(|(_, value)| value.len()).sum();
        let line = self.method.len() + self.target.len() + " HTTP/1.1 ".len();
        if self.target.len() > HEAD_BYTES_MAX {
            return Err(Rejection::uri_too_long());
        }
        if line + values > HEAD_BYTES_MAX {
            return Err(Rejection::headers_too_large());
        }
        Ok(())
    }

    /// A target that is no path, or whose escapes are not UTF-8: two such requests could have one canonical
    /// form, and so one signature.
    fn check_target(&self) -> Result<(), Rejection> {
        let printable = self
            .target
            .chars()
            .all(|c| !c.is_ascii_control() && c != ' ' && c != '#');
        // API Gateway's known issues: a pipe in a query string must be encoded.
        let piped = self.query().contains('|');
        if self.target.starts_with('/') && printable && !piped && has_sound_escapes(&self.target) {
            return Ok(());
        }
        Err(Rejection::bad_request())
    }
}

fn has_sound_escapes(target: &str) -> bool {
    let complete = target.split('%').skip(1).all(|rest| {
        let mut digits = rest.bytes().take(2);
        let is_hex = |digit: Option<u8>| digit.is_some_and(|digit| digit.is_ascii_hexdigit());
        is_hex(digits.next()) && is_hex(digits.next())
    });
    complete && percent_encoding::percent_decode_str(target).decode_utf8().is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn get(target: &str) -> Result<ReceivedRequest, Rejection> {
        ReceivedRequest::new("GET", target, Vec::new(), "", Ipv4Addr::LOCALHOST.into())
    }

    #[test]
    fn splits_the_raw_target() {
        let request = get("/v1/a%2Fb?x=%20&y=?").unwrap();
        assert_eq!((request.path(), request.query()), ("/v1/a%2Fb", "x=%20&y=?"));
        assert_eq!(get("/v1").unwrap().query(), "");
    }

    #[test]
    fn refuses_targets_that_are_not_one_path() {
        for target in [
            "",
            "*",
            "http://h/v1",
            "v1",
            "/a#b",
            "/a b",
            "/%",
            "/%2",
            "/%zz",
            "/%ff",
            "/?a=%C3",
            "/?a|b",
        ] {
            assert_eq!(get(target).unwrap_err().status(), 400, "{target}");
        }
    }

    #[test]
    fn refuses_what_is_above_the_quotas() {
        assert_eq!(
            get(&format!("/{}", "a".repeat(HEAD_BYTES_MAX)))
                .unwrap_err()
                .status(),
            414
        );
        let request = |header: usize| {
            let headers = vec![("a".to_owned(), "v".repeat(header))];
            ReceivedRequest::new("GET", "/", headers, "", Ipv4Addr::LOCALHOST.into())
        };
        assert!(request(10_000).is_ok());
        assert_eq!(request(HEAD_BYTES_MAX).unwrap_err().status(), 431);
    }

    #[test]
    fn takes_what_hyper_reads() {
        let from = |request: http::request::Builder| {
            let (parts, ()) = request.body(()).unwrap().into_parts();
            ReceivedRequest::from_parts(&parts, Bytes::new(), Ipv4Addr::LOCALHOST.into())
        };
        let request = from(http::Request::get("/v1/%2e%2e/x?a=1&a=2").header("X-A", "1")).unwrap();
        assert_eq!(request.target(), "/v1/%2e%2e/x?a=1&a=2");
        assert_eq!(request.header_values("X-a").collect::<Vec<_>>(), ["1"]);
        let proxied = |host| from(http::Request::get("http://LOCALHOST:3000/v1?a=1").header("Host", host));
        assert_eq!(proxied("localhost:3000").unwrap().target(), "/v1?a=1");
        assert_eq!(proxied("other:3000").unwrap_err().status(), 400);
        assert_eq!(
            from(http::Request::get("http://other/v1")).unwrap_err().status(),
            400
        );
        assert_eq!(
            from(http::Request::get("/v1").header("x-a", &b"\xff"[..]))
                .unwrap_err()
                .status(),
            400
        );
    }
}
