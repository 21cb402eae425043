//! The caller's token and the one that PCS is sent in its place.

use crate::error::Error;

/// What stands for the caller's token in a call to PCS.
#[derive(Debug, Clone)]
pub struct ScopedToken {
    pub sent: String,
    /// The caller's own, if there was one.
    pub given: Option<String>,
}

impl ScopedToken {
    /// PCS's texts with the caller's token where PCS repeats what it was sent, which tells the caller nothing.
    ///
    /// For the answer alone: the record keeps neither.
    pub fn translate(&self, error: Error) -> Error {
        let given = self
            .given
            .as_deref()
            .unwrap_or("(made by this API; none was given)");
        error.with_quotes(&|text| text.replace(&self.sent, given))
    }
}
