//! The product's `ArnLike` against a slow one that is obviously right: components cut at the first five colons, each
//! matched by trying everything (IAM User Guide, "ARN condition operators").

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use pcs_api::guardrails::arn_like::ArnPattern;
use proptest::{collection::vec, prelude::*, sample::select};

/// Against hanging only; how fast it is, a test on a busy machine cannot say.
const FOREVER: Duration = Duration::from_mins(30);

/// The six components, or `None` when there are fewer. The last one keeps its colons.
fn components(text: &str) -> Option<Vec<Vec<char>>> {
    let mut found = vec![Vec::new()];
    for character in text.chars() {
        if character == ':' && found.len() < 6 {
            found.push(Vec::new());
        } else {
            found.last_mut().unwrap().push(character);
        }
    }
    (found.len() == 6).then_some(found)
}

/// `*` is any characters or none, `?` exactly one, everything else itself.
fn like(pattern: &[char], value: &[char]) -> bool {
    match pattern.split_first() {
        None => value.is_empty(),
        Some(('*', rest)) => (0..=value.len()).any(|taken| like(rest, &value[taken..])),
        Some(('?', rest)) => !value.is_empty() && like(rest, &value[1..]),
        Some((expected, rest)) => value.first() == Some(expected) && like(rest, &value[1..]),
    }
}

fn arn_like(pattern: &str, value: &str) -> bool {
    match (components(pattern), components(value)) {
        (Some(pattern), Some(value)) => pattern.iter().zip(&value).all(|(p, v)| like(p, v)),
        (None | Some(_), _) => false,
    }
}

/// A pattern of fewer than six components is refused by the product and matches nothing in IAM: the same outcome.
fn ours(pattern: &str, value: &str) -> bool {
    ArnPattern::parse(pattern).is_ok_and(|pattern| pattern.matches(value))
}

fn text_of(alphabet: &'static [char], most: usize) -> impl Strategy<Value = String> {
    vec(select(alphabet), 0..=most).prop_map(String::from_iter)
}

/// Six components, most of the time; the last may hold colons.
fn arn_of(alphabet: &'static [char]) -> impl Strategy<Value = String> {
    let short = vec(text_of(alphabet, 2), 4..=5);
    let resource: Vec<char> = [alphabet, &[':']].concat();
    let resource = vec(select(resource), 0..=9).prop_map(String::from_iter);
    (short, resource).prop_map(|(mut components, resource): (Vec<String>, String)| {
        components.push(resource);
        components.join(":")
    })
}

/// What a pattern was meant for: every `*` and `?` filled in. `?` takes the first character of its filling.
fn filled(pattern: &str, fillings: &[String]) -> String {
    let mut fillings = fillings.iter().cycle();
    let mut colons = 0;
    let mut value = String::new();
    for character in pattern.chars() {
        colons += usize::from(character == ':');
        // A colon filled in before the resource would cut the value at another place.
        let filling = |text: &String| text.replace(|c| c == ':' && colons < 5, "");
        match character {
            '*' => value.push_str(&filling(fillings.next().unwrap())),
            '?' => value.push(filling(fillings.next().unwrap()).chars().next().unwrap_or('q')),
            other => value.push(other),
        }
    }
    value
}

const PATTERN: &[char] = &['*', '?', 'a', 'b', '/'];
const VALUE: &[char] = &['a', 'b', '/', '*', '?'];
/// One to four bytes each, with a combining mark, a right-to-left mark, a NUL and two cases of a letter.
const UNICODE: &[char] = &[
    '*', '?', 'a', 'A', 'é', 'É', '日', '𝒜', '\u{301}', '\u{200f}', '\0', '/',
];

fn rounds(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(rounds(20_000))]

    #[test]
    fn it_agrees_with_the_slow_one(pattern in arn_of(PATTERN), value in arn_of(VALUE)) {
        prop_assert_eq!(ours(&pattern, &value), arn_like(&pattern, &value));
    }

    #[test]
    fn it_agrees_on_what_is_hardly_an_arn(pattern in "[*?:/a]{0,14}", value in "[*?:/a]{0,14}") {
        prop_assert_eq!(ours(&pattern, &value), arn_like(&pattern, &value));
    }

    #[test]
    fn it_agrees_on_characters_of_any_length(pattern in text_of(UNICODE, 6), value in text_of(UNICODE, 6)) {
        let (pattern, value) = (format!(":::::{pattern}"), format!(":::::{value}"));
        prop_assert_eq!(ours(&pattern, &value), arn_like(&pattern, &value));
    }
}

proptest! {
    #![proptest_config(rounds(5_000))]

    /// Random pairs seldom match; these nearly always do, and one change to the value seldom does.
    #[test]
    fn it_agrees_on_values_made_for_the_pattern(
        pattern in arn_of(UNICODE),
        fillings in vec(text_of(&['a', '/', ':', 'é', '日'], 3), 1..4),
        at in any::<prop::sample::Index>(),
        put in any::<char>(),
    ) {
        let value = filled(&pattern, &fillings);
        if components(&pattern).is_some() {
            prop_assert!(arn_like(&pattern, &value), "the slow one is wrong: {} {}", pattern, value);
            prop_assert!(ours(&pattern, &value));
        }
        let mut changed: Vec<char> = value.chars().collect();
        if !changed.is_empty() {
            let at = at.index(changed.len());
            changed[at] = put;
            let changed = String::from_iter(changed);
            prop_assert_eq!(ours(&pattern, &changed), arn_like(&pattern, &changed), "{}", changed);
        }
    }

    #[test]
    fn any_text_at_all_is_decided(pattern in any::<String>(), value in any::<String>()) {
        let pattern: String = pattern.chars().take(24).collect();
        prop_assert_eq!(ours(&pattern, &value), arn_like(&pattern, &value));
    }

    #[test]
    fn a_text_without_wildcards_is_like_itself_and_nothing_else(
        one in arn_of(&['a', 'A', 'é', '/']), other in arn_of(&['a', 'A', 'é', '/']),
    ) {
        if components(&one).is_some() {
            prop_assert!(ours(&one, &one));
        }
        prop_assert_eq!(ours(&one, &other), one == other && components(&one).is_some());
    }
}

/// What makes matchers that try everything hang.
#[test]
fn hostile_patterns_of_twenty_thousand_characters_are_decided() {
    let values = ["a".repeat(20_000), format!("{}b", "a".repeat(19_999))];
    let patterns = [
        "*a".repeat(10_000),
        format!("{}b", "*a".repeat(9_999)),
        format!("{}c", "*a".repeat(9_999)),
        "*".repeat(20_000),
        format!("{}c", "?*".repeat(9_999)),
        // The worst for a matcher that goes back to the last star: pattern times value.
        format!("*{}c", "a".repeat(2_000)),
    ];
    // Whether it matches `a...a` and `a...ab`.
    let expected = [
        (true, false),
        (false, true),
        (false, false),
        (true, true),
        (false, false),
        (false, false),
    ];
    let (done, ended) = mpsc::channel();
    let begin = Instant::now();
    thread::spawn(move || {
        let arn = |resource: &String| format!("arn:aws:iam::aws:{resource}");
        let decided: Vec<(bool, bool)> = patterns
            .iter()
            .map(|pattern| {
                let pattern = arn(pattern);
                (ours(&pattern, &arn(&values[0])), ours(&pattern, &arn(&values[1])))
            })
            .collect();
        done.send(decided).unwrap();
    });
    let decided = ended.recv_timeout(FOREVER).expect("it hangs");
    assert_eq!(decided, expected, "after {:?}", begin.elapsed());
}
