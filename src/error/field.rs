//! What is wrong with a member of a request, for the caller and for the record.

use serde::Serialize;

/// One thing wrong with the request's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Member path from the request's root (`scalingConfiguration.maxInstanceCount`); empty for the whole body.
    pub path: String,
    pub message: String,
    /// The message for the record, where the caller's has words of the request.
    #[serde(skip)]
    recorded: Option<&'static str>,
}

impl FieldError {
    /// More than this many are not listed: an answer stays readable, and its size does not follow the attacker's.
    pub const MOST: usize = 100;
    const LONGEST_PATH: usize = 256;

    pub fn new(path: &str, message: impl Into<String>) -> Self {
        let end = path.char_indices().nth(Self::LONGEST_PATH).map(|(end, _)| end);
        Self {
            path: end.and_then(|end| path.get(..end)).unwrap_or(path).to_owned(),
            message: message.into(),
            recorded: None,
        }
    }

    /// One whose message repeats words of the request, which may be secrets: the record has `recorded` in its place.
    #[must_use]
    pub fn recorded_as(self, recorded: &'static str) -> Self {
        Self {
            recorded: Some(recorded),
            ..self
        }
    }

    /// As the record keeps it: the part of the path that the contract knows, and a sentence of ours.
    pub(super) fn for_the_record(&self, known: impl Fn(&str) -> String) -> FieldError {
        let path = if self.path.is_empty() {
            String::new()
        } else {
            known(&self.path)
        };
        FieldError::new(&path, self.recorded.unwrap_or(&self.message))
    }
}

/// As many field errors are told in a message; the rest is counted.
pub(super) const SHOWN: usize = 20;

/// The first of `count` field errors in words, so that the message alone says what to change.
pub(super) fn does_not_fit(fields: &[FieldError], count: usize) -> String {
    let told = fields.iter().take(SHOWN).map(|field| match field.path.as_str() {
        "" => field.message.clone(),
        path => format!("`{path}` {}", field.message),
    });
    let mut told: Vec<String> = told.collect();
    if count > SHOWN {
        told.push(format!("and {} more (see fieldErrors)", count - SHOWN));
    }
    format!("the request does not fit the contract: {}", told.join("; "))
}
