//! The Lambda binary: reads the configuration, wires the gateway, starts the runtime. Nothing else happens before
//! the first event.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pcs_api::{
    config::{Config, LogLevel},
    gateway::Gateway,
    lambda,
    metrics::{self, EmbeddedMetrics},
};
use serde_json::value::RawValue;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

// One thread: an execution environment handles one call at a time, and a second thread costs start time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::read(|name| std::env::var(name).ok()).inspect_err(|error| eprintln!("{error}"))?;
    log(config.log_level, config.deployment.rest_api_id.clone());
    let gateway = Gateway::new(config);
    let gateway = &gateway;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        lambda::handle(gateway, event).await.map_err(Error::from)
    }))
    .await
}

/// JSON lines on standard output, which is where CloudWatch Logs and its metric filters look. The level is that of
/// this product: libraries only warn, because what they say at lower levels may hold bodies.
fn log(level: LogLevel, api_id: String) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let targets = Targets::new()
        .with_target("pcs_api", level)
        .with_target(metrics::TARGET, LevelFilter::OFF)
        .with_default(level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_filter(targets);
    // Metrics do not depend on how talkative the log is.
    let metrics = EmbeddedMetrics { api_id }
        .with_filter(Targets::new().with_target(metrics::TARGET, LevelFilter::INFO));
    tracing_subscriber::registry().with(lines).with(metrics).init();
}
