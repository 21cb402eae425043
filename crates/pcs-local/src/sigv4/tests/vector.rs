//! Requests as clients signed them that are not ours, and the key that they signed with.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::super::*;

pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

pub fn request(method: &str, target: &str, headers: Vec<(String, String)>, body: &[u8]) -> ReceivedRequest {
    ReceivedRequest::new(method, target, headers, body.to_vec(), Ipv4Addr::LOCALHOST.into()).unwrap()
}

/// One key that anybody may have.
pub fn key(access_key_id: &str, secret: &str, token: Option<&str>) -> Credentials {
    let credential = serde_json::json!({
        "accessKeyId": access_key_id, "secretAccessKey": secret, "sessionToken": token,
        "identity": {"kind": "user", "accountId": "123456789012", "principalId": "AIDAEXAMPLEEXAMPLE000",
                     "arn": "arn:aws:iam::123456789012:user/test"},
    });
    let mut credentials = Credentials::built_in("123456789012");
    credentials.insert(serde_json::from_value(credential).unwrap());
    credentials
}

/// A request signed by a client that is not ours.
pub struct Vector {
    pub name: String,
    pub form: String,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub token: Option<String>,
}

impl Vector {
    pub fn all() -> Vec<Self> {
        let read = |text: &str| -> Vec<Self> {
            let document: Value = serde_json::from_str(text).unwrap();
            document["vectors"]
                .as_array()
                .unwrap()
                .iter()
                .map(Self::from_json)
                .collect()
        };
        let mut vectors = read(include_str!("../../../tests-data/botocore-sigv4.json"));
        assert!(vectors.len() > 30);
        vectors.extend(read(include_str!("../../../tests-data/curl-sigv4.json")));
        vectors
    }

    pub fn named(name: &str, form: &str) -> Self {
        Self::all()
            .into_iter()
            .find(|vector| vector.name == name && vector.form == form)
            .unwrap()
    }

    fn from_json(value: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let headers = value["headers"].as_array().unwrap().iter();
        Self {
            name: text(&value["name"]),
            form: text(&value["form"]),
            method: text(&value["method"]),
            target: text(&value["target"]),
            headers: headers.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            body: text(&value["body"]).into_bytes(),
            token: value["token"].as_str().map(str::to_owned),
        }
    }

    pub fn request(&self) -> ReceivedRequest {
        request(&self.method, &self.target, self.headers.clone(), &self.body)
    }

    /// When it was signed.
    pub fn time(&self) -> Timestamp {
        Authorization::read(&self.request()).unwrap().time
    }

    /// The key that it was signed with.
    pub fn credentials(&self) -> Credentials {
        key(ACCESS_KEY, SECRET_KEY, self.token.as_deref())
    }

    pub fn verdict_at(&self, now: Timestamp) -> Result<(), Refusal> {
        let credentials = self.credentials();
        verify(
            &self.request(),
            &credentials,
            &Scope::execute_api("us-east-1"),
            now,
        )
        .map(|_| ())
    }

    pub fn header(&mut self, name: &str) -> &mut String {
        let header = self
            .headers
            .iter_mut()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        &mut header.unwrap().1
    }

    pub fn edit(&mut self, name: &str, from: &str, to: &str) {
        let value = self.header(name);
        assert!(value.contains(from), "{value}");
        *value = value.replacen(from, to, 1);
    }

    pub fn add_to_query(&mut self, parameter: &str) {
        self.target.push('&');
        self.target.push_str(parameter);
    }

    pub fn add(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }
}
