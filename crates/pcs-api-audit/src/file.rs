//! Raw exports: a line that says what it is, then a line of DynamoDB JSON for each row.
//!
//! The first line is `{"pcsApiAuditExport": {"table": .., "begun": .., "from": .., "to": ..}}`, the last one
//! `{"pcsApiAuditExportEnd": {"rows": ..}}`: a file that lacks one of them was cut off there. Only a file whose rows are
//! all wrapped as DynamoDB's export to S3 does it, `{"Item": {..}}`, has neither, and does not say how many it had.

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
    /// A row as DynamoDB's export to S3 has it.
    Wrapped(Item),
    End(End),
}

/// What a file shows of its own wholeness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// As many rows as were written.
    Whole,
    /// Some are missing, in a sentence.
    CutOff(String),
    /// It does not say how many there were.
    Unknown,
}

/// DynamoDB's rows have up to 400 KB; as JSON, with types and escapes, a worst one has some 6 MB.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Reads a file: `heading` gets the first line, if it is one, `take` every row. Returns whether rows are missing.
pub fn read<T>(
    mut source: impl BufRead,
    context: &mut T,
    heading: impl Fn(&mut T, Heading) -> Result<(), Failure>,
    take: impl Fn(&mut T, Item),
) -> Result<Extent, Failure> {
    let mut seen = Seen::default();
    let mut number = 0;
    while let Some(text) = next_line(&mut source, number + 1)? {
        number += 1;
        if text.trim().is_empty() {
            continue;
        }
        let misplaced = |fault: &str| Err(Failure::Input(format!("line {number} {fault}")));
        match parse(&text) {
            None => return misplaced("is no row in DynamoDB JSON"),
            Some(_) if seen.end.is_some() => return misplaced("comes after the end of the export"),
            Some(Line::Heading(_)) if seen.has_heading || seen.rows > 0 => {
                return misplaced("is the first line of another export; check each export by itself");
            }
            Some(Line::Heading(found)) => {
                seen.has_heading = true;
                heading(context, found)?;
            }
            Some(Line::Row(row)) => {
                seen.rows += 1;
                seen.has_bare = true;
                take(context, row);
            }
            Some(Line::Wrapped(row)) => {
                seen.rows += 1;
                take(context, row);
            }
            Some(Line::End(end)) => seen.end = Some(end.rows),
        }
    }
    Ok(seen.extent())
}

/// The lines of a file so far.
#[derive(Debug, Default)]
struct Seen {
    has_heading: bool,
    rows: u64,
    /// A row that only an export of this tool has in this form.
    has_bare: bool,
    /// How many rows the last line tells of.
    end: Option<u64>,
}

impl Seen {
    fn extent(self) -> Extent {
        let rows = self.rows;
        match self.end {
            _ if !self.has_heading && (self.has_bare || self.end.is_some()) => Extent::CutOff(format!(
                "the export has {rows} rows and no first line: it was cut off at its beginning; export it anew \
                 (rows of another tool must each be wrapped, {{\"Item\": ..}}, as DynamoDB's export to S3 does)"
            )),
            None if self.has_heading => Extent::CutOff(format!(
                "the export has {rows} rows and no last line: it was cut off, or did not come to its end"
            )),
            Some(said) if said != rows => {
                Extent::CutOff(format!("the export was written with {said} rows and has {rows}"))
            }
            Some(_) => Extent::Whole,
            None => Extent::Unknown,
        }
    }
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
    match value.get_mut("Item") {
        Some(row) if wrapped => dynamodb_json::from_json(row.take()).map(Line::Wrapped),
        Some(_) | None => dynamodb_json::from_json(value).map(Line::Row),
    }
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
        let read = rows("{\"Item\":{\"pk\":{\"S\":\"a\"}}}\n\n{\"Item\":{\"pk\":{\"S\":\"b\"}}}\n").unwrap();
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

    const HEADING: &str = r#"{"pcsApiAuditExport":{"table":"t","begun":"2026-11-21T13:00:00Z"}}"#;
    const ROW: &str = r#"{"pk":{"S":"a"}}"#;
    const WRAPPED: &str = r#"{"Item":{"pk":{"S":"a"}}}"#;

    fn extent(lines: &[&str]) -> Result<Extent, String> {
        let text = lines.join("\n");
        read(text.as_bytes(), &mut (), |(), _| Ok(()), |(), _| ()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_file_that_was_cut_off_says_so() {
        assert_eq!(extent(&[HEADING, ROW, &end(1)]), Ok(Extent::Whole));
        assert_eq!(extent(&["", HEADING, ROW, &end(1), ""]), Ok(Extent::Whole));
        for (lines, expected) in [
            (&[HEADING, ROW][..], "1 rows and no last line"),
            (&[HEADING], "0 rows and no last line"),
            (&[HEADING, ROW, &end(2)], "with 2 rows and has 1"),
            (&[ROW], "no first line"),
            (&[ROW, &end(1)], "no first line"),
            (&[&end(0)], "no first line"),
            (&[WRAPPED, ROW], "no first line"),
            (&[WRAPPED, &end(1)], "no first line"),
        ] {
            match extent(lines) {
                Ok(Extent::CutOff(told)) => assert!(told.contains(expected), "{lines:?}: {told}"),
                other => panic!("{lines:?}: {other:?}"),
            }
        }
        for lines in [&[WRAPPED, WRAPPED][..], &[]] {
            assert_eq!(extent(lines), Ok(Extent::Unknown), "{lines:?}");
        }
    }

    #[test]
    fn a_line_in_the_wrong_place_is_named() {
        for (lines, expected) in [
            (
                &[HEADING, &end(0), ROW][..],
                "line 3 comes after the end of the export",
            ),
            (
                &[HEADING, &end(0), HEADING],
                "line 3 comes after the end of the export",
            ),
            (&[HEADING, HEADING], "line 2 is the first line of another export"),
            (&[ROW, HEADING], "line 2 is the first line of another export"),
        ] {
            let told = extent(lines).unwrap_err();
            assert!(told.starts_with(expected), "{lines:?}: {told}");
        }
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
