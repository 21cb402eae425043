//! What of a sentence of PCS or IAM may be told: not the ARN of a role, which could be this API's own, and not more than
//! somebody reads.

use percent_encoding::percent_decode_str;

/// Longest upstream sentence that is passed on.
const MESSAGE_CHARS_MAX: usize = 1000;
/// As much of it is looked at: what is taken out makes it shorter.
const READ_CHARS_MAX: usize = 8 * MESSAGE_CHARS_MAX;

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
        .take(READ_CHARS_MAX)
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

/// What is read as a plain character: hyphens, strokes and colons of other scripts, and the full-width forms.
fn looks_like(c: char) -> char {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => '-',
        '\u{2044}' | '\u{2215}' | '\u{29f8}' => '/',
        '\u{2236}' | '\u{a789}' | '\u{fe55}' => ':',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Whether the word names a role: its ARN, or the part of it that begins with `role/`, in any case and escape.
fn names_role(word: &str) -> bool {
    /// Each takes off one layer of escapes; nobody reads a word that has more.
    const LAYERS: usize = 4;
    let mut word: String = word
        .chars()
        .map(looks_like)
        .collect::<String>()
        .to_ascii_lowercase();
    for _ in 0..LAYERS {
        let begins = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        if word.contains("assumed-role/") || word.contains(":role/") || begins.starts_with("role/") {
            return true;
        }
        if is_an_arn_with_a_role(&word) {
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

/// Whether the word is an ARN of IAM or STS that speaks of a role, whatever stands where the stroke belongs.
fn is_an_arn_with_a_role(word: &str) -> bool {
    let is_iams = word.contains(":iam::") || word.contains(":sts::");
    let is_other = word.contains(":instance-profile/") || word.contains(":policy/");
    is_iams && word.contains("role") && !is_other
}

/// Without one layer of the escapes of URLs, JSON, HTML, programming languages and shells.
fn unescaped(word: &str) -> String {
    let decoded = percent_decode_str(word).decode_utf8_lossy().to_ascii_lowercase();
    let mut plain = String::new();
    let mut rest = decoded.as_str();
    while let Some(first) = rest.chars().next() {
        let (c, length) = escape(rest).unwrap_or((first, first.len_utf8()));
        // A lone backslash escapes what follows it.
        if c != '\\' {
            plain.push(looks_like(c).to_ascii_lowercase());
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    plain.retain(|c| !c.is_control() && !is_invisible(c));
    plain
}

/// The character that is escaped here, and the length of its escape.
fn escape(text: &str) -> Option<(char, usize)> {
    const NAMED: [(&str, char); 4] = [
        ("&sol;", '/'),
        ("&colon;", ':'),
        ("&hyphen;", '-'),
        ("&amp;", '&'),
    ];
    // Before, after, the base, and the most digits between.
    const NUMBERED: [(&str, &str, u32, usize); 8] = [
        ("&#x", ";", 16, 16),
        ("&#", ";", 10, 16),
        ("\\u{", "}", 16, 16),
        ("\\x{", "}", 16, 16),
        ("\\u", "", 16, 4),
        ("%u", "", 16, 4),
        ("\\x", "", 16, 2),
        ("\\", "", 8, 3),
    ];
    let named = NAMED.iter().find(|(name, _)| text.starts_with(name));
    if let Some((name, c)) = named {
        return Some((*c, name.len()));
    }
    NUMBERED.iter().find_map(|(before, after, base, most)| {
        let inside = text.strip_prefix(before)?;
        let length = inside
            .bytes()
            .take(*most)
            .take_while(|byte| char::from(*byte).is_digit(*base))
            .count();
        let (digits, behind) = inside.split_at_checked(length)?;
        let c = char::from_u32(u32::from_str_radix(digits, *base).ok()?)?;
        behind
            .starts_with(after)
            .then_some((c, before.len() + length + after.len()))
    })
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
            session.replace('/', "\\x2f"),
            session.replace('/', "\\u{2f}"),
            session.replace('/', "\\57"),
            session.replace('/', "&#047;"),
            session.replace('/', "&#x02F;"),
            session.replace('/', "%u002F"),
            session.replace('/', "\u{2215}"),
            session.replace('/', "\u{ff0f}"),
            session.replace('/', "."),
            session.replace("assumed-role", "assumed\u{2010}role"),
            session.replace("role", "\u{ff52}ole"),
            "role&#x02F;pcs-api-fn".to_owned(),
            "arn:aws:iam::123456789012:role".to_owned(),
        ];
        for form in forms {
            for around in [" ", "\n", "\t", "\u{a0}"] {
                let text = public(&format!("User:{around}{form}{around}is denied"));
                assert_eq!(text, "User: [role] is denied", "{form:?}");
            }
            assert_eq!(without_roles(&form), "[role]", "{form:?}");
        }
    }

    /// What an answer has no room for is not looked through.
    #[test]
    fn a_long_sentence_is_cut_before_it_is_read() {
        let long = "%252525 ".repeat(200_000);
        assert_eq!(public(&long).chars().count(), MESSAGE_CHARS_MAX);
        let far = format!("{}role/pcs-api-fn", " ".repeat(READ_CHARS_MAX - 4));
        assert!(!public(&far).contains("role"));
    }

    #[test]
    fn a_sentence_without_a_role_is_passed_on_as_it_is() {
        for text in [
            "Value 'a%20b' at 'tags.100%' failed",
            "The role must trust ec2.amazonaws.com",
            "The subnet ID 'subnet-0123456789abcdef0' does not exist",
            "C:\\x is no path",
            "arn:aws:iam::123456789012:instance-profile/role/AWSPCS-x does not exist",
            "Policy arn:aws:iam::aws:policy/service-role/X is not attachable",
        ] {
            assert_eq!(public(text), text);
        }
        assert_eq!(public("\u{1}"), "the request was refused without saying why");
    }
}
