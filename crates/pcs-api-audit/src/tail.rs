//! The newest calls, and those that come.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_dynamodb::Client;
use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::{
    chain::Item,
    query::{self, Filter, QueryError, Source},
};
use tokio::time::Instant;

use crate::{failure::Failure, lines, output::Output, plain::text, scan};

const POLL: Duration = Duration::from_secs(2);
/// Calls that began longer ago have ended (an API call takes at most 29 s), but for those known to be open.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// Until then a call may still end as other calls do.
const OPEN_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// A read that fails has its second row by then, mostly; if not, it gets a second line.
const READ_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// No function runs longer; the sweep closes what is still open.
const FORGET_AFTER: SignedDuration = SignedDuration::from_mins(20);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const PAGE: usize = 1_000;
const PAGE_TIME: Duration = Duration::from_mins(10);

/// All calls that fit, newest first, at most `limit`; `take` gets each.
pub async fn calls(
    client: &Client,
    table: &str,
    filter: &Filter,
    limit: usize,
    mut take: impl FnMut(Item) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut before = None;
    let mut left = limit;
    while left > 0 {
        let deadline = Instant::now() + PAGE_TIME;
        let page = filter.page(client, table, before.as_deref(), left.min(PAGE), deadline);
        let page = match page.await {
            // Nothing fits so far; it goes on there.
            Err(QueryError::OutOfTime { reached }) => {
                before = Some(format!("{reached:.3}"));
                continue;
            }
            page => page?,
        };
        left -= page.events.len().min(left);
        for event in page.events {
            take(event)?;
        }
        before = page.next;
        if before.is_none() {
            return Ok(());
        }
    }
    Ok(())
}

/// The calls of a stretch, oldest first.
async fn between(client: &Client, table: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Item>, Failure> {
    let filter = Filter {
        source: Source::Time,
        from,
        to,
        operation: None,
        decision: None,
        region: None,
    };
    let mut found = Vec::new();
    calls(client, table, &filter, usize::MAX, |event| {
        found.push(event);
        Ok(())
    })
    .await?;
    found.reverse();
    Ok(found)
}

/// The calls since `from`, oldest first.
async fn since(client: &Client, table: &str, from: Timestamp) -> Result<Vec<Item>, Failure> {
    // Clocks differ.
    between(client, table, from, Timestamp::now() + WINDOW).await
}

/// Prints the calls since `from`, and goes on if it shall follow.
pub async fn run(
    client: &Client,
    table: &str,
    from: Timestamp,
    follow: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut shown = Shown::default();
    // By the hour: however long ago it begins, no more calls than those of one are held.
    let mut until = from;
    for hour in scan::hours(from, Timestamp::now()) {
        until = from.max(hour);
        let end = hour + HOUR;
        if end > Timestamp::now() {
            break;
        }
        for event in between(client, table, until, end).await? {
            if !follow || shown.is_news(&event, Timestamp::now()) {
                output.line(&lines::call(&event))?;
            }
        }
        shown.forget(Timestamp::now());
        until = end;
    }
    let mut events = since(client, table, until).await?;
    loop {
        let now = Timestamp::now();
        for event in &events {
            if !follow || shown.is_news(event, now) {
                output.line(&lines::call(event))?;
            }
        }
        output.flush()?;
        if !follow {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
        let now = Timestamp::now();
        shown.forget(now);
        events = since(client, table, from.max(now - WINDOW)).await?;
        for id in shown.open_before(&events) {
            let rows = query::rows(client, table, &id).await?;
            // Steps say nothing of how a call ended.
            let last = rows
                .into_iter()
                .rfind(|row| text(row, "sk").is_some_and(|sk| !sk.starts_with("1#")));
            events.extend(last);
        }
    }
}

/// What was printed already.
#[derive(Debug, Default)]
struct Shown {
    /// Stage that was printed, and the call's time, by event id.
    printed: BTreeMap<String, (String, Timestamp)>,
    /// Calls that are not known to have ended, and when they began.
    open: BTreeMap<String, Timestamp>,
}

impl Shown {
    /// Whether to print this now.
    fn is_news(&mut self, event: &Item, now: Timestamp) -> bool {
        let (Some(id), Some(stage)) = (text(event, "eventId"), text(event, "stage")) else {
            return false;
        };
        let time: Timestamp = text(event, "eventTime")
            .and_then(|time| time.parse().ok())
            .unwrap_or(now);
        if self.printed.get(id).is_some_and(|(printed, _)| printed == stage) {
            return false;
        }
        let age = now.duration_since(time);
        match stage {
            "RECEIVED" => {
                self.open.insert(id.to_owned(), time);
                if age < OPEN_AFTER {
                    return false;
                }
            }
            "READ" if age < READ_AFTER => return false,
            _ => {
                self.open.remove(id);
            }
        }
        self.printed.insert(id.to_owned(), (stage.to_owned(), time));
        true
    }

    /// Open calls that the events do not tell of.
    fn open_before(&self, events: &[Item]) -> Vec<String> {
        let told: BTreeSet<&str> = events.iter().filter_map(|event| text(event, "eventId")).collect();
        let open = self.open.keys().filter(|id| !told.contains(id.as_str()));
        open.cloned().collect()
    }

    fn forget(&mut self, now: Timestamp) {
        self.printed
            .retain(|_, (_, time)| now.duration_since(*time) < FORGET_AFTER);
        self.open
            .retain(|_, time| now.duration_since(*time) < FORGET_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    fn event(id: &str, stage: &str, time: Timestamp) -> Item {
        [
            ("eventId", id.to_owned()),
            ("stage", stage.to_owned()),
            ("eventTime", time.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value)))
        .into()
    }

    #[test]
    fn a_call_is_printed_when_it_ended_and_once() {
        let now: Timestamp = "2026-11-21T13:00:00Z".parse().unwrap();
        let later = now + SignedDuration::from_secs(31);
        let mut shown = Shown::default();
        let received = event("1", "RECEIVED", now);
        assert!(!shown.is_news(&received, now));
        assert_eq!(shown.open_before(&[]), ["1"]);
        assert!(shown.open_before(std::slice::from_ref(&received)).is_empty());
        assert!(shown.is_news(&received, later), "a long call is told of");
        assert!(!shown.is_news(&received, later));
        assert!(shown.is_news(&event("1", "COMPLETE", now), later));
        assert!(!shown.is_news(&event("1", "COMPLETE", now), later));
        assert!(shown.open_before(&[]).is_empty());
        let read = event("2", "READ", now);
        assert!(!shown.is_news(&read, now));
        assert!(shown.is_news(&read, later) && !shown.is_news(&read, later));
        shown.forget(now + FORGET_AFTER);
        assert!(shown.printed.is_empty());
    }
}
