//! The ARPA file of a language model.
//!
//! Source: the `ngram-format` page of SRILM; logarithms are to base 10.

use std::fmt::Write;

use super::witten_bell::{BEGIN, UNKNOWN, WittenBell};

/// What SRILM writes for the probability of `<s>`, which is never asked for.
const NEVER: f32 = -99.0;

impl WittenBell {
    /// The model as an ARPA file; lines of `remarks` stand before it, where readers pass over them.
    #[must_use]
    pub fn to_arpa(&self, remarks: &[String]) -> String {
        let mut text = String::new();
        for line in remarks.iter().flat_map(|remark| remark.lines()) {
            // What begins with a backslash would be taken for a section.
            let _ = writeln!(text, "{}", line.trim_start_matches('\\'));
        }
        text.push_str("\n\\data\\\n");
        for (index, count) in self.ngram_counts().iter().enumerate() {
            // `<unk>` and `<s>` were counted in no text.
            let marks = if index == 0 { 2 } else { 0 };
            let _ = writeln!(text, "ngram {}={}", index + 1, count + marks);
        }
        for length in 1..=self.order() {
            let _ = write!(text, "\n\\{length}-grams:\n");
            if length == 1 {
                self.line(&mut text, self.of(&[], UNKNOWN).log10() as f32, &[UNKNOWN]);
                self.line(&mut text, NEVER, &[BEGIN]);
            }
            for ngram in self.ngrams_of(length) {
                let (history, word) = (&ngram[..length - 1], ngram[length - 1]);
                self.line(&mut text, self.of(history, word).log10() as f32, ngram);
            }
        }
        text.push_str("\n\\end\\\n");
        text
    }

    fn line(&self, text: &mut String, probability: f32, ngram: &[u32]) {
        let _ = write!(text, "{probability}\t");
        for (at, &word) in ngram.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { " " });
            text.push_str(self.text(word));
        }
        let is_history = ngram.len() < self.order();
        if let Some(backoff) = self.backoff(ngram).filter(|_| is_history) {
            let _ = write!(text, "\t{}", backoff.log10() as f32);
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use formant_models::decoding::{NgramModel, NgramState};

    use super::*;

    const TEXT: [&str; 4] = ["one two three", "one two", "two one two three four", "five one"];

    fn read(model: &WittenBell) -> NgramModel {
        let text = model.to_arpa(&["made of\nfour sentences".to_owned(), "\\data\\".to_owned()]);
        NgramModel::parse(text.as_bytes(), Path::new("lm.arpa")).expect("sound")
    }

    /// The state after `<s>` and words.
    fn after(model: &NgramModel, words: &[&str]) -> NgramState {
        words.iter().fold(model.begin(), |state, word| model.score(state, model.word(word)).1)
    }

    #[test]
    fn what_is_read_again_says_the_same_and_sums_to_one() {
        for order in 1..=4 {
            let model = WittenBell::train(TEXT, order).expect("words");
            let found = read(&model);
            assert_eq!(found.order(), order);
            let histories: [&[&str]; 7] = [
                &[],
                &["one"],
                &["one", "two"],
                &["four", "four"],
                &["zebra"],
                &["two", "zebra", "one"],
                &["two", "three", "four"],
            ];
            for history in histories {
                let state = after(&found, history);
                let before = [&["<s>"], history].concat();
                let mut sum = 0.0;
                let known = model.vocabulary().iter().map(String::as_str);
                for word in known.chain(["</s>", "<unk>"]) {
                    let (score, _) = found.score(state, found.word(word));
                    let read = 10f64.powf(f64::from(score.expect("<unk> is there")));
                    let wanted = model.probability(&before, word);
                    let same = (read - wanted).abs() < 1e-6 * wanted.max(0.1);
                    assert!(same, "{before:?} {word}: {read} {wanted}");
                    sum += read;
                }
                assert!((sum - 1.0).abs() < 1e-6, "{before:?}: {sum}");
            }
        }
    }
}
