//! The control plane: what a test in any language may ask of the emulator beyond IAM's own actions.
//!
//! It lives on paths IAM does not have, takes and answers plain JSON, and needs no signature.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::action::Action;
use crate::emulator::{Emulator, ReceivedCall};
use crate::fault::{Effect, Fault};
use crate::seed::SeedError;

/// Every path that is the control plane's starts with this.
pub(crate) const PREFIX: &str = "/_control/";

const ROUTES: &str = "POST advance, fault, clear-faults, clear-calls, seed, reset; GET calls, passes";

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
        (&Method::GET, "passes") => {
            let arn = profile_arn(request)?;
            return Ok(json!({"passes": emulator.instance_profile_exists(&arn)}));
        }
        (&Method::POST, "advance") => emulator.advance(seconds(read::<Advance>(body)?.seconds)?),
        (&Method::POST, "fault") => emulator.inject(fault(read(body)?)?),
        (&Method::POST, "clear-faults") => emulator.clear_faults(),
        (&Method::POST, "clear-calls") => emulator.clear_calls(),
        (&Method::POST, "seed") => emulator.seed(read(body)?).map_err(not_seeded)?,
        (&Method::POST, "reset") => emulator
            .reset()
            .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?,
        _ => return Err((StatusCode::NOT_FOUND, format!("the control plane has: {ROUTES}"))),
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
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
}

fn fault(body: FaultBody) -> Result<Fault, Refusal> {
    if let Some(action) = body
        .action
        .as_deref()
        .filter(|name| Action::from_name(name).is_none())
    {
        return Err(bad(&format!("the emulator has no action `{action}`")));
    }
    let effect = match body.effect {
        EffectBody::Throttle => Effect::Throttle,
        EffectBody::Error {
            status,
            code,
            message,
        } => {
            let status = StatusCode::from_u16(status).map_err(|error| bad(&error))?;
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
        "params": call.params,
        "status": call.status.map(|status| status.as_u16()),
        "isWrite": call.is_write(),
    })
}

fn profile_arn(request: &Request<Bytes>) -> Result<String, Refusal> {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "instanceProfileArn")
        .map(|(_, arn)| arn.into_owned())
        .ok_or_else(|| bad(&"`instanceProfileArn` is needed"))
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| bad(&error))
}

fn seconds(seconds: f64) -> Result<Duration, Refusal> {
    Duration::try_from_secs_f64(seconds).map_err(|error| bad(&error))
}

fn bad(reason: &dyn std::fmt::Display) -> Refusal {
    (StatusCode::BAD_REQUEST, reason.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "the signature map_err takes")]
fn not_seeded(error: SeedError) -> Refusal {
    let status = match error {
        SeedError::Invalid { .. }
        | SeedError::UnknownRole { .. }
        | SeedError::UnknownDefaultVersion { .. } => StatusCode::BAD_REQUEST,
        SeedError::NotSaved(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string())
}
