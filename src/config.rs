//! Every environment variable, parsed and checked once, all mistakes reported at once. Nothing defaults to open:
//! a missing or wrong value stops the start with a message that names the variable.

pub mod certificates;
mod regions;
mod values;
pub mod variables;

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    contract,
    guardrails::{
        Policy,
        allowlist::{Allowlist, reaches_nothing},
        boundary::Boundary,
        describe::Guardrails,
        inline_policy::InlineActions,
        script_source::LifecycleScripts,
    },
};
pub use regions::Regions;
use regions::partition_of;

/// The whole configuration, read once. The gateway and its audit share it.
#[derive(Debug, Clone)]
pub struct Config {
    pub deployment: Deployment,
    pub regions: Regions,
    pub policy: Policy,
    pub audit: AuditConfig,
    pub log_level: LogLevel,
    pub aws: AwsConfig,
}

/// Which API this is: what a genuine event must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub account_id: String,
    pub partition: String,
    pub rest_api_id: String,
    pub stage: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConfig {
    pub table: String,
    pub retention_days: u16,
    /// ARN of the KMS key that signs the hourly digests; `None` leaves them unsigned.
    pub signing_key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// What the SDK clients need; on Lambda all of it is in the environment, so no credential chain is searched.
#[derive(Clone)]
pub struct AwsConfig {
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
    pub trust: Trust,
    /// Whether AWS is called at its FIPS endpoints.
    pub fips: bool,
    pub pcs_endpoint: Option<String>,
    pub iam_endpoint: Option<String>,
    pub dynamodb_endpoint: Option<String>,
    pub kms_endpoint: Option<String>,
}

/// Whose certificates the function trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Amazon's own authorities, which sign for every endpoint of the commercial and the `GovCloud` partition.
    Amazon,
    /// What the system trusts.
    System,
}

impl fmt::Debug for AwsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsConfig")
            .field("region", &self.region)
            .field("fips", &self.fips)
            .field("pcs_endpoint", &self.pcs_endpoint)
            .field("iam_endpoint", &self.iam_endpoint)
            .field("dynamodb_endpoint", &self.dynamodb_endpoint)
            .field("kms_endpoint", &self.kms_endpoint)
            .finish_non_exhaustive()
    }
}

/// Every variable that is missing or wrong, one sentence each.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not usable: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the configuration from `variable`, mostly the process environment.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut read = Reader {
            variable: &variable,
            errors: Vec::new(),
        };
        let deployment = read.deployment();
        let regions = read.regions(&deployment);
        let policy = read.policy(&deployment);
        let audit = read.audit();
        let log_level = read.parsed("PCS_API_LOG_LEVEL", "ERROR, WARN, INFO or DEBUG", LogLevel::parse);
        let aws = read.aws(&regions);
        match (policy, audit, log_level, read.errors.as_slice()) {
            (Some(policy), Some(audit), Some(log_level), []) => Ok(Config {
                deployment,
                regions,
                policy,
                audit,
                log_level,
                aws,
            }),
            _ => Err(ConfigError(read.errors)),
        }
    }
}

impl Config {
    /// What is in force and should be known to whoever reads the log.
    pub fn warnings(&self) -> Vec<String> {
        let own = &self.deployment;
        let mut warnings = self.policy.allowlist.warnings(&own.partition, &own.account_id);
        warnings.extend(self.policy.inline_actions.warnings());
        if let Boundary::Required(arn) = &self.policy.boundary {
            warnings.extend(reaches_nothing(arn, &own.partition, &own.account_id));
        }
        warnings
    }

    /// SHA-256, in hexadecimal, of what decides and what is recorded: the deployment, the guardrails as
    /// `GET /v1/guardrails` answers them, the retention and the signing key, as JSON with sorted keys.
    pub fn hash(&self) -> String {
        /// Members in the order of their names.
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Decides<'a> {
            api_id: &'a str,
            guardrails: Guardrails<'a>,
            retention_days: u16,
            signing_key: Option<&'a str>,
            stage: &'a str,
        }
        let decides = Decides {
            api_id: &self.deployment.rest_api_id,
            guardrails: self.policy.describe(&self.regions),
            retention_days: self.audit.retention_days,
            signing_key: self.audit.signing_key.as_deref(),
            stage: &self.deployment.stage,
        };
        // Text and numbers can always be written.
        let json = serde_json::to_vec(&decides).unwrap_or_default();
        crate::hex(&Sha256::digest(json))
    }
}

impl LogLevel {
    fn parse(text: &str) -> Option<LogLevel> {
        match text {
            "ERROR" => Some(LogLevel::Error),
            "WARN" => Some(LogLevel::Warn),
            "INFO" => Some(LogLevel::Info),
            "DEBUG" => Some(LogLevel::Debug),
            _ => None,
        }
    }
}

/// Collects every mistake instead of stopping at the first.
struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn deployment(&mut self) -> Deployment {
        Deployment {
            account_id: self.checked("PCS_API_ACCOUNT_ID", "12 digits", values::is_account_id),
            partition: self.checked(
                "PCS_API_PARTITION",
                "a partition such as `aws`",
                values::is_partition,
            ),
            rest_api_id: self.checked(
                "PCS_API_REST_API_ID",
                "a REST API id, which is letters and digits",
                values::is_rest_api_id,
            ),
            stage: self.checked(
                "PCS_API_STAGE",
                "the name of a stage: 1 to 128 letters, digits, `_` and `-`, and not `test-invoke-stage`",
                values::is_stage,
            ),
        }
    }

    fn regions(&mut self, deployment: &Deployment) -> Regions {
        // A partition that is wrong has its own sentence.
        let partition = Some(deployment.partition.as_str()).filter(|partition| !partition.is_empty());
        let is_in_reach = |v: &str| {
            contract::REGIONS.contains(&v) && partition.is_none_or(|partition| partition_of(v) == partition)
        };
        let default = self.checked(
            "AWS_REGION",
            "a Region of PCS_API_PARTITION in which PCS exists",
            is_in_reach,
        );
        let scope = self.checked(
            "PCS_API_REGION_SCOPE",
            "`*` or a Region of PCS_API_PARTITION in which PCS exists",
            |v| v == "*" || is_in_reach(v),
        );
        Regions {
            default,
            partition: deployment.partition.clone(),
            only: (scope != "*").then_some(scope),
        }
    }

    fn policy(&mut self, deployment: &Deployment) -> Option<Policy> {
        let allowlist = self.allowlist();
        let inline_actions = self.inline_actions();
        let boundary = self.parsed(
            "PCS_API_PERMISSIONS_BOUNDARY",
            "a policy ARN, or empty for no permissions boundary",
            Boundary::parse,
        );
        let iam_admin_access = self.parsed("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "`true` or `false`", |v| {
            v.parse().ok()
        });
        let instance_registration =
            self.parsed("PCS_API_ENABLE_INSTANCE_REGISTRATION", "`true` or `false`", |v| {
                v.parse().ok()
            });
        let lifecycle_scripts = self.parsed(
            "PCS_API_LIFECYCLE_SCRIPTS",
            "ANY, CHECKSUM_OUTSIDE_S3 or CHECKSUM",
            LifecycleScripts::parse,
        );
        Some(Policy {
            account_id: deployment.account_id.clone(),
            partition: deployment.partition.clone(),
            deployment_id: deployment.rest_api_id.clone(),
            allowlist: allowlist?,
            inline_actions: inline_actions?,
            boundary: boundary?,
            iam_admin_access: iam_admin_access?,
            instance_registration: instance_registration?,
            lifecycle_scripts: lifecycle_scripts?,
        })
    }

    fn audit(&mut self) -> Option<AuditConfig> {
        let table = self.checked(
            "PCS_API_AUDIT_TABLE",
            "the name of a table: 3 to 255 letters, digits, `_`, `-` and `.`",
            values::is_table_name,
        );
        let days = self.parsed(
            "PCS_API_AUDIT_RETENTION_DAYS",
            "a number of days from 1 to 3653",
            values::days,
        );
        let signing_key = self.checked(
            "PCS_API_AUDIT_SIGNING_KEY",
            "the ARN of a KMS key (arn:aws:kms:REGION:ACCOUNT:key/ID), or empty for digests without a signature",
            |v| v.is_empty() || values::is_key_arn(v),
        );
        Some(AuditConfig {
            table,
            retention_days: days?,
            signing_key: Some(signing_key).filter(|key| !key.is_empty()),
        })
    }

    fn aws(&mut self, regions: &Regions) -> AwsConfig {
        let fips = self.fips();
        AwsConfig {
            region: regions.default.clone(),
            access_key_id: self.checked("AWS_ACCESS_KEY_ID", "an access key id", values::is_key),
            secret_access_key: self.checked("AWS_SECRET_ACCESS_KEY", "a secret access key", values::is_key),
            session_token: self.session_token(),
            trust: self.trust(),
            pcs_endpoint: self.endpoint("AWS_ENDPOINT_URL_PCS", fips),
            iam_endpoint: self.endpoint("AWS_ENDPOINT_URL_IAM", fips),
            dynamodb_endpoint: self.endpoint("AWS_ENDPOINT_URL_DYNAMODB", fips),
            kms_endpoint: self.endpoint("AWS_ENDPOINT_URL_KMS", fips),
            fips,
        }
    }

    fn session_token(&mut self) -> Option<String> {
        const NAME: &str = "AWS_SESSION_TOKEN";
        let token = (self.variable)(NAME).filter(|token| !token.is_empty())?;
        if !values::is_key(&token) {
            self.errors.push(format!(
                "{NAME} must be a session token: printable ASCII characters without blanks"
            ));
        }
        Some(token)
    }

    /// AWS's own variable, off where it is not set, as in every SDK.
    fn fips(&mut self) -> bool {
        let value = (self.variable)(variables::FIPS);
        variables::fips(value.as_deref()).unwrap_or_else(|error| {
            self.errors.push(error);
            false
        })
    }

    fn parsed<T>(&mut self, name: &str, wanted: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let parsed = (self.variable)(name).as_deref().and_then(parse);
        if parsed.is_none() {
            self.errors.push(format!("{name} must be {wanted}"));
        }
        parsed
    }

    fn checked(&mut self, name: &str, wanted: &str, good: impl FnOnce(&str) -> bool) -> String {
        self.parsed(name, wanted, |value| good(value).then(|| value.to_owned()))
            .unwrap_or_default()
    }

    fn allowlist(&mut self) -> Option<Allowlist> {
        const NAME: &str = "PCS_API_ADDITIONAL_IAM_POLICIES";
        let Some(text) = (self.variable)(NAME) else {
            self.errors.push(format!(
                "{NAME} must be a comma-separated list of policy ARN patterns (empty: none pass)"
            ));
            return None;
        };
        let partition = (self.variable)("PCS_API_PARTITION").unwrap_or_default();
        let read = Allowlist::parse(&text);
        // Patterns that are taken have no odd characters; the start need not look at each byte twice.
        let fault = match &read {
            Ok(_) => values::length_fault(&text),
            Err(_) => values::list_fault(&text),
        };
        if let Some(fault) = fault {
            self.errors.push(format!("{NAME} {fault}"));
            return None;
        }
        let read = read.and_then(|list| match list.faults(&partition) {
            faults if faults.is_empty() => Ok(list),
            faults => Err(faults),
        });
        self.list(NAME, read)
    }

    /// Not set is as good as empty, the closed end. Lambda changes the code and the variables of a function in two
    /// calls, so that an update's new code can meet the variables of before; a version that asked for this one would
    /// answer nobody meanwhile.
    fn inline_actions(&mut self) -> Option<InlineActions> {
        const NAME: &str = "PCS_API_ALLOWED_INLINE_ACTIONS";
        let text = (self.variable)(NAME).unwrap_or_default();
        if let Some(fault) = values::list_fault(&text) {
            self.errors.push(format!("{NAME} {fault}"));
            return None;
        }
        self.list(NAME, InlineActions::parse(&text))
    }

    /// Tells every mistake of a list.
    fn list<T>(&mut self, name: &str, list: Result<T, Vec<String>>) -> Option<T> {
        list.map_err(|faults| {
            // An item may be broken over lines; the sentence about it is not.
            let faults = faults
                .into_iter()
                .map(|fault| format!("{name}: {}", fault.replace(char::is_control, " ")));
            self.errors.extend(faults);
        })
        .ok()
    }

    /// Other partitions have authorities of their own, and whoever names certificates means them: a proxy that looks
    /// into TLS, an endpoint on this machine.
    fn trust(&self) -> Trust {
        let is_given = |name| (self.variable)(name).is_some_and(|value| !value.is_empty());
        let partition = (self.variable)("PCS_API_PARTITION");
        let by_amazon = matches!(partition.as_deref(), Some("aws" | "aws-us-gov"));
        if by_amazon && !is_given("SSL_CERT_FILE") && !is_given("SSL_CERT_DIR") {
            Trust::Amazon
        } else {
            Trust::System
        }
    }

    fn endpoint(&mut self, name: &str, fips: bool) -> Option<String> {
        let value = (self.variable)(name).filter(|value| !value.is_empty())?;
        if fips {
            let message =
                "must be empty where AWS_USE_FIPS_ENDPOINT is `true`: an endpoint is one or the other";
            self.errors.push(format!("{name} {message}"));
        }
        if !values::is_endpoint(&value) {
            self.errors.push(format!(
                "{name} must be `http://HOST:PORT` or `https://HOST` without path, query, name and password"
            ));
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests;
