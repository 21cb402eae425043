//! The whole product in one process: gateway, PCS, IAM and DynamoDB, each on a loopback port of its own, and a page
//! to look at them.
//!
//! The gateway talks to the others over HTTP with its own SDK clients, so nothing of its path is replaced. An
//! endpoint given by `AWS_ENDPOINT_URL_*` is used instead of the embedded part.

mod variables;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use dynoxide::Database;
use local_http::{Hosts, Limits, Server};
use local_program::Folder;
use pcs_api::{
    config::{Config, certificates},
    gateway::Gateway,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    audit_table,
    credentials::Credentials,
    data_dir,
    dynamodb::Dynamodb,
    page::{self, Page, PagePort},
    past,
    proxy_event::Api,
    schedule, seed, server,
    start_error::StartError,
};
use variables::{Endpoints, variables};

/// AWS's documentation account and the deployment constants that events carry.
const ACCOUNT_ID: &str = "123456789012";
const REST_API_ID: &str = "a1b2c3d4e5";
const STAGE: &str = "prod";
const REGION: &str = "us-east-1";
const AUDIT_TABLE: &str = "pcs-api-audit";
/// Gateway, PCS, IAM, DynamoDB and the page.
const PORTS: usize = 5;
/// How long the end waits for calls and a sweep that are under way.
const CALLS_END_IN: Duration = Duration::from_secs(8);
/// How long it then waits for what they called.
const REST_ENDS_IN: Duration = Duration::from_secs(3);
/// How long a start waits for the sweep of what an earlier process left.
const CATCH_UP_MAX: Duration = Duration::from_secs(15);
/// How long one question to DynamoDB may take.
const DYNAMODB_MAX: Duration = Duration::from_secs(30);

/// What the person who starts it may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on.
    pub host: IpAddr,
    /// The hosts that requests may name.
    pub hosts: Hosts,
    /// How long clients may take, on every port.
    pub limits: Limits,
    /// Ports; 0 takes any free one.
    pub gateway_port: u16,
    pub pcs_port: u16,
    pub iam_port: u16,
    pub dynamodb_port: u16,
    pub page_port: u16,
    /// Folder that keeps all state over a restart; `None` keeps it in memory.
    pub data_dir: Option<PathBuf>,
    /// How long CREATING and the like last.
    pub transition: Duration,
    /// How long PCS does not see an instance profile that was just made.
    pub iam_propagation: Duration,
    /// What PCS says of it meanwhile.
    pub unseen_profiles: pcs_emulator::UnseenProfiles,
    /// What PCS answers to a name that nobody has.
    pub unknown_names: pcs_emulator::UnknownNames,
    /// More access keys than the built-in ones.
    pub credentials: Option<PathBuf>,
    /// File that every answer of PCS is added to, for checking them all against PCS's model.
    pub pcs_record: Option<PathBuf>,
    /// The function's time limit.
    pub function_timeout: Duration,
    /// How often the sweep runs; `None`: never.
    pub sweep_every: Option<Duration>,
    /// `PCS_API_*` and `AWS_ENDPOINT_URL_*` values that replace the local ones.
    pub variables: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            host: Ipv4Addr::LOCALHOST.into(),
            hosts: Hosts::default(),
            limits: Limits::default(),
            gateway_port: 0,
            pcs_port: 0,
            iam_port: 0,
            dynamodb_port: 0,
            page_port: 0,
            data_dir: None,
            transition: Duration::from_secs(2),
            iam_propagation: Duration::ZERO,
            unseen_profiles: pcs_emulator::UnseenProfiles::default(),
            unknown_names: pcs_emulator::UnknownNames::NotFound,
            credentials: None,
            pcs_record: None,
            function_timeout: Duration::from_secs(28),
            sweep_every: None,
            variables: BTreeMap::new(),
        }
    }
}

/// Everything that runs, until it is dropped.
pub struct Stack {
    pub gateway: String,
    pub pcs: String,
    pub iam: String,
    pub dynamodb: String,
    pub page: String,
    /// Handles to the embedded parts, for tests.
    pub pcs_emulator: pcs_emulator::Emulator,
    pub iam_emulator: iam_emulator::Emulator,
    variables: BTreeMap<String, String>,
    /// The gateway, the page and the schedule, which call the servers.
    calls: JoinSet<()>,
    shell: Arc<server::Shell>,
    stop_calls: watch::Sender<bool>,
    servers: JoinSet<()>,
    stop: watch::Sender<bool>,
    caught_up: watch::Receiver<()>,
    /// Locked as long as this runs.
    _data: Option<Folder>,
}

impl Stack {
    /// Starts everything and returns when all of it listens.
    pub async fn start(options: Options) -> Result<Stack, StartError> {
        check(&options)?;
        let credentials = credentials(&options)?;
        let data = options.data_dir.as_deref().map(data_dir::open).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        let (stop_calls, mut calls) = (watch::Sender::new(false), JoinSet::new());
        let server = Server::one_of(PORTS)
            .hosts(options.hosts.clone())
            .limits(options.limits);

        let (iam_listener, iam) = listen(&options, "--iam-port", options.iam_port).await?;
        let iam_emulator = iam_emulator(&options)?;
        let serving = iam_emulator
            .clone()
            .serve_as(server.clone(), iam_listener, until(stopped.clone()));
        servers.spawn(async move { report("IAM", serving.await) });

        let (pcs_listener, pcs) = listen(&options, "--pcs-port", options.pcs_port).await?;
        let pcs_emulator = pcs_emulator(&options, &iam_emulator)?;
        let serving = pcs_emulator
            .clone()
            .serve_as(server.clone(), pcs_listener, until(stopped.clone()));
        servers.spawn(async move { report("PCS", serving.await) });

        let dynamodb = match options.variables.get("AWS_ENDPOINT_URL_DYNAMODB") {
            Some(given) if !given.is_empty() => given.clone(),
            Some(_) | None => embedded_dynamodb(&options, &server, &mut servers, stopped.clone()).await?,
        };

        let endpoints = Endpoints {
            pcs: &pcs,
            iam: &iam,
            dynamodb: &dynamodb,
        };
        let variables = variables(&options, &endpoints);
        let config = Config::read(|name| variables.get(name).cloned()).map_err(StartError::Config)?;
        let tables = dynamodb_client(&config);
        let was_there = audit_table::create(&tables, &config.audit.table, &place(&options))
            .await
            .map_err(StartError::Table)?;
        if was_there {
            let checked = past::check_clock(&tables, &config.audit.table).await;
            checked.map_err(StartError::Table)?;
        }
        if let Some(folder) = data.as_ref().filter(|_| !has_own_dynamodb(&options)) {
            data_dir::mark_begun(folder)?;
        }
        let config_of_before = Arc::new(config.clone());
        let past = (was_there && options.data_dir.is_some())
            .then(|| Box::pin(async move { past::begin(&tables, &config_of_before).await }));

        let (page_listener, page) = listen(&options, "--page-port", options.page_port).await?;
        let page_port = PagePort(Arc::new(looker(&config, &pcs, &pcs_emulator)));
        let serving = server
            .clone()
            .serve(page_port, page_listener, until(stop_calls.subscribe()));
        calls.spawn(async move { report("the page", serving.await) });

        let (listener, gateway) = listen(&options, "--port", options.gateway_port).await?;
        let port = listener.local_addr().ok().map(|address| address.port());
        let api = Api { port, ..api(&config) };
        let shell = server::Shell::new(Gateway::new(config), api, credentials, options.function_timeout)
            .map_err(StartError::Emulator)?;
        let shell = Arc::new(shell);
        let (catching_up, caught_up) = watch::channel(());
        if let Some(every) = options.sweep_every {
            let until_stopped = until(stop_calls.subscribe());
            calls.spawn(schedule::run(
                Arc::clone(&shell),
                every,
                past,
                catching_up,
                until_stopped,
            ));
        }
        let serving = server.serve(
            server::ApiPort(Arc::clone(&shell)),
            listener,
            until(stop_calls.subscribe()),
        );
        calls.spawn(async move { report("the gateway", serving.await) });

        Ok(Stack {
            gateway,
            pcs,
            iam,
            dynamodb,
            page,
            pcs_emulator,
            iam_emulator,
            variables,
            calls,
            shell,
            stop_calls,
            servers,
            stop,
            caught_up,
            _data: data,
        })
    }

    /// The gateway's environment: what a Lambda binary needs to behave as this stack does.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Waits until what an earlier process left is swept; `false` where that takes long. It is waited for before READY:
    /// calls that a kill left open and hours without a digest, `pcs-api-audit verify` takes for a trail that was tampered
    /// with, and whoever waits for READY may ask it at once. The ports answer meanwhile.
    pub async fn caught_up(&self) -> bool {
        let mut sweeping = self.caught_up.clone();
        // Nothing is sent; the sender is gone when the sweep has ended, or there is none.
        let ended = tokio::time::timeout(CATCH_UP_MAX, sweeping.changed()).await;
        ended.is_ok()
    }

    /// The line that says where everything listens.
    pub fn ready_line(&self) -> String {
        let urls = serde_json::json!({
            "gateway": self.gateway, "pcs": self.pcs, "iam": self.iam, "dynamodb": self.dynamodb,
            "page": self.page,
        });
        format!("READY {urls}")
    }

    /// Stops everything. Calls and a sweep that are under way end first, if they do so in seconds, and only then the
    /// servers that they need; a sweep that is cut off keeps the next from beginning for a while.
    pub async fn stop(mut self) {
        // Only fails when all of them are gone already.
        let _ = self.stop_calls.send(true);
        let ended = async {
            while self.calls.join_next().await.is_some() {}
            // Those whose clients have left.
            self.shell.idle().await;
        };
        let _ = tokio::time::timeout(CALLS_END_IN, ended).await;
        self.calls.shutdown().await;
        let _ = self.stop.send(true);
        let ended = async { while self.servers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(REST_ENDS_IN, ended).await;
        self.servers.shutdown().await;
    }
}

/// What can be known to be wrong before anything is begun.
fn check(options: &Options) -> Result<(), StartError> {
    let mut ports = vec![
        ("--port", options.gateway_port),
        ("--pcs-port", options.pcs_port),
        ("--iam-port", options.iam_port),
        ("--page-port", options.page_port),
    ];
    if !has_own_dynamodb(options) {
        ports.push(("--dynamodb-port", options.dynamodb_port));
    }
    for (index, (flag, port)) in ports.iter().enumerate().filter(|(_, (_, port))| *port != 0) {
        if let Some((other, _)) = ports.iter().skip(index + 1).find(|(_, other)| other == port) {
            return Err(StartError::Ports([flag, other], *port));
        }
    }
    let anywhere = Endpoints {
        pcs: "http://127.0.0.1",
        iam: "http://127.0.0.1",
        dynamodb: "http://127.0.0.1",
    };
    let variables = variables(options, &anywhere);
    let variable = |name: &str| variables.get(name).cloned();
    Config::read(variable)
        .and_then(|config| certificates::check(config.aws.trust, variable))
        .map_err(StartError::Config)
}

/// Whether the person has one.
fn has_own_dynamodb(options: &Options) -> bool {
    let given = options.variables.get("AWS_ENDPOINT_URL_DYNAMODB");
    given.is_some_and(|endpoint| !endpoint.is_empty())
}

/// How the DynamoDB is called in a sentence about it.
fn place(options: &Options) -> audit_table::Place {
    match options.variables.get("AWS_ENDPOINT_URL_DYNAMODB") {
        Some(endpoint) if !endpoint.is_empty() => audit_table::Place::Elsewhere(endpoint.clone()),
        Some(_) | None => audit_table::Place::Here(options.data_dir.as_deref().map(data_dir::tables)),
    }
}

fn iam_emulator(options: &Options) -> Result<iam_emulator::Emulator, StartError> {
    let emulator = iam_emulator::Emulator::new(iam_emulator::Options {
        account_id: ACCOUNT_ID.to_owned(),
        data_dir: folder(options, "iam"),
        propagation: options.iam_propagation,
        ..iam_emulator::Options::default()
    })
    .map_err(|error| StartError::Emulator(error.to_string()))?;
    emulator
        .seed_once(seed::profiles())
        .map_err(|error| StartError::Emulator(data_dir::not_written(&error)))?;
    Ok(emulator)
}

/// PCS passes the profiles that the IAM beside it has: there is no other way to have a role passed.
fn pcs_emulator(
    options: &Options,
    iam: &iam_emulator::Emulator,
) -> Result<pcs_emulator::Emulator, StartError> {
    let iam = iam.clone();
    pcs_emulator::Emulator::new(pcs_emulator::Options {
        transition: options.transition,
        account_id: ACCOUNT_ID.to_owned(),
        data_dir: folder(options, "pcs"),
        record: options.pcs_record.clone(),
        instance_profiles: pcs_emulator::InstanceProfiles::Known(Arc::new(move |arn| {
            iam.instance_profile_exists(arn)
        })),
        unseen_profiles: options.unseen_profiles,
        unknown_names: options.unknown_names,
        ..pcs_emulator::Options::default()
    })
    .map_err(|error| StartError::Emulator(error.to_string()))
}

fn database(options: &Options) -> Result<Database, StartError> {
    match &options.data_dir {
        None => Database::memory().map_err(|error| StartError::Emulator(error.to_string())),
        Some(folder) => data_dir::database(folder),
    }
}

/// A folder of its own for each part; the part makes it.
fn folder(options: &Options, part: &str) -> Option<PathBuf> {
    options.data_dir.as_ref().map(|folder| folder.join(part))
}

fn credentials(options: &Options) -> Result<Credentials, StartError> {
    let mut credentials = Credentials::built_in(ACCOUNT_ID);
    if let Some(path) = &options.credentials {
        credentials.load(path).map_err(|error| StartError::Credentials {
            path: path.clone(),
            error,
        })?;
    }
    Ok(credentials)
}

fn api(config: &Config) -> Api {
    Api {
        account_id: config.deployment.account_id.clone(),
        api_id: config.deployment.rest_api_id.clone(),
        stage: config.deployment.stage.clone(),
        region: config.aws.region.clone(),
        port: None,
    }
}

/// The page reads the table itself, and not through the API: looking must not add to the trail.
fn looker(config: &Config, pcs: &str, pcs_emulator: &pcs_emulator::Emulator) -> Page {
    Page {
        dynamodb: dynamodb_client(config),
        table: config.audit.table.clone(),
        pcs: pcs_emulator.clone(),
        pcs_elsewhere: config.aws.pcs_endpoint.clone().filter(|endpoint| endpoint != pcs),
        reads: Arc::new(Semaphore::new(page::READS_MAX)),
    }
}

fn dynamodb_client(config: &Config) -> aws_sdk_dynamodb::Client {
    let aws = &config.aws;
    let credentials = aws_credential_types::Credentials::from_keys(
        &aws.access_key_id,
        &aws.secret_access_key,
        aws.session_token.clone(),
    );
    // What takes the connection and says nothing must not keep the start waiting for ever.
    let timeouts = aws_sdk_dynamodb::config::timeout::TimeoutConfig::builder()
        .operation_timeout(DYNAMODB_MAX)
        .build();
    let mut builder = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new(aws.region.clone()))
        .credentials_provider(credentials)
        .timeout_config(timeouts)
        .http_client(pcs_api::aws::trusting(aws.trust));
    builder.set_endpoint_url(aws.dynamodb_endpoint.clone());
    aws_sdk_dynamodb::Client::from_conf(builder.build())
}

/// Starts the DynamoDB that is part of this program, and returns where it listens.
async fn embedded_dynamodb(
    options: &Options,
    server: &Server,
    servers: &mut JoinSet<()>,
    stopped: watch::Receiver<bool>,
) -> Result<String, StartError> {
    let (listener, url) = listen(options, "--dynamodb-port", options.dynamodb_port).await?;
    let dynamodb = Dynamodb::new(database(options)?, stopped.clone());
    let serving = server.clone().serve(dynamodb, listener, until(stopped));
    servers.spawn(async move { report("DynamoDB", serving.await) });
    Ok(url)
}

async fn listen(
    options: &Options,
    flag: &'static str,
    port: u16,
) -> Result<(TcpListener, String), StartError> {
    let address = SocketAddr::from((options.host, port));
    let fault = |error| StartError::Port { flag, address, error };
    let listener = TcpListener::bind(address).await.map_err(fault)?;
    let reachable = local_http::reachable(listener.local_addr().map_err(fault)?);
    Ok((listener, format!("http://{reachable}")))
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // A dropped sender means the stack is gone: that is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn report<E: fmt::Display>(part: &str, ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::error!(part, %error, "a server ended");
    }
}

#[cfg(test)]
mod tests;
