//! The programs under measure, and the environment that Lambda would give each.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::upstream::Endpoints;

/// What is started: a name for tables, a command and its environment.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: String,
    pub command: Vec<String>,
    pub variables: BTreeMap<String, String>,
}

/// Where the programs are; `scripts/bench` builds them.
#[derive(Debug, Default, Clone)]
pub struct Paths {
    pub gateway: String,
    /// Other builds of the gateway, by name, measured beside it.
    pub variants: Vec<(String, String)>,
    pub floor: String,
    pub bare: String,
    /// A Python with boto3.
    pub python: Option<String>,
    /// A Python with `aws-parallelcluster`.
    pub parallelcluster: Option<String>,
    /// The folder `benches/python`.
    pub python_files: String,
    /// The folder `events`.
    pub events: String,
}

impl Paths {
    pub fn gateway(&self, endpoints: &Endpoints) -> Program {
        gateway("gateway", &self.gateway, endpoints)
    }

    /// The gateway and its other builds.
    pub fn gateways(&self, endpoints: &Endpoints) -> Vec<Program> {
        let variants = self.variants.iter();
        let variants = variants.map(|(name, path)| gateway(&format!("gateway, {name}"), path, endpoints));
        std::iter::once(self.gateway(endpoints)).chain(variants).collect()
    }

    pub fn floor(&self) -> Program {
        Program {
            name: "floor".to_owned(),
            command: vec![self.floor.clone()],
            variables: BTreeMap::new(),
        }
    }

    /// `calls` as benches/functions/src/bin/bare.rs knows them.
    pub fn bare(&self, calls: &str, row: &Value, endpoints: &Endpoints) -> Program {
        let mut variables = aws(endpoints);
        variables.insert("BENCH_CALLS".to_owned(), calls.to_owned());
        variables.insert("BENCH_ROW".to_owned(), row.to_string());
        Program {
            name: format!("bare {calls}"),
            command: vec![self.bare.clone()],
            variables,
        }
    }

    pub fn python(&self, row: &Value, endpoints: &Endpoints) -> Option<Program> {
        let mut program = self.by_python(self.python.as_ref()?, "function.handler");
        program.variables.append(&mut aws(endpoints));
        Some(program.with("BENCH_ROW", &row.to_string()).named("Python, boto3"))
    }

    /// The ParallelCluster API's handler; what it is asked needs no AWS call.
    pub fn parallelcluster(&self) -> Option<Program> {
        let handler = "pcluster.api.awslambda.entrypoint.lambda_handler";
        let variables = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("POWERTOOLS_TRACE_DISABLED", "true"),
            ("AWS_XRAY_SDK_ENABLED", "false"),
            ("LOG_LEVEL", "ERROR"),
            ("HOME", "/tmp"),
        ];
        let mut program = self.by_python(self.parallelcluster.as_ref()?, handler);
        program.variables.append(&mut owned(&variables));
        Some(program.named("ParallelCluster API"))
    }

    fn by_python(&self, python: &str, handler: &str) -> Program {
        let bootstrap = format!("{}/bootstrap.py", self.python_files);
        Program {
            name: handler.to_owned(),
            command: vec![python.to_owned(), bootstrap, handler.to_owned()],
            // Nothing may be left in the checkout.
            variables: owned(&[("PYTHONDONTWRITEBYTECODE", "1")]),
        }
    }
}

impl Program {
    /// With one more variable, or another value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Program {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn named(mut self, name: &str) -> Program {
        name.clone_into(&mut self.name);
        self
    }
}

fn gateway(name: &str, path: &str, endpoints: &Endpoints) -> Program {
    // As the deployment sets them, with the five allowlist patterns that the documentation names.
    let settings = [
        ("PCS_API_REGION_SCOPE", "*"),
        ("PCS_API_ACCOUNT_ID", "123456789012"),
        ("PCS_API_PARTITION", "aws"),
        ("PCS_API_REST_API_ID", "a1b2c3d4e5"),
        ("PCS_API_STAGE", "prod"),
        ("PCS_API_AUDIT_TABLE", "pcs-api-audit"),
        ("PCS_API_AUDIT_RETENTION_DAYS", "365"),
        ("PCS_API_AUDIT_SIGNING_KEY", ""),
        ("PCS_API_ADDITIONAL_IAM_POLICIES", ALLOWLIST),
        ("PCS_API_ALLOWED_INLINE_ACTIONS", ""),
        ("PCS_API_PERMISSIONS_BOUNDARY", ""),
        ("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "false"),
        ("PCS_API_ENABLE_INSTANCE_REGISTRATION", "false"),
        ("PCS_API_LIFECYCLE_SCRIPTS", "CHECKSUM_OUTSIDE_S3"),
        ("PCS_API_LOG_LEVEL", "INFO"),
    ];
    let mut variables = owned(&settings);
    variables.append(&mut aws(endpoints));
    Program {
        name: name.to_owned(),
        command: vec![path.to_owned()],
        variables,
    }
}

const ALLOWLIST: &str = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy,\
    arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore,\
    arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy,\
    arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess,\
    arn:aws:iam::123456789012:policy/AWSPCS-*";

fn aws(endpoints: &Endpoints) -> BTreeMap<String, String> {
    let mut variables = owned(&[
        ("AWS_ENDPOINT_URL_PCS", &endpoints.pcs),
        ("AWS_ENDPOINT_URL_IAM", &endpoints.iam),
        ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
    ]);
    if let Some(trust) = &endpoints.trust {
        variables.insert("SSL_CERT_FILE".to_owned(), trust.clone());
        // The same for boto3.
        variables.insert("AWS_CA_BUNDLE".to_owned(), trust.clone());
    }
    variables
}

fn owned(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
