//! The audit's own operations: answered from the audit table, and recorded like every other call.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::timeout_at;

use super::{Gateway, Passage, Success};
use crate::{
    audit::{
        event,
        query::{self, QueryError},
        question::Question,
        record::Decision,
    },
    error::{Error, FieldError, Sentence},
    principal::Principal,
    router::Call,
};

impl Gateway {
    /// One page of calls.
    pub(super) async fn list_audit_events(
        &self,
        call: &Call,
        principal: &Principal,
        passage: &mut Passage,
    ) -> Result<Success, Error> {
        passage.entry.decision = Decision::Allow;
        self.open(passage).await?;
        let key = timeout_at(passage.deadline, self.audit.cursor_key(&self.clients));
        let key = key.await.unwrap_or(Err(Error::AuditUnreadable))?;
        let question =
            Question::read(&call.input, principal, key, Timestamp::now()).map_err(Error::Validation)?;
        let page = question.filter.page(
            self.clients.dynamodb(),
            self.audit.table(),
            question.before.as_deref(),
            question.limit,
            passage.deadline,
        );
        let page = page.await.map_err(|error| match error {
            QueryError::Unreadable => Error::AuditUnreadable,
            QueryError::OutOfTime { reached } => Error::Validation(vec![FieldError::new(
                "startTime",
                format!("is too far back for one answer: nothing fits since {reached:.0}; ask for less time, or before that"),
            )]),
        })?;
        let events = page.events.iter().map(|row| Value::Object(event::summary(row)));
        let mut output = Map::from_iter([("auditEvents".to_owned(), events.collect())]);
        if let Some(next) = page.next {
            output.insert("nextToken".to_owned(), question.token(next, key).into());
        }
        Ok(Success { status: 200, output })
    }

    /// All rows of one call.
    pub(super) async fn get_audit_event(&self, call: &Call, passage: &mut Passage) -> Result<Success, Error> {
        passage.entry.decision = Decision::Allow;
        self.open(passage).await?;
        let id = call
            .input
            .get("eventId")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let rows = query::rows(self.clients.dynamodb(), self.audit.table(), id);
        let rows = timeout_at(passage.deadline, rows).await;
        let rows = rows
            .unwrap_or(Err(QueryError::Unreadable))
            .map_err(|_| Error::AuditUnreadable)?;
        if rows.is_empty() {
            return Err(Error::NotFound(Sentence::Ours(format!(
                "there is no audit event {id}, or it has expired"
            ))));
        }
        let rows = rows.iter().map(|row| Value::Object(event::row(row)));
        let event = json!({"eventId": id, "rows": rows.collect::<Value>()});
        Ok(Success {
            status: 200,
            output: Map::from_iter([("auditEvent".to_owned(), event)]),
        })
    }
}
