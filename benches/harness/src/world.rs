//! What every measurement begins with: emulators with something in them, and the events of `events/`.

use std::path::Path;

use bytes::Bytes;
use http::Request;
use iam_emulator::{InstanceProfile, Role, Seed};
use serde_json::{Value, json};

use crate::{
    Outcome,
    programs::Paths,
    runtime_api::Function,
    tls,
    upstream::{Counts, Endpoints, Upstreams, Wire},
};

const COMPUTE_NODE_POLICY: &str = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy";
pub const PROFILE: &str = "AWSPCS-compute-node";
/// One for the gateway, one for the bare handlers, whose client tokens differ.
const CLUSTERS: [&str; 2] = ["demo-cluster", "bare-cluster"];
/// Of an answer of AWS, roughly: what a service in the same Region takes at best.
pub const LATENCY_MS: u64 = 5;

pub struct World {
    pub upstreams: Upstreams,
    pub plain: Endpoints,
    pub tls: Endpoints,
    /// With [`LATENCY_MS`] before every answer.
    pub slow: Endpoints,
    events: String,
}

impl World {
    pub async fn start(paths: &Paths, folder: &Path) -> Outcome<World> {
        let iam = iam_emulator::Emulator::new(iam_emulator::Options {
            quotas: iam_emulator::Quotas {
                managed_policies_per_role: 20,
                ..iam_emulator::Quotas::default()
            },
            ..iam_emulator::Options::default()
        })
        .map_err(|error| error.to_string())?;
        let role = Role::new(PROFILE).attach(COMPUTE_NODE_POLICY);
        let profile = InstanceProfile::new(PROFILE).role(PROFILE);
        iam.seed(Seed::new().role(role).instance_profile(profile))
            .map_err(|error| error.to_string())?;
        let pcs = pcs_emulator::Emulator::new(pcs_emulator::Options {
            transition: std::time::Duration::ZERO,
            node_groups_per_cluster: Some(10_000),
            clusters_per_region: Some(100),
            ..pcs_emulator::Options::default()
        })
        .map_err(|error| error.to_string())?;
        let upstreams = Upstreams::new(pcs, iam);
        let slow = Wire {
            tls: None,
            latency: std::time::Duration::from_millis(LATENCY_MS),
        };
        let tls = Wire {
            tls: Some(tls::begin(folder)?),
            ..Wire::default()
        };
        let world = World {
            plain: upstreams.serve(&Wire::default()).await?,
            tls: upstreams.serve(&tls).await?,
            slow: upstreams.serve(&slow).await?,
            upstreams,
            events: paths.events.clone(),
        };
        for cluster in CLUSTERS {
            world.pcs("CreateCluster", &cluster_input(cluster))?;
        }
        Ok(world)
    }

    /// One call of PCS, past the wire.
    pub fn pcs(&self, action: &str, input: &Value) -> Outcome<()> {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AWSParallelComputingService.{action}"))
            .header("x-amz-date", "20261120T090000Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=ASIAIOSFODNN7EXAMPLE/20261120/us-east-1/pcs/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature=00",
            )
            .body(Bytes::from(input.to_string()))?;
        match self.upstreams.pcs.handle(request) {
            pcs_emulator::Reply::Respond(response) if response.status().is_success() => Ok(()),
            pcs_emulator::Reply::Respond(response) | pcs_emulator::Reply::RespondAfter(_, response) => {
                Err(format!("{action}: {response:?}").into())
            }
            pcs_emulator::Reply::Drop { .. } => Err(format!("{action}: dropped").into()),
        }
    }

    /// `events/NAME.json`.
    pub fn event(&self, name: &str) -> Outcome<Value> {
        let path = format!("{}/{name}.json", self.events);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Which calls the gateway makes for an event, and the last row it writes, in DynamoDB's JSON.
    pub async fn watch(&self, paths: &Paths, event: &Bytes, status: i64) -> Outcome<(Counts, Value)> {
        let mut gateway = Function::start(&paths.gateway(&self.plain), None).await?;
        let before = self.upstreams.counts();
        gateway.invoke_for(event, status).await?;
        let after = self.upstreams.counts();
        let put: Value = serde_json::from_slice(&self.upstreams.last_put())?;
        let row = put.get("Item").cloned().ok_or("no row was put")?;
        let counts = Counts {
            pcs: after.pcs - before.pcs,
            iam: after.iam - before.iam,
            dynamodb: after.dynamodb - before.dynamodb,
        };
        Ok((counts, row))
    }
}

/// The event with members of its JSON body replaced.
pub fn with_body(event: &Value, changes: &Value) -> Outcome<Bytes> {
    let mut event = event.clone();
    let text = event.get("body").and_then(Value::as_str).unwrap_or("{}");
    let mut body: Value = serde_json::from_str(text)?;
    let members = body.as_object_mut().ok_or("not an object")?;
    for (name, value) in changes.as_object().into_iter().flatten() {
        members.insert(name.clone(), value.clone());
    }
    let event_members = event.as_object_mut().ok_or("not an event")?;
    event_members.insert("body".to_owned(), Value::String(body.to_string()));
    Ok(bytes(&event))
}

pub fn bytes(event: &Value) -> Bytes {
    Bytes::from(event.to_string())
}

pub fn cluster_input(name: &str) -> Value {
    json!({
        "clusterName": name, "size": "LARGE", "scheduler": {"type": "SLURM", "version": "25.05"},
        "networking": {"subnetIds": ["subnet-0123456789abcdef0"]}, "clientToken": format!("token-of-{name}"),
    })
}

pub fn node_group_input(cluster: &str, name: &str) -> Value {
    json!({
        "clusterIdentifier": cluster, "computeNodeGroupName": name, "subnetIds": ["subnet-0123456789abcdef0"],
        "iamInstanceProfileArn": format!("arn:aws:iam::123456789012:instance-profile/{PROFILE}"),
        "scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": 4},
        "instanceConfigs": [{"instanceType": "c6i.xlarge"}],
        "customLaunchTemplate": {"id": "lt-0123456789abcdef0", "version": "1"},
        "clientToken": format!("token-of-{cluster}-{name}"),
    })
}

/// `GET /v3/clusters` with a status that does not exist.
pub fn parallelcluster_event() -> Bytes {
    bytes(&json!({
        "resource": "/{proxy+}", "path": "/v3/clusters", "httpMethod": "GET",
        "headers": {"Host": "x.execute-api.us-east-1.amazonaws.com", "X-Forwarded-Proto": "https"},
        "multiValueHeaders": {"Host": ["x.execute-api.us-east-1.amazonaws.com"]},
        "queryStringParameters": {"region": "us-east-1", "clusterStatus": "NONE"},
        "multiValueQueryStringParameters": {"region": ["us-east-1"], "clusterStatus": ["NONE"]},
        "pathParameters": {"proxy": "v3/clusters"}, "stageVariables": null, "isBase64Encoded": false, "body": null,
        "requestContext": {
            "accountId": "123456789012", "apiId": "x", "stage": "prod", "path": "/prod/v3/clusters",
            "httpMethod": "GET", "requestId": "11111111-2222-3333-4444-555555555555", "resourcePath": "/{proxy+}",
            "protocol": "HTTP/1.1", "identity": {"sourceIp": "192.0.2.1", "accountId": "123456789012"},
        },
    }))
}
