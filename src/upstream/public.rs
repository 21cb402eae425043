//! What of a sentence of PCS or IAM may be told: not the ARN of a role, which could be this API's own, and not more than
//! somebody reads.

use percent_encoding::percent_decode_str;

/// Longest upstream sentence that is passed on.
const MESSAGE_CHARS_MAX: usize = 1000;

/// An upstream sentence, shortened, and without the ARN of any role: it could be this API's own.
pub fn public(message: &str) -> String {
    let text = without_roles(message);
    if text.is_empty() {
        "the request was refused without saying why".to_owned()
    } else {
        text
    }
}

pub(super) fn without_roles(message: &str) -> String {
    // Before anything is looked for: what is taken out later could make a role of what was none.
    let plain: String = message
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect();
    let words: Vec<&str> = plain
        .split(' ')
        .map(|word| if names_role(word) { "[role]" } else { word })
        .collect();
    words.join(" ").chars().take(MESSAGE_CHARS_MAX).collect()
}

/// Characters that nobody sees (Unicode's format characters, as far as they are in use).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Whether the word names a role: its ARN, or the part of it that begins with `role/`, in any case and escape.
fn names_role(word: &str) -> bool {
    /// Each takes off one layer of escapes; nobody reads a word that has more.
    const LAYERS: usize = 4;
    let mut word = word.to_ascii_lowercase();
    for _ in 0..LAYERS {
        let begins = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        if word.contains("assumed-role/") || word.contains(":role/") || begins.starts_with("role/") {
            return true;
        }
        let decoded = unescaped(&word);
        if decoded == word {
            return false;
        }
        word = decoded;
    }
    // Still escaped: nothing that a sentence needs.
    true
}

/// Without one layer of the escapes of URLs, JSON, HTML and shells.
fn unescaped(word: &str) -> String {
    let mut plain = percent_decode_str(word).decode_utf8_lossy().to_ascii_lowercase();
    for (escape, character) in [
        ("\\u002f", "/"),
        ("\\u003a", ":"),
        ("\\u002d", "-"),
        ("&#x2f;", "/"),
        ("&#47;", "/"),
        ("&sol;", "/"),
        ("&#x3a;", ":"),
        ("&#58;", ":"),
        ("&colon;", ":"),
        ("&#x2d;", "-"),
        ("&#45;", "-"),
        ("&amp;", "&"),
        ("\\", ""),
    ] {
        plain = plain.replace(escape, character);
    }
    plain.retain(|c| !c.is_control() && !is_invisible(c));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A role in a sentence could be the function's own, whatever form it has there.
    #[test]
    fn no_form_of_a_role_comes_out() {
        let session = "arn:aws:sts::123456789012:assumed-role/pcs-api-fn/x";
        let percent = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
        let forms = [
            session.to_owned(),
            "arn:aws:iam::123456789012:role/path/pcs-api-fn".to_owned(),
            "arn:aws:iam::123456789012:ROLE/pcs-api-fn".to_owned(),
            "assumed-role/pcs-api-fn".to_owned(),
            "'assumed-role/pcs-api-fn/x'".to_owned(),
            "(role/pcs-api-fn)".to_owned(),
            session.to_uppercase().replace("PCS-API-FN", "pcs-api-fn"),
            percent(session),
            percent(session).to_lowercase(),
            percent(session).replace('%', "%25"),
            "arn:aws:iam::123456789012%3arole%2fpcs-api-fn".to_owned(),
            session.replace('/', "\\/"),
            session.replace('/', "\\u002f"),
            session.replace('/', "&#x2F;"),
            session.replace('/', "&amp;#x2F;"),
            session.replace("role", "ro\u{1}le"),
            session.replace("role", "ro\u{200b}le"),
            session.replace("role", "ro%01le"),
            session.replace("role", "%72ole"),
        ];
        for form in forms {
            for around in [" ", "\n", "\t", "\u{a0}"] {
                let text = public(&format!("User:{around}{form}{around}is denied"));
                assert_eq!(text, "User: [role] is denied", "{form:?}");
            }
            assert_eq!(without_roles(&form), "[role]", "{form:?}");
        }
    }

    #[test]
    fn a_sentence_without_a_role_is_passed_on_as_it_is() {
        for text in [
            "Value 'a%20b' at 'tags.100%' failed",
            "The role must trust ec2.amazonaws.com",
            "The subnet ID 'subnet-0123456789abcdef0' does not exist",
            "C:\\x is no path",
            "arn:aws:iam::123456789012:instance-profile/role/AWSPCS-x does not exist",
        ] {
            assert_eq!(public(text), text);
        }
        assert_eq!(public("\u{1}"), "the request was refused without saying why");
    }
}
