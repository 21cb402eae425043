//! What the person at the terminal may ask.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use jiff::Timestamp;
use pcs_api::{audit::question, operations::Operation};
use pcs_api_audit::{
    service::url,
    time::{ago, hour, time},
};

/// Below the help of every command.
const STATUS: &str = "\
Exit status: 0: done, also where nothing was found, and for `verify` whole; 1: `verify` found something;
2: the arguments are wrong, or it could not be done, in one sentence on standard error.";

/// Reads the audit trail of PCS API, and proves that nothing in it was changed or taken away
///
/// Credentials and Region are found as the AWS CLI finds them.
#[derive(Debug, Parser)]
#[command(name = "pcs-api-audit", version, after_help = STATUS)]
// Without a command its help would be printed, as an error of forty lines.
#[command(subcommand_required = true, arg_required_else_help = false)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every row, chain and digest; exit status 0: whole, 1: not whole, 2: could not be checked
    #[command(after_help = STATUS)]
    Verify(Verify),
    /// Show the newest calls, a line each
    #[command(after_help = STATUS)]
    Tail(Tail),
    /// Find calls, newest first
    #[command(after_help = STATUS)]
    Query(Query),
    /// Show everything that is on record of one call
    #[command(after_help = STATUS)]
    Show(Show),
    /// Write calls as JSON lines shaped like `CloudTrail`'s, or rows as they are
    #[command(after_help = STATUS)]
    Export(Export),
}

#[derive(Debug, Args)]
pub struct Place {
    /// Name of the audit table; `PCS_API_AUDIT_TABLE` does the same
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Name or ARN of the `CloudFormation` stack whose table it is (its output `AuditTableName`)
    #[arg(long, value_name = "NAME", value_parser = stack, conflicts_with = "table")]
    pub stack: Option<String>,
    /// Region of the table, and of the stack
    #[arg(long)]
    pub region: Option<String>,
    /// Profile of ~/.aws/config
    #[arg(long)]
    pub profile: Option<String>,
    /// URL of another DynamoDB; `AWS_ENDPOINT_URL_DYNAMODB` does the same
    #[arg(long, value_name = "URL", value_parser = url)]
    pub endpoint_url: Option<String>,
}

#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub place: Place,
    /// Check a raw export instead of a table
    #[arg(long, value_name = "FILE", conflicts_with_all = ["table", "stack"])]
    pub file: Option<PathBuf>,
    /// Public half of the key that signs the digests: PEM, or base64 as `aws kms get-public-key` gives it
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// Hour from which on digests must be signed, like 2026-11-21T13; with a key the default is all
    #[arg(long, value_name = "HOUR", allow_hyphen_values = true, value_parser = hour)]
    pub signed_from: Option<Timestamp>,
    /// Judge what has expired, and what is late, as of this time; default now, or when the export was made
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time)]
    pub as_of: Option<Timestamp>,
    /// Findings and the summary as JSON lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Tail {
    #[command(flatten)]
    pub place: Place,
    /// Go on with the calls that come
    #[arg(long)]
    pub follow: bool,
    /// Begin this long ago, at most 366 days
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, default_value = "10m", value_parser = ago)]
    pub since: Timestamp,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("by").args(["principal", "cluster", "request_id"]))]
pub struct Query {
    #[command(flatten)]
    pub place: Place,
    /// Unique id of a user or role (AIDA.., AROA..) without the session, account id of root, ACCOUNT:NAME of a federated user
    #[arg(long, value_name = "ID", value_parser = principal)]
    pub principal: Option<String>,
    /// Name or id of a cluster; repeat it for the other names of the same cluster, 4 in all
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    pub cluster: Vec<String>,
    /// API Gateway's request id
    #[arg(long, value_name = "ID", value_parser = request_id)]
    pub request_id: Option<String>,
    /// Like `CreateCluster`, in any case
    #[arg(long, value_parser = operation)]
    pub operation: Option<String>,
    /// ALLOW, DENY, ERROR or UNKNOWN
    #[arg(long, value_parser = ["ALLOW", "DENY", "ERROR", "UNKNOWN"], ignore_case = true)]
    pub decision: Option<String>,
    /// Region that the call was about
    #[arg(long, value_name = "REGION", value_parser = region)]
    pub of_region: Option<String>,
    /// From this time on, at most 366 days before the end (3,660 with one of the three ids): 2026-11-21T13:30:00Z, 2026-11-21T13, 2026-11-21, or a time ago like 36h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "24h", value_parser = time)]
    pub from: Timestamp,
    /// Before this time [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time)]
    pub to: Option<Timestamp>,
    /// At most so many calls; they are shown as they are read
    #[arg(long, allow_hyphen_values = true, default_value = "100", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// JSON lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub place: Place,
    /// Event id, as lists show it
    #[arg(value_parser = event_id)]
    pub event_id: String,
    /// The rows as JSON lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub place: Place,
    /// Calls from this time on, at most 366 days before the end; without it the whole table is read, in the order of its partitions
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time)]
    pub from: Option<Timestamp>,
    /// Calls before this time [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time, requires = "from")]
    pub to: Option<Timestamp>,
    /// The rows themselves in DynamoDB JSON, which `verify --file` reads
    #[arg(long)]
    pub raw: bool,
    /// File instead of standard output; it appears whole or not at all, and only its owner may read it
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A value that the API's own parameter would take; with another nothing could be found.
fn checked(operation: Operation, parameter: &str, value: &str) -> Result<String, String> {
    question::fault(operation, parameter, value).map_or_else(|| Ok(value.to_owned()), Err)
}

/// A name as `CloudFormation` takes it, or an ARN of its own: arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID.
fn stack(text: &str) -> Result<String, String> {
    let is_plain = |text: &str| {
        let mut bytes = text.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_name = |text: &str| is_plain(text) && text.len() <= 128;
    let mut parts = text.splitn(6, ':');
    let is_arn = parts.next() == Some("arn")
        && parts.next().is_some_and(is_plain)
        && parts.next() == Some("cloudformation")
        && parts.next().is_some_and(is_plain)
        && parts.next().is_some_and(is_plain)
        && parts
            .next()
            .and_then(|rest| rest.strip_prefix("stack/")?.split_once('/'))
            .is_some_and(|(name, id)| is_name(name) && is_plain(id));
    (is_arn || is_name(text)).then(|| text.to_owned()).ok_or_else(|| {
        "must be the name of a stack, at most 128 letters, digits and hyphens that begin with one of the first two, or its ARN \
         (arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID)"
            .to_owned()
    })
}

fn principal(text: &str) -> Result<String, String> {
    checked(Operation::ListAuditEvents, "principalId", text)
        .map_err(|fault| format!("{fault}; `aws iam get-role --query Role.RoleId` tells that of a role"))
}

fn cluster(text: &str) -> Result<String, String> {
    checked(Operation::ListAuditEvents, "clusterIdentifier", text)
}

fn request_id(text: &str) -> Result<String, String> {
    checked(Operation::ListAuditEvents, "requestId", text)
}

fn region(text: &str) -> Result<String, String> {
    checked(Operation::ListAuditEvents, "awsRegion", text)
}

fn operation(text: &str) -> Result<String, String> {
    let meant = Operation::all()
        .map(Operation::name)
        .find(|name| name.eq_ignore_ascii_case(text));
    checked(Operation::ListAuditEvents, "operation", meant.unwrap_or(text))
}

fn event_id(text: &str) -> Result<String, String> {
    checked(Operation::GetAuditEvent, "eventId", &text.to_ascii_uppercase())
}
