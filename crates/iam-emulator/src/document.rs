//! A policy document as IAM keeps it: the text that was sent in, not a parsed form.
//!
//! IAM returns a document with the whitespace and the key order it came with, and callers must cope with
//! that, so text stays text here.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// All but RFC 3986's unreserved characters: what IAM escapes in the documents it returns.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The text of a policy document. Made from a JSON value, or from text that is then kept byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Document(String);

impl Document {
    /// The trust policy of a role that only EC2 instances can assume: what PCS's compute nodes need.
    pub fn trusting_ec2() -> Self {
        Self::from(serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole"
            }]
        }))
    }

    /// Its length in characters as IAM's quotas count them: without white space.
    pub(crate) fn size(&self) -> usize {
        self.0.chars().filter(|c| !c.is_whitespace()).count()
    }

    /// The document as IAM puts it into an answer.
    pub(crate) fn percent_encoded(&self) -> String {
        utf8_percent_encode(&self.0, RESERVED).to_string()
    }
}

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Value> for Document {
    fn from(value: Value) -> Self {
        Self(value.to_string())
    }
}

impl<'de> Deserialize<'de> for Document {
    /// A seed file may hold a document as a JSON object, which reads better, or as exact text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(match value {
            Value::String(text) => Self(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Self(value.to_string())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_rfc_3986() {
        // The reserved and unreserved sets are RFC 3986 sections 2.2 and 2.3.
        let document = Document::from(r#"{"A": "a-b_c.d~e/*"}"#);
        assert_eq!(
            document.percent_encoded(),
            "%7B%22A%22%3A%20%22a-b_c.d~e%2F%2A%22%7D"
        );
    }
}
