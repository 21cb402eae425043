//! `bench`: what the function costs, beside what it could cost and what others cost. `scripts/bench` builds the
//! programs, runs this and says what the options mean; docs/performance.md explains the figures.

mod bodies;
mod cores;
mod growth;
mod guard;
mod load;
mod measure;
mod plot;
mod programs;
mod report;
mod runtime_api;
mod scenarios;
mod start;
mod tls;
mod upstream;
mod world;

use std::{
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use lexopt::{Arg, ValueExt};
use serde_json::Value;

use programs::Paths;
use report::{Budget, Limit, Report, figure};
use world::World;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const MEBI: f64 = 1024.0 * 1024.0;

/// How much is measured.
struct Options {
    /// Starts of each program.
    rounds: u32,
    /// After each start.
    pause: Duration,
    /// Warm calls of each program.
    calls: u32,
    /// How long each load lasts.
    load: Duration,
}

/// What the command line asks for.
struct Command {
    paths: Paths,
    options: Options,
    /// Parts to run, of `calls`, `bodies`, `growth`, `load`, `guard`, `figures`, `profile:EVENT` and `spin:EVENT`.
    parts: Vec<String>,
    folder: PathBuf,
    json: Option<PathBuf>,
    plot: Option<PathBuf>,
    zip: Option<PathBuf>,
    figures: PathBuf,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when the output is closed.
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let command = parse(lexopt::Parser::from_env())?;
    let mut runtime = if command.parts.iter().any(|part| part == "load") {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        // One thread beside the one under measure: with more, which core wakes which is what would be measured.
        cores::part();
        tokio::runtime::Builder::new_current_thread()
    };
    let report = runtime.enable_all().build()?.block_on(carry_out(&command))?;
    std::io::stdout().write_all(report.text.as_bytes())?;
    if let Some(path) = &command.json {
        let json = Value::Object(report.json);
        fs::write(path, serde_json::to_string_pretty(&json)? + "\n")?;
    }
    Ok(())
}

async fn carry_out(command: &Command) -> Outcome<Report> {
    let mut report = Report::default();
    let world = World::start(&command.paths, &command.folder).await?;
    for part in &command.parts {
        match part.as_str() {
            "calls" => {
                scenarios::run(&command.paths, &command.options, &world, &mut report).await?;
                sizes(command, &mut report)?;
            }
            "growth" => {
                let panels = growth::run(&command.paths, &command.options, &world, &mut report).await?;
                if let Some(path) = &command.plot {
                    fs::write(path, plot::svg(&panels))?;
                }
            }
            "bodies" => bodies::run(&command.paths, &command.options, &world, &mut report).await?,
            "load" => load::run(&command.paths, &command.options, &world, &mut report).await?,
            "guard" | "figures" => {
                let figures = (command.figures.as_path(), part == "figures");
                guard::run(&command.paths, &world, &command.folder, figures, &mut report).await?;
            }
            other if other.starts_with("spin:") => spin(command, &world, other, &mut report).await?,
            other => {
                let event = other.strip_prefix("profile:");
                let event = event.ok_or_else(|| format!("there is no part `{other}`"))?;
                report.text += &guard::profile(&command.paths, &world, &command.folder, event).await?;
            }
        }
    }
    report.budget_table();
    Ok(report)
}

/// Calls of one kind and nothing else, for a profiler to look at.
async fn spin(command: &Command, world: &World, part: &str, report: &mut Report) -> Outcome<()> {
    let event = world::bytes(&world.event(part.trim_start_matches("spin:"))?);
    let program = command.paths.gateway(&world.plain);
    let status = runtime_api::Function::start(&program, None)
        .await?
        .invoke(&event)
        .await?
        .status;
    let contestant = measure::Contestant {
        program,
        event,
        status,
    };
    for warm in measure::warm(&[contestant], command.options.calls).await? {
        let (took, cpu) = (figure(warm.took.median()), figure(warm.cpu));
        report.heading(&format!("{part}: p50 {took} us, CPU {cpu} us"));
    }
    Ok(())
}

fn sizes(command: &Command, report: &mut Report) -> Outcome<()> {
    let mut rows = Vec::new();
    let mut measure = |name: String, path: &Path| -> Outcome<f64> {
        let size = mebibytes(fs::metadata(path)?.len());
        rows.push(vec![name, figure(size)]);
        Ok(size)
    };
    let binary = measure("gateway".to_owned(), Path::new(&command.paths.gateway))?;
    report.budgets.push(Budget::new(
        "binary, MB of 10^6 bytes",
        binary * MEBI / 1e6,
        Limit::AtMost(8.0),
    ));
    if let Some(path) = &command.zip {
        let zip = measure("gateway, zipped".to_owned(), path)?;
        report.budgets.push(Budget::new(
            "zip, MB of 10^6 bytes",
            zip * MEBI / 1e6,
            Limit::AtMost(4.0),
        ));
    }
    for (name, path) in &command.paths.variants {
        measure(format!("gateway, {name}"), Path::new(path))?;
    }
    measure("floor".to_owned(), Path::new(&command.paths.floor))?;
    measure("bare".to_owned(), Path::new(&command.paths.bare))?;
    report.heading("Sizes");
    report.table("sizes", &["", "MiB"], &rows);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "below 2^52")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MEBI
}

fn parse(mut parser: lexopt::Parser) -> Outcome<Command> {
    let mut command = Command {
        paths: Paths::default(),
        options: Options {
            rounds: 40,
            pause: Duration::from_millis(2),
            calls: 2_000,
            load: Duration::from_secs(6),
        },
        parts: Vec::new(),
        folder: std::env::temp_dir(),
        json: None,
        plot: None,
        zip: None,
        figures: PathBuf::from("benches/figures.json"),
    };
    let paths = &mut command.paths;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("gateway") => paths.gateway = parser.value()?.string()?,
            Arg::Long("variant") => {
                let text = parser.value()?.string()?;
                let (name, path) = text.split_once('=').ok_or("--variant NAME=PATH")?;
                paths.variants.push((name.to_owned(), path.to_owned()));
            }
            Arg::Long("floor") => paths.floor = parser.value()?.string()?,
            Arg::Long("bare") => paths.bare = parser.value()?.string()?,
            Arg::Long("python") => paths.python = Some(parser.value()?.string()?),
            Arg::Long("parallelcluster") => paths.parallelcluster = Some(parser.value()?.string()?),
            Arg::Long("python-files") => paths.python_files = parser.value()?.string()?,
            Arg::Long("events") => paths.events = parser.value()?.string()?,
            Arg::Long("folder") => command.folder = parser.value()?.into(),
            Arg::Long("json") => command.json = Some(parser.value()?.into()),
            Arg::Long("plot") => command.plot = Some(parser.value()?.into()),
            Arg::Long("zip") => command.zip = Some(parser.value()?.into()),
            Arg::Long("figures") => command.figures = parser.value()?.into(),
            Arg::Long("starts") => command.options.rounds = parser.value()?.parse()?,
            Arg::Long("pause-ms") => {
                command.options.pause = Duration::from_millis(parser.value()?.parse()?);
            }
            Arg::Long("calls") => command.options.calls = parser.value()?.parse()?,
            Arg::Long("load-seconds") => {
                command.options.load = Duration::from_secs(parser.value()?.parse()?);
            }
            Arg::Value(part) => command.parts.push(part.string()?),
            Arg::Long(_) | Arg::Short(_) => return Err(argument.unexpected().into()),
        }
    }
    Ok(command)
}
