//! A client of the table's DynamoDB, with the credentials that every AWS tool would find, and what to change where it
//! cannot be read.

use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_dynamodb::{Client, types::AttributeValue};

use crate::{
    failure::{Cause, Failure},
    text::printable,
};

/// Names the table where `--table` does not; the function reads the same variable.
pub const TABLE_VARIABLE: &str = "PCS_API_AUDIT_TABLE";
const ENDPOINT_VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"];

/// What the person says about where the table is; the rest is `~/.aws/config`, environment variables and so on.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub table: Option<String>,
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
    region: String,
    endpoint: Option<String>,
}

impl Access {
    pub async fn connect(self) -> Result<Connected, Failure> {
        check_variables()?;
        let table = self
            .table
            .or_else(|| variable(TABLE_VARIABLE))
            .filter(|table| !table.is_empty());
        let table = table.ok_or_else(|| {
            let message = "no table is named: give --table NAME, or set PCS_API_AUDIT_TABLE (the stack's output AuditTableName)";
            Failure::Input(message.to_owned())
        })?;
        // TLS by ring, as in the function; the default client would bring another library.
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(pcs_api::aws::http_client());
        // Asked for it, the loader panics at a value of the environment's or the profile's that it does not know.
        loader = loader.retry_config(RetryConfig::standard().with_max_attempts(attempts()?));
        if let Some(region) = self.region {
            loader = loader.region(Region::new(region));
        }
        if let Some(profile) = self.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        let region = config.region().map(ToString::to_string).ok_or_else(|| {
            let message = "no Region is known: give --region, or set AWS_REGION or a profile with one";
            Failure::Input(message.to_owned())
        })?;
        check_region(&region)?;
        let mut builder = aws_sdk_dynamodb::config::Builder::from(&config);
        let endpoint = self
            .endpoint_url
            .clone()
            .or_else(|| ENDPOINT_VARIABLES.iter().find_map(|name| variable(name)));
        // Only for DynamoDB: credentials may come from other services.
        if let Some(url) = self.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        Ok(Connected {
            client: Client::from_conf(builder.build()),
            table,
            region,
            endpoint,
        })
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
        if let Failure::Table(cause, detail) = &failure {
            let sentence = self.sentence(*cause, &one_line(detail));
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
        query
            .send()
            .await
            .map_or_else(|error| Failure::of_table(&error), |_| Failure::Index)
    }

    fn sentence(&self, cause: Cause, detail: &str) -> String {
        let (table, region) = (&self.table, &self.region);
        let place = match &self.endpoint {
            Some(url) => format!("at {url}"),
            None => format!("in Region {region}"),
        };
        match cause {
            Cause::NoTable => format!(
                "there is no table `{table}` in Region {region}{}; give another --table (the stack's output AuditTableName) or --region",
                self.endpoint
                    .as_ref()
                    .map_or_else(String::new, |url| format!(" at {url}"))
            ),
            Cause::NoIndex => format!(
                "`{table}` lacks an index of the audit's, so it is another table; give another --table (the stack's output AuditTableName): {detail}"
            ),
            Cause::NotReached => format!(
                "no DynamoDB answers {place}; change --endpoint-url or AWS_ENDPOINT_URL_DYNAMODB, or look at the network: {detail}"
            ),
            Cause::NotDynamoDb => format!(
                "what answers {place} is no DynamoDB; change --endpoint-url or AWS_ENDPOINT_URL_DYNAMODB: {detail}"
            ),
            Cause::NoCredentials => format!(
                "there are no credentials; give --profile, set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in with `aws sso login`: {detail}"
            ),
            Cause::CredentialsRefused => format!(
                "AWS does not take the credentials {place}; renew them, or give another --profile: {detail}"
            ),
            Cause::Denied => format!(
                "the credentials may not read `{table}`; they need what the README says of auditors: {detail}"
            ),
            Cause::Other => format!("`{table}` {place}: {detail}"),
        }
    }
}

/// What the SDK or a server says, which may be anything.
fn one_line(detail: &str) -> String {
    const CHARACTERS_MAX: usize = 400;
    let words: Vec<&str> = detail.split_whitespace().collect();
    printable(&words.join(" ")).chars().take(CHARACTERS_MAX).collect()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A variable that is not UTF-8 would count as one that is not set, and what is said then would be wrong.
fn check_variables() -> Result<(), Failure> {
    let odd = std::env::vars_os().find_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let is_read = name == TABLE_VARIABLE || name.starts_with("AWS_");
        (is_read && value.to_str().is_none()).then_some(name)
    });
    if let Some(name) = odd {
        return Err(Failure::Input(format!(
            "{name} is not UTF-8; set it anew, or unset it"
        )));
    }
    for name in ENDPOINT_VARIABLES {
        if let Some(value) = variable(name) {
            url(&value).map_err(|must| Failure::Input(format!("{name} {must}")))?;
        }
    }
    Ok(())
}

/// The SDK would say of another only that it could not be built.
pub fn url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let host = rest.map_or("", |rest| rest.split('/').next().unwrap_or_default());
    if host.is_empty() || text.contains(|char: char| char.is_whitespace() || char.is_control()) {
        return Err("must be a URL like http://127.0.0.1:3003".to_owned());
    }
    Ok(text.to_owned())
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
