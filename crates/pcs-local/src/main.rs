//! `cargo local`: the whole product on a laptop, without an AWS account.

mod arguments;

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use local_http::Hosts;
use pcs_local::{
    environment, hello,
    stack::{Options, Stack},
};
use tracing_subscriber::EnvFilter;

use arguments::Arguments;

const PROGRAM: &str = "pcs-local";

#[tokio::main]
async fn main() -> ExitCode {
    local_program::outlive_the_file_size_limit();
    let arguments = match local_program::arguments(PROGRAM) {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    match start(arguments).await {
        Ok(stack) => run(stack).await,
        Err(message) => refuse(&message),
    }
}

fn refuse(message: &str) -> ExitCode {
    local_program::refuse(PROGRAM, message)
}

async fn start(arguments: Arguments) -> Result<Stack, String> {
    log()?;
    let environment = environment::pick(std::env::vars_os())?;
    for sentence in environment.mistaken {
        tell(&format!("{sentence}\n"));
    }
    let hosts = Hosts::default()
        .with(arguments.allowed_hosts)
        .map_err(|error| format!("--allow-host: {error}"))?;
    let record = std::env::var_os("PCS_EMULATOR_RECORD").filter(|path| !path.is_empty());
    let sweep_every = Duration::from_secs(arguments.sweep_seconds);
    let options = Options {
        host: arguments.host,
        hosts,
        gateway_port: arguments.port,
        pcs_port: arguments.pcs_port,
        iam_port: arguments.iam_port,
        dynamodb_port: arguments.dynamodb_port,
        page_port: arguments.page_port,
        data_dir: arguments.data_dir,
        transition: arguments.transition,
        credentials: arguments.credentials,
        sweep_every: Some(sweep_every).filter(|every| !every.is_zero()),
        pcs_record: record.map(PathBuf::from),
        variables: environment.variables,
        ..Options::default()
    };
    Stack::start(options).await.map_err(|error| error.to_string())
}

/// `PCS_LOCAL_LOG` says what is logged, in the form of `tracing`.
fn log() -> Result<(), String> {
    const NAME: &str = "PCS_LOCAL_LOG";
    let given = std::env::var_os(NAME).filter(|value| !value.is_empty());
    let fault = |error: &str| format!("{NAME} must be a filter such as `warn` or `pcs_local=debug`: {error}");
    let given = given.map(std::ffi::OsString::into_string).transpose();
    let given = given.map_err(|_| fault("it is not UTF-8"))?;
    let filter = EnvFilter::builder()
        .parse(given.as_deref().unwrap_or("warn"))
        .map_err(|error| fault(&error.to_string()))?;
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .with_env_filter(filter)
        .init();
    Ok(())
}

async fn run(stack: Stack) -> ExitCode {
    tell(&hello::text(&stack));
    if !stack.caught_up().await {
        tell(
            "The trail of before is still being swept; until that has ended, `pcs-api-audit verify` may find hours \
             without a digest\n",
        );
    }
    if let Err(message) = local_program::announce(&stack.ready_line()) {
        return refuse(&message);
    }
    local_http::asked_to_stop().await;
    stack.stop().await;
    ExitCode::SUCCESS
}

/// A closed output is no reason to stop working.
fn tell(text: &str) {
    let _ = write!(std::io::stderr(), "{text}");
}
