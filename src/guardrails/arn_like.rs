//! `ArnLike` exactly as IAM evaluates it: the same patterns stand in the template's IAM policy, and the two locks
//! must agree (IAM User Guide, "ARN condition operators").
//!
//! Case-sensitive; the six colon-separated components are matched one by one, so `*` and `?` never cross the first
//! five colons; inside the last component they match `:` and `/` too. Never exponential in time, and no memory of its
//! own: own code, because it is what the product exists for and a regex would have to be compiled at start.

use std::{fmt, str::Chars};

/// Where an ARN is cut: the resource keeps further colons.
const COMPONENTS: usize = 6;

/// A pattern of six components, known to be able to match something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArnPattern {
    text: String,
}

/// Why a text cannot be an ARN pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArnPatternError(String);

impl fmt::Display for ArnPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` has fewer than six components and would match nothing",
            self.0
        )
    }
}

impl ArnPattern {
    /// A pattern with fewer than six components matches nothing under `ArnLike`; that is a mistake, not a wish.
    pub fn parse(text: &str) -> Result<ArnPattern, ArnPatternError> {
        if text.splitn(COMPONENTS, ':').count() < COMPONENTS {
            return Err(ArnPatternError(text.to_owned()));
        }
        Ok(ArnPattern {
            text: text.to_owned(),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it can match more than one ARN.
    pub fn is_wild(&self) -> bool {
        self.text.bytes().any(|byte| byte == b'*' || byte == b'?')
    }

    /// Whether `arn` is like this pattern.
    pub fn matches(&self, arn: &str) -> bool {
        let mut values = arn.splitn(COMPONENTS, ':');
        let all = self
            .text
            .splitn(COMPONENTS, ':')
            .all(|pattern| values.next().is_some_and(|value| wildcard(pattern, value)));
        all && values.next().is_none()
    }
}

/// `*` is any run of characters, `?` exactly one; nothing else is special. On a mismatch only the last `*` is
/// given one more character, which makes it at worst pattern length times value length.
fn wildcard(pattern: &str, value: &str) -> bool {
    let (mut pattern, mut value) = (pattern.chars(), value.chars());
    // What follows the last `*`, and where the value goes on after what that `*` has taken.
    let mut retry: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let here = value.clone();
        let Some(character) = value.next() else {
            return pattern.all(|rest| rest == '*');
        };
        match pattern.next() {
            Some('*') => {
                retry = Some((pattern.clone(), here.clone()));
                value = here;
            }
            Some('?') => {}
            Some(expected) if expected == character => {}
            Some(_) | None => match &mut retry {
                Some((after_star, taken)) => {
                    taken.next();
                    (pattern, value) = (after_star.clone(), taken.clone());
                }
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, arn: &str, expected: bool) {
        assert_eq!(
            ArnPattern::parse(pattern).unwrap().matches(arn),
            expected,
            "{pattern} ~ {arn}"
        );
    }

    /// The vector by which AWS's documentation separates `ArnLike` from `StringLike`.
    #[test]
    fn wildcards_do_not_cross_components() {
        let pattern = "arn:aws:someservice:*:111122223333:finance/*";
        check(
            pattern,
            "arn:aws:someservice:us-east-2:111122223333:finance/document.txt",
            true,
        );
        check(
            pattern,
            "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt",
            false,
        );
    }

    #[test]
    fn the_documented_pattern_means_what_iam_says() {
        let pattern = "arn:aws:iam::123456789012:policy/parallelcluster*";
        for (arn, expected) in [
            ("arn:aws:iam::123456789012:policy/parallelcluster", true),
            ("arn:aws:iam::123456789012:policy/parallelclusterX", true),
            (
                "arn:aws:iam::123456789012:policy/parallelcluster/evil/Admin",
                true,
            ),
            ("arn:aws:iam::123456789012:policy/ParallelClusterX", false),
            ("arn:aws:iam::123456789012:policy/team/parallelcluster-x", false),
            ("arn:aws:iam::999999999999:policy/parallelclusterX", false),
            ("arn:aws-cn:iam::123456789012:policy/parallelclusterX", false),
            ("arn:aws:iam::123456789012:policy", false),
            ("arn:aws:iam::123456789012", false),
        ] {
            check(pattern, arn, expected);
        }
    }

    #[test]
    fn question_mark_is_exactly_one_character() {
        check(
            "arn:aws:iam::aws:policy/Core?",
            "arn:aws:iam::aws:policy/Core",
            false,
        );
        check(
            "arn:aws:iam::aws:policy/Core?",
            "arn:aws:iam::aws:policy/Core1",
            true,
        );
        check("arn:aws:iam:?:aws:policy/x", "arn:aws:iam::aws:policy/x", false);
        check("arn:aws:iam:*:aws:policy/x", "arn:aws:iam::aws:policy/x", true);
        check("arn:aws:iam::aws:policy/a?z", "arn:aws:iam::aws:policy/a/z", true);
        check(
            "arn:aws:iam::aws:policy/a*z",
            "arn:aws:iam::aws:policy/a:b/z",
            true,
        );
        check(
            "arn:aws:iam::aws:policy/a.c",
            "arn:aws:iam::aws:policy/abc",
            false,
        );
        check(
            "arn:aws:iam::aws:policy/?",
            "arn:aws:iam::aws:policy/\u{e9}",
            true,
        );
        check(
            "arn:aws:iam::aws:policy/??",
            "arn:aws:iam::aws:policy/\u{e9}",
            false,
        );
    }

    #[test]
    fn short_patterns_are_mistakes() {
        for text in ["*", "arn:aws:*", "arn:aws:iam::*", ""] {
            assert!(ArnPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = format!("arn:aws:iam::aws:{}b", "*a".repeat(2_000));
        let arn = format!("arn:aws:iam::aws:{}", "a".repeat(20_000));
        check(&pattern, &arn, false);
    }
}
