//! Every number of a recogniser's training, in one place that is stored with the weights.

use std::collections::BTreeMap;

use formant_audio_core::features::{FeatureConfig, presets};
use formant_models::arch::squeezeformer::{CtcCard, NemoConfig, PieceKind, SqueezeformerConfig};
use serde::{Deserialize, Serialize};

use crate::augment::SpecMasks;
use crate::checks::{bad, factors, levels, shares};
use crate::error::{Error, Result};
use crate::optim::OptimizerConfig;
use crate::training::Recipe;

/// A recogniser's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AsrRecipe {
    /// Sizes of the network, in NeMo's layout; the number of answers follows from the pieces.
    pub network: NemoConfig,
    /// Features; the number of bins follows from them.
    pub frontend: FeatureConfig,
    /// Pieces of the vocabulary.
    pub pieces: usize,
    /// Optimiser and schedule.
    pub optimizer: OptimizerConfig,
    /// Passes; an epoch is `steps_per_epoch` batches, since utterances are drawn at random.
    pub epochs: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Seconds of audio in a batch, padding included.
    pub batch_seconds: f64,
    /// Longest utterance in seconds; longer ones are left out.
    pub longest: f64,
    /// How much more often than others the utterances of a source are drawn, and count in
    /// validation; 1 for sources that are not named.
    pub sources: BTreeMap<String, f64>,
    /// Share of utterances that are sequences of single words, where there are such clips.
    pub sequence_share: f64,
    /// Share of utterances that are two of the same source, one after the other.
    pub join_share: f64,
    /// Changes to utterances.
    pub augmentation: AsrAugmentation,
    /// Start of all random draws.
    pub seed: u64,
}

/// Changes to utterances; levels in dB, shares between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AsrAugmentation {
    /// Speed and pitch change by a factor between these.
    pub speed: [f32; 2],
    /// Share of utterances with noise.
    pub noise_share: f32,
    /// Signal-to-noise ratio between these.
    pub snr: [f32; 2],
    /// Share of utterances with faint hiss instead.
    pub hiss_share: f32,
    /// Share of utterances in a room.
    pub room_share: f32,
    /// Share of utterances with a band limit between 3 and 7 kHz.
    pub band_share: f32,
    /// Longest silence before and after, in seconds.
    pub edges: f32,
    /// Masks over the features.
    pub masks: SpecMasks,
    /// Largest share of an utterance under one mask over frames.
    pub mask_share: f32,
}

impl Default for AsrAugmentation {
    fn default() -> Self {
        Self {
            speed: [0.87, 1.15],
            noise_share: 0.25,
            snr: [5.0, 30.0],
            hiss_share: 0.4,
            room_share: 0.12,
            band_share: 0.08,
            edges: 0.3,
            masks: SpecMasks { bands: 2, band_share: 0.2, times: 2, time_frames: 40 },
            mask_share: 0.07,
        }
    }
}

impl Default for AsrRecipe {
    /// The recipe of the bundled model.
    fn default() -> Self {
        Self {
            network: NemoConfig {
                n_layers: 8,
                d_model: 128,
                subsampling_conv_channels: 48,
                conv_kernel_size: 15,
                time_reduce_idx: Some(2),
                dropout: 0.1,
                dropout_emb: 0.0,
                ..NemoConfig::default()
            },
            frontend: presets::by_name("nemo").expect("a preset of this name"),
            pieces: 128,
            optimizer: OptimizerConfig {
                learning_rate: 2e-3,
                warmup: 0.08,
                final_ratio: 0.01,
                weight_decay: 0.02,
                beta1: 0.9,
                beta2: 0.98,
                clip_norm: 5.0,
                ema_decay: 0.998,
            },
            epochs: 20,
            steps_per_epoch: 200,
            batch_seconds: 60.0,
            longest: 17.0,
            sources: BTreeMap::new(),
            sequence_share: 0.15,
            join_share: 0.1,
            augmentation: AsrAugmentation::default(),
            seed: 1,
        }
    }
}

impl AsrRecipe {
    /// The network's sizes for a vocabulary of `pieces` pieces.
    #[must_use]
    pub fn network_for(&self, pieces: usize, bins: usize) -> SqueezeformerConfig {
        SqueezeformerConfig::Nemo(NemoConfig {
            num_classes: pieces as i64,
            feat_in: bins as i64,
            ..self.network.clone()
        })
    }

    /// This recipe for the network of another model: sizes and features are the model's, numbers
    /// that only training knows stay as they are.
    ///
    /// # Errors
    /// [`Error::Config`] for a model that these recipes can't have made.
    pub fn going_on_from(&self, card: &CtcCard) -> Result<Self> {
        let own =
            card.vocabulary.kind == PieceKind::SentencePiece && card.vocabulary.model.is_none();
        let SqueezeformerConfig::Nemo(network) = &card.config else { return Err(foreign_start()) };
        if !own {
            return Err(foreign_start());
        }
        let NemoConfig { dropout, dropout_emb, dropout_att, .. } = self.network;
        Ok(Self {
            network: NemoConfig { dropout, dropout_emb, dropout_att, ..network.clone() },
            frontend: card.frontend.clone(),
            pieces: card.vocabulary.pieces.len(),
            ..self.clone()
        })
    }

    /// How much more often a source is drawn.
    #[must_use]
    pub fn weight(&self, source: &str) -> f64 {
        self.sources.get(source).copied().unwrap_or(1.0)
    }

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        self.course().validate(&[("pieces", self.pieces)])?;
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !positive(self.longest) || self.batch_seconds < 2.0 * self.longest {
            let reason = format!(
                "{} s; a batch needs room for two of the longest utterances of {} s",
                self.batch_seconds, self.longest
            );
            return Err(bad("batch_seconds", reason));
        }
        if let Some((source, _)) = self.sources.iter().find(|(_, weight)| !positive(**weight)) {
            return Err(bad("sources", format!("the weight of `{source}` must be above 0")));
        }
        let a = &self.augmentation;
        if !(0.0..=60.0).contains(&a.edges) {
            return Err(bad("edges", "use 0 to 60 seconds"));
        }
        factors([0.25, 4.0], &[("speed", a.speed)])?;
        levels(&[("snr", a.snr)])?;
        shares(&[
            ("sequence_share", self.sequence_share as f32),
            ("join_share", self.join_share as f32),
            ("noise_share", a.noise_share),
            ("hiss_share", a.hiss_share),
            ("room_share", a.room_share),
            ("band_share", a.band_share),
            ("mask_share", a.mask_share),
        ])
    }
}

fn foreign_start() -> Error {
    let reason = "only models of formant's own recipes can be gone on from: asr-an4, or a file that \
                  `formant train transcribe` wrote";
    bad("start", reason)
}

#[cfg(test)]
mod tests {
    use formant_models::arch::squeezeformer::{Vocabulary, WenetConfig};

    use super::*;

    #[test]
    fn a_start_brings_its_sizes() {
        let recipe = AsrRecipe::default();
        let mut card = CtcCard {
            config: SqueezeformerConfig::Nemo(NemoConfig {
                d_model: 8,
                dropout: 0.9,
                ..recipe.network.clone()
            }),
            frontend: recipe.frontend.clone(),
            vocabulary: Vocabulary { pieces: vec!["a".to_owned()], ..Vocabulary::default() },
            provenance: serde_json::Value::Null,
        };
        let changed = recipe.going_on_from(&card).expect("one of ours");
        assert_eq!((changed.network.d_model, changed.pieces), (8, 1));
        assert_eq!(changed.network.dropout, recipe.network.dropout);
        card.config = SqueezeformerConfig::Wenet(WenetConfig::default());
        let error = recipe.going_on_from(&card).expect_err("another layout").to_string();
        assert!(error.contains("train transcribe"), "{error}");
    }
}
