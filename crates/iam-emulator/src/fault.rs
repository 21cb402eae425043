//! Faults on demand: what a test tells the emulator to do instead of, or before, answering.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

/// What happens to the next `times` calls of `action` (of any action when `None`).
#[derive(Clone, Debug)]
pub struct Fault {
    /// An IAM action such as `GetRole`; `None` is every action.
    pub action: Option<String>,
    /// How many calls it hits before it is used up.
    pub times: u32,
    pub effect: Effect,
}

/// What goes wrong. State never changes in a call that a fault hits, except under `Delay` and `DropAfter`.
#[derive(Clone, Debug)]
pub enum Effect {
    /// 400 `Throttling`, as IAM says it.
    Throttle,
    /// An IAM error of this status, code and message.
    Error {
        status: StatusCode,
        code: String,
        message: String,
    },
    /// The true answer, this much later.
    Delay(Duration),
    /// 200 with this body, whatever it is.
    Garbage(Bytes),
    /// The connection closes without an answer; the call is not applied.
    DropBefore,
    /// The connection closes without an answer; the call is applied.
    DropAfter,
}

/// The faults still to come. The oldest that fits a call is used.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn take(&mut self, action: &str) -> Option<Effect> {
        self.0.retain(|fault| fault.times > 0);
        let fault = self
            .0
            .iter_mut()
            .find(|fault| fault.action.as_deref().is_none_or(|a| a == action))?;
        fault.times -= 1;
        Some(fault.effect.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_up_and_spares_other_actions() {
        let mut faults = Faults::default();
        faults.push(Fault {
            action: Some("GetRole".into()),
            times: 2,
            effect: Effect::Throttle,
        });
        faults.push(Fault {
            action: None,
            times: 1,
            effect: Effect::DropBefore,
        });
        assert!(matches!(faults.take("GetRole"), Some(Effect::Throttle)));
        assert!(matches!(faults.take("GetPolicy"), Some(Effect::DropBefore)));
        assert!(matches!(faults.take("GetRole"), Some(Effect::Throttle)));
        assert!(faults.take("GetRole").is_none());
        assert!(faults.take("GetPolicy").is_none());
    }
}
