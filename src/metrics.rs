//! Counts for alarms, in CloudWatch's embedded metric format: one line on standard output, no call and no agent.
//!
//! The product says what happened as an event of this module's target, which the Lambda binary's log (`log.rs`) writes
//! as a metric. Elsewhere, on a laptop or in a test, nobody listens and nothing is written.

use tracing::{
    Event,
    field::{Field, Visit},
};

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
    /// A sweep could not look at everything, or is far behind.
    SweepIncomplete,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Metric::GuardrailDrift => "GuardrailDrift",
            Metric::Denied => "Denied",
            Metric::AuditUnavailable => "AuditUnavailable",
            Metric::AuditIncomplete => "AuditIncomplete",
            Metric::SweepIncomplete => "SweepIncomplete",
        }
    }
}

/// Counts one.
pub fn count(metric: Metric) {
    tracing::info!(target: TARGET, metric = metric.name());
}

/// A metric's event as CloudWatch reads it from a function's log (User Guide, "Specification: embedded metric
/// format"), with the deployment's REST API as dimension `ApiId`, so that two deployments do not set off each other's
/// alarms. `api_id` is of letters and digits, as `Config` has checked.
pub(crate) fn line(event: &Event<'_>, api_id: &str, milliseconds: i64) -> Vec<u8> {
    let mut name = Name(String::new());
    event.record(&mut name);
    let Name(name) = name;
    format!(
        r#"{{"_aws":{{"Timestamp":{milliseconds},"CloudWatchMetrics":[{{"Namespace":"{NAMESPACE}","Dimensions":[["ApiId"]],"Metrics":[{{"Name":"{name}","Unit":"Count"}}]}}]}},"ApiId":"{api_id}","{name}":1}}"#
    )
    .into_bytes()
}

struct Name(String);

impl Visit for Name {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "metric" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
