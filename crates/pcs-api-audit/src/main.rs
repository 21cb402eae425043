//! `pcs-api-audit`: runs what was asked, and says by its exit status how that went.

mod arguments;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    process::ExitCode,
};

use arguments::{Arguments, Command, Export, Place, Query, Show, Tail, Verify};
use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::{
    event,
    query::{self, Filter, Source},
};
use pcs_api_audit::{
    connect::{Access, Connected},
    export::{self, Stretch},
    failure::Failure,
    file::{self, Extent},
    lines,
    output::Output,
    progress::Progress,
    range, scan, story, tail,
    verify::{Finding, PublicKey, Rules, Summary, Verifier},
};
use serde_json::{Value, json};

const PROGRAM: &str = "pcs-api-audit";
/// Status of a check that found something.
const NOT_WHOLE: u8 = 1;
/// No PEM of a key on P-256 is longer.
const KEY_BYTES_MAX: u64 = 64 * 1024;
/// As the API.
const CLUSTERS_MAX: usize = 4;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Arguments = match local_program::arguments(PROGRAM) {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let result = match arguments.command {
        Command::Verify(arguments) => verify(arguments).await,
        Command::Tail(arguments) => tail_calls(arguments).await,
        Command::Query(arguments) => query_calls(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Export(arguments) => export_calls(arguments).await,
    };
    match result {
        Ok(status) => status,
        Err(failure) if failure.is_reader_gone() => ExitCode::SUCCESS,
        Err(failure) => local_program::refuse(PROGRAM, &failure.to_string()),
    }
}

async fn verify(arguments: Verify) -> Result<ExitCode, Failure> {
    if arguments.signed_from.is_some_and(|from| from > Timestamp::now()) {
        let message =
            "--signed-from is in the future, so that no digest would have to be signed; give an earlier hour";
        return Err(Failure::Input(message.to_owned()));
    }
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
        fault: None,
    };
    let summary = if let Some(path) = arguments.file {
        verify_file(&path, rules, &mut report)?
    } else {
        let connected = arguments.place.connect().await?;
        let checked = verify_table(&connected.client, &connected.table, rules, &mut report).await;
        explained(&connected, checked).await?
    };
    report.summary(&summary);
    report.end()?;
    Ok(if summary.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_WHOLE)
    })
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let name = path.display();
    let unreadable = |error| Failure::Input(format!("`{name}` could not be read: {error}"));
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(KEY_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    PublicKey::read(&text).map_err(|fault| Failure::Input(format!("`{name}` {fault}")))
}

/// What was done with a table, or why it could not be.
async fn explained<T>(connected: &Connected, result: Result<T, Failure>) -> Result<T, Failure> {
    match result {
        Ok(done) => Ok(done),
        Err(failure) => Err(connected.explained(failure).await),
    }
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
    let extent = file::read(
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
    );
    let extent = extent.map_err(|failure| match failure {
        Failure::Input(fault) => Failure::Input(format!("`{name}`: {fault}")),
        other @ (Failure::Table(_) | Failure::Index | Failure::Output(_)) => other,
    })?;
    let (mut verifier, progress) = both;
    progress.end();
    match extent {
        Extent::CutOff(message) => verifier.cut_off(message),
        Extent::Unknown => verifier.without_extent(),
        Extent::Whole => {}
    }
    Ok(verifier.finish())
}

/// Where findings go. The check goes on when nobody reads them any more: its status still counts.
struct Report {
    output: Output,
    json: bool,
    /// Why nothing is written any more.
    fault: Option<io::Error>,
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
        if self.fault.is_none() {
            self.fault = self.output.line(line).and_then(|()| self.output.flush()).err();
        }
    }

    /// Findings that could not be written were told to nobody.
    fn end(self) -> Result<(), Failure> {
        match self.fault.map(Failure::Output) {
            Some(failure) if !failure.is_reader_gone() => Err(failure),
            Some(_) | None => Ok(()),
        }
    }
}

async fn tail_calls(arguments: Tail) -> Result<ExitCode, Failure> {
    // As far as it reads: clocks differ.
    range::check(
        &Source::Time,
        arguments.since,
        Timestamp::now() + SignedDuration::from_secs(60),
    )?;
    let connected = arguments.place.connect().await?;
    let mut output = Output::open(None)?;
    let (client, table) = (&connected.client, &connected.table);
    let told = tail::run(client, table, arguments.since, arguments.follow, &mut output).await;
    explained(&connected, told).await?;
    Ok(ExitCode::SUCCESS)
}

async fn query_calls(arguments: Query) -> Result<ExitCode, Failure> {
    let filter = filter(&arguments)?;
    range::check(&filter.source, filter.from, filter.to)?;
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let connected = arguments.place.connect().await?;
    let mut output = Output::open(None)?;
    let told = tail::calls(&connected.client, &connected.table, &filter, limit, |call| {
        let line = if arguments.json {
            Value::Object(event::summary(&call)).to_string()
        } else {
            lines::call(&call)
        };
        Ok(output.line(&line)?)
    });
    explained(&connected, told.await).await?;
    output.end()?;
    Ok(ExitCode::SUCCESS)
}

fn filter(arguments: &Query) -> Result<Filter, Failure> {
    if arguments.cluster.len() > CLUSTERS_MAX {
        let message = format!(
            "--cluster is there {} times; give at most {CLUSTERS_MAX}",
            arguments.cluster.len()
        );
        return Err(Failure::Input(message));
    }
    let source = match (&arguments.principal, &arguments.request_id) {
        (Some(id), _) => Source::Principal(id.clone()),
        (None, Some(id)) => Source::Request(id.clone()),
        (None, None) if arguments.cluster.is_empty() => Source::Time,
        (None, None) => Source::Cluster(arguments.cluster.clone()),
    };
    Ok(Filter {
        source,
        from: arguments.from,
        to: arguments
            .to
            .unwrap_or_else(|| Timestamp::now() + SignedDuration::from_secs(60)),
        operation: arguments.operation.clone(),
        decision: arguments
            .decision
            .as_ref()
            .map(|decision| decision.to_uppercase()),
        region: arguments.of_region.clone(),
    })
}

async fn show(arguments: Show) -> Result<ExitCode, Failure> {
    let connected = arguments.place.connect().await?;
    let rows = query::rows(&connected.client, &connected.table, &arguments.event_id).await;
    let rows = explained(&connected, rows.map_err(Failure::from)).await?;
    if rows.is_empty() {
        return Err(Failure::Input(format!(
            "there is no call `{}` in `{}`, or it has expired",
            arguments.event_id, connected.table
        )));
    }
    let mut output = Output::open(None)?;
    let told = if arguments.json {
        rows.iter()
            .map(|row| Value::Object(event::row(row)).to_string())
            .collect()
    } else {
        story::lines(&rows)
    };
    for line in told {
        output.line(&line)?;
    }
    output.end()?;
    Ok(ExitCode::SUCCESS)
}

async fn export_calls(arguments: Export) -> Result<ExitCode, Failure> {
    let stretch = match arguments.from {
        None => Stretch::Whole,
        Some(from) => {
            let to = arguments.to.unwrap_or_else(Timestamp::now);
            range::check(&Source::Time, from, to)?;
            Stretch::Between(from, to)
        }
    };
    let connected = arguments.place.connect().await?;
    let (client, table) = (&connected.client, &connected.table);
    let path = arguments.output.as_deref();
    let named = |error| unwritable(path, error);
    let mut output = Output::open(path).map_err(named)?;
    let done = if arguments.raw {
        export::raw(client, table, stretch, &mut output).await
    } else {
        export::records(client, table, stretch, &mut output).await
    };
    explained(&connected, done).await?;
    output.end().map_err(named)?;
    Ok(ExitCode::SUCCESS)
}

/// Names the file that was asked for: the one that is written to until it is whole has a name of its own.
fn unwritable(path: Option<&Path>, error: io::Error) -> Failure {
    match path {
        Some(path) if error.kind() != io::ErrorKind::BrokenPipe => {
            // The other kind repeats a path, which is not the one that was asked for.
            let cause = match error.raw_os_error() {
                Some(_) => error.to_string(),
                None => error.kind().to_string(),
            };
            let name = path.display();
            Failure::Input(format!(
                "--output `{name}` could not be written: {cause}; name another file"
            ))
        }
        Some(_) | None => Failure::Output(error),
    }
}

impl Place {
    async fn connect(self) -> Result<Connected, Failure> {
        let access = Access {
            table: self.table,
            stack: self.stack,
            region: self.region,
            profile: self.profile,
            endpoint_url: self.endpoint_url,
        };
        access.connect().await
    }
}
