//! The append-only write. `attribute_not_exists` makes a second write of the same row fail instead of replace it;
//! the function's role has no action that could change or remove one.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, error::SdkError, operation::put_item::PutItemError, types::AttributeValue};

use super::record::Row;

/// Writes one row; the error says why in words for the log.
pub async fn put(client: &Client, table: &str, row: Row) -> Result<(), &'static str> {
    let item: HashMap<String, AttributeValue> = row
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
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
