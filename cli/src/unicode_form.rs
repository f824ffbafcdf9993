//! Names that look alike and are different bytes: letters with their marks composed (as most keyboards
//! write them) or apart (as some file systems keep them).

use std::path::{Path, PathBuf};

/// A file beside the missing `path` whose name is written in another Unicode form.
pub(crate) fn other_form(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    if name.is_ascii() {
        return None;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let found = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    found.flatten().map(|entry| entry.file_name()).find_map(|other| {
        let same = other.to_str().is_some_and(|other| differ_in_form(name, other));
        same.then(|| path.with_file_name(&other))
    })
}

/// Whether two names have the same letters as far as can be told without tables: a composed letter
/// stands for any letter with marks.
fn differ_in_form(a: &str, b: &str) -> bool {
    let (a, b) = (letters(a), letters(b));
    let alike = |(a, b): (&String, &String)| {
        a == b || (a.chars().count() != b.chars().count() && !a.is_ascii() && !b.is_ascii())
    };
    a != b && a.len() == b.len() && a.iter().zip(&b).all(alike)
}

/// Letters with the marks behind them.
fn letters(text: &str) -> Vec<String> {
    let mut letters: Vec<String> = Vec::new();
    for c in text.chars() {
        // Combining marks, kana voicing, and vowels and finals of Hangul.
        let joins = matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}'
            | '\u{3099}' | '\u{309a}' | '\u{1160}'..='\u{11ff}');
        match letters.last_mut() {
            Some(letter) if joins => letter.push(c),
            _ => letters.push(c.to_string()),
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_from_other_names() {
        assert!(differ_in_form("M\u{fc}ller.wav", "Mu\u{308}ller.wav"));
        assert!(differ_in_form("\u{d55c}.wav", "\u{1112}\u{1161}\u{11ab}.wav"));
        assert!(differ_in_form("\u{304c}", "\u{304b}\u{3099}"));
        assert!(!differ_in_form("M\u{fc}ller.wav", "M\u{fc}ller.wav"));
        assert!(!differ_in_form("M\u{fc}ller.wav", "Muller.wav"));
        assert!(!differ_in_form("M\u{fc}ller.wav", "Mu\u{308}ller.mp3"));
    }
}
