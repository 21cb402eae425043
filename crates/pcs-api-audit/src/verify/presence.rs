//! What has to be there at all: nothing is whole because there is nothing to find fault with.

use super::{DIGEST_DUE, Finding, Kind, Verifier, kept::hour_begin};

impl<F: FnMut(Finding)> Verifier<F> {
    /// Rows, and from `signed_from` on digests. `is_overdue`: it was reported that the newest digests are missing.
    pub(super) fn check_presence(&mut self, is_overdue: bool) {
        if self.summary.rows == 0 {
            let message =
                "there is no row: it is another table, or a new one without calls, or everything was removed";
            self.find(Finding::new(Kind::MissingRow, message.to_owned()));
            return;
        }
        let is_asked = self.rules.public_key.is_some() || self.rules.signed_from.is_some();
        let from = self.rules.signed_from;
        let has_one = self
            .digests
            .keys()
            .any(|hour| from.is_none_or(|from| hour_begin(*hour) >= from));
        if !is_asked || has_one || is_overdue {
            return;
        }
        // Without a time of the check nothing says that the first one is not due yet.
        let is_due = from.is_some_and(|from| {
            self.rules
                .as_of
                .is_none_or(|as_of| as_of.duration_since(from) > DIGEST_DUE)
        });
        if is_due {
            let hour = from.map(pcs_api::audit::record::row::hour).unwrap_or_default();
            let message = format!("from {hour} on digests must be signed, and there is none");
            self.find(Finding::new(Kind::MissingHour, message).in_hour(hour));
        } else {
            self.summary.key_unused = true;
        }
    }
}
