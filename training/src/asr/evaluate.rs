//! Error rates of a recogniser, source by source, with the best answer of every frame.

use std::collections::BTreeMap;

use formant_audio_core::features::FeaturePlan;
use formant_audio_core::metrics::text::{ErrorCounts, TextOptions, character_errors, word_errors};
use formant_models::arch::squeezeformer::CtcModel;
use formant_models::nn::frames::batch;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::pieces::Pieces;
use crate::error::Result;

/// Errors of one source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceErrors {
    /// Utterances.
    pub utterances: usize,
    /// Words.
    pub words: ErrorCounts,
    /// Characters.
    pub characters: ErrorCounts,
}

/// Errors of all sources.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AsrReport {
    /// By source.
    pub sources: BTreeMap<String, SourceErrors>,
}

impl AsrReport {
    /// The word error rates in one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let rate = |counts: &ErrorCounts| 100.0 * counts.rate().unwrap_or(f64::NAN);
        let parts: Vec<String> = self
            .sources
            .iter()
            .map(|(source, errors)| {
                let (words, characters) = (rate(&errors.words), rate(&errors.characters));
                format!("{source}: WER {words:.2} % CER {characters:.2} %")
            })
            .collect();
        parts.join(", ")
    }

    /// Higher is better: the word error rates of the sources, negative and weighted.
    #[must_use]
    pub fn selection_score(&self, weight: impl Fn(&str) -> f64) -> f64 {
        let (mut sum, mut total) = (0.0, 0.0);
        for (source, errors) in &self.sources {
            // Characters break ties between epochs, which are many on a small split.
            let rate = |counts: &ErrorCounts| counts.rate().unwrap_or(1.0);
            sum += weight(source) * (rate(&errors.words) + 0.2 * rate(&errors.characters));
            total += weight(source);
        }
        if total > 0.0 { -sum / total } else { f64::NEG_INFINITY }
    }
}

/// The best answer of every frame, repetitions and blanks removed, of one utterance
/// `[frames, vocabulary]`.
#[must_use]
pub fn greedy(log_probs: &Tensor, blank: i64) -> Vec<i64> {
    let best: Vec<i64> = Vec::try_from(log_probs.argmax(-1, false).to_kind(Kind::Int64).view([-1]))
        .unwrap_or_default();
    let mut ids = Vec::new();
    let mut last = blank;
    for id in best {
        if id != last && id != blank {
            ids.push(id);
        }
        last = id;
    }
    ids
}

/// Scores utterances: samples at the model's rate, text, source.
///
/// # Errors
/// What features and alignment say.
pub fn score_utterances(
    model: &CtcModel,
    utterances: impl IntoIterator<Item = (Vec<f32>, String, String)>,
) -> Result<AsrReport> {
    let plan = FeaturePlan::new(&model.card.frontend)?;
    let pieces = Pieces::new(model.card.vocabulary.pieces.clone());
    let mut report = AsrReport::default();
    for (samples, text, source) in utterances {
        let features = plan.compute(&samples)?;
        let frames = features.nrows() as i64;
        let features = batch(&[features]).to_device(model.store.device());
        let (log_probs, lengths) = tch::no_grad(|| model.network.forward(&features, &[frames]));
        let answers = log_probs.get(0).narrow(0, 0, lengths[0]);
        let found = pieces.decode(&greedy(&answers, model.card.blank()));
        let options = TextOptions::plain();
        let errors = report.sources.entry(source).or_default();
        errors.utterances += 1;
        errors.words += word_errors(&text, &found, &options)?.counts;
        errors.characters += character_errors(&text, &found, &options)?.counts;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_blanks_are_removed() {
        let path: [i64; 8] = [2, 0, 0, 2, 0, 1, 1, 2];
        let log_probs = Tensor::from_slice(&path).one_hot(3).to_kind(Kind::Float);
        assert_eq!(greedy(&log_probs, 2), [0, 0, 1]);
    }
}
