//! What the sweep does with the hours that are past: it closes records that were left open, and writes digests.
//!
//! The table is append-only for the sweep too: a record is closed by adding the row that its call could not add. The
//! shards of an hour are read side by side. Whoever runs out of time stops at a row, and the next run goes on there.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kms::{
    primitives::Blob,
    types::{MessageType, SigningAlgorithmSpec},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{
    FutureExt,
    future::try_join_all,
    stream::{self, StreamExt},
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    Audit,
    chain::Item,
    digest::{self, Hour, Shard},
    dynamodb::{self, ALREADY_THERE, Stretch},
    progress::{HalfDigest, HalfShard, Progress, text, unavailable},
    record::{
        Stage,
        row::{self, hour_of},
    },
};
use crate::{aws::Clients, error::Error};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Each takes two calls of the table; they are few unless the table was down.
const CLOSED_AT_A_TIME: usize = 8;
/// A row of DynamoDB holds 400 KB, and a chain takes up to 50 bytes of it. An hour of more execution environments has to
/// be summed up in one run.
const HALF_CHAINS_MAX: usize = 7_000;

impl Audit {
    /// Closes what was opened before `until` and that nobody closed, and moves `closed_until` on. Returns how many
    /// records there were. `deadline` ends it early, though never before there is some progress.
    pub async fn close_abandoned(
        &self,
        clients: &Clients,
        progress: &mut Progress,
        until: Timestamp,
        deadline: Instant,
    ) -> Result<u32, Error> {
        let mut closed = 0;
        while progress.closed_until < until {
            let from = progress.closed_until;
            let to = until.min(hour_of(from) + HOUR);
            let shards = (0..row::TIME_SHARDS).map(|shard| {
                self.close_in_shard(clients, row::time_key(from, shard), from, to, deadline)
                    .boxed()
            });
            let mut reached = to;
            for (shard_closed, shard_reached) in try_join_all(shards).await? {
                closed += shard_closed;
                reached = reached.min(shard_reached);
            }
            progress.closed_until = reached;
            if reached <= from || Instant::now() >= deadline {
                break;
            }
        }
        Ok(closed)
    }

    /// Returns how many were closed, and until when all are.
    async fn close_in_shard(
        &self,
        clients: &Clients,
        key: String,
        from: Timestamp,
        to: Timestamp,
        deadline: Instant,
    ) -> Result<(u32, Timestamp), Error> {
        // `at` is a time, to the millisecond, and an id: the bare time comes before whatever happened at it.
        let stretch = Stretch {
            by_time: &key,
            above: Some(&format!("{from:.3}")),
            below: Some(&format!("{to:.3}")),
            deadline,
        };
        let (opened, stopped) = dynamodb::unclosed(clients.dynamodb(), &self.config.audit.table, stretch)
            .await
            .map_err(unavailable)?;
        let mut reached = stopped.map_or(to, |at| time_of(&at, from));
        let mut closed = 0;
        let closings = opened.into_iter().enumerate().map(|(index, row)| {
            let at = text(&row, "at").map_or(from, |at| time_of(at, from));
            async move {
                // The first ones always, or a run that comes late would leave all to the next.
                if index >= CLOSED_AT_A_TIME && Instant::now() >= deadline {
                    return Ok((at, None));
                }
                let done = self.close_if_abandoned(clients, row).await;
                done.map(|done| (at, Some(done)))
            }
            .boxed()
        });
        let mut closings = stream::iter(closings).buffered(CLOSED_AT_A_TIME);
        while let Some(closing) = closings.next().await {
            match closing? {
                (_, Some(done)) => closed += u32::from(done),
                (at, None) => reached = reached.min(at),
            }
        }
        Ok((closed, reached))
    }

    async fn close_if_abandoned(&self, clients: &Clients, summary: Item) -> Result<bool, Error> {
        let Some(pk) = summary.get("pk").cloned() else {
            return Ok(false);
        };
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
        match self.write(clients, row::unknown(received)).await {
            Ok(()) => Ok(true),
            Err(ALREADY_THERE) => Ok(false),
            Err(reason) => Err(unavailable(reason)),
        }
    }

    /// Writes the digest of the next hour and moves `digested_until` on; `false` when `until` is reached, or the
    /// deadline, though never before there is some progress.
    ///
    /// `until` must be where an *earlier* sweep stopped closing records: what it wrote has reached the index by now.
    pub async fn digest_next_hour(
        &self,
        clients: &Clients,
        progress: &mut Progress,
        until: Timestamp,
        now: Timestamp,
        deadline: Instant,
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
            // Kept until the new sum is there: a page that cannot be read must not cost what earlier runs have done.
            let half = progress.memory.half_digest.clone();
            let mut chains = half.chains;
            let mut shards = self.sum_up(clients, hour, half.shards, deadline).await?;
            if !shards.iter().all(|shard| shard.ended) {
                for shard in &mut shards {
                    shard.summed.move_chains(&mut chains);
                }
                progress.memory.half_digest = match chains.len() {
                    0..=HALF_CHAINS_MAX => HalfDigest { shards, chains },
                    _ => HalfDigest::default(),
                };
                return Ok(false);
            }
            let previous = last.as_ref().and_then(|last| text(last, "rowHash"));
            let mut sum = Hour::default();
            sum.chains = chains;
            for shard in shards {
                sum.end_shard(shard.summed);
            }
            self.write_digest(clients, &sum, hour, previous, now).await?;
        }
        progress.memory.half_digest = HalfDigest::default();
        progress.digested_until = hour + HOUR;
        Ok(true)
    }

    /// Goes on with the shards of an hour, all of them at once.
    async fn sum_up(
        &self,
        clients: &Clients,
        hour: Timestamp,
        halves: Vec<HalfShard>,
        deadline: Instant,
    ) -> Result<Vec<HalfShard>, Error> {
        let halves = halves
            .into_iter()
            .chain(std::iter::repeat_with(HalfShard::default));
        let sums = digest::shards(hour)
            .zip(halves)
            .map(|(key, half)| self.sum_up_shard(clients, key, half, deadline).boxed());
        try_join_all(sums).await
    }

    async fn sum_up_shard(
        &self,
        clients: &Clients,
        key: String,
        half: HalfShard,
        deadline: Instant,
    ) -> Result<HalfShard, Error> {
        if half.ended {
            return Ok(half);
        }
        let mut shard = Shard::from(half.summed);
        let after = shard.after().map(str::to_owned);
        let stretch = Stretch {
            by_time: &key,
            above: after.as_deref(),
            below: None,
            deadline,
        };
        let table = &self.config.audit.table;
        let ended = dynamodb::leaves(clients.dynamodb(), table, stretch, |leaf| shard.add(leaf)).await;
        let ended = ended.map_err(unavailable)?;
        let summed = if ended { shard.finish() } else { shard.stop() };
        Ok(HalfShard { summed, ended })
    }

    async fn write_digest(
        &self,
        clients: &Clients,
        sum: &Hour,
        hour: Timestamp,
        previous: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
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
}

/// The time in an `at`; one that has none was not written by this API, and moves nothing on.
fn time_of(at: &str, otherwise: Timestamp) -> Timestamp {
    let time = at.split('#').next().and_then(|time| time.parse().ok());
    time.unwrap_or(otherwise)
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
