//! The audit table as the deployment's template makes it, for the DynamoDB on this machine.

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
        ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
    },
};

use pcs_api::audit::record::row;

use crate::stack::StartError;

/// Index name and hash key; the range key of each is `at` (time, then event id).
const INDEXES: [&str; 4] = ["byTime", "byPrincipal", "byResource", "byRequest"];
const RANGE_KEY: &str = "at";

/// Creates the table unless it is there.
pub async fn create(client: &Client, table: &str) -> Result<(), StartError> {
    let mut request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key("pk", KeyType::Hash)?)
        .key_schema(key("sk", KeyType::Range)?);
    for attribute in ["pk", "sk", RANGE_KEY].into_iter().chain(INDEXES) {
        request = request.attribute_definitions(string(attribute)?);
    }
    for name in INDEXES {
        request = request.global_secondary_indexes(index(name)?);
    }
    match request.send().await {
        Ok(_) => time_to_live(client, table).await,
        Err(SdkError::ServiceError(context)) if context.err().is_resource_in_use_exception() => Ok(()),
        Err(error) => Err(StartError::table(&error)),
    }
}

async fn time_to_live(client: &Client, table: &str) -> Result<(), StartError> {
    let specification = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires")
        .build()
        .map_err(|error| StartError::table(&error))?;
    let request = client
        .update_time_to_live()
        .table_name(table)
        .time_to_live_specification(specification);
    request
        .send()
        .await
        .map(|_| ())
        .map_err(|error| StartError::table(&error))
}

fn index(name: &str) -> Result<GlobalSecondaryIndex, StartError> {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .key_schema(key(name, KeyType::Hash)?)
        .key_schema(key(RANGE_KEY, KeyType::Range)?)
        .projection(summary(name))
        .build()
        .map_err(|error| StartError::table(&error))
}

fn summary(index: &str) -> Projection {
    let digested = if index == "byTime" {
        &row::DIGESTED[..]
    } else {
        &[]
    };
    let attributes = row::SUMMARY.iter().chain(digested);
    Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(attributes.map(|name| (*name).to_owned()).collect()))
        .build()
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, StartError> {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .map_err(|error| StartError::table(&error))
}

fn string(name: &str) -> Result<AttributeDefinition, StartError> {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .map_err(|error| StartError::table(&error))
}
