//! Nothing is whole because nothing is there: what had to be signed, and what was written, is missed.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use pcs_api_audit::{
    file,
    verify::{Kind, Rules},
};
use pcs_local::stack::{Options, Stack};

use crate::{
    commands::{ended, program, run},
    table::{TABLE, TRAIL, dynamodb, text, verify},
};

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), &TRAIL.public_key).unwrap();
        Files { folder }
    }

    fn write(&self, lines: &str) {
        std::fs::write(self.folder.path().join("rows"), lines).unwrap();
    }

    /// Verifies what was written last, with the key of the trail.
    async fn verify(&self, more: &[&str]) -> (Option<i32>, String) {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let (rows, key) = (path("rows"), path("key"));
        let arguments = [&["verify", "--file", &rows, "--public-key", &key][..], more].concat();
        ended(program(None, &arguments)).await
    }
}

/// As an export of the table by this tool has them, without first and last line.
fn lines(keep: impl Fn(&str) -> bool) -> String {
    let rows = TRAIL.rows.iter().filter(|row| keep(text(row, "pk")));
    rows.map(|row| file::line(row.clone()) + "\n").collect()
}

/// As DynamoDB's export to S3 has them.
fn wrapped(keep: impl Fn(&str) -> bool) -> String {
    let wrap = |line: &str| format!("{{\"Item\":{line}}}\n");
    lines(keep).lines().map(wrap).collect()
}

fn hour(time: Timestamp) -> String {
    time.to_string().chars().take(13).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_rows_is_not_whole() {
    let files = Files::new();
    let begun = Timestamp::now();
    let heading = format!(r#"{{"pcsApiAuditExport":{{"table":"t","begun":"{begun}"}}}}"#);
    for content in [
        String::new(),
        "\n\n  \n".to_owned(),
        heading.clone(),
        format!("{heading}\n{}\n", file::end(0)),
    ] {
        files.write(&content);
        for more in [&["--signed-from", "2026-01-01T00"][..], &[]] {
            let (status, told) = files.verify(more).await;
            assert_eq!(status, Some(1), "{content:?} {more:?}: {told}");
            assert!(
                told.contains("missing-row: ") && told.contains("\nNOT WHOLE: "),
                "{told}"
            );
        }
    }
    for content in ["# nothing here\n", "{}\n", "[]\n", "\u{feff}\n"] {
        files.write(content);
        let (status, told) = files.verify(&[]).await;
        assert!(matches!(status, Some(1 | 2)), "{content:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_is_not_whole() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let files = Files::new();
    let key = files.folder.path().join("key");
    let key = key.to_str().unwrap();
    for more in [
        &["--public-key", key][..],
        &["--public-key", key, "--signed-from", "2026-01-01T00"],
        &[],
    ] {
        let (status, told) = run(&stack, &[&["verify"][..], more].concat()).await;
        assert_eq!(status, Some(1), "{told}");
        assert!(told.starts_with("missing-row: there is no row"), "{told}");
    }
    assert!(
        dynamodb(&stack.dynamodb)
            .describe_table()
            .table_name(TABLE)
            .send()
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_calls_without_their_digests_is_not_whole() {
    let files = Files::new();
    files.write(&wrapped(|pk| pk != "DIGEST"));
    let (status, told) = files.verify(&["--signed-from", "2026-01-01T00"]).await;
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("missing-hour: "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_digests_without_their_calls_is_not_whole() {
    let files = Files::new();
    files.write(&wrapped(|pk| pk == "DIGEST"));
    let (status, told) = files.verify(&[]).await;
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("hour-mismatch: "), "{told}");
}

/// From the hour on that must be signed nothing is there, although it was due.
#[test]
fn digests_that_had_to_be_signed_and_are_not_there_are_missed() {
    let newest = TRAIL.hours().pop().unwrap();
    let newest: Timestamp = format!("{newest}:00:00Z").parse().unwrap();
    let after = newest + SignedDuration::from_hours(1);
    let rules = |signed_from: Timestamp, as_of: Option<Timestamp>| Rules {
        signed_from: Some(signed_from),
        as_of,
        ..TRAIL.rules()
    };
    assert!(verify(&TRAIL.rows, rules(newest, None)).1.is_whole());
    assert!(
        verify(&TRAIL.rows, rules("2026-01-01T00:00:00Z".parse().unwrap(), None))
            .1
            .is_whole()
    );
    // A file that does not say when it was made, and one that was made before the first was due.
    let (findings, _) = verify(&TRAIL.rows, rules(after, None));
    assert_eq!(
        findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(),
        [Kind::MissingHour]
    );
    assert_eq!(findings[0].hour, Some(hour(after)));
    let (findings, summary) = verify(
        &TRAIL.rows,
        rules(after, Some(after + SignedDuration::from_hours(3))),
    );
    assert_eq!(findings, []);
    assert!(
        summary
            .lines()
            .iter()
            .any(|line| line.contains("the key has proved nothing")),
        "{summary:?}"
    );
    let (findings, _) = verify(
        &TRAIL.rows,
        rules(after, Some(after + SignedDuration::from_hours(7))),
    );
    assert_eq!(findings.len(), 1, "told once: {findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_off_is_not_whole() {
    let files = Files::new();
    let begun = Timestamp::now();
    let heading = format!(r#"{{"pcsApiAuditExport":{{"table":"t","begun":"{begun}"}}}}"#);
    let whole = format!(
        "{heading}\n{}{}\n",
        lines(|_| true),
        file::end(TRAIL.rows.len() as u64)
    );
    files.write(&whole);
    let (status, told) = files.verify(&[]).await;
    assert_eq!(status, Some(0), "{told}");
    let all: Vec<&str> = whole.lines().collect();
    for kept in [1, 2, all.len() / 2, all.len() - 1] {
        files.write(&all[..kept].join("\n"));
        let (status, told) = files.verify(&[]).await;
        assert_eq!(status, Some(1), "{kept}: {told}");
        assert!(told.contains("no last line: it was cut off"), "{kept}: {told}");
    }
    for from in [1, 2, all.len() / 2, all.len() - 1] {
        for to in [all.len(), all.len() - 1] {
            if from < to {
                files.write(&all[from..to].join("\n"));
                let (status, told) = files.verify(&[]).await;
                assert_eq!(status, Some(1), "{from}..{to}: {told}");
                assert!(
                    told.contains("no first line: it was cut off"),
                    "{from}..{to}: {told}"
                );
            }
        }
    }
    files.write(&format!("{}\n{{\"pk\":{{\"S\"", all[..5].join("\n")));
    let (status, told) = files.verify(&[]).await;
    assert_eq!(status, Some(2), "in the middle of a row: {told}");
    assert!(
        told.contains("rows`: line 6 is no row"),
        "the file is named: {told}"
    );
}

/// DynamoDB's export to S3 has neither a first nor a last line: it can be checked, and what it cannot show is said.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_dynamodbs_own_export_need_no_first_line() {
    let files = Files::new();
    files.write(&wrapped(|_| true));
    let (status, told) = files.verify(&[]).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains("note: the file does not say how many rows it had"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_and_another_tables_rows_are_not_whole() {
    let files = Files::new();
    files.write(&wrapped(|_| true));
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openssl-p256.pem");
    std::fs::copy(fixture, files.folder.path().join("key")).unwrap();
    let (status, told) = files.verify(&[]).await;
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("bad-signature: "), "{told}");
    files.write("{\"Item\":{\"id\":{\"S\":\"1\"},\"name\":{\"S\":\"ann\"}}}\n");
    let (status, told) = files.verify(&[]).await;
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("inserted-row: "), "{told}");
}

/// Numbers of chains are whatever somebody wrote into the file; no sum of them ends the check.
#[test]
fn the_highest_numbers_of_chains_are_counted_without_an_end_of_the_check() {
    let mut rows = Vec::new();
    for row in TRAIL.rows.iter().take(3) {
        let mut row = row.clone();
        let number = aws_sdk_dynamodb::types::AttributeValue::N(u64::MAX.to_string());
        row.insert("chainSeq".to_owned(), number);
        let chain = aws_sdk_dynamodb::types::AttributeValue::S(format!("chain-{}", rows.len()));
        row.insert("chainId".to_owned(), chain);
        rows.push(row);
    }
    for as_of in [Timestamp::MIN, Timestamp::MAX] {
        let rules = Rules {
            as_of: Some(as_of),
            settled: Some(as_of),
            ..TRAIL.rules()
        };
        assert!(!verify(&rows, rules).1.is_whole());
    }
}
