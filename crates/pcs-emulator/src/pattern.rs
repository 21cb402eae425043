//! Java regular expressions of PCS's model on Rust's engine.
//!
//! The model's patterns are Java's: matched against the whole value, with ASCII `\w`, `\s` and `\S`. The
//! one construct Rust's engine lacks is the leading look-ahead of the name patterns, `(?!pcs_)`; it is
//! split off and checked on its own. A pattern that needs more stops the start instead of matching wrong.

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

/// A compiled pattern that a value must match from its first to its last character.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern {
    source: String,
    whole: Regex,
    /// What the value must not start with.
    refused_starts: Vec<Regex>,
}

impl Pattern {
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn matches(&self, value: &str) -> bool {
        let value = value.as_bytes();
        self.whole.is_match(value) && !self.refused_starts.iter().any(|start| start.is_match(value))
    }
}

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    fn try_from(source: String) -> Result<Pattern, regex::Error> {
        let mut rest = source.as_str();
        let mut refused_starts = Vec::new();
        while let Some((refused, after)) = leading_look_ahead(rest) {
            refused_starts.push(compile(&format!(r"\A(?:{refused})"))?);
            rest = after;
        }
        let whole = compile(&format!(r"\A(?:{rest})\z"))?;
        Ok(Pattern {
            source,
            whole,
            refused_starts,
        })
    }
}

/// `(?!x)y` as (`x`, `y`); only a look-ahead without a group of its own, which is all the model has.
fn leading_look_ahead(pattern: &str) -> Option<(&str, &str)> {
    let (refused, after) = pattern.strip_prefix("(?!")?.split_once(')')?;
    (!refused.contains('(')).then_some((refused, after))
}

/// Over bytes and without Unicode classes, as Java's defaults are ASCII; `crlf` keeps `.` off `\r` too.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).unicode(false).crlf(true).build()
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn check(pattern: &str, good: &[&str], bad: &[&str]) {
        let pattern = Pattern::try_from(pattern.to_owned()).unwrap();
        for value in good {
            assert!(
                pattern.matches(value),
                "{value} should match {}",
                pattern.source()
            );
        }
        for value in bad {
            assert!(
                !pattern.matches(value),
                "{value} should not match {}",
                pattern.source()
            );
        }
    }

    #[test]
    fn names_match_whole_and_never_start_like_an_id() {
        let bad = ["pcs_x", "1abc", "a_b", "a b", "abc\n", "ábc", ""];
        check(
            r"(?!pcs_)^[A-Za-z][A-Za-z0-9-]+",
            &["abc", "pcs-x", "Pcs-1"],
            &bad,
        );
    }

    #[test]
    fn word_and_space_classes_are_ascii() {
        check(r"sg-\w{8,17}", &["sg-0123abcd_"], &["sg-éééééééé", "sg-1234567"]);
        check(r"[\S]+", &["a\u{00a0}b", "x"], &["a b", "a\tb", ""]);
    }

    #[test]
    fn an_unsupported_construct_is_an_error() {
        assert!(Pattern::try_from(r"a(?=b)b".to_owned()).is_err());
        assert!(Pattern::try_from(r"(?!(a)b)c".to_owned()).is_err());
    }
}
