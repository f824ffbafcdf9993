//! How well a language model expects texts.

use formant_models::decoding::NgramModel;
use serde::{Deserialize, Serialize};

/// How well a language model expects texts that it was not counted on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Perplexity {
    /// As hard as a choice between so many words: the inverse of the geometric mean of the
    /// probabilities of the known words and of the ends of sentences.
    pub perplexity: f64,
    /// Sentences.
    pub sentences: usize,
    /// Words.
    pub words: usize,
    /// Words that the model does not know, which count in nothing else.
    pub unknown: usize,
}

/// Measures a model on sentences; `None` where there is nothing to measure on.
#[must_use]
pub fn perplexity<'a>(
    model: &NgramModel,
    sentences: impl IntoIterator<Item = &'a str>,
) -> Option<Perplexity> {
    let (mut sum, mut scored) = (0.0, 0usize);
    let mut found = Perplexity { perplexity: f64::NAN, sentences: 0, words: 0, unknown: 0 };
    for sentence in sentences {
        let mut state = model.begin();
        found.sentences += 1;
        for word in sentence.split_whitespace() {
            let id = model.word(word);
            let (score, next) = model.score(state, id);
            state = next;
            found.words += 1;
            match score.filter(|_| id.is_some()) {
                Some(score) => {
                    sum += f64::from(score);
                    scored += 1;
                }
                None => found.unknown += 1,
            }
        }
        if let Some(score) = model.end(state) {
            sum += f64::from(score);
            scored += 1;
        }
    }
    found.perplexity = 10f64.powf(-sum / scored.max(1) as f64);
    (scored > 0).then_some(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::lm::WittenBell;

    /// Sentences whose next word follows from the two before it, nine times in ten.
    fn sentences(count: usize, mut seed: u32) -> Vec<String> {
        let mut draw = |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as usize % below
        };
        let mut sentence = || {
            let mut words = vec![draw(7), draw(7)];
            for at in 2..20 {
                let usual = (words[at - 1] + 1 + words[at - 2] % 2) % 7;
                words.push(if draw(10) == 0 { draw(7) } else { usual });
            }
            words.iter().map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ")
        };
        (0..count).map(|_| sentence()).collect()
    }

    #[test]
    fn longer_histories_expect_more() {
        let (texts, held_out) = (sentences(200, 1), sentences(20, 2));
        let measure = |order: usize| {
            let model = WittenBell::train(texts.iter().map(String::as_str), order).expect("words");
            let model = NgramModel::parse(model.to_arpa(&[]).as_bytes(), Path::new("lm.arpa"));
            let held_out = held_out.iter().map(String::as_str);
            perplexity(&model.expect("sound"), held_out).expect("sentences").perplexity
        };
        let found: Vec<f64> = (1..=3).map(measure).collect();
        assert!(found[0] > 1.5 * found[1] && found[1] > 1.2 * found[2], "{found:?}");
    }

    #[test]
    fn unknown_words_are_counted_apart() {
        let model = WittenBell::train(["a"], 1).expect("words").to_arpa(&[]);
        let model = NgramModel::parse(model.as_bytes(), Path::new("lm.arpa")).expect("sound");
        let found = perplexity(&model, ["a zebra"]).expect("a sentence");
        assert_eq!((found.sentences, found.words, found.unknown), (1, 2, 1));
        // a and </s> have (1 + 2 / 3) / 4 each.
        assert!((found.perplexity - 12.0 / 5.0).abs() < 1e-5, "{found:?}");
        assert_eq!(perplexity(&model, []), None);
    }
}
