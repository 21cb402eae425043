//! A PCS with one caller, and the few words the cases are written in.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pcs_emulator::{Emulator, Options, Reply};
use serde_json::{Value, json};

pub const PROFILE: &str = "arn:aws:iam::123456789012:instance-profile/aws-pcs/nodes";
const HOUR: Duration = Duration::from_hours(1);

pub struct World {
    pub emulator: Emulator,
    pub access_key: &'static str,
    pub region: &'static str,
}

/// The members of an error answer.
#[derive(Debug)]
pub struct Failure {
    pub status: StatusCode,
    pub body: Value,
}

impl Failure {
    pub fn code(&self) -> &str {
        self.body["__type"].as_str().unwrap()
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap()
    }

    /// The names in `fieldList`.
    pub fn fields(&self) -> Vec<&str> {
        self.body["fieldList"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["name"].as_str().unwrap())
            .collect()
    }
}

impl World {
    pub fn new() -> World {
        World::with(Options::default())
    }

    pub fn with(options: Options) -> World {
        let options = Options {
            transition: Duration::from_mins(1),
            record: record(),
            ..options
        };
        let emulator = Emulator::new(options).unwrap();
        World {
            emulator,
            access_key: "AKIAIOSFODNN7EXAMPLE",
            region: "us-east-1",
        }
    }

    pub fn request(&self, action: &str, body: impl Into<Bytes>) -> Request<Bytes> {
        Request::post("/")
            .header("X-Amz-Target", format!("AWSParallelComputingService.{action}"))
            .header("Content-Type", "application/x-amz-json-1.0")
            .header(
                "Authorization",
                format!(
                    "AWS4-HMAC-SHA256 Credential={}/20261120/{}/pcs/aws4_request, SignedHeaders=host, Signature=0",
                    self.access_key, self.region
                ),
            )
            .body(body.into())
            .unwrap()
    }

    pub fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self.emulator.handle(request) {
            Reply::Respond(response) => response,
            other @ (Reply::RespondAfter(..) | Reply::Drop { .. }) => panic!("no plain answer: {other:?}"),
        }
    }

    pub fn call(&self, action: &str, body: &Value) -> Result<Value, Failure> {
        let response = self.send(self.request(action, body.to_string()));
        crate::shapes::check(action, &response);
        let status = response.status();
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        if status == StatusCode::OK {
            return Ok(body);
        }
        assert_eq!(
            response.headers()["x-amzn-errortype"],
            body["__type"].as_str().unwrap()
        );
        Err(Failure { status, body })
    }

    pub fn ok(&self, action: &str, body: &Value) -> Value {
        self.call(action, body)
            .unwrap_or_else(|failure| panic!("{action} {body}: {failure:?}"))
    }

    pub fn refused(&self, action: &str, body: &Value) -> Failure {
        match self.call(action, body) {
            Err(failure) => failure,
            Ok(answer) => panic!("{action} {body} succeeded: {answer}"),
        }
    }

    /// Lets every transition under way end.
    pub fn settle(&self) {
        self.emulator.advance(HOUR);
    }

    /// An ACTIVE cluster; returns its id.
    pub fn cluster(&self, name: &str) -> String {
        self.cluster_of(name, "25.11", "SMALL")
    }

    pub fn cluster_of(&self, name: &str, version: &str, size: &str) -> String {
        let mut body = cluster_body(name);
        body["scheduler"]["version"] = json!(version);
        body["size"] = json!(size);
        let id = id_in(&self.ok("CreateCluster", &body), "cluster");
        self.settle();
        id
    }

    /// An ACTIVE compute node group; returns its id.
    pub fn group(&self, cluster: &str, name: &str) -> String {
        let id = id_in(
            &self.ok("CreateComputeNodeGroup", &group_body(cluster, name)),
            "computeNodeGroup",
        );
        self.settle();
        id
    }

    /// An ACTIVE queue with one group; returns its id.
    pub fn queue(&self, cluster: &str, name: &str, group: &str) -> String {
        let body = json!({"clusterIdentifier": cluster, "queueName": name,
            "computeNodeGroupConfigurations": [{"computeNodeGroupId": group}]});
        let id = id_in(&self.ok("CreateQueue", &body), "queue");
        self.settle();
        id
    }

    pub fn cluster_status(&self, cluster: &str) -> String {
        let answer = self.ok("GetCluster", &json!({"clusterIdentifier": cluster}));
        answer["cluster"]["status"].as_str().unwrap().to_owned()
    }

    pub fn group_status(&self, cluster: &str, group: &str) -> String {
        let body = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": group});
        self.ok("GetComputeNodeGroup", &body)["computeNodeGroup"]["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// Where to record answered calls, for the check against botocore's model.
pub fn record() -> Option<PathBuf> {
    std::env::var_os("PCS_EMULATOR_RECORD").map(PathBuf::from)
}

pub fn id_in(answer: &Value, member: &str) -> String {
    answer[member]["id"].as_str().unwrap().to_owned()
}

pub fn cluster_body(name: &str) -> Value {
    json!({
        "clusterName": name,
        "scheduler": {"type": "SLURM", "version": "25.11"},
        "size": "SMALL",
        "networking": {"subnetIds": ["subnet-0123456789abcdef0"]},
    })
}

pub fn group_body(cluster: &str, name: &str) -> Value {
    json!({
        "clusterIdentifier": cluster,
        "computeNodeGroupName": name,
        "subnetIds": ["subnet-0123456789abcdef0"],
        "iamInstanceProfileArn": PROFILE,
        "scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": 1},
        "instanceConfigs": [{"instanceType": "c6i.xlarge"}],
        "customLaunchTemplate": {"id": "lt-0123456789abcdef0", "version": "1"},
    })
}
