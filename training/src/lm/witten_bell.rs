//! Counts of n-grams, and the probabilities that follow from them by Witten and Bell's smoothing,
//! interpolated. It needs no held-out text and no counts of counts, which are unreliable in the
//! small texts of a recogniser's domain.
//!
//! Source: Witten, Bell, "The Zero-Frequency Problem" (IEEE Trans. Information Theory 37, 1991),
//! method C; as interpolation in Chen, Goodman, "An Empirical Study of Smoothing Techniques for
//! Language Modeling" (Harvard TR-10-98), section 2.6.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Longest n-gram that can be counted.
pub const MAX_ORDER: usize = 9;

/// Index of a word in the vocabulary.
pub(super) type Word = u32;

/// Any word that the texts do not hold.
pub(super) const UNKNOWN: Word = 0;
/// The beginning of a sentence.
pub(super) const BEGIN: Word = 1;
/// The end of a sentence.
const END: Word = 2;

/// What was seen after a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Followers {
    /// Words, one for each time.
    count: u64,
    /// Different words.
    types: u64,
}

impl Followers {
    /// The share of the probability that goes to shorter histories.
    fn backoff(self) -> f64 {
        self.types as f64 / (self.count + self.types) as f64
    }
}

/// A language model over a closed vocabulary and `<unk>`.
///
/// With `c` times word `w` after history `h`, `n` words and `t` different words after it,
/// `p(w | h) = (c + t p(w | h')) / (n + t)`, where `h'` lacks the first word of `h`; below the empty
/// history all words, `<unk>` and `</s>` among them, are equally likely.
#[derive(Debug, Clone)]
pub struct WittenBell {
    /// Words by index.
    words: Vec<String>,
    /// Counts of the n-grams of each length.
    ngrams: Vec<BTreeMap<Vec<Word>, u64>>,
    followers: BTreeMap<Vec<Word>, Followers>,
}

impl WittenBell {
    /// Counts n-grams of up to `order` words in sentences.
    ///
    /// # Errors
    /// [`Error::Config`] for an order of 0 or over [`MAX_ORDER`]; [`Error::Data`] without words.
    pub fn train<'a>(sentences: impl IntoIterator<Item = &'a str>, order: usize) -> Result<Self> {
        if !(1..=MAX_ORDER).contains(&order) {
            let reason = format!("{order} is not between 1 and {MAX_ORDER}");
            return Err(Error::Config { setting: "order", reason });
        }
        let sentences: Vec<Vec<&str>> =
            sentences.into_iter().map(|text| text.split_whitespace().collect()).collect();
        let mut ids: BTreeMap<&str, Word> =
            sentences.iter().flatten().map(|&word| (word, 0)).collect();
        if ids.is_empty() {
            return Err(Error::Data("no words to count".to_owned()));
        }
        let mut words = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
        for (word, id) in &mut ids {
            *id = words.len() as Word;
            words.push((*word).to_owned());
        }
        let mut ngrams = vec![BTreeMap::new(); order];
        for sentence in sentences.iter().filter(|sentence| !sentence.is_empty()) {
            let mut line = vec![BEGIN];
            line.extend(sentence.iter().map(|word| ids[word]));
            line.push(END);
            for end in 1..line.len() {
                for length in 1..=order.min(end + 1) {
                    let ngram = line[end + 1 - length..=end].to_vec();
                    *ngrams[length - 1].entry(ngram).or_insert(0) += 1;
                }
            }
        }
        let mut followers: BTreeMap<Vec<Word>, Followers> = BTreeMap::new();
        for (ngram, count) in ngrams.iter().flatten() {
            let after = followers.entry(ngram[..ngram.len() - 1].to_vec()).or_default();
            after.count += count;
            after.types += 1;
        }
        Ok(Self { words, ngrams, followers })
    }

    /// Words of the longest n-grams.
    #[must_use]
    pub fn order(&self) -> usize {
        self.ngrams.len()
    }

    /// The words of the texts, sorted.
    #[must_use]
    pub fn vocabulary(&self) -> &[String] {
        &self.words[END as usize + 1..]
    }

    /// Numbers of n-grams by length, marks such as `<s>` not counted.
    #[must_use]
    pub fn ngram_counts(&self) -> Vec<usize> {
        self.ngrams.iter().map(BTreeMap::len).collect()
    }

    /// The probability of a word after the words before it, which may be `<s>`; that of `<unk>` for
    /// one that the texts do not hold.
    #[must_use]
    pub fn probability(&self, history: &[&str], word: &str) -> f64 {
        let history: Vec<Word> = history.iter().map(|word| self.id(word)).collect();
        self.of(&history, self.id(word))
    }

    fn id(&self, word: &str) -> Word {
        let marks = END as usize + 1;
        match self.words[marks..].binary_search_by(|known| known.as_str().cmp(word)) {
            Ok(at) => (marks + at) as Word,
            Err(_) if word == self.words[BEGIN as usize] => BEGIN,
            Err(_) if word == self.words[END as usize] => END,
            Err(_) => UNKNOWN,
        }
    }

    pub(super) fn text(&self, word: Word) -> &str {
        &self.words[word as usize]
    }

    /// The n-grams of a length, sorted.
    pub(super) fn ngrams_of(&self, length: usize) -> impl Iterator<Item = &[Word]> {
        self.ngrams[length - 1].keys().map(Vec::as_slice)
    }

    /// What a history leaves to the shorter one; `None` when nothing was seen after it.
    pub(super) fn backoff(&self, history: &[Word]) -> Option<f64> {
        self.followers.get(history).map(|followers| followers.backoff())
    }

    pub(super) fn of(&self, history: &[Word], word: Word) -> f64 {
        let history = &history[history.len().saturating_sub(self.order() - 1)..];
        // `<s>` never follows anything, so that it takes no share.
        let mut probability = 1.0 / (self.words.len() - 1) as f64;
        let mut ngram = history.to_vec();
        ngram.push(word);
        for length in 1..=ngram.len() {
            let ngram = &ngram[ngram.len() - length..];
            let Some(after) = self.followers.get(&ngram[..length - 1]) else { break };
            let count = self.ngrams[length - 1].get(ngram).copied().unwrap_or(0);
            let total = (after.count + after.types) as f64;
            probability = (count as f64 + after.types as f64 * probability) / total;
        }
        probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: [&str; 5] =
        ["one two three", "one two", "two one two three four", "five", "one five two"];

    #[test]
    fn equals_numbers_by_hand() {
        // Five words (a twice, b once, </s> twice), three of them different; <unk> is a fourth.
        let model = WittenBell::train(["a b", "a"], 2).expect("words");
        let empty = |count: f64| (count + 3.0 / 4.0) / (5.0 + 3.0);
        let near = |history: &[&str], word: &str, wanted: f64| {
            let found = model.probability(history, word);
            assert!((found - wanted).abs() < 1e-12, "{history:?} {word}: {found}, not {wanted}");
        };
        near(&[], "a", empty(2.0));
        near(&[], "</s>", empty(2.0));
        near(&[], "b", empty(1.0));
        near(&[], "zebra", empty(0.0));
        // After <s>: a, twice, and nothing else.
        near(&["<s>"], "a", (2.0 + empty(2.0)) / 3.0);
        near(&["<s>"], "b", empty(1.0) / 3.0);
        // After a: b and </s>, once each.
        near(&["a"], "b", (1.0 + 2.0 * empty(1.0)) / 4.0);
        // A history that was never seen says nothing.
        near(&["zebra"], "a", empty(2.0));
        assert_eq!(model.ngram_counts(), [3, 4]);
        assert_eq!(model.vocabulary(), ["a", "b"]);
    }

    #[test]
    fn probabilities_after_every_history_sum_to_one() {
        for order in 1..=4 {
            let model = WittenBell::train(TEXT, order).expect("words");
            let histories = model.followers.keys().cloned().chain([vec![UNKNOWN], vec![5, 5, 5]]);
            for history in histories {
                let words = (0..model.words.len() as Word).filter(|&word| word != BEGIN);
                let sum: f64 = words.map(|word| model.of(&history, word)).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{history:?}: {sum}");
            }
        }
    }

    #[test]
    fn orders_and_texts_are_checked() {
        for order in [0, MAX_ORDER + 1] {
            let error = WittenBell::train(TEXT, order).expect_err("order").to_string();
            assert!(error.contains("order"), "{error}");
        }
        assert!(WittenBell::train([" ", ""], 3).is_err());
    }
}
