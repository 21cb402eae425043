//! The command line.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Parser;

/// Runs PCS API and emulators of everything it calls on loopback ports.
///
/// `AWS_ENDPOINT_URL_PCS`, `AWS_ENDPOINT_URL_IAM` and `AWS_ENDPOINT_URL_DYNAMODB` replace an embedded part,
/// `AWS_ENDPOINT_URL_KMS` is where digests are signed; `PCS_API_*` variables replace the local configuration.
#[derive(Debug, Parser)]
#[command(name = "pcs-local", version)]
pub struct Arguments {
    /// Address to listen on; in a container 0.0.0.0
    #[arg(long, allow_hyphen_values = true, default_value = "127.0.0.1", value_parser = local_program::address)]
    pub host: IpAddr,
    /// Name under which others reach it, such as another container's; repeatable
    #[arg(long = "allow-host", value_name = "NAME")]
    pub allowed_hosts: Vec<String>,
    /// Port of the API; 0 takes any free one
    #[arg(long, allow_hyphen_values = true, default_value_t = 3000)]
    pub port: u16,
    /// Port of the PCS emulator
    #[arg(long, allow_hyphen_values = true, default_value_t = 3001)]
    pub pcs_port: u16,
    /// Port of the IAM emulator
    #[arg(long, allow_hyphen_values = true, default_value_t = 3002)]
    pub iam_port: u16,
    /// Port of DynamoDB, which holds the audit table
    #[arg(long, allow_hyphen_values = true, default_value_t = 3003)]
    pub dynamodb_port: u16,
    /// Port of the page that shows the audit trail and the clusters
    #[arg(long, allow_hyphen_values = true, default_value_t = 3004)]
    pub page_port: u16,
    /// Keep all state in this folder; it survives a restart and a kill
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// How long clusters, compute node groups and queues stay CREATING, UPDATING and DELETING
    #[arg(
        long = "transition-seconds",
        value_name = "SECONDS",
        allow_hyphen_values = true,
        default_value = "2",
        value_parser = local_program::seconds
    )]
    pub transition: Duration,
    /// How often the function sweeps, as the deployment's schedule makes it; 0 turns it off
    #[arg(
        long,
        value_name = "SECONDS",
        allow_hyphen_values = true,
        default_value_t = 3600,
        value_parser = clap::value_parser!(u64).range(0..=u64::from(local_program::SECONDS_MAX))
    )]
    pub sweep_seconds: u64,
    /// JSON file with more access keys
    #[arg(long)]
    pub credentials: Option<PathBuf>,
}
