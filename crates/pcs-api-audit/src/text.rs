//! Text that callers chose, on a terminal: it must not move the cursor, fake a line or turn its direction.

/// Control characters, and those that only change how others look, as `\u{..}`.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || is_invisible(char) {
            printable.extend(char.escape_unicode());
        } else {
            printable.push(char);
        }
    }
    printable
}

/// One column of a line: no blank either.
pub fn column(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    let text = printable(text);
    if !text.contains(char::is_whitespace) {
        return text;
    }
    let escape = |char: char| match char {
        char if char.is_whitespace() => char.escape_unicode().to_string(),
        char => char.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Zero-width, line and paragraph separators, marks of direction, tags.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_fakes_a_line() {
        assert_eq!(
            printable("a b\nc\u{1b}[2J\u{202e}é😀"),
            "a b\\u{a}c\\u{1b}[2J\\u{202e}é😀"
        );
        assert_eq!(column("a b\u{a0}c"), "a\\u{20}b\\u{a0}c");
        assert_eq!(column(""), "-");
    }
}
