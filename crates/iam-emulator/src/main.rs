//! `iam-emulator`: the emulator on a port of this machine, for clients in any language.

use std::fmt::Display;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use iam_emulator::{Emulator, Options, Seed};
use lexopt::Arg;
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
    host: IpAddr,
    port: u16,
    hosts: Hosts,
    seed: Option<PathBuf>,
    options: Options,
}

fn main() -> ExitCode {
    let started = match parse(lexopt::Parser::from_env()) {
        Ok(Some(arguments)) => run(arguments),
        Ok(None) => return local_program::help("iam-emulator", USAGE),
        Err(message) => Err(format!("{message}; see --help")),
    };
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => local_program::refuse("iam-emulator", &message),
    }
}

/// `None` when help was asked for.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments {
        host: Ipv4Addr::LOCALHOST.into(),
        port: 0,
        hosts: Hosts::default(),
        seed: None,
        options: Options::default(),
    };
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let flag = match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long(flag) => flag.to_owned(),
            Arg::Short(_) | Arg::Value(_) => return Err(argument.unexpected().to_string()),
        };
        set(&mut arguments, &flag, &mut parser).map_err(|message| format!("--{flag}: {message}"))?;
    }
    Ok(Some(arguments))
}

fn set(arguments: &mut Arguments, flag: &str, parser: &mut lexopt::Parser) -> Result<(), String> {
    let is_known = FLAGS.contains(&flag);
    if !is_known {
        return Err("there is no such flag".to_owned());
    }
    let value = parser.value().map_err(|_| "a value is missing".to_owned())?;
    match flag {
        "seed" => arguments.seed = Some(value.into()),
        "data-dir" => arguments.options.data_dir = Some(value.into()),
        _ => {
            let text = value
                .into_string()
                .map_err(|_| "the value is not UTF-8".to_owned())?;
            set_text(arguments, flag, text)?;
        }
    }
    Ok(())
}

const FLAGS: [&str; 10] = [
    "host",
    "port",
    "allow-host",
    "seed",
    "data-dir",
    "account-id",
    "partition",
    "page-size",
    "propagation-seconds",
    "managed-policies-per-role",
];

fn set_text(arguments: &mut Arguments, flag: &str, text: String) -> Result<(), String> {
    let options = &mut arguments.options;
    match flag {
        "host" => arguments.host = local_program::address(&text)?,
        "port" => arguments.port = number(&text)?,
        "allow-host" => arguments.hosts = arguments.hosts.clone().with([text])?,
        "account-id" => options.account_id = text,
        "partition" => options.partition = text,
        "page-size" => {
            options.page_size = number(&text)?;
            if options.page_size == 0 {
                return Err("a page holds at least 1".to_owned());
            }
        }
        "propagation-seconds" => options.propagation = local_program::seconds(&text)?,
        _ => options.quotas.managed_policies_per_role = number(&text)?,
    }
    Ok(())
}

fn number<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: Display,
{
    text.parse().map_err(|error| format!("`{text}`: {error}"))
}

#[tokio::main(flavor = "current_thread")]
async fn run(arguments: Arguments) -> Result<(), String> {
    local_program::outlive_the_file_size_limit();
    let emulator = Emulator::new(arguments.options).map_err(|error| error.to_string())?;
    if let Some(path) = &arguments.seed {
        let fault = |error: &dyn Display| format!("--seed `{}`: {error}", path.display());
        let text = local_program::read(path).map_err(|error| fault(&error))?;
        let seed = Seed::read(&text).map_err(|error| fault(&error))?;
        if !emulator.seed_once(seed).map_err(|error| fault(&error))? {
            let note = "iam-emulator: the data folder was seeded before and keeps what it holds; --seed is not read again";
            let _ = writeln!(std::io::stderr(), "{note}");
        }
    }
    let fault =
        |error| local_program::listen_fault("--port", &arguments.host.to_string(), arguments.port, &error);
    let listener = TcpListener::bind((arguments.host, arguments.port))
        .await
        .map_err(fault)?;
    let address = local_http::reachable(listener.local_addr().map_err(fault)?);
    let url = format!("http://{address}");
    let server = Server::default().hosts(arguments.hosts);
    local_program::announce(&format!("READY {}", serde_json::json!({"iam": url})))?;
    emulator
        .serve_as(server, listener, local_http::asked_to_stop())
        .await
        .map_err(|error| error.to_string())
}
