//! How far a long run has got, on standard error.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::verify::thousands;

const ON_TERMINAL: Duration = Duration::from_secs(1);
/// In a log file a line a second would be noise.
const ELSEWHERE: Duration = Duration::from_secs(10);

/// Counts, and tells from time to time.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    count: u64,
    begun: Instant,
    told: Instant,
    is_terminal: bool,
}

impl Progress {
    /// `what` is counted: `rows read`.
    pub fn begin(what: &'static str) -> Progress {
        let now = Instant::now();
        Progress {
            what,
            count: 0,
            begun: now,
            told: now,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    pub fn step(&mut self) {
        self.count += 1;
        // Asking for the time costs more than counting.
        if !self.count.is_multiple_of(64) {
            return;
        }
        let every = if self.is_terminal { ON_TERMINAL } else { ELSEWHERE };
        if self.told.elapsed() >= every {
            self.told = Instant::now();
            self.tell();
        }
    }

    /// The last line; short runs have none.
    pub fn end(self) {
        if self.told > self.begun {
            self.tell();
            if self.is_terminal {
                write(b"\n");
            }
        }
    }

    fn tell(&self) {
        let seconds = self.begun.elapsed().as_secs();
        let line = format!(
            "{} {}, {}/s, {seconds} s",
            thousands(self.count),
            self.what,
            thousands(self.count / seconds.max(1))
        );
        let line = if self.is_terminal {
            // Back to the beginning, and nothing of the line before is left.
            format!("\r{line}\u{1b}[K")
        } else {
            format!("{line}\n")
        };
        write(line.as_bytes());
    }
}

/// Who closed standard error wants no progress.
fn write(bytes: &[u8]) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
}
