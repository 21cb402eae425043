//! Where the first sweep of a folder's trail has to begin.
//!
//! A function that was deployed is swept within the hour, and its first sweep looks back a day. A process that is killed
//! in its first hour and started again days later had no sweep, and its calls would stay open for ever. And a clock that was
//! set back must not write into hours that are summed up: the trail would never be whole again.

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
    if swept_until(client, &config.audit.table).await?.is_some() {
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

/// The error says why calls of now would damage the trail: its sweeps have got further, which takes a clock that was
/// ahead then or is behind now.
pub async fn check_clock(client: &Client, table: &str) -> Result<(), String> {
    let now = Timestamp::now();
    match swept_until(client, table).await? {
        Some(swept) if swept > now => Err(format!(
            "the audit trail is swept until {swept:.0}, and this machine's clock says {now:.0}: calls of now would come \
             into hours that are summed up already; set the clock right, or keep the trail elsewhere: name another \
             --data-dir or PCS_API_AUDIT_TABLE"
        )),
        Some(_) | None => Ok(()),
    }
}

/// The time before which sweeps have closed all calls; digests do not go further.
async fn swept_until(client: &Client, table: &str) -> Result<Option<Timestamp>, String> {
    let query = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(PARTITION.to_owned()))
        .scan_index_forward(false)
        .limit(1);
    let page = query.send().await.map_err(|error| unread(&error))?;
    let until = page.items().first().map(|row| {
        let until = row.get("closedUntil").and_then(|until| until.as_s().ok());
        // What cannot be read the sweep tells, and begins anew.
        until
            .and_then(|until| until.parse().ok())
            .unwrap_or(Timestamp::MIN)
    });
    Ok(until)
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
