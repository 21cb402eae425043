//! `AWS_USE_FIPS_ENDPOINT`: where the function's calls go then. Nothing leaves the machine; the connector only notes
//! what it was asked for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::{Request, Response},
};
use aws_smithy_types::body::SdkBody;
use pcs_api::{aws::Clients, config::Config, gateway::Gateway};

use crate::{
    wire::WRITTEN,
    world::{World, event, invoke, with_query},
};

/// Notes the address of every request. DynamoDB says that it wrote what it was sent; nobody else answers.
#[derive(Debug, Clone, Default)]
struct Addresses(Arc<Mutex<Vec<String>>>);

impl HttpClient for Addresses {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Addresses {
    fn call(&self, request: Request) -> HttpConnectorFuture {
        self.0.lock().unwrap().push(request.uri().to_owned());
        let puts = request.headers().get("x-amz-target") == Some("DynamoDB_20120810.PutItem");
        HttpConnectorFuture::ready(if puts {
            let status = 200.try_into().unwrap();
            Ok(Response::new(status, SdkBody::from(WRITTEN)))
        } else {
            Err(ConnectorError::user("nothing is sent".into()))
        })
    }
}

impl Addresses {
    /// Host names since the last time, each once.
    fn take(&self) -> Vec<String> {
        let mut hosts: Vec<String> = std::mem::take(&mut *self.0.lock().unwrap())
            .iter()
            .map(|uri| uri.split('/').nth(2).unwrap().to_owned())
            .collect();
        hosts.dedup();
        hosts
    }
}

fn config(world: &World, changes: &[(&str, &str)]) -> Config {
    let mut variables: BTreeMap<String, String> = world.stack.variables().clone();
    variables.retain(|name, _| !name.starts_with("AWS_ENDPOINT_URL_"));
    for (name, value) in changes {
        variables.insert((*name).to_owned(), (*value).to_owned());
    }
    Config::read(|name| variables.get(name).cloned()).unwrap()
}

/// Expected values: `client.meta.endpoint_url` of botocore 1.44.8 with `use_fips_endpoint`, and without. For DynamoDB in
/// `GovCloud` its `endpoints.json` has two FIPS names: `dynamodb-fips`, which botocore takes, and, as the partition's
/// default, the plain one, which the Rust SDK takes.
#[tokio::test]
async fn every_service_is_called_at_its_fips_endpoint() {
    let world = World::start().await;
    let virginia = [
        "pcs-fips.us-east-1.amazonaws.com",
        "iam-fips.amazonaws.com",
        "dynamodb-fips.us-east-1.amazonaws.com",
        "kms-fips.us-east-1.amazonaws.com",
    ];
    let gov_cloud = [
        "pcs-fips.us-gov-west-1.amazonaws.com",
        "iam.us-gov.amazonaws.com",
        "dynamodb.us-gov-west-1.amazonaws.com",
        "kms-fips.us-gov-west-1.amazonaws.com",
    ];
    let plain = [
        "pcs.us-east-1.amazonaws.com",
        "iam.amazonaws.com",
        "dynamodb.us-east-1.amazonaws.com",
        "kms.us-east-1.amazonaws.com",
    ];
    for (partition, region, fips, expected) in [
        ("aws", "us-east-1", "true", virginia),
        ("aws-us-gov", "us-gov-west-1", "true", gov_cloud),
        ("aws", "us-east-1", "false", plain),
    ] {
        let config = config(
            &world,
            &[
                ("PCS_API_PARTITION", partition),
                ("AWS_REGION", region),
                ("AWS_USE_FIPS_ENDPOINT", fips),
            ],
        );
        let addresses = Addresses::default();
        let http = OnceLock::from(SharedHttpClient::new(addresses.clone()));
        let clients = Clients::over(config.aws.clone(), http);
        let mut found = Vec::new();
        clients.pcs().list_clusters().send().await.unwrap_err();
        found.append(&mut addresses.take());
        clients.iam().get_role().role_name("x").send().await.unwrap_err();
        found.append(&mut addresses.take());
        clients.dynamodb().list_tables().send().await.unwrap_err();
        found.append(&mut addresses.take());
        clients
            .kms()
            .get_public_key()
            .key_id("x")
            .send()
            .await
            .unwrap_err();
        found.append(&mut addresses.take());
        assert_eq!(found, expected, "{region} {fips}");
    }
}

/// A call for another Region than the function's own, whose table it is recorded in.
#[tokio::test]
async fn a_request_for_another_region_goes_to_its_fips_endpoint() {
    let world = World::start().await;
    let config = config(&world, &[("AWS_USE_FIPS_ENDPOINT", "true")]);
    let addresses = Addresses::default();
    let http = OnceLock::from(SharedHttpClient::new(addresses.clone()));
    let clients = Clients::over(config.aws.clone(), http);
    let gateway = Gateway::with_clients(config, clients);
    let read = with_query(event("get-cluster"), &[("region", "eu-west-1")]);
    let answer = invoke(&gateway, &read, Duration::from_secs(9)).await;
    assert_eq!(answer.status, 502, "PCS does not answer: {answer:?}");
    let table = "dynamodb-fips.us-east-1.amazonaws.com";
    assert_eq!(
        addresses.take(),
        [table, "pcs-fips.eu-west-1.amazonaws.com", table]
    );
}
