//! A client of this machine's API: it signs as the user role does, and reads one answer to its end.

use std::{io, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What came back, in whole.
pub struct Answer {
    pub status: u16,
    pub request_id: Option<String>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Sends a call to the API at `url`; `path` with its query as it goes on the wire.
pub async fn call(url: &str, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let host = url.strip_prefix("http://").unwrap();
    let mut headers = vec![("host".to_owned(), host.to_owned())];
    if !body.is_empty() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    headers.extend(signature(
        method,
        &format!("{url}{path}"),
        &headers,
        body.as_bytes(),
    ));
    send(host, method, path, &headers, &body).await
}

/// Sends IAM's emulator a form, as the SDKs do; it asks for no more than that a signature is there.
pub async fn iam(url: &str, form: &str) -> io::Result<Answer> {
    let host = url.strip_prefix("http://").unwrap();
    let headers = [
        ("host", host),
        ("authorization", "AWS4-HMAC-SHA256 unsigned"),
        ("content-type", "application/x-www-form-urlencoded"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    send(host, "POST", "/", &headers, form).await
}

/// Asks an emulator for something that AWS does not have.
pub async fn control(url: &str, name: &str, body: &Value) -> io::Result<Answer> {
    let host = url.strip_prefix("http://").unwrap();
    let headers = [("host", host), ("content-type", "application/json")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    send(
        host,
        "POST",
        &format!("/_control/{name}"),
        &headers,
        &body.to_string(),
    )
    .await
}

fn signature(method: &str, url: &str, headers: &[(String, String)], body: &[u8]) -> Vec<(String, String)> {
    let identity = Credentials::from_keys(
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        None,
    )
    .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("execute-api")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    let request = SignableRequest::new(method, url, headers, SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
    let headers = instructions.headers();
    headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

async fn send(
    host: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<Answer> {
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let headers = headers.concat();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut received = String::new();
    stream.read_to_string(&mut received).await?;
    // Cut off by a kill: nothing was acknowledged.
    read(&received).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn read(received: &str) -> Option<Answer> {
    let (head, body) = received.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let header = |wanted: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        let mut values = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.next().map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").map_or(Some(0), |length| length.parse().ok());
    let is_whole = length == Some(body.len());
    is_whole.then(|| Answer {
        status,
        request_id: header("x-amzn-requestid"),
        body: body.to_owned(),
    })
}
