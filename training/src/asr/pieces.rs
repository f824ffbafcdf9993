//! The pieces that text is made of: single characters, with and without the beginning of a word
//! before them, and what is often beside each other.
//!
//! Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (ACL
//! 2016); the space before a word is written `▁`, as SentencePiece does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What stands for the space before a word.
const SPACE: char = '\u{2581}';

/// Text as it is learnt: lower case, single spaces; `None` when it holds anything but letters,
/// apostrophes and spaces (digits are read in many ways).
#[must_use]
pub fn plain_text(text: &str) -> Option<String> {
    let text = text.to_lowercase().replace('\u{2019}', "'");
    let words: Vec<&str> = text
        .split(|c: char| {
            c.is_whitespace() || matches!(c, ',' | '.' | '?' | '!' | '"' | ';' | ':' | '-')
        })
        .filter(|word| !word.is_empty())
        .collect();
    let text = words.join(" ");
    let plain = text.chars().all(|c| c.is_alphabetic() || c == '\'' || c == ' ');
    (plain && !text.is_empty()).then_some(text)
}

/// A vocabulary in the order of the answers; a piece made of two others comes after them.
#[derive(Debug, Clone)]
pub struct Pieces {
    pieces: Vec<String>,
    ranks: HashMap<String, usize>,
}

impl Pieces {
    /// A vocabulary of these pieces.
    #[must_use]
    pub fn new(pieces: Vec<String>) -> Self {
        let ranks = pieces.iter().enumerate().map(|(rank, piece)| (piece.clone(), rank)).collect();
        Self { pieces, ranks }
    }

    /// The pieces.
    #[must_use]
    pub fn list(&self) -> &[String] {
        &self.pieces
    }

    /// Whether a letter has a piece at the beginning of a word and one inside.
    #[must_use]
    pub fn spells(&self, letter: char) -> bool {
        let first = format!("{SPACE}{letter}");
        self.ranks.contains_key(&first) && self.ranks.contains_key(letter.to_string().as_str())
    }

    /// The answers for a text; characters that have no piece are left out.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<i64> {
        let mut ids = Vec::new();
        for word in text.split_whitespace() {
            let mut parts = split(word);
            // The pair whose union came first into the vocabulary is joined first.
            loop {
                let best = (1..parts.len())
                    .filter_map(|at| {
                        let joined = format!("{}{}", parts[at - 1], parts[at]);
                        Some((*self.ranks.get(&joined)?, at, joined))
                    })
                    .min();
                let Some((_, at, joined)) = best else { break };
                parts[at - 1] = joined;
                parts.remove(at);
            }
            ids.extend(parts.iter().filter_map(|part| Some(*self.ranks.get(part)? as i64)));
        }
        ids
    }

    /// The text of answers.
    #[must_use]
    pub fn decode(&self, ids: &[i64]) -> String {
        let pieces = ids.iter().filter_map(|&id| self.pieces.get(usize::try_from(id).ok()?));
        let text: String = pieces.map(String::as_str).collect();
        text.replace(SPACE, " ").trim_start().to_owned()
    }
}

/// The characters of a word, the first with the space before it.
fn split(word: &str) -> Vec<String> {
    word.chars()
        .enumerate()
        .map(|(at, c)| if at == 0 { format!("{SPACE}{c}") } else { c.to_string() })
        .collect()
}

/// Learns a vocabulary of `size` pieces (or all single ones, if these are more) from texts and how
/// much each counts.
#[must_use]
pub fn learn_pieces<'a>(texts: impl IntoIterator<Item = (&'a str, f64)>, size: usize) -> Pieces {
    let mut words: BTreeMap<String, f64> = BTreeMap::new();
    for (text, weight) in texts {
        for word in text.split_whitespace() {
            *words.entry(word.to_owned()).or_default() += weight;
        }
    }
    // Every character may begin a word or not, seen or unseen.
    let characters: BTreeSet<char> = words.keys().flat_map(|word| word.chars()).collect();
    let mut pieces: Vec<String> =
        characters.iter().flat_map(|c| [format!("{SPACE}{c}"), c.to_string()]).collect();
    let mut parts: Vec<(Vec<String>, f64)> =
        words.iter().map(|(word, weight)| (split(word), *weight)).collect();
    while pieces.len() < size {
        let mut pairs: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (parts, weight) in &parts {
            for pair in parts.windows(2) {
                *pairs.entry((&pair[0], &pair[1])).or_default() += weight;
            }
        }
        // The first of equals, so that the same texts give the same pieces.
        let best = pairs.iter().fold(None, |best: Option<(_, f64)>, (pair, &count)| match best {
            Some((_, most)) if most >= count => best,
            _ => Some((*pair, count)),
        });
        let Some(((left, right), _)) = best else { break };
        let (left, right) = (left.to_owned(), right.to_owned());
        let joined = format!("{left}{right}");
        for (parts, _) in &mut parts {
            let mut at = 0;
            while at + 1 < parts.len() {
                if parts[at] == left && parts[at + 1] == right {
                    parts[at].clone_from(&joined);
                    parts.remove(at + 1);
                }
                at += 1;
            }
        }
        pieces.push(joined);
    }
    Pieces::new(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_become_pieces_and_text_survives() {
        let texts = [("one two one o n e", 5.0), ("two tons don't", 1.0)];
        let pieces = learn_pieces(texts, 24);
        assert_eq!(pieces.list().len(), 24);
        assert!(pieces.list().iter().any(|piece| piece == "▁one"), "{:?}", pieces.list());
        for text in ["one two", "t o n", "don't one", "nesto"] {
            assert_eq!(pieces.decode(&pieces.encode(text)), text);
        }
        assert_eq!(pieces.encode("one").len(), 1);
        assert_eq!(pieces.decode(&pieces.encode("one ü")), "one");
    }

    #[test]
    fn text_is_made_plain_or_refused() {
        assert_eq!(plain_text("Don’t, PLEASE!").as_deref(), Some("don't please"));
        assert_eq!(plain_text("room 101"), None);
        assert_eq!(plain_text(" . "), None);
    }
}
