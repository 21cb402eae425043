//! The process is killed while sixteen clients call it: what was acknowledged is there, and the trail is whole.
//!
//! `PCS_LOCAL_KILLS=30 cargo test --package pcs-local --test it kill` kills it more often than a run of all tests does.

use std::{
    collections::{BTreeMap, HashSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_credential_types::Credentials;
use jiff::{SignedDuration, Timestamp};
use pcs_api::{audit::chain::Item, config::Config, gateway::Gateway};
use pcs_api_audit::verify::{Rules, Verifier};
use pcs_local::{
    past,
    stack::{Options, Stack},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

use crate::client;

const CLIENTS: usize = 16;
const KILLS: usize = 3;
const GUARD: &str = "arn:aws:iam::123456789012:policy/Guard";
const ALLOWED: &str = "arn:aws:iam::123456789012:policy/parallelcluster-a";
const PROCESS: &str = env!("CARGO_BIN_EXE_pcs-local");
const VARIABLES: [(&str, &str); 3] = [
    ("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "true"),
    ("PCS_API_PERMISSIONS_BOUNDARY", GUARD),
    ("PCS_API_REGION_SCOPE", "us-east-1"),
];

/// A folder that is there as long as the test is.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("pcs-local-{name}-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn copy(&self) -> Folder {
        let copy = Folder::new("copy");
        copy_all(&self.0, &copy.0);
        copy
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_all(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// A `pcs-local` on free ports, killed when it is dropped.
struct Running {
    process: Child,
    urls: Value,
}

impl Running {
    fn start(folder: &Folder) -> Running {
        let ports = [
            "--port",
            "--pcs-port",
            "--iam-port",
            "--dynamodb-port",
            "--page-port",
        ];
        let mut process = Command::new(PROCESS)
            .args(ports.iter().flat_map(|port| [port, "0"]))
            .args(["--transition-seconds", "0", "--data-dir"])
            .arg(&folder.0)
            .envs(VARIABLES)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.next().unwrap().unwrap();
        let urls = serde_json::from_str(ready.strip_prefix("READY ").unwrap()).unwrap();
        Running { process, urls }
    }

    fn url(&self, part: &str) -> String {
        self.urls[part].as_str().unwrap().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What clients were told before the process died.
#[derive(Default)]
struct Acknowledged {
    /// API Gateway's request ids of calls that were answered, with their status.
    calls: Mutex<BTreeMap<String, u16>>,
    /// The highest value of each client's tag.
    tags: Mutex<BTreeMap<usize, usize>>,
    /// Roles that IAM said it has.
    roles: Mutex<Vec<String>>,
    answers: AtomicUsize,
    changed: Notify,
}

struct Load {
    gateway: String,
    iam: String,
    cluster_arn: String,
    /// Of the process, so that no two make the same names.
    number: usize,
    acknowledged: Arc<Acknowledged>,
}

impl Load {
    /// Calls until the process is gone.
    async fn client(self: Arc<Load>, client: usize) {
        for turn in 1.. {
            if let Err(error) = self.turn(client, turn).await {
                eprintln!("client {client}: {error}");
                return;
            }
        }
    }

    async fn turn(&self, client: usize, turn: usize) -> std::io::Result<()> {
        let value = self.number * 1_000_000 + turn;
        let tags = format!("/v1/tags?resourceArn={}", escaped(&self.cluster_arn));
        let body = json!({"tags": {format!("client-{client}"): value.to_string()}});
        if self.call("POST", &tags, Some(&body)).await? == 204 {
            self.acknowledged.tags.lock().unwrap().insert(client, value);
        }
        self.call("GET", "/v1/clusters", None).await?;
        self.call("GET", "/v1/clusters?region=nowhere", None).await?;
        let queue = json!({"queueName": format!("q-{client}")});
        self.call("POST", "/v1/clusters/demo/queues", Some(&queue))
            .await?;
        self.call("DELETE", &format!("/v1/clusters/demo/queues/q-{client}"), None)
            .await?;
        if client == 0 {
            let mut group = group(&format!("g-{value}"));
            self.call("POST", "/v1/clusters/demo/compute-node-groups", Some(&group))
                .await?;
            group["iam"]["additionalIamPolicies"] = json!(["arn:aws:iam::123456789012:policy/Other"]);
            self.call("POST", "/v1/clusters/demo/compute-node-groups", Some(&group))
                .await?;
        }
        let role = format!("load-{client}-{value}");
        let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("Action", "CreateRole"),
                ("Version", "2010-05-08"),
                ("RoleName", &role),
            ])
            .extend_pairs([("AssumeRolePolicyDocument", trust)])
            .finish();
        if client::iam(&self.iam, &form).await?.status == 200 {
            self.acknowledged.roles.lock().unwrap().push(role);
        }
        Ok(())
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<u16> {
        let answer = client::call(&self.gateway, method, path, body).await?;
        assert!(
            answer.status < 500,
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        let id = answer.request_id.unwrap();
        self.acknowledged.calls.lock().unwrap().insert(id, answer.status);
        self.acknowledged.answers.fetch_add(1, Ordering::SeqCst);
        self.acknowledged.changed.notify_one();
        Ok(answer.status)
    }
}

fn escaped(text: &str) -> String {
    text.replace(':', "%3A").replace('/', "%2F")
}

fn group(name: &str) -> Value {
    json!({
        "computeNodeGroupName": name,
        "subnetIds": ["subnet-0123456789abcdef0"],
        "iam": {"additionalIamPolicies": [ALLOWED]},
        "scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": 4},
        "instanceConfigs": [{"instanceType": "c6i.xlarge"}],
        "customLaunchTemplate": {"id": "lt-0123456789abcdef0", "version": "1"},
    })
}

/// Makes the cluster that all clients use; returns its ARN.
async fn prepare(running: &Running) -> String {
    let document = json!({"Version": "2012-10-17", "Statement": []});
    let policies: Vec<Value> = [GUARD, ALLOWED]
        .map(|arn| json!({"arn": arn, "defaultVersionId": "v1", "versions": [{"id": "v1", "document": document}]}))
        .into();
    let seeded = client::control(&running.url("iam"), "seed", &json!({"policies": policies}))
        .await
        .unwrap();
    assert_eq!(seeded.status, 200, "{}", seeded.body);
    let cluster = json!({
        "clusterName": "demo",
        "scheduler": {"type": "SLURM", "version": "25.05"},
        "size": "SMALL",
        "networking": {"subnetIds": ["subnet-0123456789abcdef0"], "securityGroupIds": ["sg-0123456789abcdef0"]},
    });
    let made = client::call(&running.url("gateway"), "POST", "/v1/clusters", Some(&cluster))
        .await
        .unwrap();
    assert_eq!(made.status, 202, "{}", made.body);
    made.json()["cluster"]["arn"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_under_load_loses_nothing_and_leaves_a_whole_trail() {
    let kills = std::env::var("PCS_LOCAL_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let folder = Folder::new("kills");
    let acknowledged = Arc::new(Acknowledged::default());
    let mut cluster_arn = None;
    for number in 1..=kills {
        let running = Running::start(&folder);
        let cluster_arn: &String = match &mut cluster_arn {
            Some(arn) => arn,
            none => none.insert(prepare(&running).await),
        };
        let load = Arc::new(Load {
            gateway: running.url("gateway"),
            iam: running.url("iam"),
            cluster_arn: cluster_arn.clone(),
            number,
            acknowledged: Arc::clone(&acknowledged),
        });
        let before = acknowledged.answers.load(Ordering::SeqCst);
        let clients = (0..CLIENTS).map(|client| tokio::spawn(Arc::clone(&load).client(client)));
        let clients: Vec<_> = clients.collect();
        // Not a time but an amount of work, another one each time: a slow machine is killed at the same moments.
        let enough = 150 + number * 37 % 200;
        while acknowledged.answers.load(Ordering::SeqCst) < before + enough {
            assert!(
                clients.iter().any(|client| !client.is_finished()),
                "all clients have given up"
            );
            let _ = tokio::time::timeout(Duration::from_secs(1), acknowledged.changed.notified()).await;
        }
        drop(running);
        for client in clients {
            client.await.unwrap();
        }
        is_whole(&folder.copy(), &acknowledged, cluster_arn, number == 1).await;
    }
}

/// Starts on what the killed process left, and looks at once and after hours.
async fn is_whole(folder: &Folder, acknowledged: &Acknowledged, cluster_arn: &str, after_days: bool) {
    let stack = Stack::start(Options {
        data_dir: Some(folder.0.clone()),
        transition: Duration::ZERO,
        variables: VARIABLES
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Options::default()
    })
    .await
    .unwrap();
    let rows = items(&stack).await;
    nothing_is_lost(&stack, acknowledged, &rows, cluster_arn).await;
    verify(&rows, Timestamp::now());
    let config = Config::read(|name| stack.variables().get(name).cloned()).unwrap();
    past::begin(&tables(&stack), &Arc::new(config.clone()))
        .await
        .unwrap();
    let gateway = Gateway::new(config);
    let restarted = Timestamp::now();
    // The first process had no sweep.
    let minutes: &[i64] = if after_days {
        &[4_320, 4_380]
    } else {
        &[0, 20, 80, 140, 600, 660]
    };
    for minutes in minutes.iter().copied() {
        let now = restarted + SignedDuration::from_mins(minutes);
        let deadline = Instant::now() + Duration::from_mins(1);
        gateway.sweep("sweep", now, deadline).await.unwrap();
        // What the sweep closed is summed up when it must have reached the index.
        let now = now + SignedDuration::from_mins(6);
        gateway.go_on("go-on", now, deadline).await.unwrap();
        verify(&items(&stack).await, now);
    }
    stack.stop().await;
}

async fn nothing_is_lost(stack: &Stack, acknowledged: &Acknowledged, rows: &[Item], cluster_arn: &str) {
    let text = |row: &Item, name: &str| row.get(name).and_then(|value| value.as_s().ok()).cloned();
    let recorded: HashSet<String> = rows.iter().filter_map(|row| text(row, "requestID")).collect();
    for (id, status) in acknowledged.calls.lock().unwrap().iter() {
        assert!(
            recorded.contains(id),
            "a call that was answered {status} is not on record"
        );
    }
    let path = format!("/v1/tags?resourceArn={}", escaped(cluster_arn));
    let tags = client::call(&stack.gateway, "GET", &path, None)
        .await
        .unwrap()
        .json();
    for (client, value) in acknowledged.tags.lock().unwrap().iter() {
        let kept = tags["tags"][format!("client-{client}")].as_str().unwrap_or("0");
        assert!(
            kept.parse::<usize>().unwrap() >= *value,
            "{kept} is older than {value}"
        );
    }
    let roles = acknowledged.roles.lock().unwrap().clone();
    for role in roles {
        let form = format!("Action=GetRole&Version=2010-05-08&RoleName={role}");
        let answer = client::iam(&stack.iam, &form).await.unwrap();
        assert_eq!(answer.status, 200, "{role} is lost");
    }
}

fn verify(rows: &[Item], now: Timestamp) {
    let rules = Rules {
        as_of: Some(now),
        ..Rules::default()
    };
    let mut findings = Vec::new();
    let mut verifier = Verifier::new(rules, |finding| findings.push(format!("{finding:?}")));
    for row in rows {
        verifier.add(row);
    }
    verifier.finish();
    assert_eq!(findings, Vec::<String>::new(), "at {now}");
}

/// All rows of the audit table.
pub async fn items(stack: &Stack) -> Vec<Item> {
    let scan = tables(stack)
        .scan()
        .table_name(&stack.variables()["PCS_API_AUDIT_TABLE"])
        .consistent_read(true)
        .limit(500);
    let items = scan.into_paginator().items().send().collect::<Vec<_>>().await;
    items.into_iter().map(Result::unwrap).collect()
}

fn tables(stack: &Stack) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(Credentials::from_keys("test", "test", None))
        .http_client(pcs_api::aws::http_client())
        .endpoint_url(&stack.dynamodb)
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}
