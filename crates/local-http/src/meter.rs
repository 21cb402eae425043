//! What a connection is doing and since when: who depends on its client for too long is found here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::{sync::Notify, time::Instant};

use crate::Limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No byte of a request has come.
    Idle,
    /// Some of a request's head has come.
    Head,
    /// The head is read, the body is not.
    Body,
    /// The request is being answered. The only phase in which nobody waits for the client.
    Working,
    /// The answer is on its way.
    Answering,
}

#[derive(Debug)]
pub(crate) struct Meter {
    state: Mutex<(Phase, Instant)>,
    /// Somebody else needs the room.
    leave: Notify,
}

impl Meter {
    pub(crate) fn new() -> Meter {
        Meter {
            state: Mutex::new((Phase::Idle, Instant::now())),
            leave: Notify::new(),
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        *self.lock() = (phase, Instant::now());
    }

    pub(crate) fn bytes_came(&self) {
        let mut state = self.lock();
        if state.0 == Phase::Idle {
            *state = (Phase::Head, Instant::now());
        }
    }

    pub(crate) fn bytes_are_out(&self) {
        let mut state = self.lock();
        if state.0 == Phase::Answering {
            *state = (Phase::Idle, Instant::now());
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().0
    }

    /// When the client's patience is over; `None` while it is not the client that is waited for.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let (phase, since) = *self.lock();
        let most = match phase {
            Phase::Idle => limits.idle,
            Phase::Head => limits.head,
            Phase::Body => limits.body,
            Phase::Answering => limits.answer,
            Phase::Working => return None,
        };
        Some(since + most)
    }

    /// Who can be asked to leave, the idle ones and the oldest first.
    pub(crate) fn dispensable(&self) -> Option<(bool, Instant)> {
        let (phase, since) = *self.lock();
        (phase != Phase::Working).then_some((phase != Phase::Idle, since))
    }

    pub(crate) fn ask_to_leave(&self) {
        self.leave.notify_one();
    }

    /// Resolves when the connection has to end: its client is too slow, or others need its room. Never while the answer
    /// is being made: that must not be lost.
    pub(crate) async fn over(&self, limits: &Limits) {
        loop {
            let deadline = self.deadline(limits);
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return;
            }
            // The phase changes meanwhile, so that a deadline may be nearer than the one known now.
            let soon = Instant::now() + limits.look_again();
            let next = deadline.map_or(soon, |deadline| deadline.min(soon));
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.leave.notified() => if self.phase() != Phase::Working { return },
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        // Both values are replaced at once, so a panic elsewhere left them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
