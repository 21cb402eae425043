//! The append-only write, and the reads of the sweep and of queries. `attribute_not_exists` makes a second write of
//! the same row fail instead of replace it; the function's role has no action that could change or remove one.

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{put_item::PutItemError, query::builders::QueryFluentBuilder},
    types::{AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure},
};
use tokio::time::Instant;

use super::{chain::Item, digest::Leaf, record::Stage};

/// Rows asked of the time index at once by who reads hours. A full page of DynamoDB, 1 MB, can take longer than one
/// attempt of this client may, and is no faster.
const HOUR_PAGE: i32 = 250;

/// Writes one row, linked already; the error says why in words for the log.
///
/// An answer that names no consumed capacity did not come from DynamoDB, whatever its status, and is no proof of a
/// record. A row that is there already with this very hash is our own, whose first answer was lost.
pub async fn put(client: &Client, table: &str, row: Item) -> Result<(), &'static str> {
    let hash = row.get("rowHash").cloned();
    let written = client
        .put_item()
        .table_name(table)
        .set_item(Some(row))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await;
    match written {
        Ok(output) if output.consumed_capacity().is_some() => Ok(()),
        Ok(_) => Err("what answered for the audit table did not confirm the row"),
        Err(SdkError::ServiceError(context)) if is_there(context.err(), hash.as_ref()) => Ok(()),
        Err(SdkError::ServiceError(context)) => Err(reason(context.err())),
        Err(SdkError::TimeoutError(_)) => Err("the audit table did not answer in time"),
        Err(_) => Err("the audit table could not be reached"),
    }
}

/// Whether the row that was refused is in the table already, with this hash.
fn is_there(error: &PutItemError, hash: Option<&AttributeValue>) -> bool {
    let PutItemError::ConditionalCheckFailedException(found) = error else {
        return false;
    };
    hash.is_some() && found.item().and_then(|item| item.get("rowHash")) == hash
}

/// The row with the highest sort key of a partition.
pub async fn newest(client: &Client, table: &str, pk: AttributeValue) -> Result<Option<Item>, &'static str> {
    newest_with(client, table, pk, "").await
}

/// Of those whose sort key begins so.
pub async fn newest_with(
    client: &Client,
    table: &str,
    pk: AttributeValue,
    prefix: &str,
) -> Result<Option<Item>, &'static str> {
    let mut query = client.query().table_name(table);
    query = if prefix.is_empty() {
        query.key_condition_expression("pk = :pk")
    } else {
        query
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
    };
    let query = query
        .expression_attribute_values(":pk", pk)
        .scan_index_forward(false)
        .limit(1)
        .consistent_read(true);
    let page = query.send().await.map_err(|_| UNREADABLE)?;
    Ok(page.items.ok_or(NO_ROWS)?.pop())
}

/// Part of a shard of an hour, for who reads hours.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// A key of the time index.
    pub by_time: &'a str,
    /// Only rows above this `at`.
    pub above: Option<&'a str>,
    /// Only rows below this `at`, which must be none of a row's; only with `above`.
    pub below: Option<&'a str>,
    /// When to stop reading.
    pub deadline: Instant,
}

impl Stretch<'_> {
    fn query(self, client: &Client, table: &str) -> QueryFluentBuilder {
        let condition = match (self.above, self.below) {
            (None, _) => "byTime = :key",
            (Some(_), None) => "byTime = :key AND #at > :above",
            (Some(_), Some(_)) => "byTime = :key AND #at BETWEEN :above AND :below",
        };
        let mut query = client
            .query()
            .table_name(table)
            .index_name("byTime")
            .key_condition_expression(condition)
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":key", AttributeValue::S(self.by_time.to_owned()))
            .limit(HOUR_PAGE);
        let bounds = [(":above", self.above), (":below", self.above.and(self.below))];
        for (name, value) in bounds {
            if let Some(value) = value {
                query = query.expression_attribute_values(name, AttributeValue::S(value.to_owned()));
            }
        }
        query
    }
}

/// More records than these are not closed before the next look: the sweep's memory has an end.
const UNCLOSED_MAX: usize = 500;

/// The opening rows of mutations in the stretch that have no closing row beside them there, and the `at` of the call
/// before which it stopped, if it did.
///
/// The rows of a call share their `at`, so they are neighbours: one pass tells, where a read for each call would cost
/// the sweep its time. The index lags behind the table; whoever acts on a row looks at the table first.
pub async fn unclosed(
    client: &Client,
    table: &str,
    stretch: Stretch<'_>,
) -> Result<(Vec<Item>, Option<String>), &'static str> {
    let query = stretch
        .query(client, table)
        .filter_expression("sk = :received OR begins_with(sk, :closing)")
        .projection_expression("pk, sk, #at")
        .expression_attribute_values(":received", AttributeValue::S(Stage::Received.sort_key()))
        .expression_attribute_values(":closing", AttributeValue::S(CLOSING.to_owned()));
    let mut pages = query.into_paginator().send();
    let mut unclosed = Vec::new();
    let mut call: Vec<Item> = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|_| UNREADABLE)?;
        for row in page.items.ok_or(NO_ROWS)? {
            if call.first().is_some_and(|first| first.get("at") != row.get("at")) {
                unclosed.extend(opening_without_closing(&mut call));
            }
            call.push(row);
        }
        let is_enough = Instant::now() >= stretch.deadline || unclosed.len() >= UNCLOSED_MAX;
        // More rows of the call that was read last may follow.
        if let Some(last) = page.last_evaluated_key.filter(|_| is_enough) {
            if call
                .first()
                .is_some_and(|first| first.get("at") != last.get("at"))
            {
                unclosed.extend(opening_without_closing(&mut call));
            }
            let at = last.get("at").and_then(|at| at.as_s().ok()).cloned();
            return Ok((unclosed, at));
        }
    }
    unclosed.extend(opening_without_closing(&mut call));
    Ok((unclosed, None))
}

/// Empties `rows`, which are all of one call.
fn opening_without_closing(rows: &mut Vec<Item>) -> Option<Item> {
    let is_closed = rows.iter().any(is_closing);
    rows.drain(..).find(|row| !is_closing(row)).filter(|_| !is_closed)
}

/// What the sort keys of closing rows begin with.
const CLOSING: &str = "9#";

/// Whether this row ends its record.
pub fn is_closing(row: &Item) -> bool {
    let sk = row.get("sk").and_then(|sk| sk.as_s().ok());
    sk.is_some_and(|sk| sk.starts_with(CLOSING))
}

/// A stretch of a partition of an index, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    pub index: &'a str,
    pub key: &'a str,
    pub low: &'a str,
    pub high: &'a str,
}

/// Rows of the range in falling order of `at`, and where to go on, if there are more.
pub async fn index_page(
    client: &Client,
    table: &str,
    range: Range<'_>,
    after: Option<Item>,
    limit: i32,
) -> Result<(Vec<Item>, Option<Item>), &'static str> {
    if range.low > range.high {
        return Ok((Vec::new(), None));
    }
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let page = client
        .query()
        .table_name(table)
        .index_name(range.index)
        .key_condition_expression("#key = :key AND #at BETWEEN :low AND :high")
        .expression_attribute_names("#key", range.index)
        .expression_attribute_names("#at", "at")
        .expression_attribute_values(":key", text(range.key))
        .expression_attribute_values(":low", text(range.low))
        .expression_attribute_values(":high", text(range.high))
        .scan_index_forward(false)
        .set_exclusive_start_key(after)
        .limit(limit)
        .send()
        .await
        .map_err(|_| UNREADABLE)?;
    Ok((page.items.ok_or(NO_ROWS)?, page.last_evaluated_key))
}

/// All rows of a partition, in the order of the sort key.
pub async fn partition(client: &Client, table: &str, pk: AttributeValue) -> Result<Vec<Item>, &'static str> {
    let query = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", pk)
        .consistent_read(true);
    let mut pages = query.into_paginator().send();
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await {
        rows.extend(page.map_err(|_| UNREADABLE)?.items.ok_or(NO_ROWS)?);
    }
    Ok(rows)
}

/// What the digest says of the rows in the stretch, in the order of `at`; `take` gets each. `false`: time ran out first.
pub async fn leaves(
    client: &Client,
    table: &str,
    stretch: Stretch<'_>,
    mut take: impl FnMut(Leaf),
) -> Result<bool, &'static str> {
    let query = stretch
        .query(client, table)
        .projection_expression("#at, sk, rowHash, chainId, chainSeq, expires");
    let mut pages = query.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|_| UNREADABLE)?;
        for row in page.items.ok_or(NO_ROWS)? {
            take(leaf(&row));
        }
        if page.last_evaluated_key.is_some() && Instant::now() >= stretch.deadline {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A row without an attribute was not written by us; it gets a leaf that fits no row of ours, and must not stop the
/// digest.
pub fn leaf(row: &Item) -> Leaf {
    let text = |name: &str| {
        let value = row.get(name).and_then(|value| value.as_s().ok());
        value.cloned().unwrap_or_default()
    };
    let number = |name: &str| row.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
    Leaf {
        at: text("at"),
        sk: text("sk"),
        row_hash: text("rowHash"),
        chain_id: Some(text("chainId"))
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| "NONE".to_owned()),
        chain_seq: number("chainSeq").unwrap_or_default(),
        expires: row
            .get("expires")
            .and_then(|value| value.as_n().ok()?.parse().ok())
            .unwrap_or(i64::MAX),
    }
}

/// Why a row was not written: there is one with its keys.
pub const ALREADY_THERE: &str = "the audit table already has this row";
/// DynamoDB answers with rows, if with none; what answers without them is another thing, and no empty table.
const NO_ROWS: &str = "what answered for the audit table sent no rows";
const UNREADABLE: &str = "the audit table could not be read";

fn reason(error: &PutItemError) -> &'static str {
    if error.is_conditional_check_failed_exception() {
        // Event ids are random; this is our own write whose answer was lost, retried by the SDK, or a forgery.
        return ALREADY_THERE;
    }
    if error.is_provisioned_throughput_exceeded_exception() || error.is_throttling_exception() {
        return "the audit table is throttled";
    }
    if error.is_resource_not_found_exception() {
        return "the audit table does not exist";
    }
    if error.code().is_some_and(|code| code.starts_with("AccessDenied")) {
        return "the function's role lacks dynamodb:PutItem on the audit table, or the use of the table's key";
    }
    "the audit table refused the row"
}
