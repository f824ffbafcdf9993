//! Text that a terminal can show: names and tags may hold sequences that control it.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with control characters but line ends and tabs as JSON writes them, so that JSON stays
/// JSON.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    let controls = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(controls) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if controls(c) {
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
        assert_eq!(escaped("\u{1b}[2J\r\u{9b}\u{7f}"), "\\u001b[2J\\u000d\\u009b\\u007f");
        let json = format!("\"{}\"", escaped("\u{9b}"));
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), "\u{9b}");
    }
}
