//! What a recogniser's card says about itself: how good it is, and how it is best decoded. Both are
//! part of the card's free-form `provenance`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// Error rates on one set of recordings of speakers that were not in training; 0.05 is 5 %.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorRates {
    /// Words, decoded greedily.
    pub wer: Option<f64>,
    /// Characters, decoded greedily.
    pub cer: Option<f64>,
    /// Words, with the language model that comes with the recogniser.
    pub wer_lm: Option<f64>,
    /// Characters, with it.
    pub cer_lm: Option<f64>,
    /// Recordings in the set.
    pub utterances: Option<u64>,
}

/// How good a recogniser is: error rates by the name of what they were measured on, such as
/// `{"an4_test": {"wer": 0.066, "cer": 0.035, "wer_lm": 0.04}}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MeasuredQuality(pub BTreeMap<String, ErrorRates>);

impl MeasuredQuality {
    /// The entry `quality` of a card's provenance; `None` where it says nothing.
    ///
    /// # Errors
    /// [`Error::Config`] for an entry of another form.
    pub fn of(provenance: &Value) -> Result<Option<Self>> {
        entry(provenance, "quality")
    }
}

impl fmt::Display for MeasuredQuality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, rates)) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            write!(f, "{name}: {rates}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ErrorRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = |wer: Option<f64>, cer: Option<f64>| -> Vec<String> {
            let named = [("word", wer), ("character", cer)].into_iter();
            let known = named.filter_map(|(name, rate)| Some((name, rate?)));
            known.map(|(name, rate)| format!("{name} errors {:.1} %", 100.0 * rate)).collect()
        };
        let with = pair(self.wer_lm, self.cer_lm);
        let mut parts = pair(self.wer, self.cer);
        if !with.is_empty() {
            parts.push(format!("with its language model {}", with.join(", ")));
        }
        f.write_str(&parts.join(", "))
    }
}

/// How a recogniser is decoded with the language model that comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decoding {
    /// Weight of the language model, as [`crate::decoding::FusionOptions::alpha`].
    pub alpha: f32,
    /// What a word is worth, as [`crate::decoding::FusionOptions::beta`].
    pub beta: f32,
    /// Readings that the search keeps.
    pub beam: usize,
}

impl Decoding {
    /// The entry `decoding` of a card's provenance; `None` where the recogniser is decoded greedily.
    ///
    /// # Errors
    /// [`Error::Config`] for an entry of another form.
    pub fn of(provenance: &Value) -> Result<Option<Self>> {
        entry(provenance, "decoding")
    }
}

fn entry<T: DeserializeOwned>(provenance: &Value, name: &str) -> Result<Option<T>> {
    match provenance.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::deserialize(value).map(Some).map_err(|error| {
            let reason = format!("the model's card has no such entry in the known form: {error}");
            Error::config(format!("provenance.{name}"), reason)
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rates_in_words() {
        let provenance = json!({"quality": {
            "an4_test": {"wer": 0.0661, "cer": 0.035, "wer_lm": 0.04, "utterances": 65, "more": 1},
            "book": {"cer": 0.5},
        }});
        let quality = MeasuredQuality::of(&provenance).expect("sound").expect("there");
        assert_eq!(
            quality.to_string(),
            "an4_test: word errors 6.6 %, character errors 3.5 %, with its language model word \
             errors 4.0 %; book: character errors 50.0 %"
        );
        let again: MeasuredQuality =
            serde_json::from_value(serde_json::to_value(&quality).expect("plain")).expect("read");
        assert_eq!(again, quality);
    }

    #[test]
    fn entries_are_optional_and_checked() {
        assert_eq!(MeasuredQuality::of(&Value::Null).expect("nothing"), None);
        assert_eq!(Decoding::of(&json!({"decoding": null})).expect("nothing"), None);
        let found = Decoding::of(&json!({"decoding": {"alpha": 0.5, "beta": 1.0, "beam": 8}}));
        assert_eq!(found.expect("sound"), Some(Decoding { alpha: 0.5, beta: 1.0, beam: 8 }));
        let error = MeasuredQuality::of(&json!({"quality": 3})).expect_err("a number").to_string();
        assert!(error.contains("provenance.quality"), "{error}");
        assert!(Decoding::of(&json!({"decoding": {"alpha": 0.5}})).is_err());
    }
}
