//! What the person at the terminal may ask.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use jiff::Timestamp;
use pcs_api_audit::time::{ago, hour, time};

/// Reads the audit trail of PCS API, and proves that nothing in it was changed or taken away
///
/// Credentials and Region are found as the AWS CLI finds them.
#[derive(Debug, Parser)]
#[command(name = "pcs-api-audit", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every row, chain and digest; exit status 0: whole, 1: not whole, 2: could not be checked
    Verify(Verify),
    /// Show the newest calls, a line each
    Tail(Tail),
    /// Find calls, newest first
    Query(Query),
    /// Show everything that is on record of one call
    Show(Show),
    /// Write calls as JSON lines shaped like `CloudTrail`'s, or rows as they are
    Export(Export),
}

#[derive(Debug, Args)]
pub struct Table {
    /// Name of the audit table
    #[arg(long)]
    pub table: String,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct Place {
    /// Region of the table
    #[arg(long)]
    pub region: Option<String>,
    /// Profile of ~/.aws/config
    #[arg(long)]
    pub profile: Option<String>,
    /// URL of another DynamoDB; `AWS_ENDPOINT_URL_DYNAMODB` does the same
    #[arg(long)]
    pub endpoint_url: Option<String>,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Name of the audit table
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    pub table: Option<String>,
    #[command(flatten)]
    pub place: Place,
    /// Check a raw export instead of a table
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Public half of the key that signs the digests: PEM, or base64 as `aws kms get-public-key` gives it
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// Hour from which on digests must be signed, like 2026-11-21T13; with a key the default is all
    #[arg(long, value_name = "HOUR", value_parser = hour)]
    pub signed_from: Option<Timestamp>,
    /// Judge what has expired, and what is late, as of this time; default now, or when the export was made
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub as_of: Option<Timestamp>,
    /// Findings and the summary as JSON lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Tail {
    #[command(flatten)]
    pub table: Table,
    /// Go on with the calls that come
    #[arg(long)]
    pub follow: bool,
    /// Begin this long ago
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = ago)]
    pub since: Timestamp,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("by").args(["principal", "cluster", "request_id"]))]
pub struct Query {
    #[command(flatten)]
    pub table: Table,
    /// Unique id of a user or role (AIDA.., AROA..) without the session, account id of root, ACCOUNT:NAME of a federated user
    #[arg(long, value_name = "ID")]
    pub principal: Option<String>,
    /// Name or id of a cluster; repeat it for the other names of the same cluster
    #[arg(long, value_name = "NAME")]
    pub cluster: Vec<String>,
    /// API Gateway's request id
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Like `CreateCluster`
    #[arg(long)]
    pub operation: Option<String>,
    /// ALLOW, DENY, ERROR or UNKNOWN
    #[arg(long, value_parser = ["ALLOW", "DENY", "ERROR", "UNKNOWN"], ignore_case = true)]
    pub decision: Option<String>,
    /// Region that the call was about
    #[arg(long, value_name = "REGION")]
    pub of_region: Option<String>,
    /// From this time on: 2026-11-21T13:30:00Z, 2026-11-21T13, 2026-11-21, or a time ago like 36h
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time)]
    pub from: Timestamp,
    /// Before this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Timestamp>,
    /// At most so many calls
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// JSON lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub table: Table,
    /// Event id, as lists show it
    pub event_id: String,
    /// The rows as JSON lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub table: Table,
    /// Calls from this time on; without it the whole table is read, in the order of its partitions
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Timestamp>,
    /// Calls before this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = time, requires = "from")]
    pub to: Option<Timestamp>,
    /// The rows themselves in DynamoDB JSON, which `verify --file` reads
    #[arg(long)]
    pub raw: bool,
    /// File instead of standard output; it appears whole or not at all, and only its owner may read it
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
