//! Text that a terminal can show: names and tags may hold sequences that control it, or turn the
//! order of what stands around them.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with control characters but line ends and tabs as JSON writes them, so that JSON stays
/// JSON.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, |c| controls(c) && !matches!(c, '\n' | '\t'))
}

/// As [`escaped`], for a name or another text that is to stay in one line.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    escape(text, controls)
}

/// Whether a character controls the terminal: C0 and C1, separators of lines, and those that turn the
/// direction of text (the property `Bidi_Control` of Unicode).
fn controls(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, escapes: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    if !text.contains(escapes) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if escapes(c) {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w6_control_characters_are_shown() {
        assert_eq!(escaped("a\tb\n"), "a\tb\n");
        assert_eq!(one_line("a\tb\n"), "a\\u0009b\\u000a");
        assert_eq!(escaped("\u{1b}[2J\r\u{9b}\u{7f}"), "\\u001b[2J\\u000d\\u009b\\u007f");
        assert_eq!(escaped("a\u{202e}gpj.wav\u{2066}"), "a\\u202egpj.wav\\u2066");
        let json = format!("\"{}\"", escaped("\u{9b}\u{202e}"));
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), "\u{9b}\u{202e}");
    }
}
