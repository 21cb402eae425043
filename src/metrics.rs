//! Counts for alarms, in CloudWatch's embedded metric format: one line on standard output, no call and no agent.
//!
//! The product says what happened as an event of this module's target; the Lambda binary installs the layer that
//! writes it as a metric. Elsewhere, on a laptop or in a test, nobody listens and nothing is written.

use std::io::{self, Write};

use serde_json::json;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Target of the events that are metrics.
pub const TARGET: &str = "pcs_api::metrics";
const NAMESPACE: &str = "PcsApi";

/// What is counted; alarms stand on these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A role was not the same after PCS had been asked, or breaks a guardrail now.
    GuardrailDrift,
    /// A request was refused by a guardrail, or by a caller who could not be established.
    Denied,
    /// A call was refused because it could not be recorded.
    AuditUnavailable,
    /// A call was carried out and its record could not be completed.
    AuditIncomplete,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Metric::GuardrailDrift => "GuardrailDrift",
            Metric::Denied => "Denied",
            Metric::AuditUnavailable => "AuditUnavailable",
            Metric::AuditIncomplete => "AuditIncomplete",
        }
    }
}

/// Counts one.
pub fn count(metric: Metric) {
    tracing::info!(target: TARGET, metric = metric.name());
}

/// Writes metrics as CloudWatch reads them from a function's log, each with the deployment's REST API as dimension
/// `ApiId`, so that two deployments do not set off each other's alarms.
#[derive(Debug)]
pub struct EmbeddedMetrics {
    pub api_id: String,
}

impl<S: Subscriber> Layer<S> for EmbeddedMetrics {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut name = Name(None);
        event.record(&mut name);
        let Some(name) = name.0.filter(|_| event.metadata().target() == TARGET) else {
            return;
        };
        // A log that cannot be written to leaves nobody to tell.
        let _ = writeln!(
            io::stdout().lock(),
            "{}",
            line(&name, &self.api_id, jiff::Timestamp::now().as_millisecond())
        );
    }
}

/// The embedded metric format (CloudWatch User Guide, "Specification: embedded metric format").
fn line(name: &str, api_id: &str, milliseconds: i64) -> String {
    json!({
        "_aws": {
            "Timestamp": milliseconds,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["ApiId"]],
                "Metrics": [{"Name": name, "Unit": "Count"}],
            }],
        },
        "ApiId": api_id,
        name: 1,
    })
    .to_string()
}

struct Name(Option<String>);

impl Visit for Name {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "metric" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
