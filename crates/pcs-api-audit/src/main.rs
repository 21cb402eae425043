//! `pcs-api-audit`: runs what was asked, and says by its exit status how that went.

mod arguments;

use std::{fs::File, io::BufReader, path::Path, process::ExitCode};

use arguments::{Arguments, Command, Export, Place, Query, Show, Table, Tail, Verify};
use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::{
    event,
    query::{self, Filter, Source},
};
use pcs_api_audit::{
    connect::Access,
    export::{self, Stretch},
    failure::Failure,
    file, lines,
    output::Output,
    progress::Progress,
    scan, tail,
    verify::{Finding, PublicKey, Rules, Summary, Verifier},
};
use serde_json::{Value, json};

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
    tail::calls(&client, &table, &filter, arguments.limit, |call| {
        let line = if arguments.json {
            Value::Object(event::summary(&call)).to_string()
        } else {
            lines::call(&call)
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
            .map(|row| Value::Object(event::row(row)).to_string())
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
