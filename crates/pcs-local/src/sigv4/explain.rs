//! What is told after a mismatch: the two strings that API Gateway shows, which everybody compares with their own, and
//! the host, where that was signed in another form than it was sent.

use std::{fmt::Write, time::SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::authorization::{ALGORITHM, Authorization, Form, query_pairs};
use super::{Refusal, Scope, basic, canonical, hex_digest};
use crate::credentials::{Credential, Credentials};
use crate::request::ReceivedRequest;

const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The message of a refusal; `port` is where this gateway listens.
pub(super) fn message(
    refusal: &Refusal,
    request: &ReceivedRequest,
    credentials: &Credentials,
    scope: &Scope,
    port: Option<u16>,
) -> String {
    let mut message = refusal.to_string();
    if *refusal != Refusal::SignatureMismatch {
        return message;
    }
    let Ok(authorization) = Authorization::read(request) else {
        return message;
    };
    let Some(credential) = credentials.get(&authorization.access_key_id) else {
        return message;
    };
    if let Some((canonical, to_sign)) = strings(request, &authorization, credential, scope) {
        // Writing into a String cannot fail.
        let _ = write!(
            message,
            "\n\nThe Canonical String for this request should have been\n'{canonical}'\n\nThe String-to-Sign should \
             have been\n'{to_sign}'\n"
        );
    }
    if let Some((signed, sent)) = host(request, &authorization, credential, scope, port) {
        let _ = write!(
            message,
            "\nThe signature is over the host '{signed}', and the request was sent with 'Host: {sent}': sign the host \
             as it is sent, with its port.\n"
        );
    }
    message
}

/// Canonical request and string to sign. They are given only if they lead to the signature that the request was judged
/// by, so that nobody is sent after a string that is not the one.
pub(super) fn strings(
    request: &ReceivedRequest,
    authorization: &Authorization,
    credential: &Credential,
    scope: &Scope,
) -> Option<(String, String)> {
    let canonical = canonical_request(request, authorization);
    let to_sign = format!(
        "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{}",
        basic(authorization.time),
        authorization.date,
        scope.region,
        scope.service,
        hex_digest(canonical.as_bytes())
    );
    let secret = credential.secret_access_key.reveal();
    let time = SystemTime::from(authorization.time);
    let key = generate_signing_key(secret, time, &scope.region, &scope.service);
    let signature = calculate_signature(key, to_sign.as_bytes());
    let judged_by = canonical::signature(request, authorization, credential, scope).ok()?;
    (signature == judged_by).then_some((canonical, to_sign))
}

fn canonical_request(request: &ReceivedRequest, authorization: &Authorization) -> String {
    let is_signed = |name: &str| match authorization.form {
        Form::Header { .. } => true,
        Form::Query { .. } => name != "X-Amz-Signature",
    };
    let mut parameters: Vec<(String, String)> = query_pairs(request)
        .filter(|(name, _)| is_signed(name))
        .map(|(name, value)| {
            let encoded = |text: &str| utf8_percent_encode(text, QUERY).to_string();
            (encoded(&name), encoded(&value))
        })
        .collect();
    parameters.sort();
    let parameters: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut headers = String::new();
    for name in &authorization.signed_headers {
        let values: Vec<String> = request.header_values(name).map(trimmed).collect();
        let _ = writeln!(headers, "{name}:{}", values.join(","));
    }
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method(),
        utf8_percent_encode(&normalized(request.path()), PATH),
        parameters.join("&"),
        authorization.signed_headers.join(";"),
        hex_digest(request.body())
    )
}

/// Without empty and dot segments, as RFC 3986 removes them.
fn normalized(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let is_folder = matches!(path.rsplit('/').next(), Some("" | "." | "..")) && !kept.is_empty();
    format!("/{}{}", kept.join("/"), if is_folder { "/" } else { "" })
}

/// Without blanks around it, and one where there are several.
fn trimmed(value: &str) -> String {
    value
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The host that was signed, and the one that was sent, if the signature holds with another one that means this gateway.
fn host(
    request: &ReceivedRequest,
    authorization: &Authorization,
    credential: &Credential,
    scope: &Scope,
    port: Option<u16>,
) -> Option<(String, String)> {
    let sent = request.header_values("host").next()?;
    let (name, sent_port) = match sent.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port.to_owned())),
        Some(_) | None => (sent, None),
    };
    let mut ports = vec![None, sent_port, port.map(|port| port.to_string())];
    ports.extend(["80", "443"].map(|port| Some(port.to_owned())));
    let names = [name, "localhost", "127.0.0.1", "[::1]", "0.0.0.0"];
    let hosts = names.iter().flat_map(|name| {
        ports.iter().map(move |port| match port {
            Some(port) => format!("{name}:{port}"),
            None => (*name).to_owned(),
        })
    });
    let mut others = hosts.filter(|host| host != sent);
    let signed = others.find(|host| {
        let request = request.sent_to(host);
        canonical::signature(&request, authorization, credential, scope)
            .is_ok_and(|signature| signature == authorization.signature)
    })?;
    Some((signed, sent.to_owned()))
}
