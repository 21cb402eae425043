//! What a check looked at, and what it cannot tell.

use serde::Serialize;

/// Counts of one check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub findings: u64,
    pub rows: u64,
    pub chains: u64,
    /// Hours with a digest.
    pub digests: u64,
    /// First and last of them, `2026-11-21T13`.
    pub digested: Option<(String, String)>,
    /// Digests whose signature is that of the key.
    pub signed: u64,
    /// Digests with a signature that no key was given for.
    pub signatures_unchecked: u64,
    /// Digests without a signature that need none.
    pub unsigned: u64,
    /// Rows in hours that fit their digest.
    pub rows_digested: u64,
    /// Rows newer than the last digest, or of an hour that has none: only their chain holds them.
    pub rows_in_chains_only: u64,
    /// Hours of which rows may have expired.
    pub expired_hours: u64,
    /// Rows of those that are still there.
    pub rows_in_expired_hours: u64,
    /// Numbers of chains that retention explains.
    pub expired_rows: u64,
    /// Hours without digest that retention explains.
    pub expired_digests: u64,
    /// Missing rows of which a later row says that their write was never acknowledged.
    pub declared: u64,
    /// Missing rows that may have been written while the table was read.
    pub undecided: u64,
    /// Hours that have no digest, because sweeps began again less than an hour ago.
    pub awaited: u64,
    /// A key was given, and no digest is there yet that it signed or had to sign.
    pub key_unused: bool,
    /// The file does not say how many rows were written into it.
    pub extent_unknown: bool,
    /// Rows that an export holds without their secret: known by their hash only.
    pub withheld: u64,
}

impl Summary {
    pub fn is_whole(&self) -> bool {
        self.findings == 0
    }

    /// What was done and what could not be seen, a sentence a line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![match self.findings {
            0 => format!(
                "whole: {} in {}",
                rows(self.rows),
                many(self.chains, "chain", "chains")
            ),
            findings => format!(
                "NOT WHOLE: {} in {} of {}",
                many(findings, "finding", "findings"),
                rows(self.rows),
                many(self.chains, "chain", "chains")
            ),
        }];
        lines.push(match &self.digested {
            Some((first, last)) => format!(
                "digests: {} from {first} to {last}, {} signed by the key, {} not checked, {} unsigned",
                many(self.digests, "hour", "hours"),
                thousands(self.signed),
                thousands(self.signatures_unchecked),
                thousands(self.unsigned)
            ),
            None => "digests: none".to_owned(),
        });
        lines.extend(self.notes().into_iter().map(|note| format!("note: {note}")));
        lines
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |count: u64, text: String| {
            if count > 0 {
                notes.push(text);
            }
        };
        note(
            self.rows_in_chains_only,
            format!(
                "{} in hours without digest: their chains fit, but the end of a chain, or a whole one, could be missing",
                rows(self.rows_in_chains_only)
            ),
        );
        note(
            self.signatures_unchecked,
            "signatures were not checked; give the key with --public-key".to_owned(),
        );
        note(
            u64::from(self.key_unused),
            "no digest that must be signed is due yet: the key has proved nothing".to_owned(),
        );
        note(
            self.unsigned,
            format!(
                "{} unsigned: that proves nothing against someone who can rewrite the table",
                many(self.unsigned, "digest is", "digests are")
            ),
        );
        note(
            self.expired_hours,
            format!(
                "{} past retention, with {} left: none was added, but which are missing cannot be told",
                many(self.expired_hours, "hour is", "hours are"),
                rows(self.rows_in_expired_hours)
            ),
        );
        note(
            self.expired_rows.saturating_add(self.expired_digests),
            format!(
                "{} and {} missing where retention has removed the oldest",
                rows(self.expired_rows),
                many(self.expired_digests, "digest", "digests")
            ),
        );
        note(
            self.declared,
            format!(
                "{} missing that a later row says were never acknowledged",
                rows(self.declared)
            ),
        );
        note(
            self.undecided,
            format!(
                "{} missing that may have been written while the table was read: check again",
                rows(self.undecided)
            ),
        );
        note(
            self.awaited,
            format!(
                "the newest {} no digest yet: sweeps began again less than an hour ago after a while without any; \
                 check again, for until then nothing shows whether something is missing there",
                many(self.awaited, "hour has", "hours have")
            ),
        );
        note(
            u64::from(self.extent_unknown),
            "the file does not say how many rows it had: only chains and digests show whether some are missing; \
             compare with `itemCount` in the manifest of the export"
                .to_owned(),
        );
        note(
            self.withheld,
            format!(
                "{} exported without its secret: it is known by its hash only",
                rows(self.withheld)
            ),
        );
        notes
    }
}

fn rows(count: u64) -> String {
    many(count, "row", "rows")
}

fn many(count: u64, one: &str, more: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { more })
}

/// `1,000,000`.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let told = [0, 999, 1_000, 12_345, 1_000_000].map(thousands);
        assert_eq!(told, ["0", "999", "1,000", "12,345", "1,000,000"]);
        assert_eq!((rows(1), rows(2)), ("1 row".to_owned(), "2 rows".to_owned()));
    }
}
