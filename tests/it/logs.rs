//! What the product logs while a test runs, as lines of JSON.

use std::sync::{Arc, Mutex};

use pcs_api::log::Lines;
use tracing::{level_filters::LevelFilter, subscriber::DefaultGuard};

/// Captures until it is dropped, what is logged on the thread that made it.
pub struct Logs {
    written: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

impl Logs {
    /// As the Lambda binary logs at this level.
    pub fn at(level: LevelFilter) -> Logs {
        let written = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&written);
        let lines = Lines::new(level, String::new(), move |line: &[u8]| {
            out.lock().unwrap().extend_from_slice(line);
        });
        Logs {
            written,
            _guard: tracing::subscriber::set_default(lines),
        }
    }

    /// What was logged since the last time.
    pub fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.written.lock().unwrap());
        String::from_utf8(bytes).unwrap()
    }
}
