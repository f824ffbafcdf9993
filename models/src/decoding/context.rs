//! What a hypothesis is worth beside its sound: language model, length, hot words. A context
//! follows the text of one hypothesis, piece by piece.

use std::collections::HashMap;

use super::{Hotwords, NgramModel, NgramState};
use crate::error::{Error, Result};
use crate::text::{Tokenizer, is_ideograph};

/// How the language model weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusionOptions {
    /// Weight of the language model's log-probability.
    pub alpha: f32,
    /// Added for each word, as a natural logarithm; makes up for the preference of few words.
    pub beta: f32,
    /// Added to the log-probability (base 10) of words that the language model does not know.
    pub unknown: f32,
}

impl Default for FusionOptions {
    fn default() -> Self {
        Self { alpha: 0.5, beta: 1.5, unknown: -10.0 }
    }
}

impl FusionOptions {
    /// # Errors
    /// [`Error::Config`] naming the value that is out of range.
    pub fn check(&self) -> Result<()> {
        for (name, value, low, high) in [
            ("alpha", self.alpha, 0.0, 100.0),
            ("beta", self.beta, -100.0, 100.0),
            ("unknown", self.unknown, -1000.0, 0.0),
        ] {
            if !(low..=high).contains(&value) {
                return Err(Error::config(
                    name,
                    format!("{value} is not between {low} and {high}"),
                ));
            }
        }
        Ok(())
    }
}

/// Letters of the language model's words, as a tree.
#[derive(Debug, Clone, Default)]
struct Spelling {
    next: HashMap<(u32, char), u32>,
    words: Vec<Option<u32>>,
}

impl Spelling {
    fn of(model: &NgramModel, tokenizer: &Tokenizer) -> Self {
        let mut spelling = Self { next: HashMap::new(), words: vec![None] };
        let mut words: Vec<(String, u32)> = model
            .words()
            .filter(|(text, _)| !text.starts_with('<'))
            .map(|(text, word)| (tokenizer.fit_case(text), word))
            .collect();
        // Of two words that differ in case alone, the first one of the file counts.
        words.sort_by_key(|(_, word)| *word);
        for (text, word) in words {
            let mut at = 0;
            for letter in text.chars() {
                let fresh = spelling.words.len() as u32;
                at = *spelling.next.entry((at, letter)).or_insert(fresh);
                if at == fresh {
                    spelling.words.push(None);
                }
            }
            spelling.words[at as usize].get_or_insert(word);
        }
        spelling
    }
}

/// A language model, ready to be asked about hypotheses in the pieces of one vocabulary.
#[derive(Debug, Clone)]
pub struct Fusion {
    model: NgramModel,
    options: FusionOptions,
    spelling: Spelling,
}

impl Fusion {
    /// Joins a model with a vocabulary. Where the vocabulary has one case only, the words of the
    /// model are read in that case.
    ///
    /// # Errors
    /// [`Error::Config`] for a weight that is out of range.
    pub fn new(model: NgramModel, tokenizer: &Tokenizer, options: FusionOptions) -> Result<Self> {
        options.check()?;
        let spelling = Spelling::of(&model, tokenizer);
        Ok(Self { model, options, spelling })
    }

    fn weighted(&self, log10: f32) -> f64 {
        f64::from(self.options.alpha) * f64::from(log10) * std::f64::consts::LN_10
    }
}

/// What applies to all hypotheses of a search; empty, it changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The vocabulary.
    pub tokenizer: &'a Tokenizer,
    /// The language model.
    pub fusion: Option<&'a Fusion>,
    /// Expected phrases.
    pub hotwords: Option<&'a Hotwords>,
}

/// Where in its text a hypothesis is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The sum of all that was added for the text so far.
    pub(super) bonus: f64,
    words: NgramState,
    /// Letters of the word that is being spelt; `None` once no known word begins so.
    letters: Option<u32>,
    inside: bool,
    hot: u32,
}

impl Context<'_> {
    pub(super) fn begin(&self) -> Place {
        Place {
            bonus: 0.0,
            words: self.fusion.map_or(NO_WORDS, |fusion| fusion.model.begin()),
            letters: Some(0),
            inside: false,
            hot: self.hotwords.map_or(0, Hotwords::begin),
        }
    }

    /// The place after one more piece.
    pub(super) fn push(&self, mut place: Place, id: u32) -> Place {
        if self.fusion.is_none() && self.hotwords.is_none() {
            return place;
        }
        let surface = self.tokenizer.surface(id);
        if let Some(hotwords) = self.hotwords {
            for letter in surface.chars().flat_map(char::to_lowercase) {
                let letter = if letter.is_whitespace() { ' ' } else { letter };
                let (hot, change) = hotwords.step(place.hot, letter);
                place.hot = hot;
                place.bonus += change;
            }
        }
        if let Some(fusion) = self.fusion {
            for letter in surface.chars() {
                let alone = is_ideograph(letter);
                if alone || letter.is_whitespace() {
                    fusion.end_word(&mut place);
                }
                if !letter.is_whitespace() {
                    fusion.letter(&mut place, letter);
                }
                if alone {
                    fusion.end_word(&mut place);
                }
            }
        }
        place
    }

    /// The bonus of the whole text.
    pub(super) fn end(&self, mut place: Place) -> f64 {
        if let Some(fusion) = self.fusion {
            fusion.end_word(&mut place);
            place.bonus += fusion.model.end(place.words).map_or(0.0, |p| fusion.weighted(p));
        }
        place.bonus + self.hotwords.map_or(0.0, |hotwords| hotwords.end(place.hot))
    }
}

/// Stands for the state of a language model that is not there.
const NO_WORDS: NgramState = NgramState::EMPTY;

impl Fusion {
    fn letter(&self, place: &mut Place, letter: char) {
        place.inside = true;
        let Some(at) = place.letters else { return };
        place.letters = self.spelling.next.get(&(at, letter)).copied();
        if place.letters.is_none() {
            // Told at the first letter that no word has: later, better hypotheses may be gone.
            place.bonus += self.weighted(self.options.unknown);
        }
    }

    fn end_word(&self, place: &mut Place) {
        if !std::mem::take(&mut place.inside) {
            return;
        }
        let word = place.letters.and_then(|at| self.spelling.words[at as usize]);
        if word.is_none() && place.letters.is_some() {
            place.bonus += self.weighted(self.options.unknown);
        }
        let (score, words) = self.model.score(place.words, word);
        place.bonus += self.weighted(score.unwrap_or(0.0)) + f64::from(self.options.beta);
        place.words = words;
        place.letters = Some(0);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ARPA: &str = "\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-2 <unk>\n-99 <s> -0.5\n\
        -1 </s>\n-0.5 AB -0.25\n\n\\2-grams:\n-0.1 <s> AB\n-0.2 AB </s>\n\n\\end\\\n";

    fn bonus(text: &str) -> f64 {
        let tokenizer = Tokenizer::characters("abc ");
        let model = NgramModel::parse(ARPA.as_bytes(), Path::new("lm")).expect("sound");
        let options = FusionOptions { alpha: 1.0, beta: 0.5, unknown: -3.0 };
        let fusion = Fusion::new(model, &tokenizer, options).expect("weights in range");
        let context = Context { tokenizer: &tokenizer, fusion: Some(&fusion), hotwords: None };
        let mut place = context.begin();
        for letter in text.chars() {
            let id = "abc ".chars().position(|c| c == letter).expect("in the alphabet");
            place = context.push(place, id as u32);
        }
        context.end(place)
    }

    #[test]
    fn words_are_scored_when_they_end() {
        let ten = std::f64::consts::LN_10;
        for (text, wanted) in [
            ("ab", 0.5 - 0.3 * ten),
            (" ab ", 0.5 - 0.3 * ten),
            ("ab ab", 1.0 - (0.1 + 0.25 + 0.5 + 0.2) * ten),
            ("ac", 0.5 - (3.0 + 0.5 + 2.0 + 1.0) * ten),
            ("a", 0.5 - (3.0 + 0.5 + 2.0 + 1.0) * ten),
            ("", -1.5 * ten),
        ] {
            assert!((bonus(text) - wanted).abs() < 1e-5, "`{text}`: {} {wanted}", bonus(text));
        }
    }

    #[test]
    fn weights_are_checked() {
        for bad in [
            FusionOptions { alpha: -1.0, ..Default::default() },
            FusionOptions { beta: f32::NAN, ..Default::default() },
            FusionOptions { unknown: 1.0, ..Default::default() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
