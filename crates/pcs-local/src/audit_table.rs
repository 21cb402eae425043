//! The audit table as the deployment's template makes it, for the DynamoDB on this machine.

use std::{error::Error, path::PathBuf};

use aws_sdk_dynamodb::{
    Client,
    config::{http::HttpResponse, retry::RetryConfig},
    error::{BuildError, ProvideErrorMetadata, SdkError},
    operation::create_table::{CreateTableError, builders::CreateTableFluentBuilder},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        Projection, ProjectionType, ScalarAttributeType, TableDescription, TimeToLiveSpecification,
        TimeToLiveStatus,
    },
};

use pcs_api::audit::record::row;

use crate::data_dir;

const KEYS: [&str; 2] = ["pk", "sk"];

/// Index name and hash key; the range key of each is `at` (time, then event id).
const INDEXES: [&str; 4] = ["byTime", "byPrincipal", "byResource", "byRequest"];
const RANGE_KEY: &str = "at";

/// Where the table is, for sentences about it.
pub enum Place {
    /// In this program, kept in a file or in memory.
    Here(Option<PathBuf>),
    /// What `AWS_ENDPOINT_URL_DYNAMODB` says.
    Elsewhere(String),
}

/// Creates the table unless it is there, and finishes one that a kill has left without its time to live. Lists before
/// it asks: what is not there, or is there already, is no fault and leaves no line in anybody's log. Returns whether it
/// was there.
pub async fn create(client: &Client, table: &str, place: &Place) -> Result<bool, String> {
    let fault = |doing: &str, error: Fault| place.told(table, doing, &error);
    let mut was_there = is_there(client, table)
        .await
        .map_err(|e| fault("listing tables", e))?;
    if was_there {
        let described = client.describe_table().table_name(table).send().await;
        let described = described.map_err(|e| fault("describing it", (&e).into()))?;
        let keys = described
            .table()
            .map(TableDescription::key_schema)
            .unwrap_or_default();
        if !keys.iter().map(KeySchemaElement::attribute_name).eq(KEYS) {
            return Err(format!(
                "PCS_API_AUDIT_TABLE: the table `{table}` is there and is not one of this program: its keys are not \
                 {}; name another",
                KEYS.join(" and ")
            ));
        }
        if matches!(place, Place::Here(_))
            && is_half_made(client, table)
                .await
                .map_err(|e| fault("reading it", e))?
        {
            take_back(client, table)
                .await
                .map_err(|e| fault("making it again", e))?;
            was_there = false;
        }
    }
    if !was_there {
        make(client, table, place)
            .await
            .map_err(|e| fault("creating it", e))?;
    }
    time_to_live(client, table)
        .await
        .map_err(|e| fault("setting its time to live", e))?;
    Ok(was_there)
}

/// A second attempt would be told that the table is there, and hide why the first one failed.
async fn make(client: &Client, table: &str, place: &Place) -> Result<(), Fault> {
    let once = aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled());
    let request = definition(client, table).map_err(|error| Fault::Other(error.to_string()))?;
    let Err(error) = request.customize().config_override(once).send().await else {
        return Ok(());
    };
    if matches!(place, Place::Here(_)) {
        // What is half made would pass for a table at the next start; that start looks, too.
        let _ = take_back(client, table).await;
    } else if error
        .as_service_error()
        .is_some_and(CreateTableError::is_resource_in_use_exception)
    {
        // Somebody was faster.
        return Ok(());
    }
    Err(Fault::from(&error))
}

/// Whether a start that was cut off, or ran out of room, left a part of the table: the one inside makes a table and its
/// indexes one after the other. A part without rows can be made again; beside rows it is damage.
async fn is_half_made(client: &Client, table: &str) -> Result<bool, Fault> {
    const GONE: &str = "no such table";
    let is_gone = |fault: &Fault| fault.words().contains(GONE);
    let scan = client.scan().table_name(table).limit(1).send().await;
    let has_rows = match scan {
        Ok(page) => !page.items().is_empty(),
        Err(error) => {
            let fault = Fault::from(&error);
            return if is_gone(&fault) { Ok(true) } else { Err(fault) };
        }
    };
    for index in INDEXES {
        let query = client
            .query()
            .table_name(table)
            .index_name(index)
            .key_condition_expression("#key = :none")
            .expression_attribute_names("#key", index)
            .expression_attribute_values(":none", AttributeValue::S("-".to_owned()))
            .limit(1);
        if let Err(error) = query.send().await {
            let fault = Fault::from(&error);
            return if is_gone(&fault) && !has_rows {
                Ok(true)
            } else {
                Err(fault)
            };
        }
    }
    Ok(false)
}

async fn take_back(client: &Client, table: &str) -> Result<(), Fault> {
    let deleted = client.delete_table().table_name(table).send().await;
    deleted.map(|_| ()).map_err(|error| Fault::from(&error))
}

async fn is_there(client: &Client, table: &str) -> Result<bool, Fault> {
    let mut pages = client.list_tables().into_paginator().items().send();
    while let Some(name) = pages.next().await {
        if name.map_err(|error| Fault::from(&error))? == table {
            return Ok(true);
        }
    }
    Ok(false)
}

fn definition(client: &Client, table: &str) -> Result<CreateTableFluentBuilder, BuildError> {
    let [hash, range] = KEYS;
    let mut request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key(hash, KeyType::Hash)?)
        .key_schema(key(range, KeyType::Range)?);
    for attribute in KEYS.into_iter().chain([RANGE_KEY]).chain(INDEXES) {
        request = request.attribute_definitions(string(attribute)?);
    }
    for name in INDEXES {
        request = request.global_secondary_indexes(index(name)?);
    }
    Ok(request)
}

async fn time_to_live(client: &Client, table: &str) -> Result<(), Fault> {
    let described = client.describe_time_to_live().table_name(table).send().await;
    let described = described.map_err(|error| Fault::from(&error))?;
    let status = described
        .time_to_live_description()
        .and_then(|description| description.time_to_live_status());
    if status.is_some_and(|status| [TimeToLiveStatus::Enabled, TimeToLiveStatus::Enabling].contains(status)) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires")
        .build()
        .map_err(|error| Fault::Other(error.to_string()))?;
    let request = client
        .update_time_to_live()
        .table_name(table)
        .time_to_live_specification(specification);
    request
        .send()
        .await
        .map(|_| ())
        .map_err(|error| Fault::from(&error))
}

/// What went wrong with a question to DynamoDB, without the SDK's own words about itself.
enum Fault {
    /// Nobody answered.
    Silent(String),
    /// Somebody who is not DynamoDB.
    Foreign(u16),
    /// DynamoDB, and said no.
    Refused(String),
    Other(String),
}

impl<E: ProvideErrorMetadata + Error + 'static> From<&SdkError<E, HttpResponse>> for Fault {
    fn from(error: &SdkError<E, HttpResponse>) -> Fault {
        let status = error.raw_response().map(|response| response.status().as_u16());
        match (status, error.code()) {
            (Some(_), Some(code)) => Fault::Refused(match error.message() {
                Some(message) => format!("{code}: {message}"),
                None => code.to_owned(),
            }),
            (Some(status), None) => Fault::Foreign(status),
            (None, _) => Fault::Silent(innermost(error)),
        }
    }
}

/// The cause of all causes is what the system said.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl Place {
    fn told(&self, table: &str, doing: &str, fault: &Fault) -> String {
        match (self, fault) {
            (Place::Elsewhere(endpoint), Fault::Silent(cause)) => format!(
                "AWS_ENDPOINT_URL_DYNAMODB: nothing answers at {endpoint} ({cause}); start a DynamoDB there, or leave the \
                 variable out for the one inside"
            ),
            (Place::Elsewhere(endpoint), Fault::Foreign(status)) => format!(
                "AWS_ENDPOINT_URL_DYNAMODB: what answers at {endpoint} is not DynamoDB (status {status}); name one, or \
                 leave the variable out for the one inside"
            ),
            (Place::Elsewhere(endpoint), Fault::Refused(cause) | Fault::Other(cause)) => format!(
                "PCS_API_AUDIT_TABLE: the DynamoDB at {endpoint} (AWS_ENDPOINT_URL_DYNAMODB) refuses {doing}, the table \
                 `{table}`: {cause}"
            ),
            (Place::Here(Some(file)), fault) => {
                let cause = fault.words();
                format!("--data-dir: `{}` {}", file.display(), data_dir::unusable(&cause))
            }
            (Place::Here(None), fault) => {
                let cause = fault.words();
                format!("PCS_API_AUDIT_TABLE: the table `{table}` cannot be made ({doing}): {cause}")
            }
        }
    }
}

impl Fault {
    fn words(&self) -> String {
        match self {
            Fault::Silent(cause) | Fault::Refused(cause) | Fault::Other(cause) => cause.clone(),
            Fault::Foreign(status) => format!("status {status}"),
        }
    }
}

fn index(name: &str) -> Result<GlobalSecondaryIndex, BuildError> {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .key_schema(key(name, KeyType::Hash)?)
        .key_schema(key(RANGE_KEY, KeyType::Range)?)
        .projection(summary(name))
        .build()
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

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, BuildError> {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
}

fn string(name: &str) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()
}
