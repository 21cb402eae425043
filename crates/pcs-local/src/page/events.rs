//! `/api/events`: the calls on record, newest first, and all rows of one.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use pcs_api::{
    audit::{
        event,
        query::{self, Filter, QueryError, Source, TIME_RANGE_MAX},
        question,
    },
    operations::Operation,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{Answer, Page};

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 500;
/// Each hour without a call costs four reads; after so long the page is told how far they got, and asks on.
const SEARCH_TIME: Duration = Duration::from_secs(2);
/// A DynamoDB elsewhere may hang.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Clocks of several gateways on one table differ by less.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(1);

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    /// Position of an earlier page's end, exclusive.
    before: Option<Position>,
    /// Inclusive.
    after: Option<Timestamp>,
    limit: Option<usize>,
    decision: Option<String>,
    operation: Option<String>,
}

/// A moment, or one call of it.
#[derive(Debug, PartialEq, Eq)]
struct Position {
    time: Timestamp,
    event_id: Option<String>,
}

impl Position {
    fn read(text: &str) -> Option<Position> {
        let (time, event_id) = match text.split_once('#') {
            Some((time, event_id)) if is_event_id(event_id) => (time, Some(event_id.to_owned())),
            Some(_) => return None,
            None => (text, None),
        };
        Some(Position {
            time: time.parse().ok()?,
            event_id,
        })
    }

    /// As the table's `at` is written, which it is compared with.
    fn at(&self) -> String {
        let time = moment(self.time);
        match &self.event_id {
            Some(event_id) => format!("{time}#{event_id}"),
            None => time,
        }
    }
}

fn moment(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// A ULID: 26 letters and digits of Crockford's alphabet.
fn is_event_id(text: &str) -> bool {
    let is_letter =
        |byte: u8| byte.is_ascii_digit() || (byte.is_ascii_uppercase() && !b"ILOU".contains(&byte));
    text.len() == 26 && text.bytes().all(is_letter)
}

/// A value that the API takes too; no call has another.
fn choice(name: &str, value: Cow<'_, str>) -> Result<String, String> {
    match question::fault(Operation::ListAuditEvents, name, &value) {
        Some(fault) => Err(format!("`{name}` {fault}")),
        None => Ok(value.into_owned()),
    }
}

impl Asked {
    fn read(query: &str) -> Result<Asked, String> {
        let mut asked = Asked::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let wrong = || format!("`{name}` is not one");
            let is_first = match name.as_ref() {
                "before" => asked
                    .before
                    .replace(Position::read(&value).ok_or_else(wrong)?)
                    .is_none(),
                "after" => asked.after.replace(value.parse().map_err(|_| wrong())?).is_none(),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    asked.limit.replace(limit.ok_or_else(wrong)?).is_none()
                }
                "decision" => asked.decision.replace(choice(&name, value)?).is_none(),
                "operation" => asked.operation.replace(choice(&name, value)?).is_none(),
                _ => return Err(format!("there is no parameter `{name}`")),
            };
            if !is_first {
                return Err(format!("`{name}` is there twice"));
            }
        }
        Ok(asked)
    }
}

impl Page {
    /// `{"events": [..], "next": position or null}`: `next` is where older calls may be, and null when there are none.
    pub(super) async fn events(&self, query: &str) -> Answer {
        let asked = match Asked::read(query) {
            Ok(asked) => asked,
            Err(message) => return Answer::fault(StatusCode::BAD_REQUEST, &message),
        };
        match self.in_turn(self.search(asked)).await {
            Some(Ok(found)) => Answer::json(&found),
            Some(Err(QueryError::Unreadable | QueryError::OutOfTime { .. })) | None => unreadable(),
        }
    }

    /// `{"rows": [..]}`: all rows of one call, in the order of their stages.
    pub(super) async fn event(&self, event_id: &str) -> Answer {
        let none = || Answer::fault(StatusCode::NOT_FOUND, "no call with this id is on record");
        if !is_event_id(event_id) {
            return none();
        }
        match self
            .in_turn(query::rows(&self.dynamodb, &self.table, event_id))
            .await
        {
            Some(Ok(rows)) if rows.is_empty() => none(),
            Some(Ok(rows)) => Answer::json(&json!({"rows": rows.iter().map(event::row).collect::<Vec<_>>()})),
            Some(Err(_)) | None => unreadable(),
        }
    }

    /// A read, once others have ended; `None` where that or the read itself takes too long.
    async fn in_turn<T>(&self, read: impl Future<Output = T>) -> Option<T> {
        let turn = async {
            let _turn = self.reads.acquire().await.ok()?;
            Some(read.await)
        };
        timeout(READ_TIMEOUT, turn).await.ok().flatten()
    }

    async fn search(&self, asked: Asked) -> Result<Value, QueryError> {
        let now = Timestamp::now();
        let to = later(now, CLOCK_SLACK);
        let high = asked.before.as_ref().map_or(to, |before| before.time.min(to));
        // No call is older than the table, and a longer way back is asked for in pieces.
        let oldest = later(self.began(now).await, -CLOCK_SLACK);
        let wanted = asked.after.map_or(oldest, |after| after.max(oldest));
        let from = later(high, -TIME_RANGE_MAX).max(wanted);
        let filter = Filter {
            source: Source::Time,
            from,
            to,
            operation: asked.operation,
            decision: asked.decision,
            region: None,
        };
        let before = asked.before.as_ref().map(Position::at);
        let limit = asked.limit.unwrap_or(LIMIT);
        let deadline = Instant::now() + SEARCH_TIME;
        let page = filter
            .page(&self.dynamodb, &self.table, before.as_deref(), limit, deadline)
            .await;
        let (events, next) = match page {
            Ok(page) => {
                let rest = Some(from).filter(|from| *from > wanted);
                (page.events, page.next.or_else(|| rest.map(moment)))
            }
            Err(QueryError::OutOfTime { reached }) => (Vec::new(), Some(moment(reached))),
            Err(QueryError::Unreadable) => return Err(QueryError::Unreadable),
        };
        Ok(json!({"events": events.iter().map(event::summary).collect::<Vec<_>>(), "next": next}))
    }

    /// When the table was made; the longest retention ago where the DynamoDB does not tell.
    async fn began(&self, now: Timestamp) -> Timestamp {
        let described = self
            .dynamodb
            .describe_table()
            .table_name(&self.table)
            .send()
            .await;
        described
            .ok()
            .and_then(|described| described.table?.creation_date_time)
            .and_then(|made| Timestamp::from_second(made.secs()).ok())
            .unwrap_or_else(|| later(now, -query::RANGE_MAX))
    }
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(time)
}

fn unreadable() -> Answer {
    Answer::fault(
        StatusCode::SERVICE_UNAVAILABLE,
        "the audit table could not be read",
    )
}
