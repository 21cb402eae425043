//! Raw exports: a line that says what it is, then a line of DynamoDB JSON for each row.
//!
//! The first line is `{"pcsApiAuditExport": {"table": .., "begun": .., "from": .., "to": ..}}`; files of other tools
//! may lack it, and may wrap rows as DynamoDB's export to S3 does: `{"Item": {..}}`.

use std::io::BufRead;

use jiff::Timestamp;
use pcs_api::audit::{chain::Item, cursor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    dynamodb_json,
    failure::Failure,
    plain::text,
    verify::{SECRET, WITHHELD},
};

/// What a raw export says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    pub table: String,
    /// When reading began; the table was written to meanwhile.
    pub begun: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

impl Heading {
    pub fn line(&self) -> String {
        json!({ "pcsApiAuditExport": self }).to_string()
    }

    /// Whether rows are left out, so that nothing can be said of the whole.
    pub fn is_part(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }
}

/// A row as a line. The key of page tokens leaves the table under no circumstances: its row says so.
pub fn line(mut row: Item) -> String {
    if text(&row, "pk") == Some(cursor::PARTITION) && row.remove(SECRET).is_some() {
        let what = aws_sdk_dynamodb::types::AttributeValue::S(SECRET.to_owned());
        row.insert(WITHHELD.to_owned(), what);
    }
    dynamodb_json::to_json(&row).to_string()
}

/// A line of a file.
#[derive(Debug)]
enum Line {
    Heading(Heading),
    Row(Item),
}

/// Reads a file: `heading` gets the first line, if it is one, `take` every row.
pub fn read<T>(
    source: impl BufRead,
    context: &mut T,
    heading: impl Fn(&mut T, Heading) -> Result<(), Failure>,
    take: impl Fn(&mut T, Item),
) -> Result<(), Failure> {
    for (number, text) in source.lines().enumerate() {
        let number = number + 1;
        let text =
            text.map_err(|error| Failure::Input(format!("line {number} could not be read: {error}")))?;
        if text.trim().is_empty() {
            continue;
        }
        match parse(&text) {
            Some(Line::Heading(found)) if number == 1 => heading(context, found)?,
            Some(Line::Row(row)) => take(context, row),
            Some(Line::Heading(_)) | None => {
                return Err(Failure::Input(format!(
                    "line {number} is no row in DynamoDB JSON"
                )));
            }
        }
    }
    Ok(())
}

fn parse(text: &str) -> Option<Line> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    if let Some(heading) = value.get_mut("pcsApiAuditExport") {
        return serde_json::from_value(heading.take()).ok().map(Line::Heading);
    }
    let wrapped = value.as_object().is_some_and(|members| members.len() == 1);
    let row = match value.get_mut("Item") {
        Some(row) if wrapped => row.take(),
        Some(_) | None => value,
    };
    dynamodb_json::from_json(row).map(Line::Row)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

    use super::*;

    #[test]
    fn the_secret_is_never_in_a_line() {
        let row = Item::from([
            ("pk".to_owned(), AttributeValue::S("CURSOR_KEY".to_owned())),
            ("secret".to_owned(), AttributeValue::B(Blob::new("hunter2"))),
            ("rowHash".to_owned(), AttributeValue::S("ab".to_owned())),
        ]);
        assert_eq!(
            line(row),
            r#"{"pk":{"S":"CURSOR_KEY"},"rowHash":{"S":"ab"},"withheld":{"S":"secret"}}"#
        );
    }

    #[test]
    fn exports_of_dynamodb_are_read_too_and_anything_else_is_refused() {
        let rows = |text: &str| {
            let mut rows = Vec::new();
            read(text.as_bytes(), &mut rows, |_, _| Ok(()), Vec::push).map(|()| rows)
        };
        let read = rows("{\"Item\":{\"pk\":{\"S\":\"a\"}}}\n\n{\"pk\":{\"S\":\"b\"}}\n").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(text(&read[0], "pk"), Some("a"));
        for odd in [
            "x",
            "{\"pk\":\"a\"}",
            "[]",
            "{\"pk\":{\"S\":\"a\"}}\n{\"pk\":{\"S\":\"b\"",
        ] {
            assert!(rows(odd).is_err(), "{odd}");
        }
    }
}
