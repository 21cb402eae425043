//! `iam-emulator`: the emulator on a port of this machine, for clients in any language.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use iam_emulator::{Emulator, Options, Seed};
use lexopt::{Arg, ValueExt};
use local_http::{Hosts, Server};
use tokio::net::TcpListener;

const USAGE: &str = "usage: iam-emulator [--host ADDRESS] [--port PORT] [--allow-host NAME]...
                    [--seed FILE.json] [--data-dir DIR]
                    [--account-id ID] [--partition NAME] [--page-size N]
                    [--propagation-seconds N] [--managed-policies-per-role N]
--allow-host: a name under which others reach it, such as another container's.
Port 0, the default, is any free one; the line READY {\"iam\":\"http://...\"} tells which.";

/// What the command line says.
struct Arguments {
    host: String,
    port: u16,
    hosts: Hosts,
    seed: Option<PathBuf>,
    options: Options,
}

fn main() -> ExitCode {
    let arguments = match parse(lexopt::Parser::from_env()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            // Nobody is left to tell when the output is closed.
            let _ = writeln!(std::io::stdout(), "{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "iam-emulator: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "iam-emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` when help was asked for.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments {
        host: "127.0.0.1".to_owned(),
        port: 0,
        hosts: Hosts::default(),
        seed: None,
        options: Options::default(),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("host") => arguments.host = parser.value()?.string()?,
            Arg::Long("port") => arguments.port = parser.value()?.parse()?,
            Arg::Long("allow-host") => {
                let name = parser.value()?.string()?;
                arguments.hosts = arguments
                    .hosts
                    .with([name])
                    .map_err(|error| format!("--allow-host: {error}"))?;
            }
            Arg::Long("seed") => arguments.seed = Some(parser.value()?.into()),
            Arg::Long("data-dir") => arguments.options.data_dir = Some(parser.value()?.into()),
            Arg::Long("account-id") => arguments.options.account_id = parser.value()?.string()?,
            Arg::Long("partition") => arguments.options.partition = parser.value()?.string()?,
            Arg::Long("page-size") => arguments.options.page_size = parser.value()?.parse()?,
            Arg::Long("propagation-seconds") => {
                let seconds: f64 = parser.value()?.parse()?;
                arguments.options.propagation =
                    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
            }
            Arg::Long("managed-policies-per-role") => {
                arguments.options.quotas.managed_policies_per_role = parser.value()?.parse()?;
            }
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(argument.unexpected()),
        }
    }
    Ok(Some(arguments))
}

#[tokio::main(flavor = "current_thread")]
async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::new(arguments.options)?;
    if let Some(path) = &arguments.seed {
        let seed: Seed = serde_json::from_slice(&std::fs::read(path)?)?;
        emulator.seed(seed)?;
    }
    let address = (arguments.host.as_str(), arguments.port);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("--host {} --port {}: {error}", address.0, address.1))?;
    let url = format!("http://{}", local_http::reachable(listener.local_addr()?));
    let server = Server::default().hosts(arguments.hosts);
    let mut stdout = std::io::stdout();
    writeln!(stdout, "READY {}", serde_json::json!({"iam": url}))?;
    stdout.flush()?;
    emulator
        .serve_as(server, listener, local_http::asked_to_stop())
        .await?;
    Ok(())
}
