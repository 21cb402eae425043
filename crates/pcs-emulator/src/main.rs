//! The `pcs-emulator` program: flags into options, a listener, one READY line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use local_http::{Hosts, Server};
use pcs_emulator::{
    ClosedRegion, Credentials, DeletedIds, EmptySettings, Emulator, GroupNames, HttpStatuses,
    InstanceProfiles, ListOrder, Options, PluginNames, PluginUpdate, QueueUpdate, ResourceTypes, TokenReuse,
    UnknownIds, UnknownNames, UnseenProfiles, UnsetDefaults,
};
use tokio::net::TcpListener;

const HELP: &str = "\
AWS Parallel Computing Service on the wire, for tests and laptops.

Usage: pcs-emulator [OPTIONS]

  --port N                    port to listen on; 0 takes any free one [3001]
  --host ADDRESS              address to listen on [127.0.0.1]
  --allow-host NAME           name under which others reach it, such as another container's; repeatable
  --data-dir DIR              keep the state in DIR over restarts [memory only]
  --transition-seconds N      how long CREATING and the like last [2]
  --account-id ID             account of access keys not named otherwise [123456789012]
  --account KEY=ID            account of one access key; repeatable
  --http-statuses documented|smithy
                              400 for every client error, or 402/403/404/409/429 [documented]
  --no-require-signature      take requests without an Authorization header
  --verify-signatures FILE    verify signatures with the keys in FILE: JSON, access key id -> secret
  --default-region NAME       Region of requests without one [us-east-1]
  --instance-profile ARN      only profiles named so pass iam:PassRole; repeatable [any of the account]
  --unseen-profiles denied|name|name-value|arn-value|auto-scaling|role|field|not-found|fails-later
                              what is said of profiles of the account that do not pass; fails-later takes
                              the call and lets it end in CREATE_FAILED or UPDATE_FAILED [denied]
  --unknown-ids cluster-denied|denied|not-found
                              answer to ids never issued [cluster-denied]
  --deleted-ids not-found|as-unknown
                              answer to ids of resources that are gone [not-found]
  --unknown-names not-found|denied
                              answer to names nobody has [not-found]
  --token-reuse conflict|validation
                              answer to a client token with other parameters [conflict]
  --token-life-seconds N      how long a client token is remembered [86400]
  --resource-types arn|model  resourceType of errors: computenodegroup, or ComputeNodeGroup [arn]
  --queue-update replace|merge
                              what UpdateQueue does with its list of groups [replace]
  --plugin-update replace|merge
                              what UpdateCluster does with its list of job submit plugins [replace]
  --plugin-names pattern|spaces
                              whether names of job submit plugins may hold spaces [pattern: no]
  --empty-settings refused|accepted
                              whether CreateCluster takes an empty slurmCustomSettings [refused]
  --group-names refused|accepted
                              whether a queue's groups may be given by name [refused]
  --unset-defaults omitted|shown
                              whether answers show defaults of members never set [omitted]
  --list-order oldest-first|newest-first
                              order of lists [oldest-first]
  --creatable-versions A,B    scheduler versions CreateCluster takes [those of the API model]
  --clusters-per-region N     raise or lower the quota [5]
  --node-groups-per-cluster N [10]
  --queues-per-cluster N      [10]
  --regions-not-enabled A,B   Regions that the account has not enabled [none]
  --record FILE               append every answered call to FILE, a line of JSON each
                              [the environment's PCS_EMULATOR_RECORD]
  -h, --help                  this text

Listens, then prints one line: READY {\"pcs\":\"http://127.0.0.1:3001\"}
";

/// What the command line asks for.
struct Arguments {
    host: IpAddr,
    port: u16,
    hosts: Hosts,
    options: Options,
}

fn main() -> ExitCode {
    let result = match parse(Parser::from_env()) {
        Ok(None) => io::stdout().write_all(HELP.as_bytes()).map_err(|e| e.to_string()),
        Ok(Some(arguments)) => run(arguments),
        Err(error) => Err(format!("{error}; see --help")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("pcs-emulator: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `None` asks for help.
fn parse(mut parser: Parser) -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments {
        host: IpAddr::from([127, 0, 0, 1]),
        port: 3001,
        hosts: Hosts::default(),
        options: Options {
            record: std::env::var_os("PCS_EMULATOR_RECORD").map(PathBuf::from),
            ..Options::default()
        },
    };
    let mut profiles = Vec::new();
    while let Some(argument) = parser.next()? {
        let flag = match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long(flag) => flag.to_owned(),
            Arg::Short(_) | Arg::Value(_) => return Err(argument.unexpected()),
        };
        match flag.as_str() {
            "no-require-signature" => arguments.options.require_signature = false,
            "port" => arguments.port = parsed(&parser.value()?)?,
            "host" => arguments.host = parsed(&parser.value()?)?,
            "allow-host" => {
                let name = parser.value()?.string()?;
                arguments.hosts = arguments
                    .hosts
                    .with([name])
                    .map_err(|e| format!("--allow-host: {e}"))?;
            }
            "instance-profile" => profiles.push(parser.value()?.string()?),
            _ => set_option(&mut arguments.options, &flag, &mut parser)?,
        }
    }
    if !profiles.is_empty() {
        let known = move |arn: &str| profiles.iter().any(|profile| profile == arn);
        arguments.options.instance_profiles = InstanceProfiles::Known(std::sync::Arc::new(known));
    }
    Ok(Some(arguments))
}

fn set_option(options: &mut Options, flag: &str, parser: &mut Parser) -> Result<(), lexopt::Error> {
    match flag {
        "data-dir" => options.data_dir = Some(parser.value()?.into()),
        "transition-seconds" => options.transition = seconds(&parser.value()?)?,
        "account-id" => options.account_id = parser.value()?.string()?,
        "account" => {
            let pair = parser.value()?.string()?;
            let (key, account) = pair.split_once('=').ok_or("--account takes KEY=ID")?;
            options.accounts.insert(key.to_owned(), account.to_owned());
        }
        "record" => options.record = Some(parser.value()?.into()),
        "verify-signatures" => options.credentials = Some(credentials(parser.value()?)?),
        "default-region" => options.default_region = parser.value()?.string()?,
        "creatable-versions" => {
            let versions = parser.value()?.string()?;
            options.creatable_versions = Some(versions.split(',').map(str::to_owned).collect());
        }
        "regions-not-enabled" => {
            let regions = parser.value()?.string()?;
            let closed = regions
                .split(',')
                .map(|region| (region.to_owned(), ClosedRegion::NotEnabled));
            options.closed_regions.extend(closed);
        }
        "clusters-per-region" => options.clusters_per_region = Some(parsed(&parser.value()?)?),
        "node-groups-per-cluster" => options.node_groups_per_cluster = Some(parsed(&parser.value()?)?),
        "queues-per-cluster" => options.queues_per_cluster = Some(parsed(&parser.value()?)?),
        "token-life-seconds" => options.token_life = seconds(&parser.value()?)?,
        flag if ASSUMPTIONS.contains(&flag) => {
            set_assumption(options, flag, &parser.value()?.string()?)?;
        }
        _ => return Err(lexopt::Error::UnexpectedOption(format!("--{flag}"))),
    }
    Ok(())
}

const ASSUMPTIONS: [&str; 14] = [
    "http-statuses",
    "unseen-profiles",
    "unknown-ids",
    "deleted-ids",
    "unknown-names",
    "token-reuse",
    "resource-types",
    "queue-update",
    "plugin-update",
    "plugin-names",
    "empty-settings",
    "group-names",
    "unset-defaults",
    "list-order",
];

/// The switches of what AWS does not document.
fn set_assumption(options: &mut Options, flag: &str, value: &str) -> Result<(), lexopt::Error> {
    match (flag, value) {
        ("http-statuses", "documented") => options.http_statuses = HttpStatuses::Documented400,
        ("http-statuses", "smithy") => options.http_statuses = HttpStatuses::Smithy,
        ("unseen-profiles", value) => options.unseen_profiles = unseen_profiles(value)?,
        ("unknown-ids", "cluster-denied") => options.unknown_ids = UnknownIds::ClusterDenied,
        ("unknown-ids", "denied") => options.unknown_ids = UnknownIds::Denied,
        ("unknown-ids", "not-found") => options.unknown_ids = UnknownIds::NotFound,
        ("deleted-ids", "not-found") => options.deleted_ids = DeletedIds::NotFound,
        ("deleted-ids", "as-unknown") => options.deleted_ids = DeletedIds::AsUnknown,
        ("unknown-names", "not-found") => options.unknown_names = UnknownNames::NotFound,
        ("unknown-names", "denied") => options.unknown_names = UnknownNames::Denied,
        ("resource-types", "arn") => options.resource_types = ResourceTypes::Arn,
        ("resource-types", "model") => options.resource_types = ResourceTypes::Model,
        ("queue-update", "replace") => options.queue_update = QueueUpdate::Replace,
        ("queue-update", "merge") => options.queue_update = QueueUpdate::Merge,
        ("plugin-update", "replace") => options.plugin_update = PluginUpdate::Replace,
        ("plugin-update", "merge") => options.plugin_update = PluginUpdate::Merge,
        ("plugin-names", "pattern") => options.plugin_names = PluginNames::Pattern,
        ("plugin-names", "spaces") => options.plugin_names = PluginNames::Spaces,
        ("empty-settings", "refused") => options.empty_settings = EmptySettings::Refused,
        ("empty-settings", "accepted") => options.empty_settings = EmptySettings::Accepted,
        ("group-names", "refused") => options.group_names = GroupNames::Refused,
        ("group-names", "accepted") => options.group_names = GroupNames::Accepted,
        ("unset-defaults", "omitted") => options.unset_defaults = UnsetDefaults::Omitted,
        ("unset-defaults", "shown") => options.unset_defaults = UnsetDefaults::Shown,
        ("list-order", "oldest-first") => options.list_order = ListOrder::OldestFirst,
        ("list-order", "newest-first") => options.list_order = ListOrder::NewestFirst,
        ("token-reuse", "conflict") => options.token_reuse = TokenReuse::Conflict,
        ("token-reuse", "validation") => options.token_reuse = TokenReuse::Validation,
        _ => return Err(format!("--{flag} does not take `{value}`").into()),
    }
    Ok(())
}

fn unseen_profiles(value: &str) -> Result<UnseenProfiles, lexopt::Error> {
    Ok(match value {
        "denied" => UnseenProfiles::Denied,
        "name" => UnseenProfiles::Name,
        "name-value" => UnseenProfiles::NameValue,
        "arn-value" => UnseenProfiles::ArnValue,
        "auto-scaling" => UnseenProfiles::AutoScaling,
        "role" => UnseenProfiles::Role,
        "field" => UnseenProfiles::Field,
        "not-found" => UnseenProfiles::NotFound,
        "fails-later" => UnseenProfiles::FailsLater,
        _ => return Err(format!("--unseen-profiles does not take `{value}`").into()),
    })
}

/// Keys from a file and not from the command line, which everybody on the machine can read.
fn credentials(path: OsString) -> Result<Credentials, lexopt::Error> {
    let path = PathBuf::from(path);
    let fault = |e: String| format!("`{}`: {e}", path.display());
    let text = std::fs::read(&path).map_err(|e| fault(e.to_string()))?;
    let keys: BTreeMap<String, String> = serde_json::from_slice(&text).map_err(|e| fault(e.to_string()))?;
    Ok(keys.into_iter().collect())
}

fn seconds(value: &OsString) -> Result<Duration, lexopt::Error> {
    Duration::try_from_secs_f64(parsed(value)?).map_err(|e| e.to_string().into())
}

fn parsed<T>(value: &OsString) -> Result<T, lexopt::Error>
where
    T: FromStr,
    T::Err: Display,
{
    let text = value.to_str().ok_or("a value is not UTF-8")?;
    text.parse().map_err(|e: T::Err| format!("`{text}`: {e}").into())
}

fn run(arguments: Arguments) -> Result<(), String> {
    let emulator = Emulator::new(arguments.options).map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let address = (arguments.host, arguments.port);
        let listener = TcpListener::bind(address)
            .await
            .map_err(|e| format!("cannot listen on --host {} --port {}: {e}", address.0, address.1))?;
        let address = local_http::reachable(listener.local_addr().map_err(|e| e.to_string())?);
        let mut stdout = io::stdout();
        writeln!(stdout, "READY {{\"pcs\":\"http://{address}\"}}")
            .and_then(|()| stdout.flush())
            .map_err(|e| e.to_string())?;
        emulator
            .serve_as(
                Server::default().hosts(arguments.hosts),
                listener,
                local_http::asked_to_stop(),
            )
            .await
            .map_err(|e| e.to_string())
    })
}
