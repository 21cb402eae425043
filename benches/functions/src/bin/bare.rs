//! Bare handlers: the AWS calls that the gateway makes for a request, through the same SDK clients and the same
//! connector, and nothing else: no validation, no decision, no chain, no row made anew.
//!
//! `BENCH_CALLS` says which calls; `BENCH_ROW` is the row to put, in DynamoDB's JSON, as the gateway wrote it.

use std::{collections::HashMap, env, time::Instant};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure};
use aws_sdk_pcs::types::{CustomLaunchTemplate, InstanceConfig, PurchaseOption, ScalingConfigurationRequest};
use aws_smithy_types::Blob;
use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use pcs_api::{
    aws::Clients,
    config::{AwsConfig, Trust},
};
use serde_json::{Value, json};

type Item = HashMap<String, AttributeValue>;

/// As the emulator is seeded; the gateway's own cluster has another name, because client tokens differ.
const CLUSTER: &str = "bare-cluster";
const PROFILE: &str = "AWSPCS-compute-node";
const DIRECT_CALLS: usize = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function {
        clients: Clients::new(config()?),
        calls: Calls::parse(&env::var("BENCH_CALLS")?)?,
        row: item(&serde_json::from_str(&env::var("BENCH_ROW")?)?)?,
    };
    let function = &function;
    lambda_runtime::run(service_fn(move |_: LambdaEvent<Value>| async move {
        Box::pin(function.answer()).await
    }))
    .await
}

/// Which calls.
#[derive(Debug, Clone, Copy)]
enum Calls {
    /// One put.
    Put,
    /// One put, then `ListClusters`.
    Read,
    /// What an allowed `CreateComputeNodeGroup` needs, each call at the earliest moment it can be made.
    Create,
    /// Of those, the longest chain in which each call waits for the one before.
    CreateChain,
    /// A put beside the read of the profile, then a put.
    Denied,
    /// No answer of use, but how long `ListClusters` and a put take by themselves.
    Direct,
}

impl Calls {
    fn parse(text: &str) -> Result<Calls, Error> {
        match text {
            "put" => Ok(Calls::Put),
            "read" => Ok(Calls::Read),
            "create" => Ok(Calls::Create),
            "create-chain" => Ok(Calls::CreateChain),
            "denied" => Ok(Calls::Denied),
            "direct" => Ok(Calls::Direct),
            other => Err(format!("BENCH_CALLS={other}").into()),
        }
    }
}

struct Function {
    clients: Clients,
    calls: Calls,
    row: Item,
}

impl Function {
    async fn answer(&self) -> Result<Value, Error> {
        let (status, body) = match self.calls {
            Calls::Put => {
                self.put().await?;
                (404, json!({}))
            }
            Calls::Read => {
                self.put().await?;
                (200, json!({ "clusters": self.list().await? }))
            }
            Calls::Create => {
                let (put, facts) = tokio::join!(self.put(), self.facts());
                put.and(facts)?;
                let id = self.create().await?;
                self.facts().await?;
                let (complete, identified) = tokio::join!(self.put(), self.put());
                complete.and(identified)?;
                (202, json!({ "id": id }))
            }
            Calls::CreateChain => {
                self.profile().await?;
                self.role().await?;
                let id = self.create().await?;
                self.profile().await?;
                self.role().await?;
                self.put().await?;
                (202, json!({ "id": id }))
            }
            Calls::Denied => {
                let (put, _none) = tokio::join!(self.put(), self.missing_profile());
                put?;
                self.put().await?;
                (403, json!({}))
            }
            Calls::Direct => (200, self.direct().await?),
        };
        Ok(json!({"statusCode": status, "body": body.to_string()}))
    }

    /// Nanoseconds that each call takes, made from here.
    async fn direct(&self) -> Result<Value, Error> {
        let (mut list, mut put) = (Vec::new(), Vec::new());
        for _ in 0..DIRECT_CALLS {
            let begun = Instant::now();
            self.list().await?;
            list.push(u64::try_from(begun.elapsed().as_nanos())?);
            let begun = Instant::now();
            self.put().await?;
            put.push(u64::try_from(begun.elapsed().as_nanos())?);
        }
        Ok(json!({"list": list, "put": put}))
    }

    async fn put(&self) -> Result<(), Error> {
        self.clients
            .dynamodb()
            .put_item()
            .table_name("pcs-api-audit")
            .set_item(Some(self.row.clone()))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await?;
        Ok(())
    }

    async fn list(&self) -> Result<usize, Error> {
        let page = self.clients.pcs().list_clusters().max_results(50).send().await?;
        Ok(page.clusters().len())
    }

    /// As `iam/facts.rs` reads them: the profile, then all of its role at once.
    async fn facts(&self) -> Result<(), Error> {
        self.profile().await?;
        let iam = self.clients.iam();
        let attached = iam.list_attached_role_policies().role_name(PROFILE).send();
        let inline = iam.list_role_policies().role_name(PROFILE).send();
        let (role, attached, inline) = tokio::join!(self.role(), attached, inline);
        attached?;
        inline?;
        role
    }

    async fn profile(&self) -> Result<(), Error> {
        let profile = self.clients.iam().get_instance_profile();
        profile.instance_profile_name(PROFILE).send().await?;
        Ok(())
    }

    async fn missing_profile(&self) -> bool {
        let profile = self.clients.iam().get_instance_profile();
        let answer = profile
            .instance_profile_name("AWSPCS-does-not-exist")
            .send()
            .await;
        answer.is_err()
    }

    async fn role(&self) -> Result<(), Error> {
        self.clients.iam().get_role().role_name(PROFILE).send().await?;
        Ok(())
    }

    /// The same group each time, by the same client token.
    async fn create(&self) -> Result<Option<String>, Error> {
        let template = CustomLaunchTemplate::builder()
            .id("lt-0123456789abcdef0")
            .version("1");
        let scaling = ScalingConfigurationRequest::builder()
            .min_instance_count(0)
            .max_instance_count(4);
        let created = self
            .clients
            .pcs()
            .create_compute_node_group()
            .cluster_identifier(CLUSTER)
            .compute_node_group_name("compute")
            .subnet_ids("subnet-0123456789abcdef0")
            .iam_instance_profile_arn(format!("arn:aws:iam::123456789012:instance-profile/{PROFILE}"))
            .scaling_configuration(scaling.build())
            .instance_configs(InstanceConfig::builder().instance_type("c6i.xlarge").build())
            .custom_launch_template(template.build()?)
            .purchase_option(PurchaseOption::Ondemand)
            .client_token("7f1c2c1e-5c0b-4a53-9d1f-0c3f4a2b8e10")
            .tags("team", "research")
            .send()
            .await?;
        Ok(created.compute_node_group.map(|group| group.id))
    }
}

fn config() -> Result<AwsConfig, Error> {
    Ok(AwsConfig {
        region: env::var("AWS_REGION")?,
        access_key_id: env::var("AWS_ACCESS_KEY_ID")?,
        secret_access_key: env::var("AWS_SECRET_ACCESS_KEY")?,
        session_token: env::var("AWS_SESSION_TOKEN").ok(),
        trust: if env::var_os("SSL_CERT_FILE").is_some() {
            Trust::System
        } else {
            Trust::Amazon
        },
        pcs_endpoint: env::var("AWS_ENDPOINT_URL_PCS").ok(),
        iam_endpoint: env::var("AWS_ENDPOINT_URL_IAM").ok(),
        dynamodb_endpoint: env::var("AWS_ENDPOINT_URL_DYNAMODB").ok(),
        kms_endpoint: None,
        fips: false,
    })
}

/// A row out of DynamoDB's JSON.
fn item(json: &Value) -> Result<Item, Error> {
    let members = json.as_object().ok_or("not a row")?;
    members
        .iter()
        .map(|(name, value)| Ok((name.clone(), attribute(value)?)))
        .collect()
}

fn attribute(json: &Value) -> Result<AttributeValue, Error> {
    let tagged = json.as_object().and_then(|object| object.iter().next());
    let (tag, value) = tagged.ok_or("not an attribute")?;
    let text = value.as_str().unwrap_or_default();
    match tag.as_str() {
        "S" => Ok(AttributeValue::S(text.to_owned())),
        "N" => Ok(AttributeValue::N(text.to_owned())),
        "B" => Ok(AttributeValue::B(Blob::new(BASE64_STANDARD.decode(text)?))),
        "BOOL" => Ok(AttributeValue::Bool(value == &Value::Bool(true))),
        "L" => {
            let values = value.as_array().into_iter().flatten().map(attribute);
            Ok(AttributeValue::L(values.collect::<Result<_, _>>()?))
        }
        "M" => Ok(AttributeValue::M(item(value)?)),
        other => Err(format!("an attribute of type {other}").into()),
    }
}
