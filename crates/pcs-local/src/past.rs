//! Where the first sweep of a folder's trail has to begin.
//!
//! A function that was deployed is swept within the hour, and its first sweep looks back a day. A process that is killed
//! in its first hour and started again days later had no sweep, and its calls would stay open for ever.

use std::sync::Arc;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::Timestamp;
use pcs_api::{
    audit::{
        Audit,
        progress::{PARTITION, Progress},
        record::row::hour_of,
    },
    aws::Clients,
    config::Config,
};

/// Records that sweeps begin at the oldest row, unless one ran. The error says in words what could not be done.
pub async fn begin(client: &Client, config: &Arc<Config>) -> Result<(), String> {
    if was_swept(client, &config.audit.table).await? {
        return Ok(());
    }
    let Some(oldest) = oldest(client, &config.audit.table).await? else {
        return Ok(());
    };
    let clients = Clients::new(config.aws.clone());
    let progress = Progress::first(hour_of(oldest));
    let audit = Audit::new(Arc::clone(config));
    let recorded = audit.record_progress(&clients, &progress, Timestamp::now());
    recorded
        .await
        .map_err(|_| "the place where sweeps begin could not be recorded".to_owned())
}

async fn was_swept(client: &Client, table: &str) -> Result<bool, String> {
    let query = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(PARTITION.to_owned()))
        .limit(1);
    let page = query.send().await.map_err(|error| unread(&error))?;
    Ok(!page.items().is_empty())
}

/// `at` begins with the time of the call; the table is this machine's, so reading all of it costs little.
async fn oldest(client: &Client, table: &str) -> Result<Option<Timestamp>, String> {
    let scan = client
        .scan()
        .table_name(table)
        .projection_expression("#at")
        .expression_attribute_names("#at", "at");
    let mut rows = scan.into_paginator().items().send();
    let mut oldest = None;
    while let Some(row) = rows.next().await {
        let row = row.map_err(|error| unread(&error))?;
        let at = row.get("at").and_then(|at| at.as_s().ok());
        let time = at.and_then(|at| at.split('#').next()?.parse::<Timestamp>().ok());
        oldest = [oldest, time].into_iter().flatten().min();
    }
    Ok(oldest)
}

fn unread(_: &dyn std::error::Error) -> String {
    "the rows of the audit table could not be read".to_owned()
}
