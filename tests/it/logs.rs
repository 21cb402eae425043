//! What the product logs while a test runs, as lines of JSON.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use tracing::{level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::{Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt};

/// Captures until it is dropped, what is logged on the thread that made it.
pub struct Logs {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// The targets as the Lambda binary configures them at this level (`log` in `src/main.rs`).
    pub fn at(level: LevelFilter) -> Logs {
        let written = Written::default();
        let targets = Targets::new()
            .with_target("pcs_api", level)
            .with_default(level.min(LevelFilter::WARN));
        let lines = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_writer(written.clone())
            .with_filter(targets);
        let subscriber = tracing_subscriber::registry().with(lines);
        Logs {
            written,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// What was logged since the last time.
    pub fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.written.0.lock().unwrap());
        String::from_utf8(bytes).unwrap()
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Written;

    fn make_writer(&'a self) -> Written {
        self.clone()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
