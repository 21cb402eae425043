//! The control plane: what a test in any language may ask of the emulator beyond PCS's own actions.
//!
//! It lives on paths PCS does not have, takes and answers plain JSON, and needs no signature.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::action::Action;
use crate::emulator::{Emulator, ReceivedCall};
use crate::error::LoadError;
use crate::faults::{Effect, Fault};

/// Every path that is the control plane's starts with this.
pub(crate) const PREFIX: &str = "/_control/";
/// Where a snapshot is put.
pub(crate) const STATE: &str = "/_control/state";
/// A snapshot may be large: it holds every account and Region.
pub(crate) const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;

const ROUTES: &str =
    "POST advance, fault, clear-faults, clear-calls, fail, suspend, reset; GET calls, state; PUT state";

/// Status and message of a request that cannot be done.
type Refusal = (StatusCode, String);

pub(crate) fn handle(emulator: &Emulator, request: &Request<Bytes>) -> Response<Bytes> {
    match route(emulator, request) {
        Ok(body) => answer(StatusCode::OK, &body),
        Err((status, message)) => refuse(status, &message),
    }
}

pub(crate) fn refuse(status: StatusCode, message: &str) -> Response<Bytes> {
    answer(status, &json!({"message": message}))
}

/// The answer to an order that any web page could give.
pub(crate) fn refuse_simple(request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let is_order = request.uri().path().starts_with(PREFIX) && request.method() != Method::GET;
    (is_order && local_http::is_simple(request)).then(|| {
        let message = "The control plane takes JSON; send it with `Content-Type: application/json`.";
        refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    })
}

fn answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn route(emulator: &Emulator, request: &Request<Bytes>) -> Result<Value, Refusal> {
    let name = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let body = request.body();
    match (request.method(), name) {
        (&Method::GET, "calls") => {
            return Ok(json!({"calls": emulator.calls().iter().map(call).collect::<Vec<_>>()}));
        }
        (&Method::GET, "state") => return emulator.snapshot().map_err(unsaved),
        (&Method::PUT, "state") => emulator.load(read(body)?).map_err(unloaded)?,
        (&Method::POST, "advance") => emulator.advance(seconds(read::<Advance>(body)?.seconds)?),
        (&Method::POST, "fault") => emulator.inject(fault(read(body)?)?),
        (&Method::POST, "clear-faults") => emulator.clear_faults(),
        (&Method::POST, "clear-calls") => emulator.clear_calls(),
        (&Method::POST, "reset") => emulator.reset().map_err(unsaved)?,
        (&Method::POST, "suspend") => {
            let named: Named = read(body)?;
            found(emulator.suspend(named.name()?).map_err(unsaved)?, "cluster")?;
        }
        (&Method::POST, "fail") => {
            let fail: Fail = read(body)?;
            let done = emulator.fail_resource(fail.named.name()?, &fail.code, &fail.message);
            found(done.map_err(unsaved)?, "resource")?;
        }
        _ => return Err((StatusCode::NOT_FOUND, format!("the control plane has: {ROUTES}"))),
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
}

/// A resource by its id or ARN. Ids are unique over accounts and Regions, so neither is needed.
#[derive(Deserialize)]
struct Named {
    id: Option<String>,
    arn: Option<String>,
}

impl Named {
    fn name(&self) -> Result<&str, Refusal> {
        let name = self.arn.as_deref().or(self.id.as_deref());
        name.ok_or_else(|| bad("`id` or `arn` is needed"))
    }
}

#[derive(Deserialize)]
struct Fail {
    #[serde(flatten)]
    named: Named,
    code: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultBody {
    action: Option<String>,
    #[serde(default = "once")]
    times: u32,
    effect: EffectBody,
}

fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum EffectBody {
    Throttle,
    Error {
        status: u16,
        code: String,
        message: String,
    },
    Delay {
        seconds: f64,
    },
    Garbage {
        body: String,
    },
    DropBefore,
    DropAfter,
    FailTransition {
        code: String,
        message: String,
    },
}

fn fault(body: FaultBody) -> Result<Fault, Refusal> {
    if let Some(action) = body
        .action
        .as_deref()
        .filter(|name| Action::from_name(name).is_none())
    {
        return Err(bad(&format!("PCS has no action `{action}`")));
    }
    let effect = match body.effect {
        EffectBody::Throttle => Effect::Throttle,
        EffectBody::Error {
            status,
            code,
            message,
        } => {
            let status = StatusCode::from_u16(status).map_err(|e| bad(&e.to_string()))?;
            Effect::Error {
                status,
                code,
                message,
            }
        }
        EffectBody::Delay { seconds: delay } => Effect::Delay(seconds(delay)?),
        EffectBody::Garbage { body } => Effect::Garbage(Bytes::from(body)),
        EffectBody::DropBefore => Effect::DropBefore,
        EffectBody::DropAfter => Effect::DropAfter,
        EffectBody::FailTransition { code, message } => Effect::FailTransition { code, message },
    };
    Ok(Fault {
        action: body.action,
        times: body.times,
        effect,
    })
}

fn call(call: &ReceivedCall) -> Value {
    json!({
        "action": call.action,
        "accessKeyId": call.access_key_id,
        "region": call.region,
        "account": call.account,
        "body": call.body,
        "status": call.status.map(|status| status.as_u16()),
    })
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|e| bad(&e.to_string()))
}

fn seconds(seconds: f64) -> Result<Duration, Refusal> {
    Duration::try_from_secs_f64(seconds).map_err(|e| bad(&e.to_string()))
}

fn found(found: bool, noun: &str) -> Result<(), Refusal> {
    if found {
        Ok(())
    } else {
        Err((StatusCode::NOT_FOUND, format!("no such {noun}")))
    }
}

fn unloaded(error: LoadError) -> Refusal {
    match error {
        LoadError::Document(_) => bad(&error.to_string()),
        LoadError::Store(error) => unsaved(error),
    }
}

fn bad(message: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, message.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "the signature map_err takes")]
fn unsaved(error: std::io::Error) -> Refusal {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("the state could not be stored: {error}"),
    )
}
