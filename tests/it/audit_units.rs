//! What a call's record costs in DynamoDB's write units, told by DynamoDB itself, and held against the table of
//! `docs/audit.md`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        runtime_components::RuntimeComponents,
    },
    http::{Request, Response},
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use pcs_api::aws::http_client;
use serde_json::{Value, json};

use crate::{
    wire::Wire,
    world::{ALLOWED_POLICY, GUARD, World, at, event, invoke, with_body},
};

/// What a million write request units cost in us-east-1, in thousandths of a dollar; the document names it.
const PRICE_THOUSANDTHS: u64 = 625;

/// Asks DynamoDB what each row costs in the table and in each index, and writes it down.
#[derive(Debug, Clone)]
struct Meter {
    inner: SharedHttpClient,
    written: Arc<Mutex<Vec<Units>>>,
}

/// Write units of one row.
#[derive(Debug, Clone, PartialEq)]
struct Units {
    sk: String,
    table: u64,
    indexes: BTreeMap<String, u64>,
}

impl Units {
    fn total(&self) -> u64 {
        self.table + self.indexes.values().sum::<u64>()
    }
}

#[derive(Debug)]
struct MeterConnector {
    inner: SharedHttpConnector,
    meter: Meter,
}

impl HttpClient for Meter {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(MeterConnector {
            inner: self.inner.http_connector(settings, components),
            meter: self.clone(),
        })
    }
}

impl HttpConnector for MeterConnector {
    fn call(&self, mut request: Request) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        if !target.ends_with(".PutItem") {
            return self.inner.call(request);
        }
        let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let sk = body["Item"]["sk"]["S"].as_str().unwrap().to_owned();
        body["ReturnConsumedCapacity"] = json!("INDEXES");
        let body = body.to_string();
        request
            .headers_mut()
            .insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        let sent = self.inner.call(request);
        let written = Arc::clone(&self.meter.written);
        HttpConnectorFuture::new(async move {
            let answer = sent.await?;
            let status = answer.status();
            let bytes = ByteStream::new(answer.into_body())
                .collect()
                .await
                .unwrap()
                .to_vec();
            let told: Value = serde_json::from_slice(&bytes).unwrap();
            written.lock().unwrap().push(units(sk, &told["ConsumedCapacity"]));
            Ok(Response::new(status, SdkBody::from(bytes)))
        })
    }
}

fn units(sk: String, told: &Value) -> Units {
    let whole = |value: &Value| {
        let units = value["CapacityUnits"].as_f64().unwrap();
        assert!((units - units.round()).abs() < 0.01, "{told}");
        format!("{units:.0}").parse::<u64>().unwrap()
    };
    let indexes = told["GlobalSecondaryIndexes"].as_object().unwrap();
    let indexes = indexes.iter().map(|(name, value)| (name.clone(), whole(value)));
    let units = Units {
        sk,
        table: whole(&told["Table"]),
        indexes: indexes.collect(),
    };
    assert_eq!(whole(told), units.total(), "{told}");
    units
}

/// Name in the document, the request, and its status.
fn calls() -> Vec<(&'static str, Value, i64)> {
    let profile = |name: &str| {
        let arn = format!("arn:aws:iam::123456789012:instance-profile/{name}");
        with_body(
            event("create-compute-node-group"),
            json!({"iamInstanceProfileArn": arn}),
        )
    };
    let nowhere = at(event("get-cluster"), &[("clusterIdentifier", "no-such-cluster")]);
    let role = with_body(
        event("create-compute-node-group"),
        json!({
            "computeNodeGroupName": "with-a-role",
            "clientToken": "a-token-of-its-own",
            "iamInstanceProfileArn": null,
            "iam": {"additionalIamPolicies": [ALLOWED_POLICY]},
        }),
    );
    vec![
        ("read of a list", event("list-clusters"), 200),
        ("read of one cluster", event("get-cluster"), 200),
        ("read that fails", nowhere, 404),
        ("mutation (UpdateCluster)", event("update-cluster"), 202),
        (
            "creation (CreateCluster)",
            with_body(
                event("create-cluster"),
                json!({"clusterName": "another-cluster", "clientToken": null}),
            ),
            202,
        ),
        (
            "creation with an instance profile",
            event("create-compute-node-group"),
            202,
        ),
        ("creation with a role made for it", role, 202),
        (
            "denial by a guardrail that read IAM",
            profile("AWSPCS-administrator"),
            403,
        ),
        (
            "denial of a caller who was not established",
            event("refused-no-identity"),
            403,
        ),
        (
            "request that breaks the contract",
            event("refused-invalid-members"),
            400,
        ),
    ]
}

async fn world() -> World {
    let world = World::that_makes_roles().await;
    let node = iam_emulator::Role::new("AWSPCS-compute-node")
        .attach("arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy")
        .boundary(Some(GUARD));
    let seed = iam_emulator::Seed::new().role(node);
    world.stack.iam_emulator.seed(seed).unwrap();
    world.cluster().await;
    world
}

#[tokio::test]
async fn write_units_are_what_the_document_says() {
    let world = world().await;
    let meter = Meter {
        inner: http_client(),
        written: Arc::default(),
    };
    let gateway = Wire::over(SharedHttpClient::new(meter.clone()), &world).gateway(&world);
    let mut lines = Vec::new();
    for (name, request, status) in calls() {
        meter.written.lock().unwrap().clear();
        let answer = invoke(&gateway, &request, Duration::from_secs(28)).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        world.settle();
        let rows = meter.written.lock().unwrap().clone();
        let table: u64 = rows.iter().map(|row| row.table).sum();
        let total: u64 = rows.iter().map(Units::total).sum();
        let stages: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {}+{}", row.sk, row.table, row.total() - row.table))
            .collect();
        // Thousandths of a dollar for a thousand units are dollars for a million.
        let dollars = total * PRICE_THOUSANDTHS;
        lines.push(format!(
            "| {name} | {} | {table} | {} | {total} | {}.{:02} |",
            rows.len(),
            total - table,
            dollars / 1_000,
            dollars % 1_000 / 10
        ));
        eprintln!("{name}: {}", stages.join(", "));
    }
    let found = lines.join("\n");
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md")).unwrap();
    assert!(
        document.contains(&found),
        "docs/audit.md says otherwise than DynamoDB:\n{found}"
    );
}
