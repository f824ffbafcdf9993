//! Every number of the training of a transformer, in one place that is stored with the weights.

use formant_models::arch::specmaskgit::{SpecMaskGitCard, SpecMaskGitConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checks::{bad, levels, shares};
use crate::error::Result;
use crate::optim::OptimizerConfig;
use crate::training::Recipe;

/// A training of a transformer over grids of tokens. Levels are in dB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerateRecipe {
    /// Columns of a grid.
    pub columns: i64,
    /// Width of the transformer.
    pub dim: i64,
    /// Blocks.
    pub depth: i64,
    /// Heads of the attention.
    pub heads: i64,
    /// Width between the layers of a feed-forward.
    pub mlp_dim: i64,
    /// Grids of each recording, from other places and at other levels.
    pub variants: usize,
    /// Gain of a recording between these.
    pub gain: [f32; 2],
    /// Share of examples without a word.
    pub unconditional_share: f32,
    /// Mean and deviation of the share of masked tokens, which lies within 0 and 1.
    pub masked: [f64; 2],
    /// Optimizer and schedule.
    pub optimizer: OptimizerConfig,
    /// Passes; an epoch is `steps_per_epoch` batches, since examples are drawn at random.
    pub epochs: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// Start of all random draws.
    pub seed: u64,
}

impl Default for GenerateRecipe {
    fn default() -> Self {
        Self {
            columns: 27,
            dim: 192,
            depth: 6,
            heads: 4,
            mlp_dim: 768,
            variants: 6,
            gain: [-12.0, 6.0],
            unconditional_share: 0.1,
            // As in MAGE (Li et al., 2023), and a little more, since sampling begins with nothing.
            masked: [0.62, 0.25],
            optimizer: OptimizerConfig {
                learning_rate: 1.5e-3,
                warmup: 0.04,
                final_ratio: 0.02,
                weight_decay: 0.05,
                beta2: 0.98,
                clip_norm: 1.0,
                ema_decay: 0.995,
                ..OptimizerConfig::default()
            },
            epochs: 30,
            steps_per_epoch: 100,
            batch: 16,
            seed: 1,
        }
    }
}

impl GenerateRecipe {
    /// The card of a transformer for tokens of `codes` in `rows` rows, and so many words: each has an
    /// axis of the embeddings of its own.
    #[must_use]
    pub fn card(&self, codes: i64, rows: i64, words: usize, provenance: Value) -> SpecMaskGitCard {
        let config = SpecMaskGitConfig {
            codebook_size: codes,
            grid_h: rows,
            grid_w: self.columns,
            dim: self.dim,
            depth: self.depth,
            heads: self.heads,
            mlp_dim: self.mlp_dim,
            cond_dim: words as i64,
        };
        SpecMaskGitCard { provenance, ..SpecMaskGitCard::sized(config) }
    }

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the setting; what the network's sizes say.
    pub fn validate(&self) -> Result<()> {
        self.card(1, 1, 1, Value::Null).validate()?;
        self.course().validate(&[("batch", self.batch), ("variants", self.variants)])?;
        if self.variants > 1 << 10 {
            return Err(bad("variants", "use up to 1024"));
        }
        let [mean, deviation] = self.masked;
        if !(0.0..=1.0).contains(&mean) || !(0.0..=1.0).contains(&deviation) {
            return Err(bad("masked", "use a mean and a deviation between 0 and 1"));
        }
        shares(&[("unconditional_share", self.unconditional_share)])?;
        levels(&[("gain", self.gain)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound_and_odd_numbers_are_refused() {
        GenerateRecipe::default().validate().expect("sound");
        for broken in [
            GenerateRecipe { columns: 0, ..Default::default() },
            GenerateRecipe { heads: 7, ..Default::default() },
            GenerateRecipe { variants: 0, ..Default::default() },
            GenerateRecipe { variants: 1 << 40, ..Default::default() },
            GenerateRecipe { masked: [f64::NAN, 0.1], ..Default::default() },
            GenerateRecipe { unconditional_share: 2.0, ..Default::default() },
            GenerateRecipe { steps_per_epoch: 0, ..Default::default() },
        ] {
            assert!(broken.validate().is_err(), "{broken:?}");
        }
    }
}
