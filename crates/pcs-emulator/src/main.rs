//! The `pcs-emulator` program: flags into options, a listener, one READY line.

mod keys;

use std::ffi::OsString;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use lexopt::{Arg, Parser};
use local_http::{Hosts, Server};
use pcs_emulator::{
    ClosedRegion, DeletedIds, EmptySettings, Emulator, GroupNames, HttpStatuses, InstanceProfiles, ListOrder,
    Options, PluginNames, PluginUpdate, QueueUpdate, ResourceTypes, TokenReuse, UnknownIds, UnknownNames,
    UnseenProfiles, UnsetDefaults,
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
    let started = match parse(Parser::from_env()) {
        Ok(Some(arguments)) => run(arguments),
        Ok(None) => return local_program::help("pcs-emulator", HELP),
        Err(message) => Err(format!("{message}; see --help")),
    };
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => local_program::refuse("pcs-emulator", &message),
    }
}

/// `None` asks for help.
fn parse(mut parser: Parser) -> Result<Option<Arguments>, String> {
    let record = std::env::var_os("PCS_EMULATOR_RECORD").filter(|path| !path.is_empty());
    let mut arguments = Arguments {
        host: IpAddr::from([127, 0, 0, 1]),
        port: 3001,
        hosts: Hosts::default(),
        options: Options {
            record: record.map(PathBuf::from),
            ..Options::default()
        },
    };
    let mut profiles = Vec::new();
    while let Some(argument) = parser.next().map_err(|e| e.to_string())? {
        let flag = match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long(flag) => flag.to_owned(),
            Arg::Short(_) | Arg::Value(_) => return Err(argument.unexpected().to_string()),
        };
        let set = match flag.as_str() {
            "no-require-signature" => {
                arguments.options.require_signature = false;
                Ok(())
            }
            "port" => typed(&mut parser).map(|port| arguments.port = port),
            "host" => text(&mut parser)
                .and_then(|host| local_program::address(&host))
                .map(|host| arguments.host = host),
            "allow-host" => allow(&mut arguments, &mut parser),
            "instance-profile" => profile(&mut parser).map(|arn| profiles.push(arn)),
            _ => set_option(&mut arguments.options, &flag, &mut parser),
        };
        set.map_err(|e| format!("--{flag}: {e}"))?;
    }
    if !profiles.is_empty() {
        let known = move |arn: &str| profiles.iter().any(|profile| profile == arn);
        arguments.options.instance_profiles = InstanceProfiles::Known(std::sync::Arc::new(known));
    }
    Ok(Some(arguments))
}

fn allow(arguments: &mut Arguments, parser: &mut Parser) -> Result<(), String> {
    arguments.hosts = arguments.hosts.clone().with([text(parser)?])?;
    Ok(())
}

fn set_option(options: &mut Options, flag: &str, parser: &mut Parser) -> Result<(), String> {
    match flag {
        "data-dir" => options.data_dir = Some(value(parser)?.into()),
        "transition-seconds" => options.transition = local_program::seconds(&text(parser)?)?,
        "account-id" => options.account_id = text(parser)?,
        "account" => {
            let pair = text(parser)?;
            let pair = pair
                .split_once('=')
                .filter(|(key, id)| !key.is_empty() && is_account(id));
            let (key, account) = pair.ok_or("it is KEY=ID, and the ID of twelve digits")?;
            let before = options.accounts.insert(key.to_owned(), account.to_owned());
            if before.is_some_and(|before| before != account) {
                return Err(format!("`{key}` has two accounts; give it one"));
            }
        }
        "record" => options.record = Some(value(parser)?.into()),
        "verify-signatures" => options.credentials = Some(keys::read(&PathBuf::from(value(parser)?))?),
        "default-region" => options.default_region = region(&text(parser)?)?,
        "creatable-versions" => {
            let versions = text(parser)?;
            let versions = versions.split(',').map(version).collect::<Result<_, _>>()?;
            options.creatable_versions = Some(versions);
        }
        "regions-not-enabled" => {
            let regions = text(parser)?;
            for name in regions.split(',') {
                options
                    .closed_regions
                    .insert(region(name)?, ClosedRegion::NotEnabled);
            }
        }
        "clusters-per-region" => options.clusters_per_region = Some(typed(parser)?),
        "node-groups-per-cluster" => options.node_groups_per_cluster = Some(typed(parser)?),
        "queues-per-cluster" => options.queues_per_cluster = Some(typed(parser)?),
        "token-life-seconds" => options.token_life = local_program::seconds(&text(parser)?)?,
        flag if ASSUMPTIONS.contains(&flag) => set_assumption(options, flag, &text(parser)?)?,
        _ => return Err("there is no such flag".to_owned()),
    }
    Ok(())
}

/// The value of the flag that was just read.
fn value(parser: &mut Parser) -> Result<OsString, String> {
    parser.value().map_err(|_| "a value is missing".to_owned())
}

fn text(parser: &mut Parser) -> Result<String, String> {
    let value = value(parser)?;
    value
        .into_string()
        .map_err(|_| "the value is not UTF-8".to_owned())
}

fn typed<T>(parser: &mut Parser) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    let text = text(parser)?;
    text.parse().map_err(|e: T::Err| format!("`{text}`: {e}"))
}

fn profile(parser: &mut Parser) -> Result<String, String> {
    let arn = text(parser)?;
    if is_profile(&arn) {
        return Ok(arn);
    }
    Err(format!(
        "`{arn}` is not the ARN of an instance profile such as arn:aws:iam::123456789012:instance-profile/NAME"
    ))
}

fn is_profile(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
        return false;
    };
    let name = resource
        .strip_prefix("instance-profile/")
        .and_then(|path| path.rsplit('/').next());
    let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    partition.split('-').next() == Some("aws")
        && partition.split('-').all(is_word)
        && is_account(account)
        && name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_taken))
}

fn is_account(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Words and then a number, as the names of all Regions have it, future ones too.
fn region(name: &str) -> Result<String, String> {
    let mut parts = name.rsplit('-');
    let is_number =
        |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let has_number = parts.next().is_some_and(is_number);
    let words: Vec<&str> = parts.collect();
    if has_number && words.len() >= 2 && name.len() <= 32 && words.into_iter().all(is_word) {
        return Ok(name.to_owned());
    }
    Err(format!("`{name}` is no name of a Region such as us-east-1"))
}

fn version(name: &str) -> Result<String, String> {
    let is_number = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = name
        .split_once('.')
        .is_some_and(|(year, month)| is_number(year) && is_number(month));
    is_version
        .then(|| name.to_owned())
        .ok_or_else(|| format!("`{name}` is no version of Slurm such as 25.05"))
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
fn set_assumption(options: &mut Options, flag: &str, value: &str) -> Result<(), String> {
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
        _ => return Err(format!("`{value}` is not one of its values")),
    }
    Ok(())
}

fn unseen_profiles(value: &str) -> Result<UnseenProfiles, String> {
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
        _ => return Err(format!("`{value}` is not one of its values")),
    })
}

fn run(arguments: Arguments) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        local_program::outlive_the_file_size_limit();
        let emulator = Emulator::new(arguments.options).map_err(|e| e.to_string())?;
        let fault =
            |e| local_program::listen_fault("--port", &arguments.host.to_string(), arguments.port, &e);
        let listener = TcpListener::bind((arguments.host, arguments.port))
            .await
            .map_err(fault)?;
        let address = local_http::reachable(listener.local_addr().map_err(fault)?);
        local_program::announce(&format!("READY {{\"pcs\":\"http://{address}\"}}"))?;
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
