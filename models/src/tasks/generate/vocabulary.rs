//! A closed vocabulary: which of its words a text means.

use std::collections::BTreeSet;

use super::synonyms::{PASSED_OVER, SYNONYMS};
use crate::error::{Error, Result};

/// Most differences between a word and the one that is suggested for it.
const MOST_DIFFERENCES: usize = 2;
/// Words that an error lists.
const MOST_LISTED: usize = 8;

/// Words that a transformer was trained with, in the order of their axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vocabulary {
    words: Vec<String>,
    /// What names a word: its stems, the longest phrases first.
    names: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    text: String,
    stems: Vec<String>,
    word: usize,
}

/// What a text says in a vocabulary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Meant {
    /// Axes of the words.
    pub(super) axes: Vec<usize>,
    /// What no word means, each with the word of the vocabulary that is nearly the same.
    pub(super) unknown: Vec<(String, Option<String>)>,
}

impl Vocabulary {
    pub(super) fn new(words: Vec<String>) -> Self {
        let mut names: Vec<Name> = Vec::new();
        for (word, text) in words.iter().enumerate() {
            let text = text.replace('_', " ");
            let aliases = SYNONYMS.iter().filter(|(known, _)| *known == text);
            let aliases = aliases.flat_map(|(_, aliases)| aliases.iter().map(|&a| a.to_owned()));
            for text in [text.clone()].into_iter().chain(aliases) {
                let stems = tokens(&text).map(|token| stem(&token)).collect();
                names.push(Name { text, stems, word });
            }
        }
        // Of names with as many words, those of the vocabulary itself come before synonyms.
        names.sort_by_key(|name| {
            (usize::MAX - name.stems.len(), name.text != words[name.word].replace('_', " "))
        });
        Self { words, names }
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The words that a text means. Nothing is meant by a text without letters.
    ///
    /// # Errors
    /// [`Error::Config`] when the text has words, but none of the vocabulary.
    pub(super) fn meant(&self, text: &str) -> Result<Meant> {
        let tokens: Vec<String> = tokens(text).collect();
        let mut left: Vec<(String, &String)> = tokens.iter().map(|t| (stem(t), t)).collect();
        let mut axes = BTreeSet::new();
        for name in &self.names {
            let is_there = |wanted: &String| left.iter().any(|(stem, _)| stem == wanted);
            if !name.stems.is_empty() && name.stems.iter().all(is_there) {
                left.retain(|(stem, _)| !name.stems.contains(stem));
                axes.insert(name.word);
            }
        }
        let mut seen = BTreeSet::new();
        left.retain(|(stem, token)| {
            !PASSED_OVER.contains(&token.as_str()) && seen.insert(stem.clone())
        });
        let unknown: Vec<_> =
            left.iter().map(|(_, token)| ((*token).clone(), self.nearest(token))).collect();
        if axes.is_empty() && !tokens.is_empty() {
            return Err(self.unknown(&unknown));
        }
        Ok(Meant { axes: axes.into_iter().collect(), unknown })
    }

    /// The name that is nearly `token`.
    fn nearest(&self, token: &str) -> Option<String> {
        let allowed = MOST_DIFFERENCES.min(token.chars().count() / 3);
        let near = self.names.iter().map(|name| (differences(token, &name.text, allowed), name));
        let near = near.filter(|(count, _)| *count <= allowed).min_by_key(|(count, _)| *count);
        near.map(|(_, name)| name.text.clone())
    }

    fn unknown(&self, unknown: &[(String, Option<String>)]) -> Error {
        let listed = listed(unknown);
        let some: Vec<&str> = self.words.iter().take(MOST_LISTED).map(String::as_str).collect();
        let reason = match listed.is_empty() {
            true => "names no sound".to_owned(),
            false => format!("{listed}: not among the {} words of this model", self.words.len()),
        };
        Error::config("text", format!("{reason}; there are {} and others", some.join(", ")))
    }
}

/// `` `dgo` (dog?), `xyz` and 5 more ``
pub(super) fn listed(unknown: &[(String, Option<String>)]) -> String {
    let text = |(word, near): &(String, Option<String>)| match near {
        Some(near) => format!("`{word}` (did you mean {near}?)"),
        None => format!("`{word}`"),
    };
    let shown: Vec<String> = unknown.iter().take(MOST_LISTED).map(text).collect();
    match unknown.len().saturating_sub(MOST_LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Words in lower case.
fn tokens(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !(c.is_alphanumeric() || c == '\''));
    let parts = parts.map(|part| part.trim_matches('\'').trim_end_matches("'s").to_lowercase());
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().into_iter()
}

/// What forms of an English word have in common, such as `bark` of barks, barking and barked.
fn stem(token: &str) -> String {
    let cut = |ending: &str| token.strip_suffix(ending).filter(|rest| rest.chars().count() >= 3);
    let ends = ["ing", "ed", "es", "s", "y", "e"];
    let rest = ends.iter().find_map(|ending| cut(ending)).unwrap_or(token);
    let mut letters: Vec<char> = rest.chars().collect();
    // `babies` is of `baby`, and `running` of `run`.
    let ends = letters.len().checked_sub(2).map(|at| (letters[at], letters[at + 1]));
    if letters.len() > 3 && ends.is_some_and(|(before, last)| before == last || last == 'i') {
        letters.pop();
    }
    letters.into_iter().collect()
}

/// Insertions, deletions, replacements and swaps of neighbours between two words; more than `most` where
/// the lengths differ by more.
fn differences(a: &str, b: &str, most: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return most + 1;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let words = ["rain", "dog", "sea_waves", "crying_baby", "footsteps", "wood impact"];
        Vocabulary::new(words.map(str::to_owned).into())
    }

    #[test]
    fn texts_mean_words_whatever_their_form() {
        let vocabulary = vocabulary();
        let axes = |text: &str| vocabulary.meant(text).map(|meant| meant.axes);
        for (text, wanted) in [
            ("rain", vec![0]),
            ("It's RAINING on the roof", vec![0]),
            ("a puppy barks", vec![1]),
            ("waves of the sea", vec![2]),
            ("Babies crying, and a dog's bark", vec![1, 3]),
            ("a step", vec![4]),
            ("sea_waves", vec![2]),
            ("", vec![]),
            ("  !? ", vec![]),
        ] {
            assert_eq!(axes(text).expect(text), wanted, "{text}");
        }
        assert_eq!(vocabulary.meant("rain rain dog").expect("known").axes, [0, 1]);
    }

    #[test]
    fn unknown_words_are_named_with_what_is_nearly_the_same() {
        let vocabulary = vocabulary();
        let meant = vocabulary.meant("rain on a tin roof, tin").expect("one is known");
        let named: Vec<&str> = meant.unknown.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(named, ["tin", "roof"]);
        let error = vocabulary.meant("ranin fotsteps xylophone").expect_err("none").to_string();
        for part in ["`ranin` (did you mean rain?)", "footsteps?", "`xylophone`", "6 words"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let long: String = (0..3000).map(|n| format!("w{n}x ")).collect();
        let error = vocabulary.meant(&long).expect_err("none").to_string();
        assert!(error.contains("and 2992 more") && error.len() < 500, "{error}");
        assert!(vocabulary.meant("of the").is_err(), "names nothing");
        assert_eq!(differences("rain", "train", 2), 1);
        assert_eq!(differences("dgo", "dog", 2), 1);
        assert_eq!(differences("abc", "", 2), 3);
    }
}
