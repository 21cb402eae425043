//! The Lambda binary: reads the configuration, wires the gateway, starts the runtime. Nothing else happens before
//! the first event.

use std::{io::Write, process::ExitCode};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pcs_api::{
    config::{Config, LogLevel, certificates, variables},
    gateway::Gateway,
    lambda,
    log::Lines,
};
use serde_json::value::RawValue;
use tracing::level_filters::LevelFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// One thread: an execution environment handles one call at a time, and a second thread costs start time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let variable = variables::of_this_process();
    let read = Config::read(&variable).and_then(|config| {
        variables::check_lambda(&variable)?;
        certificates::check(config.aws.trust, &variable)?;
        Ok(config)
    });
    let config = match read {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the function ended: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> Result<(), Error> {
    log(config.log_level, config.deployment.rest_api_id.clone())?;
    for warning in config.warnings() {
        tracing::warn!("PCS_API_ADDITIONAL_IAM_POLICIES: {warning}");
    }
    let gateway = Gateway::new(config);
    let gateway = &gateway;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        lambda::handle(gateway, event).await.map_err(Error::from)
    }))
    .await
}

/// On standard output, which is where CloudWatch Logs and its metric filters look.
fn log(level: LogLevel, api_id: String) -> Result<(), Error> {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let lines = Lines::new(level, api_id, |line: &[u8]| {
        // A log that cannot be written to leaves nobody to tell.
        let _ = std::io::stdout().lock().write_all(line);
    });
    Ok(tracing::subscriber::set_global_default(lines)?)
}
