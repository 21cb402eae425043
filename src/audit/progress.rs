//! What the sweep reads and writes: records that were left open, and how far it got.
//!
//! The table is append-only for the sweep too: a record is closed by adding the row that its call could not add.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::{Audit, dynamodb, record::row};
use crate::{aws::Clients, error::Error};

type Item = HashMap<String, AttributeValue>;

const PROGRESS_KEY: &str = "SWEEP";

/// How far sweeps have got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Every record of the hours before is closed.
    pub closed_until: Timestamp,
    /// Region with which the next sweep goes on; `None`: it begins anew.
    pub next_region: Option<String>,
}

impl Progress {
    /// Beginning of the hour after `closed_until`.
    pub fn next_hour(&self) -> Timestamp {
        const HOUR: i64 = 60 * 60;
        let begin = self.closed_until.as_second().div_euclid(HOUR) + 1;
        Timestamp::from_second(begin * HOUR).unwrap_or(Timestamp::MAX)
    }
}

impl Audit {
    /// What the last sweep recorded; `None` before the first.
    pub async fn progress(&self, clients: &Clients) -> Result<Option<Progress>, Error> {
        let key = AttributeValue::S(PROGRESS_KEY.to_owned());
        let newest = dynamodb::newest(clients.dynamodb(), &self.config.table, key)
            .await
            .map_err(unavailable)?;
        Ok(newest.and_then(|item| {
            Some(Progress {
                closed_until: text(&item, "closedUntil")?.parse().ok()?,
                next_region: text(&item, "nextRegion").map(str::to_owned),
            })
        }))
    }

    pub async fn record_progress(&self, clients: &Clients, progress: &Progress) -> Result<(), Error> {
        let now = Timestamp::now();
        let expires = row::expires(now, self.config.retention_days);
        let mut row = vec![
            ("pk", AttributeValue::S(PROGRESS_KEY.to_owned())),
            ("sk", AttributeValue::S(format!("{now:.9}"))),
            ("expires", AttributeValue::N(expires.to_string())),
            (
                "closedUntil",
                AttributeValue::S(progress.closed_until.to_string()),
            ),
        ];
        row.extend(
            progress
                .next_region
                .clone()
                .map(|region| ("nextRegion", AttributeValue::S(region))),
        );
        dynamodb::put(clients.dynamodb(), &self.config.table, row)
            .await
            .map_err(unavailable)
    }

    /// Closes the records that were opened in the hour of `hour`, before `until`, and that nobody closed. Returns how
    /// many there were.
    pub async fn close_abandoned(
        &self,
        clients: &Clients,
        hour: Timestamp,
        until: Timestamp,
    ) -> Result<u32, Error> {
        let mut closed = 0;
        for shard in 0..row::TIME_SHARDS {
            let key = row::time_key(hour, shard);
            let opened = dynamodb::received(clients.dynamodb(), &self.config.table, &key)
                .await
                .map_err(unavailable)?;
            for item in opened {
                closed += u32::from(self.close_if_abandoned(clients, item, until).await?);
            }
        }
        Ok(closed)
    }

    async fn close_if_abandoned(
        &self,
        clients: &Clients,
        item: Item,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let opened_at = text(&item, "eventTime").and_then(|time| time.parse::<Timestamp>().ok());
        let (Some(opened_at), Some(pk)) = (opened_at, item.get("pk").cloned()) else {
            return Ok(false);
        };
        if opened_at >= until {
            return Ok(false);
        }
        let table = &self.config.table;
        if dynamodb::is_closed(clients.dynamodb(), table, pk)
            .await
            .map_err(unavailable)?
        {
            return Ok(false);
        }
        tracing::warn!(event_id = text(&item, "eventId"), "AUDIT_CLOSED_BY_SWEEP");
        dynamodb::put_item(clients.dynamodb(), table, row::unknown(item))
            .await
            .map_err(unavailable)?;
        Ok(true)
    }
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn unavailable(reason: &'static str) -> Error {
    tracing::error!(reason, "AUDIT_UNAVAILABLE");
    Error::AuditUnavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_follow_one_another() {
        let mut progress = Progress {
            closed_until: "2026-11-21T22:10:00Z".parse().unwrap(),
            next_region: None,
        };
        for expected in ["2026-11-21T23:00:00Z", "2026-11-22T00:00:00Z"] {
            progress.closed_until = progress.next_hour();
            assert_eq!(progress.closed_until, expected.parse().unwrap());
        }
    }
}
