//! Questions to the audit: which calls, newest first, a page at a time.
//!
//! An index holds up to three rows of a call (opened, closed, found by another key). They share their range key `at`,
//! so they are neighbours wherever they meet, and a call is listed once, by the row that says most. Positions are
//! values of `at`, never DynamoDB's own: a page can then end between any two calls of any number of partitions.

use std::collections::VecDeque;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use tokio::time::{Instant, timeout_at};

use super::{
    chain::Item,
    dynamodb,
    record::row::{self, TIME_SHARDS},
};

/// Rows asked of DynamoDB at once; with about 700 bytes of summary each far below its 1 MB.
const CHUNK: i32 = 200;

/// Which index answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Time,
    /// Unique id of a user or role, without the session.
    Principal(String),
    /// Names and ids of one cluster.
    Cluster(Vec<String>),
    /// API Gateway's request id.
    Request(String),
}

/// Which calls are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub source: Source,
    /// Inclusive, to the millisecond.
    pub from: Timestamp,
    /// Exclusive.
    pub to: Timestamp,
    pub operation: Option<String>,
    pub decision: Option<String>,
    pub region: Option<String>,
}

/// Calls, newest first, as summary rows of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub events: Vec<Item>,
    /// The last event's `at`, if there are more: the next page is what lies before it. Never set on an empty page.
    pub next: Option<String>,
}

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryError {
    Unreadable,
    /// Time ran out before anything was found; everything from here on was looked at. A whole second, so that it can
    /// be told.
    OutOfTime {
        reached: Timestamp,
    },
}

impl Filter {
    /// The calls before `before` (a page's `next`; `None` for the first), at most `limit`.
    pub async fn page(
        &self,
        client: &Client,
        table: &str,
        before: Option<&str>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Page, QueryError> {
        // DynamoDB refuses a range that ends before it begins.
        if self.from >= self.to {
            return Ok(Page {
                events: Vec::new(),
                next: None,
            });
        }
        let now = Timestamp::now().as_second();
        let low = format!("{:.3}", self.from);
        let high = before.map_or_else(|| format!("{:.3}", self.to), str::to_owned);
        let mut events: Vec<Item> = Vec::new();
        let mut reached = None;
        for group in self.groups(&high) {
            let mut merged = Merge::new(&group, &low, &high);
            loop {
                if Instant::now() >= deadline {
                    return end_early(events, reached);
                }
                let Ok(next) = timeout_at(deadline, merged.next(client, table)).await else {
                    return end_early(events, reached);
                };
                let Some(event) = next.map_err(|_| QueryError::Unreadable)? else {
                    reached = Some(group.from);
                    break;
                };
                reached = second_after(&event).or(reached);
                if !self.fits(&event, now) {
                    continue;
                }
                if events.len() == limit {
                    let next = events.last().and_then(|last| string(last, "at"));
                    return Ok(Page {
                        next: next.map(str::to_owned),
                        events,
                    });
                }
                events.push(event);
            }
        }
        Ok(Page { events, next: None })
    }

    /// Partitions that are read side by side, newest group first. Each is made when it is its turn: a range may have
    /// millions of hours, and whoever asks has a deadline.
    fn groups(&self, high: &str) -> Box<dyn Iterator<Item = Group> + Send + '_> {
        let newest = high
            .split('#')
            .next()
            .and_then(|time| time.parse().ok())
            .map_or(self.to, |time: Timestamp| time.min(self.to));
        match &self.source {
            Source::Time => Box::new(hours(self.from, newest).map(|hour| Group {
                index: "byTime",
                keys: (0..TIME_SHARDS).map(|shard| row::time_key(hour, shard)).collect(),
                from: hour,
            })),
            Source::Principal(id) => Box::new(months(self.from, newest).map(|(month, from)| Group {
                index: "byPrincipal",
                keys: vec![row::principal_key(id, &month)],
                from,
            })),
            Source::Cluster(names) => Box::new(std::iter::once(Group {
                index: "byResource",
                keys: names.iter().map(|name| row::resource_key(name)).collect(),
                from: self.from,
            })),
            Source::Request(id) => Box::new(std::iter::once(Group {
                index: "byRequest",
                keys: vec![row::request_key(id)],
                from: self.from,
            })),
        }
    }

    fn fits(&self, event: &Item, now: i64) -> bool {
        let is = |name: &str, wanted: &Option<String>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| string(event, name) == Some(wanted))
        };
        !is_expired(event, now)
            && is("eventName", &self.operation)
            && is("decision", &self.decision)
            && is("awsRegion", &self.region)
    }
}

/// All rows of one call, in the order of their stages; none if there is no such call or its rows have expired.
pub async fn rows(client: &Client, table: &str, event_id: &str) -> Result<Vec<Item>, QueryError> {
    let key = AttributeValue::S(format!("E#{event_id}"));
    let now = Timestamp::now().as_second();
    let mut rows = dynamodb::partition(client, table, key)
        .await
        .map_err(|_| QueryError::Unreadable)?;
    rows.retain(|row| !is_expired(row, now));
    Ok(rows)
}

/// DynamoDB removes expired rows within days; until then they are still there.
fn is_expired(row: &Item, now: i64) -> bool {
    row.get("expires")
        .and_then(|expires| expires.as_n().ok()?.parse::<i64>().ok())
        .is_some_and(|expires| expires <= now)
}

/// `reached`: `None` if nothing was looked at, which is a table that does not answer.
fn end_early(events: Vec<Item>, reached: Option<Timestamp>) -> Result<Page, QueryError> {
    match events.last().and_then(|last| string(last, "at")) {
        Some(at) => Ok(Page {
            next: Some(at.to_owned()),
            events,
        }),
        None => Err(
            reached.map_or(QueryError::Unreadable, |reached| QueryError::OutOfTime {
                reached,
            }),
        ),
    }
}

/// The first whole second that is later than the event: between the two everything was looked at.
fn second_after(event: &Item) -> Option<Timestamp> {
    let time: Timestamp = string(event, "at")?.split('#').next()?.parse().ok()?;
    Timestamp::from_second(time.as_second() + 1).ok()
}

struct Group {
    index: &'static str,
    keys: Vec<String>,
    /// Beginning of the time that the group covers.
    from: Timestamp,
}

/// Hours from the one of `to` down to the one of `from`.
fn hours(from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> {
    const HOUR: i64 = 60 * 60;
    let (first, last) = (from.as_second().div_euclid(HOUR), to.as_second().div_euclid(HOUR));
    (first..=last)
        .rev()
        .filter_map(|hour| Timestamp::from_second(hour * HOUR).ok())
}

/// Months (`2026-11`) and their beginnings, from that of `to` down to that of `from`.
fn months(from: Timestamp, to: Timestamp) -> impl Iterator<Item = (String, Timestamp)> {
    let month = |time: Timestamp| TimeZone::UTC.to_datetime(time).date().first_of_month();
    let (first, last) = (month(from), month(to));
    std::iter::successors(Some(last), |date: &civil::Date| {
        date.yesterday().ok().map(civil::Date::first_of_month)
    })
    .take_while(move |date| *date >= first)
    .filter_map(|date| {
        let begin = TimeZone::UTC
            .to_timestamp(date.to_datetime(civil::Time::midnight()))
            .ok()?;
        Some((date.to_string().chars().take("2026-11".len()).collect(), begin))
    })
}

/// The calls of several partitions of an index, newest first, each once.
struct Merge<'a> {
    partitions: Vec<Partition<'a>>,
}

impl<'a> Merge<'a> {
    fn new(group: &'a Group, low: &'a str, high: &'a str) -> Merge<'a> {
        let partitions = group.keys.iter().map(|key| Partition {
            index: group.index,
            key,
            low,
            high,
            read: VecDeque::new(),
            place: Place::Begin,
        });
        Merge {
            partitions: partitions.collect(),
        }
    }

    /// The newest call left, by the row that says most.
    async fn next(&mut self, client: &Client, table: &str) -> Result<Option<Item>, &'static str> {
        loop {
            let fill = self
                .partitions
                .iter_mut()
                .map(|partition| partition.fill(client, table));
            futures_util::future::try_join_all(fill).await?;
            let heads = self.partitions.iter().filter_map(Partition::head);
            let Some(newest) = heads.max().map(str::to_owned) else {
                return Ok(None);
            };
            let mut event: Option<Item> = None;
            for partition in &mut self.partitions {
                // All rows of a call are in the chunks that were filled: a chunk never ends between them.
                while partition.head() == Some(newest.as_str()) {
                    let row = partition.read.pop_front();
                    event = more_telling(event, row.filter(tells_of_a_call));
                }
            }
            if event.is_some() {
                return Ok(event);
            }
        }
    }
}

/// Steps, digests and what else is in the time index are not calls.
fn tells_of_a_call(row: &Item) -> bool {
    let is_event = string(row, "pk").is_some_and(|pk| pk.starts_with("E#"));
    is_event && string(row, "sk").is_some_and(|sk| !sk.starts_with("1#"))
}

/// Sort keys rise from the opening to the closing row.
fn more_telling(one: Option<Item>, other: Option<Item>) -> Option<Item> {
    let (Some(a), Some(b)) = (&one, &other) else {
        return one.or(other);
    };
    if string(a, "sk") >= string(b, "sk") {
        one
    } else {
        other
    }
}

/// One partition of an index, read downwards.
struct Partition<'a> {
    index: &'static str,
    key: &'a str,
    low: &'a str,
    high: &'a str,
    read: VecDeque<Item>,
    place: Place,
}

enum Place {
    Begin,
    After(Item),
    End,
}

impl Partition<'_> {
    fn head(&self) -> Option<&str> {
        self.read.front().and_then(|row| string(row, "at"))
    }

    /// Reads on until two different calls are there, or the end: the rows of the first are then complete.
    async fn fill(&mut self, client: &Client, table: &str) -> Result<(), &'static str> {
        loop {
            let first = self.head();
            let is_complete = first.is_some() && self.read.back().and_then(|row| string(row, "at")) != first;
            let after = match &self.place {
                Place::End => return Ok(()),
                _ if is_complete => return Ok(()),
                Place::Begin => None,
                Place::After(key) => Some(key.clone()),
            };
            let (rows, last) = dynamodb::index_page(
                client,
                table,
                dynamodb::Range {
                    index: self.index,
                    key: self.key,
                    low: self.low,
                    high: self.high,
                },
                after,
                CHUNK,
            )
            .await?;
            self.place = last.map_or(Place::End, Place::After);
            // `BETWEEN` includes its end; a position does not.
            let rows = rows
                .into_iter()
                .filter(|row| string(row, "at").is_some_and(|at| at < self.high));
            self.read.extend(rows);
        }
    }
}

fn string<'a>(row: &'a Item, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

/// Longest range that may be asked for: each hour of the time index costs four reads.
pub const TIME_RANGE_MAX: SignedDuration = SignedDuration::from_hours(31 * 24);
/// The other indexes hold a month, or everything, in one partition.
pub const RANGE_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);

#[cfg(test)]
mod tests;
