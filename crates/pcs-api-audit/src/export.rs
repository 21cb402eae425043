//! The trail as JSON lines: CloudTrail-shaped records, one a call, or the rows themselves.

use std::mem;

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use pcs_api::audit::{chain::Item, query};

use crate::{
    cloudtrail,
    failure::Failure,
    file::{self, Heading},
    output::Output,
    plain::text,
    progress::Progress,
    scan,
};

/// Which calls: all of the table, or those that began in a stretch of time, in its order.
#[derive(Debug, Clone, Copy)]
pub enum Stretch {
    Whole,
    Between(Timestamp, Timestamp),
}

/// The rows themselves, in DynamoDB JSON: what `verify --file` reads.
pub async fn raw(client: &Client, table: &str, stretch: Stretch, output: &mut Output) -> Result<(), Failure> {
    let (from, to) = match stretch {
        Stretch::Whole => (None, None),
        Stretch::Between(from, to) => (Some(from), Some(to)),
    };
    let heading = Heading {
        table: table.to_owned(),
        begun: Timestamp::now(),
        from,
        to,
    };
    output.line(&heading.line())?;
    let mut progress = Progress::begin("rows exported");
    let mut rows = 0;
    match stretch {
        Stretch::Whole => {
            scan::rows(client, table, |row| {
                progress.step();
                rows += 1;
                Ok(output.line(&file::line(row))?)
            })
            .await?;
        }
        Stretch::Between(from, to) => {
            for hour in scan::hours(from, to) {
                for ((_, pk), sks) in scan::partitions_of_hour(client, table, hour, from, to).await? {
                    for sk in sks {
                        if let Some(row) = scan::get(client, table, &pk, &sk).await? {
                            progress.step();
                            rows += 1;
                            output.line(&file::line(row))?;
                        }
                    }
                }
            }
        }
    }
    output.line(&file::end(rows))?;
    progress.end();
    Ok(())
}

/// One record for each call; rows that belong to no call, and expired ones, are left out.
pub async fn records(
    client: &Client,
    table: &str,
    stretch: Stretch,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut progress = Progress::begin("calls exported");
    let mut write = |mut rows: Vec<Item>| {
        rows.sort_by(|one, other| text(one, "sk").cmp(&text(other, "sk")));
        let Some(record) = cloudtrail::record(&rows) else {
            return Ok(());
        };
        progress.step();
        output.line(&record.to_string()).map_err(Failure::from)
    };
    match stretch {
        Stretch::Whole => {
            let now = Timestamp::now().as_second();
            let mut call: Vec<Item> = Vec::new();
            scan::rows(client, table, |row| {
                if is_expired(&row, now) || !is_of_a_call(&row) {
                    return Ok(());
                }
                let goes_on = call.last().is_some_and(|last| last.get("pk") == row.get("pk"));
                let ended = if goes_on { Vec::new() } else { mem::take(&mut call) };
                call.push(row);
                write(ended)
            })
            .await?;
            write(call)?;
        }
        Stretch::Between(from, to) => {
            for hour in scan::hours(from, to) {
                for (_, pk) in scan::partitions_of_hour(client, table, hour, from, to)
                    .await?
                    .into_keys()
                {
                    if let Some(id) = pk.strip_prefix("E#") {
                        write(query::rows(client, table, id).await?)?;
                    }
                }
            }
        }
    }
    progress.end();
    Ok(())
}

fn is_of_a_call(row: &Item) -> bool {
    text(row, "pk").is_some_and(|pk| pk.starts_with("E#"))
}

fn is_expired(row: &Item, now: i64) -> bool {
    row.get("expires")
        .and_then(|expires| expires.as_n().ok()?.parse::<i64>().ok())
        .is_some_and(|expires| expires <= now)
}
