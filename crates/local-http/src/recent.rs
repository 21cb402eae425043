//! What an emulator remembers of its calls, so that a test can ask: the newest, up to a number and a size. Callers choose
//! how large a call is, and who need not sign can make as many as they like.

use std::collections::VecDeque;

/// Older calls are forgotten beyond so many, or when those that came after them had so many bytes on the wire.
const MOST: usize = 10_000;
const BYTES_MOST: usize = 32 * 1024 * 1024;

/// The newest calls, oldest first.
#[derive(Debug)]
pub struct Recent<T> {
    calls: VecDeque<(usize, T)>,
    bytes: usize,
}

impl<T> Default for Recent<T> {
    fn default() -> Recent<T> {
        Recent {
            calls: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<T> Recent<T> {
    /// `bytes` is the length of its body. The newest call is there, however long it was.
    pub fn push(&mut self, call: T, bytes: usize) {
        self.bytes += bytes;
        self.calls.push_back((bytes, call));
        while self.calls.len() > 1 && (self.calls.len() > MOST || self.bytes > BYTES_MOST) {
            let Some((bytes, _)) = self.calls.pop_front() else {
                return;
            };
            self.bytes -= bytes;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.calls.iter().map(|(_, call)| call)
    }

    pub fn clear(&mut self) {
        *self = Recent::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_forgotten_by_number_and_by_size() {
        let mut recent = Recent::default();
        for call in 0..=MOST {
            recent.push(call, 1);
        }
        assert_eq!(
            recent.iter().copied().collect::<Vec<_>>(),
            (1..=MOST).collect::<Vec<_>>()
        );
        recent.push(MOST + 1, BYTES_MOST);
        assert_eq!(recent.iter().count(), 1);
        recent.push(MOST + 2, BYTES_MOST + 1);
        assert_eq!(recent.iter().copied().collect::<Vec<_>>(), [MOST + 2]);
        recent.clear();
        assert_eq!((recent.iter().count(), recent.bytes), (0, 0));
    }
}
