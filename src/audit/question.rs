//! What a caller asks of the audit, checked: the parameters of `ListAuditEvents` and how they go together.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{
    cursor::{Cursor, CursorKey},
    query::{Filter, RANGE_MAX, Source, TIME_RANGE_MAX},
};
use crate::{contract, error::FieldError, operations::Operation, principal::Principal, validate};

const DEFAULT_RANGE: SignedDuration = SignedDuration::from_hours(24);
const DEFAULT_RESULTS: u64 = 50;
/// 2024-08-28, the day on which there was PCS: no call is older, and every hour that is asked for is read.
const BEGINNING: Timestamp = Timestamp::constant(1_724_803_200, 0);

/// A page that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub filter: Filter,
    pub before: Option<String>,
    pub limit: usize,
    /// Who asks what; binds the next page's token.
    context: String,
}

/// Adds to `errors` how parameters do not go together, so that it is told with all else that is wrong with them.
pub fn check(input: &Map<String, Value>, now: Timestamp, errors: &mut Vec<FieldError>) {
    let mut found = Vec::new();
    let source = source(input, &mut found);
    let is_told = |name: &str| errors.iter().any(|error| error.path == name);
    // A page that follows another has the times of the first, by its token.
    let has_own_times = !input.contains_key("nextToken");
    if has_own_times && !is_told("startTime") && !is_told("endTime") {
        range(input, now, &source, &mut found);
    }
    errors.append(&mut found);
}

impl Question {
    /// Reads validated input: the contract has been asked of each parameter by itself, and `check` of all together.
    pub fn read(
        input: &Map<String, Value>,
        principal: &Principal,
        key: &CursorKey,
        now: Timestamp,
    ) -> Result<Question, Vec<FieldError>> {
        let mut errors = Vec::new();
        let context = context(input, principal);
        let cursor = text(input, "nextToken").map(|token| key.open(token, &context));
        if let Some(None) = cursor {
            errors.push(FieldError::new(
                "nextToken",
                "is not a token of this question; repeat the parameters that came with it, or leave it out",
            ));
        }
        let cursor = cursor.flatten();
        let source = source(input, &mut errors);
        let (from, to) = match &cursor {
            Some(cursor) => (cursor.from, cursor.to),
            None => range(input, now, &source, &mut errors).map_or((now, now), |range| possible(range, now)),
        };
        let limit = input.get("maxResults").and_then(Value::as_u64);
        let filter = Filter {
            source,
            from,
            to,
            operation: text(input, "operation").map(str::to_owned),
            decision: text(input, "decision").map(str::to_owned),
            region: text(input, "awsRegion").map(str::to_owned),
        };
        if errors.is_empty() {
            Ok(Question {
                filter,
                before: cursor.map(|cursor| cursor.before),
                limit: usize::try_from(limit.unwrap_or(DEFAULT_RESULTS)).unwrap_or(usize::MAX),
                context,
            })
        } else {
            Err(errors)
        }
    }

    /// The token of the page after the one that ended at `next`.
    pub fn token(&self, next: String, key: &CursorKey) -> String {
        let cursor = Cursor {
            from: self.filter.from,
            to: self.filter.to,
            before: next,
        };
        key.seal(&cursor, &self.context)
    }
}

/// What is wrong with the value of a parameter by itself, for who asks the table without the API.
pub fn fault(operation: Operation, parameter: &str, value: &str) -> Option<String> {
    let parameters = contract::route(operation).parameters;
    let schema = parameters.iter().find(|known| known.name == parameter)?.schema;
    let value = if matches!(schema, contract::Schema::Array { .. }) {
        Value::from(vec![value])
    } else {
        value.into()
    };
    let mut errors = Vec::new();
    validate::check(&value, schema, "", &mut errors);
    errors.pop().map(|error| error.message)
}

/// The caller and every parameter but those that change from page to page.
fn context(input: &Map<String, Value>, principal: &Principal) -> String {
    let asked: Map<String, Value> = input
        .iter()
        .filter(|(name, _)| name.as_str() != "nextToken" && name.as_str() != "maxResults")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::from(vec![
        principal.account_id.as_str().into(),
        principal.principal_id.as_str().into(),
        Value::Object(asked),
    ])
    .to_string()
}

fn source(input: &Map<String, Value>, errors: &mut Vec<FieldError>) -> Source {
    let clusters: Vec<String> = input
        .get("clusterIdentifier")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let mut sources = Vec::new();
    sources.extend(text(input, "principalId").map(|id| Source::Principal(id.to_owned())));
    sources.extend((!clusters.is_empty()).then_some(Source::Cluster(clusters)));
    sources.extend(text(input, "requestId").map(|id| Source::Request(id.to_owned())));
    if sources.len() > 1 {
        errors.push(FieldError::new(
            "",
            "give at most one of principalId, clusterIdentifier and requestId",
        ));
    }
    sources.pop().unwrap_or(Source::Time)
}

fn range(
    input: &Map<String, Value>,
    now: Timestamp,
    source: &Source,
    errors: &mut Vec<FieldError>,
) -> Option<(Timestamp, Timestamp)> {
    let mut is_good = true;
    let mut time = |name: &str| {
        let given = text(input, name)?;
        let parsed = read_time(given);
        if parsed.is_none() {
            // The year's last hours are behind the latest moment that can be told in each zone.
            let message = if given.starts_with("9999-12-3") {
                "is later than any event; leave it out for all until now"
            } else {
                "is not a date that exists"
            };
            errors.push(FieldError::new(name, message));
            is_good = false;
        }
        parsed
    };
    let (from, to) = (time("startTime"), time("endTime"));
    if !is_good {
        return None;
    }
    let has_end = to.is_some();
    let to = to.unwrap_or(now);
    let from = from.unwrap_or_else(|| to.checked_sub(DEFAULT_RANGE).unwrap_or(Timestamp::MIN));
    if from >= to {
        let message = if has_end {
            "must be before endTime"
        } else {
            "is in the future; events have been received already"
        };
        errors.push(FieldError::new("startTime", message));
    }
    let (longest, days) = match source {
        Source::Time => (TIME_RANGE_MAX, 31),
        Source::Principal(_) | Source::Cluster(_) | Source::Request(_) => (RANGE_MAX, 366),
    };
    if to.duration_since(from) > longest {
        errors.push(FieldError::new(
            "startTime",
            format!("must be at most {days} days before endTime"),
        ));
    }
    Some((from, to))
}

/// Without the hours in which no call can be.
fn possible((from, to): (Timestamp, Timestamp), now: Timestamp) -> (Timestamp, Timestamp) {
    (from.max(BEGINNING), to.min(now))
}

/// A time as clients write it, in a form that the contract's pattern lets pass: RFC 3339, with a blank for the `T` or
/// before the zone, with zones such as `+0100`, `+01`, `UTC`, `+0100 CET` and `-0300 -03`, where the first counts, with a `+` that form decoding made a blank
/// (a `-` stays one), without seconds, or with more digits of a second than a clock has.
fn read_time(text: &str) -> Option<Timestamp> {
    const DATE: usize = "2026-11-20".len();
    const NANOSECONDS: usize = "09:00:00.123456789".len();
    let (date, rest) = (text.get(..DATE)?, text.get(DATE + 1..)?);
    let is_clock = |character: char| character.is_ascii_digit() || ":.".contains(character);
    let (clock, zone) = rest.split_at(rest.find(|character| !is_clock(character))?);
    let clock = clock.get(..NANOSECONDS).unwrap_or(clock);
    let seconds = if clock.len() == "09:00".len() { ":00" } else { "" };
    let zone = zone.trim_start();
    let zone = if zone.starts_with(|character: char| character.is_ascii_alphabetic()) {
        "Z".to_owned()
    } else {
        let sign = if zone.starts_with('-') { '-' } else { '+' };
        // Go writes a zone's name behind its number, which is the number again where it has none.
        let zone = zone.split(' ').next().unwrap_or_default();
        let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
        let minutes = digits.get(2..).filter(|minutes| !minutes.is_empty());
        format!("{sign}{}:{}", digits.get(..2)?, minutes.unwrap_or("00"))
    };
    // POSIX's clock has no leap second; it is the second after it.
    if let Some(before) = clock
        .strip_suffix(":60")
        .or_else(|| clock.split_once(":60.").map(|(before, _)| before))
    {
        let minute: Timestamp = format!("{date}T{before}:00{zone}").parse().ok()?;
        return minute.checked_add(SignedDuration::from_mins(1)).ok();
    }
    format!("{date}T{clock}{seconds}{zone}").parse().ok()
}

fn text<'a>(input: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    input.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes_the_contract(text: &str) -> bool {
        let parameters = contract::route(Operation::ListAuditEvents).parameters;
        let parameter = parameters.iter().find(|parameter| parameter.name == "startTime");
        let mut errors = Vec::new();
        validate::check(&text.into(), parameter.unwrap().schema, "startTime", &mut errors);
        errors.is_empty()
    }

    #[test]
    fn a_value_that_could_find_nothing_has_a_fault() {
        let fault = |parameter, value| fault(Operation::ListAuditEvents, parameter, value);
        let told = fault("operation", "CreateClusters").unwrap();
        assert!(told.ends_with("(did you mean CreateCluster?)"), "{told}");
        let told = fault("principalId", "portal").unwrap();
        assert!(told.contains("AROA") && told.contains("ACCOUNT:NAME"), "{told}");
        assert_eq!(fault("principalId", "AROADBQP57FF2AEXAMPLE"), None);
        assert_eq!(fault("operation", "Sweep"), None);
        assert_eq!(fault("clusterIdentifier", "demo-cluster"), None);
        assert!(fault("clusterIdentifier", "demo cluster").is_some());
        assert!(fault("decision", "allow").is_some());
    }

    #[test]
    fn hours_in_which_no_call_can_be_are_not_asked_for() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = time("2026-11-30T12:00:00Z");
        let inside = (time("2026-11-01T00:00:00Z"), time("2026-11-30T11:00:00Z"));
        assert_eq!(possible(inside, now), inside);
        for (from, to) in [
            ("9998-01-01T00:00:00Z", "9998-02-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-02-01T00:00:00Z"),
        ] {
            let (from, to) = possible((time(from), time(to)), now);
            assert!(from > to, "{from} {to}");
        }
    }

    /// The forms are those of RFC 3339, of Python's `%z`, of Rust's `DateTime::to_string`, of Postgres; and what form
    /// decoding makes of a `+`.
    #[test]
    fn times_are_read_as_clients_write_them() {
        for (text, expected) in [
            ("2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z"),
            ("2026-11-20t09:00:00z", "2026-11-20T09:00:00Z"),
            ("2026-11-20T09:00:00+00:00", "2026-11-20T09:00:00Z"),
            ("2026-11-20T09:00:00.706894+0000", "2026-11-20T09:00:00.706894Z"),
            ("2026-11-20T09:00:00+0100", "2026-11-20T08:00:00Z"),
            ("2026-11-20T09:00:00-05:30", "2026-11-20T14:30:00Z"),
            ("2026-11-20T09:00:00 01:00", "2026-11-20T08:00:00Z"),
            ("2026-11-20T09:00:00.5 0100", "2026-11-20T08:00:00.5Z"),
            ("2026-11-20 09:00:00 UTC", "2026-11-20T09:00:00Z"),
            (
                "2026-11-20 09:00:00.123456789 UTC",
                "2026-11-20T09:00:00.123456789Z",
            ),
            (
                "2026-11-20 09:00:00.123456789 +01:00",
                "2026-11-20T08:00:00.123456789Z",
            ),
            (
                "2026-11-20 09:00:00.123456789  01:00",
                "2026-11-20T08:00:00.123456789Z",
            ),
            ("2026-11-20 09:00:00 -01:00", "2026-11-20T10:00:00Z"),
            ("2026-11-20 09:00:00-05", "2026-11-20T14:00:00Z"),
            ("2026-11-20T09:00Z", "2026-11-20T09:00:00Z"),
            ("2026-11-20 09:00+01", "2026-11-20T08:00:00Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("2016-12-31T15:59:60.25-08:00", "2017-01-01T00:00:00Z"),
            (
                "2026-11-20T09:00:00.1234567891Z",
                "2026-11-20T09:00:00.123456789Z",
            ),
            ("2026-11-20T09:00:00 Z", "2026-11-20T09:00:00Z"),
            ("2026-11-20T09:00:00 utc", "2026-11-20T09:00:00Z"),
            ("2026-11-20 09:00:00 GMT", "2026-11-20T09:00:00Z"),
            ("2026-11-20 09:00:00.5 +0000 UTC", "2026-11-20T09:00:00.5Z"),
            ("2026-11-20 10:00:00 +0100 CET", "2026-11-20T09:00:00Z"),
            ("2026-11-20 09:00:00 -0300 -03", "2026-11-20T12:00:00Z"),
            ("2026-11-20 09:00:00 +0530 +0530", "2026-11-20T03:30:00Z"),
            ("2026-11-20 09:00:00  0530  0530", "2026-11-20T03:30:00Z"),
        ] {
            assert!(passes_the_contract(text), "{text}");
            assert_eq!(read_time(text), Some(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_leaves_the_moment_open_is_no_time() {
        for text in [
            "2026-11-27",
            "2026-11-20T09:00:00",
            "2026-11-20 09:00:00 ",
            "20261120T090000Z",
            "2026-11-20T24:00:00Z",
            "2026-13-20T09:00:00Z",
            "2026-11-20T09:00:00CET",
            "2026-11-20T09:00:00--01:00",
            "2026-11-20T09:00:00 -0100 ",
            "1764590400",
            "yesterday",
            "",
        ] {
            assert!(!passes_the_contract(text), "{text}");
        }
        assert!(passes_the_contract("2026-02-30T09:00:00Z"));
        assert_eq!(read_time("2026-02-30T09:00:00Z"), None, "no such day");
    }
}
