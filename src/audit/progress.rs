//! What the sweep reads and writes: records that were left open, digests, and how far it got.
//!
//! The table is append-only for the sweep too: a record is closed by adding the row that its call could not add.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kms::{
    primitives::Blob,
    types::{MessageType, SigningAlgorithmSpec},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};

use super::{
    Audit,
    chain::Item,
    digest::{self, Hour, Shard},
    dynamodb,
    record::{Stage, row},
};
use crate::{aws::Clients, error::Error};

const PARTITION: &str = "SWEEP";

/// How far sweeps have got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Every record of the hours before is closed.
    pub closed_until: Timestamp,
    /// Every hour before has its digest.
    pub digested_until: Timestamp,
    /// Region with which the next sweep goes on; `None`: it begins anew.
    pub next_region: Option<String>,
}

impl Progress {
    /// What the first sweep of a deployment begins with.
    pub fn first(from: Timestamp) -> Progress {
        Progress {
            closed_until: from,
            digested_until: hour_of(from),
            next_region: None,
        }
    }

    /// Beginning of the hour after `closed_until`.
    pub fn next_hour(&self) -> Timestamp {
        hour_of(self.closed_until) + HOUR
    }
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn hour_of(time: Timestamp) -> Timestamp {
    let seconds = HOUR.as_secs();
    Timestamp::from_second(time.as_second().div_euclid(seconds) * seconds).unwrap_or(time)
}

impl Audit {
    /// What the last sweep recorded; `None` before the first.
    pub async fn progress(&self, clients: &Clients) -> Result<Option<Progress>, Error> {
        let newest = self.newest(clients, PARTITION).await?;
        Ok(newest.and_then(|row| {
            Some(Progress {
                closed_until: text(&row, "closedUntil")?.parse().ok()?,
                digested_until: text(&row, "digestedUntil")?.parse().ok()?,
                next_region: text(&row, "nextRegion").map(str::to_owned),
            })
        }))
    }

    /// `now` is when the sweep began.
    pub async fn record_progress(
        &self,
        clients: &Clients,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut row = row::keys(
            PARTITION,
            &format!("{now:.9}"),
            now,
            self.config.audit.retention_days,
        );
        let mut set = |name: &str, value: String| row.insert(name.to_owned(), AttributeValue::S(value));
        set("closedUntil", progress.closed_until.to_string());
        set("digestedUntil", progress.digested_until.to_string());
        if let Some(region) = &progress.next_region {
            set("nextRegion", region.clone());
        }
        self.write(clients, row).await.map_err(unavailable)
    }

    /// Writes the digest of the next hour and moves `digested_until` on; `false` when `until` is reached.
    ///
    /// `until` must be where an *earlier* sweep stopped closing records: what it wrote has reached the index by now.
    pub async fn digest_next_hour(
        &self,
        clients: &Clients,
        progress: &mut Progress,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let hour = progress.digested_until;
        if hour + HOUR > until {
            return Ok(false);
        }
        let last = self.newest(clients, digest::PARTITION).await?;
        // A sweep that was cut off after it wrote the digest and before it recorded its progress.
        let is_there = last
            .as_ref()
            .and_then(|last| text(last, "sk"))
            .is_some_and(|last| last >= row::hour(hour).as_str());
        if !is_there {
            let previous = last.as_ref().and_then(|last| text(last, "rowHash"));
            self.write_digest(clients, hour, previous, now).await?;
        }
        progress.digested_until = hour + HOUR;
        Ok(true)
    }

    async fn write_digest(
        &self,
        clients: &Clients,
        hour: Timestamp,
        previous: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut sum = Hour::default();
        for key in digest::shards(hour) {
            let mut shard = Shard::default();
            dynamodb::leaves(clients.dynamodb(), &self.config.audit.table, &key, |leaf| {
                shard.add(leaf, &mut sum);
            })
            .await
            .map_err(unavailable)?;
            shard.end(&mut sum);
        }
        let key = self.config.audit.signing_key.as_deref();
        let mut row = sum.row(hour, previous, key, now, self.config.audit.retention_days);
        // An unsigned digest where signatures are asked for would be what a forger leaves.
        let link = self.chain.link(&mut row);
        if let Some(key) = key {
            let hash = text(&row, "rowHash").unwrap_or_default().to_owned();
            let signature = sign(clients, key, hash).await.map_err(unavailable)?;
            row.insert("signature".to_owned(), AttributeValue::S(signature));
        }
        dynamodb::put(clients.dynamodb(), &self.config.audit.table, row)
            .await
            .map_err(unavailable)?;
        link.acknowledge();
        Ok(())
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
            let opened = dynamodb::unclosed(clients.dynamodb(), &self.config.audit.table, &key)
                .await
                .map_err(unavailable)?;
            for row in opened {
                closed += u32::from(self.close_if_abandoned(clients, row, until).await?);
            }
        }
        Ok(closed)
    }

    async fn close_if_abandoned(
        &self,
        clients: &Clients,
        summary: Item,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let opened_at = text(&summary, "eventTime").and_then(|time| time.parse::<Timestamp>().ok());
        let (Some(opened_at), Some(pk)) = (opened_at, summary.get("pk").cloned()) else {
            return Ok(false);
        };
        if opened_at >= until {
            return Ok(false);
        }
        let rows = dynamodb::partition(clients.dynamodb(), &self.config.audit.table, pk)
            .await
            .map_err(unavailable)?;
        let mut received = None;
        for row in rows {
            if dynamodb::is_closing(&row) {
                return Ok(false);
            }
            if text(&row, "sk") == Some(&Stage::Received.sort_key()) {
                received = Some(row);
            }
        }
        let Some(received) = received else {
            return Ok(false);
        };
        tracing::warn!(event_id = text(&received, "eventId"), "AUDIT_CLOSED_BY_SWEEP");
        self.write(clients, row::unknown(received))
            .await
            .map_err(unavailable)?;
        Ok(true)
    }

    async fn newest(&self, clients: &Clients, partition: &str) -> Result<Option<Item>, Error> {
        let key = AttributeValue::S(partition.to_owned());
        dynamodb::newest(clients.dynamodb(), &self.config.audit.table, key)
            .await
            .map_err(unavailable)
    }
}

/// Base64 of the DER signature that KMS makes of the row hash's hexadecimal text.
async fn sign(clients: &Clients, key: &str, row_hash: String) -> Result<String, &'static str> {
    let signed = clients
        .kms()
        .sign()
        .key_id(key)
        .message(Blob::new(row_hash))
        .message_type(MessageType::Raw)
        .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
    let signature = signed
        .send()
        .await
        .ok()
        .and_then(|output| output.signature)
        .ok_or("the key did not sign the digest")?;
    Ok(BASE64_STANDARD.encode(signature))
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
        let mut progress = Progress::first("2026-11-21T22:10:00Z".parse().unwrap());
        assert_eq!(progress.digested_until, "2026-11-21T22:00:00Z".parse().unwrap());
        for expected in ["2026-11-21T23:00:00Z", "2026-11-22T00:00:00Z"] {
            progress.closed_until = progress.next_hour();
            assert_eq!(progress.closed_until, expected.parse().unwrap());
        }
    }
}
