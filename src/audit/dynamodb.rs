//! The append-only write, and the reads of the sweep. `attribute_not_exists` makes a second write of the same row fail instead of replace it;
//! the function's role has no action that could change or remove one.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, error::SdkError, operation::put_item::PutItemError, types::AttributeValue};

use super::record::{Stage, row::Row};

type Item = HashMap<String, AttributeValue>;

/// Writes one row; the error says why in words for the log.
pub async fn put(client: &Client, table: &str, row: Row) -> Result<(), &'static str> {
    put_item(
        client,
        table,
        row.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
    .await
}

/// As [`put`], for a row that was read from the table.
pub async fn put_item(client: &Client, table: &str, item: Item) -> Result<(), &'static str> {
    let written = client
        .put_item()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression("attribute_not_exists(pk)")
        .send()
        .await;
    match written {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(context)) => Err(reason(context.err())),
        Err(SdkError::TimeoutError(_)) => Err("the audit table did not answer in time"),
        Err(_) => Err("the audit table could not be reached"),
    }
}

/// The row with the highest sort key of a partition.
pub async fn newest(client: &Client, table: &str, pk: AttributeValue) -> Result<Option<Item>, &'static str> {
    let query = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk");
    let query = query
        .expression_attribute_values(":pk", pk)
        .scan_index_forward(false)
        .limit(1)
        .consistent_read(true);
    let page = query
        .send()
        .await
        .map_err(|_| "the audit table could not be read")?;
    Ok(page.items.unwrap_or_default().pop())
}

/// The opening rows of mutations under a key of the time index; every page.
pub async fn received(client: &Client, table: &str, by_time: &str) -> Result<Vec<Item>, &'static str> {
    let query = client
        .query()
        .table_name(table)
        .index_name("byTime")
        .key_condition_expression("byTime = :key")
        .filter_expression("sk = :received")
        .expression_attribute_values(":key", AttributeValue::S(by_time.to_owned()))
        .expression_attribute_values(":received", AttributeValue::S(Stage::Received.sort_key()));
    let mut pages = query.into_paginator().items().send();
    let mut items = Vec::new();
    while let Some(item) = pages.next().await {
        items.push(item.map_err(|_| "the audit table could not be read")?);
    }
    Ok(items)
}

/// Whether a record has a closing row.
pub async fn is_closed(client: &Client, table: &str, pk: AttributeValue) -> Result<bool, &'static str> {
    let page = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk AND begins_with(sk, :closing)")
        .expression_attribute_values(":pk", pk)
        .expression_attribute_values(":closing", AttributeValue::S("9#".to_owned()))
        .consistent_read(true)
        .send()
        .await
        .map_err(|_| "the audit table could not be read")?;
    Ok(page.count > 0)
}

fn reason(error: &PutItemError) -> &'static str {
    if error.is_conditional_check_failed_exception() {
        // Event ids are random; this is our own write whose answer was lost, retried by the SDK, or a forgery.
        return "the audit table already has this row";
    }
    if error.is_provisioned_throughput_exceeded_exception() || error.is_throttling_exception() {
        return "the audit table is throttled";
    }
    if error.is_resource_not_found_exception() {
        return "the audit table does not exist";
    }
    "the audit table refused the row"
}
