//! Raw exports: a line that says what it is, then a line of DynamoDB JSON for each row.
//!
//! The first line is `{"pcsApiAuditExport": {"table": .., "begun": .., "ends": true, "from": .., "to": ..}}`, the last
//! one `{"pcsApiAuditExportEnd": {"rows": ..}}`: a file that was cut off lacks it. Files of other tools may lack both,
//! and may wrap rows as DynamoDB's export to S3 does: `{"Item": {..}}`.

use std::io::{BufRead, Read};

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
    /// Whether the file has a last line that says so.
    #[serde(default)]
    pub ends: bool,
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

/// The last line of an export.
pub fn end(rows: u64) -> String {
    json!({ "pcsApiAuditExportEnd": End { rows } }).to_string()
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    rows: u64,
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
    End(End),
}

/// DynamoDB's rows have up to 400 KB; as JSON, with types and escapes, a worst one has some 6 MB.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Reads a file: `heading` gets the first line, if it is one, `take` every row. Returns what is missing at its end.
pub fn read<T>(
    mut source: impl BufRead,
    context: &mut T,
    heading: impl Fn(&mut T, Heading) -> Result<(), Failure>,
    take: impl Fn(&mut T, Item),
) -> Result<Option<String>, Failure> {
    let (mut rows, mut number, mut must_end) = (0, 0, false);
    let mut said: Option<u64> = None;
    while let Some(text) = next_line(&mut source, number + 1)? {
        number += 1;
        if text.trim().is_empty() {
            continue;
        }
        match parse(&text) {
            Some(Line::Heading(found)) if number == 1 => {
                must_end = found.ends;
                heading(context, found)?;
            }
            Some(Line::Row(row)) if said.is_none() => {
                rows += 1;
                take(context, row);
            }
            Some(Line::End(end)) if said.is_none() => said = Some(end.rows),
            Some(Line::Row(_) | Line::End(_)) => {
                return Err(Failure::Input(format!(
                    "line {number} comes after the end of the export"
                )));
            }
            Some(Line::Heading(_)) | None => {
                return Err(Failure::Input(format!(
                    "line {number} is no row in DynamoDB JSON"
                )));
            }
        }
    }
    Ok(match said {
        None if must_end => Some(format!(
            "the export has {rows} rows and no last line: it was cut off, or did not come to its end"
        )),
        Some(said) if said != rows => Some(format!("the export was written with {said} rows and has {rows}")),
        Some(_) | None => None,
    })
}

/// The next line without its end; `None` after the last. A file without line breaks is not read into memory.
fn next_line(source: &mut impl BufRead, number: u64) -> Result<Option<String>, Failure> {
    let failed = |fault: String| Failure::Input(format!("line {number} {fault}"));
    let mut line = Vec::new();
    let read = source
        .by_ref()
        .take(LINE_BYTES_MAX + 1)
        .read_until(b'\n', &mut line);
    let read = read.map_err(|error| failed(format!("could not be read: {error}")))?;
    if read as u64 > LINE_BYTES_MAX {
        return Err(failed(format!("is longer than any row, {LINE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(line).map_err(|_| failed("is not UTF-8".to_owned()))?;
    Ok((read > 0).then_some(text))
}

fn parse(text: &str) -> Option<Line> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    if let Some(heading) = value.get_mut("pcsApiAuditExport") {
        return serde_json::from_value(heading.take()).ok().map(Line::Heading);
    }
    if let Some(end) = value.get_mut("pcsApiAuditExportEnd") {
        return serde_json::from_value(end.take()).ok().map(Line::End);
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
            read(text.as_bytes(), &mut rows, |_, _| Ok(()), Vec::push).map(|_| rows)
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

    #[test]
    fn a_file_that_was_cut_off_says_so() {
        let heading = r#"{"pcsApiAuditExport":{"table":"t","begun":"2026-11-21T13:00:00Z","ends":true}}"#;
        let row = r#"{"pk":{"S":"a"}}"#;
        let missing =
            |lines: &[&str]| read(lines.join("\n").as_bytes(), &mut (), |(), _| Ok(()), |(), _| ()).unwrap();
        assert_eq!(missing(&[heading, row, &end(1)]), None);
        assert_eq!(missing(&[row]), None, "files of other tools");
        assert!(missing(&[heading, row]).unwrap().contains("no last line"));
        assert!(missing(&[heading]).unwrap().contains("0 rows and no last line"));
        assert!(
            missing(&[heading, row, &end(2)])
                .unwrap()
                .contains("with 2 rows and has 1")
        );
        let after = [heading, &end(0), row].join("\n");
        assert!(read(after.as_bytes(), &mut (), |(), _| Ok(()), |(), _| ()).is_err());
    }

    /// As much as is asked for of a file without an end: no more than a line's limit is taken from it.
    #[test]
    fn a_line_longer_than_any_row_is_not_read_into_memory() {
        let endless = std::io::BufReader::new(std::io::repeat(b' '));
        let told = read(endless, &mut (), |(), _| Ok(()), |(), _| ())
            .unwrap_err()
            .to_string();
        assert!(told.starts_with("line 1 is longer than any row"), "{told}");
    }
}
