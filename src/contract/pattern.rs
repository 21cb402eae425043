//! Runs the pattern tables that `build/pattern.rs` made: nothing is compiled at start, and time is linear in the
//! value whatever the pattern (a set of states is followed, there is no backtracking).

/// A pattern of the contract.
pub struct Pattern {
    /// As the contract writes it.
    pub source: &'static str,
    /// What it asks for, in words that follow "must be" (`x-pcs-form`).
    pub form: &'static str,
    pub(super) accepts: Automaton,
    pub(super) refuses_prefix: Option<Automaton>,
}

/// A Thompson NFA.
pub(super) struct Automaton {
    pub(super) start: u32,
    pub(super) states: &'static [State],
}

pub(super) enum State {
    /// Consumes one byte in one of the ranges (first, last, next state).
    Bytes(&'static [(u8, u8, u32)]),
    /// Consumes nothing; none of no states is a dead end.
    Either(&'static [u32]),
    Match,
}

impl Pattern {
    /// Whether the whole of `value` matches.
    pub fn matches(&self, value: &str) -> bool {
        self.accepts.run(value, Until::End)
            && !self
                .refuses_prefix
                .as_ref()
                .is_some_and(|p| p.run(value, Until::Match))
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.source)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The match must end where the value ends.
    End,
    /// Any prefix will do.
    Match,
}

impl Automaton {
    fn run(&self, value: &str, until: Until) -> bool {
        let mut now = Set::new(self.states.len());
        let mut next = Set::new(self.states.len());
        self.enter(self.start, &mut now);
        for byte in value.bytes() {
            if until == Until::Match && self.accepted(&now) {
                return true;
            }
            if now.members.is_empty() {
                return false;
            }
            next.clear();
            for id in &now.members {
                let Some(State::Bytes(ranges)) = self.state(*id) else {
                    continue;
                };
                for (_, _, target) in ranges
                    .iter()
                    .filter(|(first, last, _)| (*first..=*last).contains(&byte))
                {
                    self.enter(*target, &mut next);
                }
            }
            std::mem::swap(&mut now, &mut next);
        }
        self.accepted(&now)
    }

    /// Adds a state and whatever it leads to without consuming a byte.
    fn enter(&self, id: u32, set: &mut Set) {
        set.todo.push(id);
        while let Some(id) = set.todo.pop() {
            if set.insert(id)
                && let Some(State::Either(targets)) = self.state(id)
            {
                set.todo.extend_from_slice(targets);
            }
        }
    }

    fn accepted(&self, set: &Set) -> bool {
        set.members
            .iter()
            .any(|id| matches!(self.state(*id), Some(State::Match)))
    }

    fn state(&self, id: u32) -> Option<&'static State> {
        self.states.get(usize::try_from(id).ok()?)
    }
}

/// A set of states that is cleared without touching every state.
struct Set {
    members: Vec<u32>,
    known: Vec<bool>,
    /// States still to be entered; empty but while one is. Here, so that a byte costs no allocation.
    todo: Vec<u32>,
}

impl Set {
    fn new(states: usize) -> Set {
        Set {
            members: Vec::new(),
            known: vec![false; states],
            todo: Vec::new(),
        }
    }

    fn insert(&mut self, id: u32) -> bool {
        let Some(known) = usize::try_from(id)
            .ok()
            .and_then(|index| self.known.get_mut(index))
        else {
            return false;
        };
        if *known {
            return false;
        }
        *known = true;
        self.members.push(id);
        true
    }

    fn clear(&mut self) {
        for id in self.members.drain(..) {
            if let Some(known) = usize::try_from(id)
                .ok()
                .and_then(|index| self.known.get_mut(index))
            {
                *known = false;
            }
        }
    }
}
