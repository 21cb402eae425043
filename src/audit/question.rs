//! What a caller asks of the audit, checked: the parameters of `ListAuditEvents` and how they go together.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{
    cursor::{Cursor, CursorKey},
    query::{Filter, RANGE_MAX, Source, TIME_RANGE_MAX},
};
use crate::{error::FieldError, principal::Principal};

const DEFAULT_RANGE: SignedDuration = SignedDuration::from_hours(24);
const DEFAULT_RESULTS: u64 = 50;

/// A page that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub filter: Filter,
    pub before: Option<String>,
    pub limit: usize,
    /// Who asks what; binds the next page's token.
    context: String,
}

impl Question {
    /// Reads validated input (`contract.rs` has checked each parameter by itself); all faults at once.
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
            None => range(input, now, &source, &mut errors),
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
) -> (Timestamp, Timestamp) {
    let mut time = |name: &str| {
        let parsed = text(input, name)?.parse::<Timestamp>();
        if parsed.is_err() {
            errors.push(FieldError::new(name, "is not a date that exists"));
        }
        parsed.ok()
    };
    let (from, to) = (time("startTime"), time("endTime"));
    if !errors.is_empty() {
        return (now, now);
    }
    let to = to.unwrap_or(now);
    let from = from.unwrap_or_else(|| to.checked_sub(DEFAULT_RANGE).unwrap_or(Timestamp::MIN));
    if from >= to {
        errors.push(FieldError::new("startTime", "must be before endTime"));
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
    (from, to)
}

fn text<'a>(input: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    input.get(name)?.as_str()
}
