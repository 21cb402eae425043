//! A client of the table's DynamoDB, with the credentials that every AWS tool would find.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;

use crate::failure::Failure;

/// What the person says about where the table is; the rest is `~/.aws/config`, environment variables and so on.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub region: Option<String>,
    pub profile: Option<String>,
    /// Instead of AWS's own; `AWS_ENDPOINT_URL_DYNAMODB` does the same.
    pub endpoint_url: Option<String>,
}

impl Access {
    pub async fn connect(self) -> Result<Client, Failure> {
        // TLS by ring, as in the function; the default client would bring another library.
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(pcs_api::aws::http_client());
        if let Some(region) = self.region {
            loader = loader.region(Region::new(region));
        }
        if let Some(profile) = self.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(Failure::Input(
                "no Region is known: give --region, or set AWS_REGION or a profile with one".to_owned(),
            ));
        }
        let mut builder = aws_sdk_dynamodb::config::Builder::from(&config);
        // Only for DynamoDB: credentials may come from other services.
        if let Some(url) = self.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        Ok(Client::from_conf(builder.build()))
    }
}
