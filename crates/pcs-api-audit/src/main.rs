//! `pcs-api-audit`: what the person at the terminal may ask, and the exit status.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ArgGroup, Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::query::{self, Filter, Source};
use pcs_api_audit::{
    connect::Access,
    export::{self, Stretch},
    failure::Failure,
    file, lines,
    output::Output,
    plain,
    progress::Progress,
    scan, tail,
    time::{ago, hour, time},
    verify::{Finding, PublicKey, Rules, Summary, Verifier},
};
use serde_json::{Value, json};

/// Reads the audit trail of PCS API, and proves that nothing in it was changed or taken away
///
/// Credentials and Region are found as the AWS CLI finds them.
#[derive(Debug, Parser)]
#[command(name = "pcs-api-audit", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
struct Table {
    /// Name of the audit table
    #[arg(long)]
    table: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// Region of the table
    #[arg(long)]
    region: Option<String>,
    /// Profile of ~/.aws/config
    #[arg(long)]
    profile: Option<String>,
    /// URL of another DynamoDB; `AWS_ENDPOINT_URL_DYNAMODB` does the same
    #[arg(long)]
    endpoint_url: Option<String>,
}

impl Place {
    async fn connect(self) -> Result<aws_sdk_dynamodb::Client, Failure> {
        let access = Access {
            region: self.region,
            profile: self.profile,
            endpoint_url: self.endpoint_url,
        };
        access.connect().await
    }
}

#[derive(Debug, Args)]
struct Verify {
    /// Name of the audit table
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    table: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Check a raw export instead of a table
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Public half of the key that signs the digests: PEM, or base64 as `aws kms get-public-key` gives it
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Hour from which on digests must be signed, like 2026-11-21T13; with a key the default is all
    #[arg(long, value_name = "HOUR", value_parser = hour)]
    signed_from: Option<Timestamp>,
    /// Judge what has expired, and what is late, as of this time; default now, or when the export was made
    #[arg(long, value_name = "TIME", value_parser = time)]
    as_of: Option<Timestamp>,
    /// Findings and the summary as JSON lines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Tail {
    #[command(flatten)]
    table: Table,
    /// Go on with the calls that come
    #[arg(long)]
    follow: bool,
    /// Begin this long ago
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = ago)]
    since: Timestamp,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("by").args(["principal", "cluster", "request_id"]))]
struct Query {
    #[command(flatten)]
    table: Table,
    /// Unique id of a user or role (AIDA.., AROA..), without the session
    #[arg(long, value_name = "ID")]
    principal: Option<String>,
    /// Name or id of a cluster; repeat it for the other names of the same cluster
    #[arg(long, value_name = "NAME")]
    cluster: Vec<String>,
    /// API Gateway's request id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Like `CreateCluster`
    #[arg(long)]
    operation: Option<String>,
    /// ALLOW, DENY, ERROR or UNKNOWN
    #[arg(long, value_parser = ["ALLOW", "DENY", "ERROR", "UNKNOWN"], ignore_case = true)]
    decision: Option<String>,
    /// Region that the call was about
    #[arg(long, value_name = "REGION")]
    of_region: Option<String>,
    /// From this time on: 2026-11-21T13:30:00Z, 2026-11-21T13, 2026-11-21, or a time ago like 36h
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time)]
    from: Timestamp,
    /// Before this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// At most so many calls
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// JSON lines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    table: Table,
    /// Event id, as lists show it
    event_id: String,
    /// The rows as JSON lines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Export {
    #[command(flatten)]
    table: Table,
    /// Calls from this time on; without it the whole table is read, in the order of its partitions
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Calls before this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = time, requires = "from")]
    to: Option<Timestamp>,
    /// The rows themselves in DynamoDB JSON, which `verify --file` reads
    #[arg(long)]
    raw: bool,
    /// File instead of standard output; it appears whole or not at all, and only its owner may read it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Status of a check that found something, and of one that could not be made.
const NOT_WHOLE: u8 = 1;
const FAILED: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Verify(arguments) => verify(arguments).await,
        Command::Tail(arguments) => tail_calls(arguments).await,
        Command::Query(arguments) => query_calls(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Export(arguments) => export_calls(arguments).await,
    };
    match result {
        Ok(status) => status,
        Err(failure) if failure.is_reader_gone() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("pcs-api-audit: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

async fn verify(arguments: Verify) -> Result<ExitCode, Failure> {
    let rules = Rules {
        as_of: arguments.as_of,
        settled: None,
        public_key: arguments.public_key.as_deref().map(public_key).transpose()?,
        signed_from: arguments.signed_from,
        may_withhold: false,
    };
    let mut report = Report {
        output: Output::open(None)?,
        json: arguments.json,
        is_reader_gone: false,
    };
    let summary = match (arguments.file, arguments.table) {
        (Some(path), _) => verify_file(&path, rules, &mut report)?,
        (None, table) => {
            let client = arguments.place.connect().await?;
            verify_table(&client, &table.unwrap_or_default(), rules, &mut report).await?
        }
    };
    report.summary(&summary);
    Ok(if summary.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_WHOLE)
    })
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Input(format!("`{name}` could not be read: {error}")))?;
    PublicKey::read(&text).map_err(|fault| Failure::Input(format!("`{name}` {fault}")))
}

async fn verify_table(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
    rules: Rules,
    report: &mut Report,
) -> Result<Summary, Failure> {
    let now = Timestamp::now();
    let rules = Rules {
        as_of: rules.as_of.or(Some(now)),
        settled: Some(now),
        ..rules
    };
    let mut verifier = Verifier::new(rules, |finding| report.finding(&finding));
    let mut progress = Progress::begin("rows read");
    scan::rows(client, table, |row| {
        progress.step();
        verifier.add(&row);
        Ok(())
    })
    .await?;
    progress.end();
    Ok(verifier.finish())
}

fn verify_file(path: &Path, rules: Rules, report: &mut Report) -> Result<Summary, Failure> {
    let name = path.display();
    let file =
        File::open(path).map_err(|error| Failure::Input(format!("`{name}` could not be read: {error}")))?;
    let rules = Rules {
        may_withhold: true,
        ..rules
    };
    let verifier = Verifier::new(rules, |finding| report.finding(&finding));
    let mut both = (verifier, Progress::begin("rows read"));
    file::read(
        BufReader::new(file),
        &mut both,
        |(verifier, _), heading| {
            if heading.is_part() {
                let message = "the export holds a stretch of time only; nothing can be said of the whole";
                return Err(Failure::Input(message.to_owned()));
            }
            verifier.exported(heading.begun);
            Ok(())
        },
        |(verifier, progress), row| {
            progress.step();
            verifier.add(&row);
        },
    )?;
    let (verifier, progress) = both;
    progress.end();
    Ok(verifier.finish())
}

/// Where findings go. The check goes on when nobody reads them any more: its status still counts.
struct Report {
    output: Output,
    json: bool,
    is_reader_gone: bool,
}

impl Report {
    fn finding(&mut self, finding: &Finding) {
        let line = if self.json {
            serde_json::to_string(finding).unwrap_or_default()
        } else {
            finding.to_string()
        };
        self.line(&line);
    }

    fn summary(&mut self, summary: &Summary) {
        if self.json {
            self.line(&json!({ "summary": summary }).to_string());
        } else {
            for line in summary.lines() {
                self.line(&line);
            }
        }
    }

    fn line(&mut self, line: &str) {
        if !self.is_reader_gone {
            self.is_reader_gone = self.output.line(line).and_then(|()| self.output.flush()).is_err();
        }
    }
}

async fn tail_calls(arguments: Tail) -> Result<ExitCode, Failure> {
    let Table { table, place } = arguments.table;
    let client = place.connect().await?;
    let mut output = Output::open(None)?;
    tail::run(&client, &table, arguments.since, arguments.follow, &mut output).await?;
    Ok(ExitCode::SUCCESS)
}

async fn query_calls(arguments: Query) -> Result<ExitCode, Failure> {
    let Table { table, place } = arguments.table;
    let source = match (arguments.principal, arguments.request_id) {
        (Some(id), _) => Source::Principal(id),
        (None, Some(id)) => Source::Request(id),
        (None, None) if arguments.cluster.is_empty() => Source::Time,
        (None, None) => Source::Cluster(arguments.cluster),
    };
    let filter = Filter {
        source,
        from: arguments.from,
        to: arguments
            .to
            .unwrap_or_else(|| Timestamp::now() + SignedDuration::from_secs(60)),
        operation: arguments.operation,
        decision: arguments.decision.map(|decision| decision.to_uppercase()),
        region: arguments.of_region,
    };
    let client = place.connect().await?;
    let mut output = Output::open(None)?;
    tail::calls(&client, &table, &filter, arguments.limit, |event| {
        let line = if arguments.json {
            Value::Object(plain::row(&event)).to_string()
        } else {
            lines::call(&event)
        };
        Ok(output.line(&line)?)
    })
    .await?;
    output.end()?;
    Ok(ExitCode::SUCCESS)
}

async fn show(arguments: Show) -> Result<ExitCode, Failure> {
    let Table { table, place } = arguments.table;
    let client = place.connect().await?;
    let rows = query::rows(&client, &table, &arguments.event_id).await?;
    if rows.is_empty() {
        return Err(Failure::Input(format!(
            "there is no call `{}`, or it has expired",
            arguments.event_id
        )));
    }
    let mut output = Output::open(None)?;
    let told = if arguments.json {
        rows.iter()
            .map(|row| Value::Object(plain::row(row)).to_string())
            .collect()
    } else {
        lines::story(&rows)
    };
    for line in told {
        output.line(&line)?;
    }
    output.end()?;
    Ok(ExitCode::SUCCESS)
}

async fn export_calls(arguments: Export) -> Result<ExitCode, Failure> {
    let Table { table, place } = arguments.table;
    let client = place.connect().await?;
    let stretch = arguments.from.map_or(Stretch::Whole, |from| {
        Stretch::Between(from, arguments.to.unwrap_or_else(Timestamp::now))
    });
    let mut output = Output::open(arguments.output.as_deref())?;
    if arguments.raw {
        export::raw(&client, &table, stretch, &mut output).await?;
    } else {
        export::records(&client, &table, stretch, &mut output).await?;
    }
    output.end()?;
    Ok(ExitCode::SUCCESS)
}
