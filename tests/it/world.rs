//! A running product for one test: the stack of `cargo local` on free ports, and the gateway called as Lambda calls
//! it, with events built from `events/`.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::types::AttributeValue;
use iam_emulator::{Policy, Seed};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use pcs_api::{config::Config, gateway::Gateway, lambda};
use pcs_local::stack::{Options, Stack};
use serde_json::{Value, json, value::to_raw_value};

/// Permissions boundary of [`World::that_makes_roles`].
pub const GUARD: &str = "arn:aws:iam::123456789012:policy/Guard";
/// A policy there, which the documented allowlist lets through.
pub const ALLOWED_POLICY: &str = "arn:aws:iam::123456789012:policy/parallelcluster-a";
pub const PROFILE: &str = "arn:aws:iam::123456789012:instance-profile/AWSPCS-compute-node";
/// Endpoint of a DynamoDB that all tests share; none: each world has its own inside.
const DYNAMODB: &str = "PCS_API_TEST_DYNAMODB";
/// Actions that change something in PCS.
const READS: [&str; 2] = ["Get", "List"];

pub struct World {
    pub stack: Stack,
    pub gateway: Gateway,
    forbidden: ForbiddenWrites,
}

/// Where the deployment makes no roles, nothing in a whole test may write to IAM: looked at when the world ends.
struct ForbiddenWrites {
    iam: iam_emulator::Emulator,
    are_forbidden: bool,
}

impl Drop for ForbiddenWrites {
    fn drop(&mut self) {
        let writes = self
            .iam
            .calls()
            .into_iter()
            .filter(iam_emulator::ReceivedCall::is_write);
        let writes: Vec<String> = writes.map(|call| call.action).collect();
        if !std::thread::panicking() && self.are_forbidden {
            assert_eq!(
                writes,
                Vec::<String>::new(),
                "written to IAM without EnableIamAdminAccess"
            );
        }
    }
}

/// An answer, with its body parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: i64,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// One audit row as plain JSON.
pub type AuditRow = Value;

impl World {
    pub async fn start() -> World {
        World::with(&[]).await
    }

    /// With some environment variables of the function changed.
    pub async fn with(variables: &[(&str, &str)]) -> World {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        World::with_options(Options {
            variables,
            ..Options::default()
        })
        .await
    }

    /// With permission to make roles under the boundary [`GUARD`], and [`ALLOWED_POLICY`] to put on them.
    pub async fn that_makes_roles() -> World {
        let world = World::with(&[
            ("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "true"),
            ("PCS_API_PERMISSIONS_BOUNDARY", GUARD),
        ])
        .await;
        let document = json!({"Version": "2012-10-17", "Statement": []});
        let seed = [GUARD, ALLOWED_POLICY]
            .into_iter()
            .fold(Seed::new(), |seed, arn| {
                seed.policy(Policy::new(arn, document.clone()))
            });
        world.stack.iam_emulator.seed(seed).unwrap();
        world
    }

    /// Ends all of it, whoever looks at the emulators too: a folder is of one world at a time.
    pub async fn stop(self) {
        drop(self.forbidden);
        self.stack.stop().await;
    }

    pub async fn with_options(mut options: Options) -> World {
        options.pcs_record = std::env::var_os("PCS_EMULATOR_RECORD").map(PathBuf::from);
        if let Some(endpoint) = shared_dynamodb() {
            static TABLES: AtomicU32 = AtomicU32::new(0);
            let number = TABLES.fetch_add(1, Ordering::Relaxed);
            let table = format!("audit-{}-{number}", std::process::id());
            let variables = [
                ("AWS_ENDPOINT_URL_DYNAMODB", endpoint),
                ("PCS_API_AUDIT_TABLE", table),
            ];
            for (name, value) in variables {
                options.variables.entry(name.to_owned()).or_insert(value);
            }
        }
        let stack = Stack::start(options).await.unwrap();
        let gateway = gateway(stack.variables());
        let makes_roles = stack
            .variables()
            .get("PCS_API_ENABLE_IAM_ADMIN_ACCESS")
            .is_some_and(|on| on == "true");
        let forbidden = ForbiddenWrites {
            iam: stack.iam_emulator.clone(),
            are_forbidden: !makes_roles,
        };
        World {
            stack,
            gateway,
            forbidden,
        }
    }

    pub async fn send(&self, event: &Value) -> Answer {
        self.send_within(event, Duration::from_secs(28)).await
    }

    /// Calls the function with this much time left.
    pub async fn send_within(&self, event: &Value, left: Duration) -> Answer {
        invoke(&self.gateway, event, left).await
    }

    /// Moves PCS's clock past every transition.
    pub fn settle(&self) {
        self.stack.pcs_emulator.advance(Duration::from_mins(1));
    }

    /// A cluster that is ACTIVE, by the events' name.
    pub async fn cluster(&self) -> Answer {
        let answer = self.send(&event("create-cluster")).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        self.settle();
        answer
    }

    /// A cluster with a compute node group, both ACTIVE.
    pub async fn node_group(&self) -> Answer {
        self.cluster().await;
        let answer = self.send(&event("create-compute-node-group")).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        self.settle();
        answer
    }

    /// Names of the PCS actions received.
    pub fn pcs_actions(&self) -> Vec<String> {
        self.stack
            .pcs_emulator
            .calls()
            .into_iter()
            .map(|call| call.action)
            .collect()
    }

    pub fn pcs_mutations(&self) -> Vec<String> {
        let is_read = |action: &String| READS.iter().any(|read| action.starts_with(read));
        self.pcs_actions()
            .into_iter()
            .filter(|action| !is_read(action))
            .collect()
    }

    pub async fn rows(&self) -> Vec<AuditRow> {
        rows(&self.stack).await
    }

    /// Name of the audit table.
    pub fn table(&self) -> &str {
        table_of(&self.stack)
    }

    /// Sort keys of all rows, in the order of calls.
    pub async fn stages(&self) -> Vec<String> {
        self.rows()
            .await
            .iter()
            .map(|row| row["sk"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// When a sweep must run to close every record that was opened before this was called, and not its own.
pub async fn after_all_have_ended() -> Timestamp {
    // Rows know milliseconds.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap();
    now + SignedDuration::from_mins(15)
}

pub fn gateway(variables: &BTreeMap<String, String>) -> Gateway {
    Gateway::new(Config::read(|name| variables.get(name).cloned()).unwrap())
}

pub async fn invoke(gateway: &Gateway, event: &Value, left: Duration) -> Answer {
    answer(&invoke_raw(gateway, event, left).await.unwrap())
}

/// What the function returns to whoever invoked it.
pub async fn invoke_raw(
    gateway: &Gateway,
    event: &Value,
    left: Duration,
) -> Result<Value, lambda::SweepFailed> {
    invoke_as("8476a536-e9f4-11e8-9739-2dfe598c3fcd", gateway, event, left).await
}

/// With this as Lambda's own request id.
pub async fn invoke_as(
    request_id: &str,
    gateway: &Gateway,
    event: &Value,
    left: Duration,
) -> Result<Value, lambda::SweepFailed> {
    let mut context = Context::default();
    request_id.clone_into(&mut context.request_id);
    let deadline = (SystemTime::now() + left).duration_since(UNIX_EPOCH).unwrap();
    context.deadline = u64::try_from(deadline.as_millis()).unwrap();
    let reply = lambda::handle(gateway, LambdaEvent::new(to_raw_value(event).unwrap(), context)).await?;
    Ok(serde_json::to_value(&reply).unwrap())
}

/// Reads what the function returned.
pub fn answer(response: &Value) -> Answer {
    let body = response["body"]
        .as_str()
        .map_or(Value::Null, |body| serde_json::from_str(body).unwrap());
    let headers = response["headers"].as_object().unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    Answer {
        status: response["statusCode"].as_i64().unwrap(),
        headers,
        body,
    }
}

/// `events/NAME.json`.
pub fn event(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("events")
        .join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

/// The event with the members of its JSON body replaced; `null` removes one.
pub fn with_body(mut event: Value, changes: Value) -> Value {
    let mut body: Value = serde_json::from_str(event["body"].as_str().unwrap_or("{}")).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(name);
        } else {
            body[name] = value.clone();
        }
    }
    event["body"] = Value::String(body.to_string());
    event
}

/// The event with these query parameters and no others.
pub fn with_query(mut event: Value, parameters: &[(&str, &str)]) -> Value {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in parameters {
        all.entry(name).or_default().push(value);
    }
    let last: BTreeMap<&str, &str> = parameters.iter().copied().collect();
    event["queryStringParameters"] = json!(last);
    event["multiValueQueryStringParameters"] = json!(all);
    event
}

/// The event with other values in its path, as API Gateway writes them.
pub fn at(mut event: Value, values: &[(&str, &str)]) -> Value {
    const PLAIN: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    for (name, value) in values {
        event["pathParameters"][*name] = json!(value);
    }
    let mut path = event["resource"].as_str().unwrap().to_owned();
    for (name, value) in event["pathParameters"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        let value = percent_encoding::utf8_percent_encode(value, PLAIN).to_string();
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    event["path"] = json!(path);
    event
}

/// The event as another caller of the same role or another role sends it.
pub fn called_by(mut event: Value, role_id: &str, session: &str) -> Value {
    event["requestContext"]["identity"]["caller"] = json!(format!("{role_id}:{session}"));
    event["requestContext"]["identity"]["user"] = json!(format!("{role_id}:{session}"));
    event["requestContext"]["identity"]["userArn"] = json!(format!(
        "arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/{session}"
    ));
    event
}

/// The rows of all calls, in the order of calls and of stages; without the copies of closing rows that are there to be
/// found by another key.
pub async fn rows(stack: &Stack) -> Vec<AuditRow> {
    let mut rows = table(stack).await;
    rows.retain(|row| row["pk"].as_str().unwrap().starts_with("E#") && row["sk"] != "8#IDENTIFIED");
    rows
}

/// All rows of the audit table, in the order of `at` and of stages.
pub async fn table(stack: &Stack) -> Vec<AuditRow> {
    let mut rows: Vec<Value> = items(stack).await.iter().map(plain_item).collect();
    rows.sort_by_key(|row| format!("{} {}", row["at"].as_str().unwrap(), row["sk"].as_str().unwrap()));
    rows
}

/// Makes all rows of a partition expire now, as time would.
pub async fn expire(stack: &Stack, pk: &str) {
    let client = dynamodb(&stack.dynamodb);
    for row in table(stack).await.iter().filter(|row| row["pk"] == pk) {
        let key = |name: &str| AttributeValue::S(row[name].as_str().unwrap().to_owned());
        let update = client
            .update_item()
            .table_name(table_of(stack))
            .key("pk", key("pk"))
            .key("sk", key("sk"))
            .update_expression("SET expires = :now")
            .expression_attribute_values(":now", AttributeValue::N("1".to_owned()));
        update.send().await.unwrap();
    }
}

/// All rows of the audit table, as DynamoDB returns them, in no order.
pub async fn items(stack: &Stack) -> Vec<HashMap<String, AttributeValue>> {
    let scan = dynamodb(&stack.dynamodb).scan().table_name(table_of(stack));
    let pages = scan
        .consistent_read(true)
        .limit(500)
        .into_paginator()
        .items()
        .send();
    let items = pages.collect::<Vec<_>>().await;
    items.into_iter().map(Result::unwrap).collect()
}

fn table_of(stack: &Stack) -> &str {
    &stack.variables()["PCS_API_AUDIT_TABLE"]
}

pub fn shared_dynamodb() -> Option<String> {
    std::env::var(DYNAMODB)
        .ok()
        .filter(|endpoint| !endpoint.is_empty())
}

/// A client of the stack's DynamoDB.
pub fn dynamodb(url: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(aws_credential_types::Credentials::from_keys("test", "test", None))
        .http_client(pcs_api::aws::http_client())
        .endpoint_url(url)
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

pub fn plain_item(item: &HashMap<String, AttributeValue>) -> Value {
    item.iter()
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}

fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(number) => serde_json::from_str(number).unwrap(),
        AttributeValue::Bool(flag) => json!(flag),
        AttributeValue::L(list) => list.iter().map(plain).collect(),
        AttributeValue::M(map) => plain_item(map),
        // The key of the audit's page tokens.
        AttributeValue::B(bytes) => json!(bytes.as_ref().len()),
        other @ (AttributeValue::Bs(_) | _) => {
            panic!("unexpected attribute {other:?}")
        }
    }
}
