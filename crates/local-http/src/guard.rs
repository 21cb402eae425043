//! Whether a request is one that this machine's own clients send: by the host it names, and by what a browser says of
//! the page that made it. Nobody else sends Origin or Sec-Fetch-Site, so clients that are no browser pass.

use bytes::Bytes;
use http::{HeaderMap, Request, header, request::Parts};

use crate::{Hosts, Refusal};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Nothing, if the request may be looked at.
pub(crate) fn check(hosts: &Hosts, head: &Parts) -> Result<(), Refusal> {
    let host = host(head).map_err(|fault| Refusal::ForeignHost(fault.to_owned()))?;
    if !hosts.admit(host) {
        return Err(foreign_host(host));
    }
    // Of a proxy's request the target names a host as well.
    if let Some(authority) = head.uri.authority()
        && !hosts.admit(authority.as_str())
    {
        return Err(foreign_host(authority.as_str()));
    }
    check_page(host, &head.headers)
}

fn host(head: &Parts) -> Result<&str, &'static str> {
    let mut all = head.headers.get_all(header::HOST).iter();
    let (Some(host), None) = (all.next(), all.next()) else {
        return Err("The request has no Host header, or more than one; send exactly one.");
    };
    host.to_str()
        .map_err(|_| "The Host header of the request is not ASCII.")
}

fn foreign_host(host: &str) -> Refusal {
    Refusal::ForeignHost(format!(
        "The request was sent to the host `{host}`, which is not this machine as far as this port knows; \
         if it is, start with --allow-host and that name."
    ))
}

fn check_page(host: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let ours = format!("http://{host}");
    for origin in headers.get_all(header::ORIGIN) {
        if !origin.as_bytes().eq_ignore_ascii_case(ours.as_bytes()) {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            return Err(Refusal::ForeignPage(format!(
                "A web page of `{origin}` sent this request; pages of other origins are not answered here."
            )));
        }
    }
    for site in headers.get_all(SEC_FETCH_SITE) {
        if !["same-origin", "none"].iter().any(|own| site == own) {
            return Err(Refusal::ForeignPage(
                "A browser sent this request for a page of another origin, which is not answered here; \
                 to look yourself, type the address in."
                    .to_owned(),
            ));
        }
    }
    Ok(())
}

/// Whether a page of another origin could send this body without asking first: whatever says that it is JSON, or is
/// nothing, is either asked for or sent with an Origin.
pub fn is_simple(request: &Request<Bytes>) -> bool {
    let says_nothing = request.body().is_empty() && !request.headers().contains_key(header::CONTENT_TYPE);
    !says_nothing && !is_json(request.headers())
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter().peekable();
    types.peek().is_some()
        && types.all(|value| {
            let essence = value
                .as_bytes()
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
        })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let request = headers.iter().fold(Request::get("/"), |request, (name, value)| {
            request.header(*name, *value)
        });
        check(&Hosts::default(), &request.body(()).unwrap().into_parts().0)
    }

    const HOST: (&str, &str) = ("host", "localhost:3001");

    #[test]
    fn clients_and_pages_of_ours_pass() {
        for more in [
            vec![],
            vec![("origin", "http://localhost:3001")],
            vec![
                ("origin", "http://LOCALHOST:3001"),
                ("sec-fetch-site", "same-origin"),
            ],
            vec![("sec-fetch-site", "none")],
        ] {
            checked(&[vec![HOST], more].concat()).unwrap();
        }
    }

    #[test]
    fn pages_of_any_other_origin_are_refused() {
        for more in [
            ("origin", "http://attacker.example"),
            ("origin", "http://localhost:8080"),
            ("origin", "http://localhost"),
            ("origin", "https://localhost:3001"),
            ("origin", "http://127.0.0.1:3001"),
            ("origin", "null"),
            ("origin", ""),
            ("origin", "http://localhost:3001 http://attacker.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "what comes next"),
        ] {
            let refusal = checked(&[HOST, more]).unwrap_err();
            assert!(matches!(refusal, Refusal::ForeignPage(_)), "{more:?}");
        }
        let two = [
            HOST,
            ("origin", "http://localhost:3001"),
            ("origin", "http://attacker.example"),
        ];
        checked(&two).unwrap_err();
    }

    #[test]
    fn a_foreign_host_is_told_and_so_is_the_flag_that_admits_it() {
        let refusal = checked(&[("host", "pcs-local:3000")]).unwrap_err();
        assert_eq!(refusal.status(), 403);
        let told = refusal.to_string();
        assert!(
            told.contains("`pcs-local:3000`") && told.contains("--allow-host"),
            "{told}"
        );
        checked(&[]).unwrap_err();
        checked(&[HOST, HOST]).unwrap_err();
        let proxied = Request::get("http://attacker.example/").header("host", "localhost");
        let refused = check(&Hosts::default(), &proxied.body(()).unwrap().into_parts().0);
        assert!(refused.unwrap_err().to_string().contains("attacker.example"));
    }

    #[test]
    fn only_json_and_nothing_is_not_simple() {
        let simple = |types: &[&str], body: &'static str| {
            let request = types.iter().fold(Request::post("/"), |request, one| {
                request.header("content-type", *one)
            });
            is_simple(&request.body(Bytes::from_static(body.as_bytes())).unwrap())
        };
        assert!(!simple(&["application/json"], "{}") && !simple(&["Application/JSON ; charset=utf-8"], "{}"));
        assert!(!simple(&[], ""), "nothing");
        assert!(simple(&["text/plain"], ""), "nothing, of a type");
        for types in [
            &[][..],
            &["text/plain"],
            &["text/plain;application/json"],
            &["application/x-www-form-urlencoded"],
            &["application/jsonp"],
            &["application/json", "text/plain"],
            &[""],
        ] {
            assert!(simple(types, "{}"), "{types:?}");
        }
    }
}
