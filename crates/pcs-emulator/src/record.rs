//! The record: every answered call as one line of JSON, for whoever wants to hold a whole run, and not a
//! sample of it, against AWS's model of PCS.
//!
//! Each line is written with one append, so emulators of several processes may share a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::error::StartError;
use crate::faults::Effect;
use crate::wire::{self, Reply};

/// Where answered calls are written.
#[derive(Debug)]
pub(crate) struct Record {
    file: File,
}

impl Record {
    /// Opens a record for appending, making it if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Record, StartError> {
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(|e| StartError::Record {
            path: path.to_owned(),
            message: e.to_string(),
        })?;
        Ok(Record { file })
    }

    /// Writes one call: its action, the fault that struck it, the answer's status, request id and error type,
    /// and both bodies; a body that is not JSON is written as a string. A call without an answer is not one.
    pub(crate) fn write(
        &self,
        request: &Request<Bytes>,
        reply: &Reply,
        struck: Option<&Effect>,
    ) -> io::Result<()> {
        let Some(response) = reply.response() else {
            return Ok(());
        };
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let mut line = json!({
            "action": wire::target(request.headers()),
            "fault": struck.map(Effect::name),
            "status": response.status().as_u16(),
            "requestId": header("x-amzn-requestid"),
            "errorType": header("x-amzn-errortype"),
            "input": shown(request.body()),
            "output": shown(response.body()),
        })
        .to_string();
        line.push('\n');
        (&self.file).write_all(line.as_bytes())
    }
}

fn shown(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)))
}
