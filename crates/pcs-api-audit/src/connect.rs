//! A client of the table's DynamoDB, with the credentials that every AWS tool would find, and what to change where it
//! cannot be read.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::provider::{SharedCredentialsProvider, error::CredentialsError};
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use pcs_api::config::{Trust, certificates};

use crate::{
    credentials::Checked,
    failure::{Cause, Failure, Refused, innermost},
    profile,
    service::{Service, url, with_detail},
    stack,
};

/// Names the table where `--table` and `--stack` do not; the function reads the same variable.
pub const TABLE_VARIABLE: &str = "PCS_API_AUDIT_TABLE";
const ENDPOINT_VARIABLES: [&str; 3] = [
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_CLOUDFORMATION",
    "AWS_ENDPOINT_URL",
];
/// The SDK takes another value for none, and would go another way than the AWS CLI, which refuses it.
const CHOICES: [(&str, &[&str]); 4] = [
    ("AWS_USE_FIPS_ENDPOINT", &["true", "false"]),
    ("AWS_USE_DUALSTACK_ENDPOINT", &["true", "false"]),
    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", &["true", "false"]),
    ("AWS_RETRY_MODE", &["standard", "adaptive", "legacy"]),
];
/// A page of a megabyte takes DynamoDB a fraction of it; who says nothing for so long has nothing to say.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the person says about where the table is; the rest is `~/.aws/config`, environment variables and so on.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub table: Option<String>,
    /// Name of the `CloudFormation` stack whose table it is.
    pub stack: Option<String>,
    pub region: Option<String>,
    pub profile: Option<String>,
    /// Instead of AWS's own; `AWS_ENDPOINT_URL_DYNAMODB` does the same.
    pub endpoint_url: Option<String>,
}

/// A table and who reads it.
#[derive(Debug)]
pub struct Connected {
    pub client: Client,
    pub table: String,
    service: Service,
}

/// What names the table.
enum Named {
    Table(String),
    Stack(String),
}

impl Access {
    pub async fn connect(self) -> Result<Connected, Failure> {
        check_variables()?;
        let named = named(self.table, self.stack)?;
        profile::check(self.profile.as_deref()).await?;
        let config = load(self.region, self.profile.clone()).await?;
        let region = config.region().map(ToString::to_string).ok_or_else(|| {
            let message = "no Region is known: give --region, or set AWS_REGION or a profile with one";
            Failure::Input(message.to_owned())
        })?;
        check_region(&region)?;
        // Only for DynamoDB: credentials may come from other services.
        let service = Service::dynamodb(&config, &region, self.endpoint_url)?;
        let provider = match self.profile {
            Some(profile) => of_profile(profile, &config),
            None => config
                .credentials_provider()
                .ok_or_else(|| service.failure(&no_credentials(String::new())))?,
        };
        let (provider, credentials) = Checked::over(provider)
            .await
            .map_err(|error| service.failure(&no_credentials(told(&error))))?;
        let table = match named {
            Named::Table(table) => table,
            Named::Stack(stack) => stack::table_of(&stack, &config, &region, credentials).await?,
        };
        let mut builder = aws_sdk_dynamodb::config::Builder::from(&config)
            .credentials_provider(SharedCredentialsProvider::new(provider));
        builder.set_endpoint_url(service.endpoint.clone());
        Ok(Connected {
            client: Client::from_conf(builder.build()),
            table,
            service,
        })
    }
}

/// An argument counts before the variable.
fn named(table: Option<String>, stack: Option<String>) -> Result<Named, Failure> {
    if let Some(stack) = stack {
        return Ok(Named::Stack(stack));
    }
    let table = table
        .or_else(|| variable(TABLE_VARIABLE))
        .filter(|table| !table.is_empty());
    table.map(Named::Table).ok_or_else(|| {
        let message = "no table is named: give --stack with the name of the CloudFormation stack, give --table, or set PCS_API_AUDIT_TABLE (the stack's output AuditTableName)";
        Failure::Input(message.to_owned())
    })
}

async fn load(region: Option<String>, profile: Option<String>) -> Result<SdkConfig, Failure> {
    // TLS by ring, as in the function; the default client would bring another library.
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(pcs_api::aws::http_client());
    // Asked for it, the loader panics at a value of the environment's or the profile's that it does not know.
    loader = loader.retry_config(RetryConfig::standard().with_max_attempts(attempts()?));
    loader = loader.timeout_config(TimeoutConfig::builder().read_timeout(ANSWER_TIMEOUT).build());
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    Ok(loader.load().await)
}

/// As with the AWS CLI a profile that is an argument counts before keys of the environment; to the SDK it does not, and
/// the table of another account would be read.
fn of_profile(profile: String, config: &SdkConfig) -> SharedCredentialsProvider {
    let surroundings = ProviderConfig::without_region()
        .with_region(config.region().cloned())
        .with_http_client(pcs_api::aws::http_client());
    let provider = ProfileFileCredentialsProvider::builder()
        .configure(&surroundings)
        .profile_name(profile);
    SharedCredentialsProvider::new(provider.build())
}

fn no_credentials(detail: String) -> Refused {
    Refused {
        cause: Cause::NoCredentials,
        detail,
    }
}

/// Where nothing was found the SDK lists all places where nothing was found.
fn told(error: &CredentialsError) -> String {
    let told = innermost(error);
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) && told.contains("Attempted") {
        return String::new();
    }
    told
}

impl Service {
    fn failure(&self, refused: &Refused) -> Failure {
        Failure::Input(format!("the table could not be read: {}", self.sentence(refused)))
    }
}

impl Connected {
    /// The same failure in a sentence that says what to change.
    pub async fn explained(&self, failure: Failure) -> Failure {
        let failure = if matches!(failure, Failure::Index) {
            self.ask_again().await
        } else {
            failure
        };
        if let Failure::Table(refused) = &failure {
            let sentence = self.sentence(refused);
            return Failure::Input(format!("the table could not be read: {sentence}"));
        }
        failure
    }

    /// The smallest question to an index, for its error.
    async fn ask_again(&self) -> Failure {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("byTime")
            .key_condition_expression("byTime = :key")
            .expression_attribute_values(":key", AttributeValue::S("T#".to_owned()))
            .limit(1);
        match query.send().await {
            Ok(page) if page.items.is_none() => Failure::without_rows(),
            Ok(_) => Failure::Index,
            Err(error) => Failure::of_table(&error),
        }
    }

    fn sentence(&self, refused: &Refused) -> String {
        let (table, region, place) = (&self.table, &self.service.region, self.service.place());
        let told = match refused.cause {
            Cause::NoTable => {
                let at = match &self.service.endpoint {
                    Some(url) => format!(" at {url}"),
                    None => String::new(),
                };
                return format!(
                    "there is no table `{table}` in Region {region}{at}; give another --stack, --table (the stack's output AuditTableName) or --region"
                );
            }
            Cause::NoIndex => format!(
                "`{table}` lacks an index of the audit's, so it is another table; give another --table (the stack's output AuditTableName)"
            ),
            Cause::Denied => {
                format!("the credentials may not read `{table}`; they need what the README says of auditors")
            }
            Cause::Other => format!("`{table}` {place}"),
            Cause::NoStack
            | Cause::NotReached
            | Cause::NotHttp
            | Cause::NotTheService
            | Cause::NoCredentials
            | Cause::CredentialsRefused => return self.service.sentence(refused),
        };
        with_detail(&told, refused)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A variable that is not UTF-8 would count as one that is not set, and what is said then would be wrong. Some become
/// headers, which hold no line break.
fn check_variables() -> Result<(), Failure> {
    let read = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        (name == TABLE_VARIABLE || name.starts_with("AWS_")).then_some((name, value))
    });
    for (name, value) in read {
        let fault = match value.to_str() {
            None => "is not UTF-8",
            Some(value) if value.contains(char::is_control) => {
                "holds a line break or another control character"
            }
            Some(_) => continue,
        };
        return Err(Failure::Input(format!(
            "{name} {fault}; set it anew, or unset it"
        )));
    }
    for name in ENDPOINT_VARIABLES {
        if let Some(value) = variable(name) {
            url(&value).map_err(|must| Failure::Input(format!("{name} {must}")))?;
        }
    }
    for (name, values) in CHOICES {
        let Some(value) = variable(name) else { continue };
        if !values.iter().any(|one| one.eq_ignore_ascii_case(&value)) {
            let values = values.join("` or `");
            return Err(Failure::Input(format!(
                "{name} must be `{values}`; change it, or unset it"
            )));
        }
    }
    // The connector panics where the certificates that are named leave none to trust.
    certificates::check(Trust::System, |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })
    .map_err(|error| Failure::Input(error.to_string()))
}

/// How often the SDK tries: AWS's own variable, checked.
fn attempts() -> Result<u32, Failure> {
    const NAME: &str = "AWS_MAX_ATTEMPTS";
    let Some(text) = variable(NAME) else { return Ok(3) };
    let attempts = text.parse().ok().filter(|attempts| *attempts > 0);
    attempts.ok_or_else(|| {
        Failure::Input(format!(
            "{NAME} must be a number from 1 on; change it, or unset it"
        ))
    })
}

/// Another one becomes a host name that cannot be written.
fn check_region(region: &str) -> Result<(), Failure> {
    let is_one = !region.is_empty()
        && region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_one {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "`{}` is no Region; change --region, AWS_REGION or the profile",
        region.escape_debug()
    )))
}
