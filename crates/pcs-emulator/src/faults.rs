//! Faults a test orders: what goes wrong on the wire, and what fails later.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::action::Action;

/// Something to go wrong with the next calls.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The action it strikes, such as `CreateCluster`; `None` strikes every one.
    pub action: Option<String>,
    /// How many calls it strikes.
    pub times: u32,
    pub effect: Effect,
}

/// What happens to a call.
#[derive(Clone, Debug)]
pub enum Effect {
    /// `ThrottlingException`; the call is not applied.
    Throttle,
    /// Any error, with the members PCS's model gives an error of that code; the call is not applied.
    Error {
        status: StatusCode,
        code: String,
        message: String,
    },
    /// The call is applied and its answer comes late.
    Delay(Duration),
    /// Status 200 with these bytes as body; the call is not applied.
    Garbage(Bytes),
    /// The connection ends without an answer; the call is not applied.
    DropBefore,
    /// The connection ends without an answer; the call is applied.
    DropAfter,
    /// The call succeeds and the transition it starts ends in `*_FAILED` with this `errorInfo`.
    FailTransition { code: String, message: String },
}

impl Effect {
    /// Its name on the control plane.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Effect::Throttle => "throttle",
            Effect::Error { .. } => "error",
            Effect::Delay(_) => "delay",
            Effect::Garbage(_) => "garbage",
            Effect::DropBefore => "dropBefore",
            Effect::DropAfter => "dropAfter",
            Effect::FailTransition { .. } => "failTransition",
        }
    }
}

/// The effect of the first fault that strikes `action`, which is then used up by one.
pub(crate) fn take(faults: &mut Vec<Fault>, action: Action) -> Option<Effect> {
    faults.retain(|fault| fault.times > 0);
    let fault = faults.iter_mut().find(|fault| {
        fault
            .action
            .as_deref()
            .is_none_or(|struck| struck == action.name())
    })?;
    fault.times -= 1;
    Some(fault.effect.clone())
}
