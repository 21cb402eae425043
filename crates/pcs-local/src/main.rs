//! `cargo local`: the whole product on a laptop, without an AWS account.

use std::{net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use local_http::Hosts;
use pcs_local::{
    seed,
    stack::{Options, Stack},
};
use tracing_subscriber::EnvFilter;

/// Runs PCS API and emulators of everything it calls on loopback ports.
///
/// `AWS_ENDPOINT_URL_PCS`, `AWS_ENDPOINT_URL_IAM` and `AWS_ENDPOINT_URL_DYNAMODB` replace an embedded part;
/// `PCS_API_*` variables replace the local configuration.
#[derive(Debug, Parser)]
#[command(name = "pcs-local", version)]
struct Arguments {
    /// Address to listen on; in a container 0.0.0.0
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Name under which others reach it, such as another container's; repeatable
    #[arg(long = "allow-host", value_name = "NAME")]
    allowed_hosts: Vec<String>,
    /// Port of the API; 0 takes any free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the PCS emulator
    #[arg(long, default_value_t = 3001)]
    pcs_port: u16,
    /// Port of the IAM emulator
    #[arg(long, default_value_t = 3002)]
    iam_port: u16,
    /// Port of DynamoDB, which holds the audit table
    #[arg(long, default_value_t = 3003)]
    dynamodb_port: u16,
    /// Port of the page that shows the audit trail and the clusters
    #[arg(long, default_value_t = 3004)]
    page_port: u16,
    /// Keep all state in this folder; it survives a restart and a kill
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// How long clusters, compute node groups and queues stay CREATING, UPDATING and DELETING
    #[arg(long, default_value_t = 2.0)]
    transition_seconds: f64,
    /// How often the function sweeps, as the deployment's schedule makes it; 0 turns it off
    #[arg(long, default_value_t = 3600)]
    sweep_seconds: u64,
    /// JSON file with more access keys
    #[arg(long)]
    credentials: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_env("PCS_LOCAL_LOG").unwrap_or_else(|_| EnvFilter::new("warn")))
        .init();
    let arguments = Arguments::parse();
    let Ok(transition) = Duration::try_from_secs_f64(arguments.transition_seconds) else {
        eprintln!("--transition-seconds must be 0 or more");
        return ExitCode::FAILURE;
    };
    let hosts = match Hosts::default().with(arguments.allowed_hosts) {
        Ok(hosts) => hosts,
        Err(error) => {
            eprintln!("--allow-host: {error}");
            return ExitCode::FAILURE;
        }
    };
    let options = Options {
        host: arguments.host,
        hosts,
        gateway_port: arguments.port,
        pcs_port: arguments.pcs_port,
        iam_port: arguments.iam_port,
        dynamodb_port: arguments.dynamodb_port,
        page_port: arguments.page_port,
        data_dir: arguments.data_dir,
        transition,
        credentials: arguments.credentials,
        sweep_every: (arguments.sweep_seconds > 0).then(|| Duration::from_secs(arguments.sweep_seconds)),
        pcs_record: std::env::var_os("PCS_EMULATOR_RECORD").map(PathBuf::from),
        variables: std::env::vars().filter(|(name, _)| is_ours(name)).collect(),
        ..Options::default()
    };
    match Stack::start(options).await {
        Ok(stack) => run(stack).await,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(stack: Stack) -> ExitCode {
    eprintln!("Instance profiles in arn:aws:iam::123456789012:instance-profile/");
    for (name, note) in seed::PROFILES {
        eprintln!("  {name:<22} {note}");
    }
    eprintln!("What happens, live: {}/", stack.page);
    announce(&stack.ready_line());
    local_http::asked_to_stop().await;
    stack.stop().await;
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the one line that scripts wait for")]
fn announce(line: &str) {
    println!("{line}");
}

fn is_ours(name: &str) -> bool {
    name.starts_with("PCS_API_")
        || [
            "AWS_ENDPOINT_URL_PCS",
            "AWS_ENDPOINT_URL_IAM",
            "AWS_ENDPOINT_URL_DYNAMODB",
        ]
        .contains(&name)
}
