//! The log: a line of JSON for every event, and for a metric a line in CloudWatch's embedded metric format.
//!
//! `tracing-subscriber` would write the same lines. Its registry keeps spans, of which this product has none, and
//! making that registry took as long at every start as reading the whole configuration.

use std::{fmt, io::Write};

use jiff::Timestamp;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};

use crate::metrics;

const OURS: &str = "pcs_api";

/// Writes lines, each with its end and as one piece, through `write`.
pub struct Lines<W> {
    level: LevelFilter,
    api_id: String,
    write: W,
}

impl<W: Fn(&[u8])> Lines<W> {
    /// `level` is that of this product: libraries only warn, because what they say at lower levels may hold bodies.
    /// Metrics do not depend on it; `api_id` is their dimension.
    pub fn new(level: LevelFilter, api_id: String, write: W) -> Lines<W> {
        Lines { level, api_id, write }
    }

    fn level_of(&self, target: &str) -> LevelFilter {
        match target.strip_prefix(OURS) {
            Some(_) if target == metrics::TARGET => LevelFilter::INFO,
            Some(rest) if rest.is_empty() || rest.starts_with("::") => self.level,
            Some(_) | None => self.level.min(LevelFilter::WARN),
        }
    }
}

impl<W: Fn(&[u8]) + 'static> Subscriber for Lines<W> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level_of(metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.max(LevelFilter::INFO))
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = if metadata.target() == metrics::TARGET {
            metrics::line(event, &self.api_id, Timestamp::now().as_millisecond())
        } else {
            let mut line = Line::begin(metadata);
            event.record(&mut line);
            line.end(metadata.target())
        };
        line.push(b'\n');
        (self.write)(&line);
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        // No span is enabled, so nobody asks; any id but zero will do.
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

/// A line on its way: what is known of every event, then the event's own fields, then where it comes from.
struct Line(Vec<u8>);

impl Line {
    fn begin(metadata: &Metadata<'_>) -> Line {
        let mut line = Vec::with_capacity(512);
        // Nothing keeps text from a vector, here and below.
        let _ = write!(
            line,
            r#"{{"timestamp":"{:.6}","level":"{}""#,
            Timestamp::now(),
            metadata.level()
        );
        Line(line)
    }

    fn member(&mut self, field: &Field, value: impl serde::Serialize) {
        self.0.push(b',');
        let _ = serde_json::to_writer(&mut self.0, field.name());
        self.0.push(b':');
        let _ = serde_json::to_writer(&mut self.0, &value);
    }

    fn end(mut self, target: &str) -> Vec<u8> {
        self.0.extend(br#","target":"#);
        let _ = serde_json::to_writer(&mut self.0, target);
        self.0.push(b'}');
        self.0
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    /// What `log` writes at that level, line by line, without the times.
    fn lines(level: LevelFilter, log: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&written);
        let lines = Lines::new(level, "a1b2c3d4e5".to_owned(), move |line: &[u8]| {
            out.lock().unwrap().extend_from_slice(line);
        });
        tracing::subscriber::with_default(lines, log);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        let read = |line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if let Some(time) = line.as_object_mut().unwrap().remove("timestamp") {
                time.as_str().unwrap().parse::<Timestamp>().unwrap();
            }
            line
        };
        text.lines().map(read).collect()
    }

    #[test]
    fn an_event_is_one_line_with_its_fields() {
        let found = lines(LevelFilter::INFO, || {
            let id = "01";
            let nothing: Option<&str> = None;
            tracing::info!(event_id = %id, status = 403_u16, nothing, text = "a\n\"b", ok = true, "call {}", 7);
        });
        let expected = json!({
            "level": "INFO", "event_id": "01", "status": 403, "text": "a\n\"b", "ok": true, "message": "call 7",
            "target": "pcs_api::log::tests",
        });
        assert_eq!(found, [expected]);
    }

    #[test]
    fn libraries_only_warn_and_spans_are_not_kept() {
        let found = lines(LevelFilter::DEBUG, || {
            let _span = tracing::warn_span!("span", secret = "s").entered();
            tracing::debug!("ours");
            tracing::trace!("too low");
            tracing::info!(target: "hyper", "too low");
            tracing::info!(target: "pcs_api_else", "too low");
            tracing::warn!(target: "hyper", "theirs");
        });
        let messages: Vec<_> = found.iter().map(|line| line["message"].clone()).collect();
        assert_eq!(messages, ["ours", "theirs"]);
        assert!(lines(LevelFilter::ERROR, || tracing::warn!(target: "hyper", "too low")).is_empty());
    }

    /// The members are those of "Specification: embedded metric format" in the CloudWatch User Guide.
    #[test]
    fn a_metric_is_written_at_any_level() {
        let [found] = lines(LevelFilter::ERROR, || {
            metrics::count(metrics::Metric::Denied);
        })
        .try_into()
        .unwrap();
        assert!(found["_aws"]["Timestamp"].as_i64().unwrap() > 1_700_000_000_000);
        let directive = json!([{
            "Namespace": "PcsApi", "Dimensions": [["ApiId"]], "Metrics": [{"Name": "Denied", "Unit": "Count"}],
        }]);
        assert_eq!(found["_aws"]["CloudWatchMetrics"], directive);
        assert_eq!(
            (&found["ApiId"], &found["Denied"]),
            (&json!("a1b2c3d4e5"), &json!(1))
        );
    }
}
