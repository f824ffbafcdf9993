//! Every number of a tokenizer's training, in one place that is stored with the weights.

use formant_audio_core::features::presets;
use formant_models::arch::specvqgan::{SpecVqganCard, SpecVqganConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checks::{bad, levels};
use crate::error::Result;
use crate::optim::OptimizerConfig;
use crate::training::Recipe;

/// The spectrogram of the tokens: that of HiFi-GAN, from which waveforms can be made.
const PRESET: &str = "specmaskgit";

/// A training of a tokenizer. Levels are in dB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenizerRecipe {
    /// Sizes of the network.
    pub network: SpecVqganConfig,
    /// Epochs without codes, at whose end these are chosen among the latents.
    pub plain_epochs: usize,
    /// Deviation of noise that latents carry in them, so that the decoder bears the error of codes.
    pub noise: f64,
    /// What the distance of latents and codes counts.
    pub codes_share: f64,
    /// Of it, the part that moves latents to codes; the other moves codes to latents.
    pub commitment: f64,
    /// What the difference of local deviations counts beside that of values: without it, noise comes
    /// out smooth.
    pub texture_share: f64,
    /// Columns of tokens of an example.
    pub crop_tokens: usize,
    /// Gain of an example between these.
    pub gain: [f32; 2],
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

impl Default for TokenizerRecipe {
    fn default() -> Self {
        Self {
            network: SpecVqganConfig {
                ch: 32,
                num_res_blocks: 1,
                attn_resolutions: Vec::new(),
                z_channels: 64,
                embed_dim: 32,
                n_embed: 512,
                ..SpecVqganConfig::default()
            },
            plain_epochs: 10,
            noise: 0.3,
            codes_share: 0.1,
            commitment: 0.25,
            texture_share: 0.5,
            crop_tokens: 13,
            gain: [-12.0, 6.0],
            optimizer: OptimizerConfig {
                learning_rate: 1e-3,
                warmup: 0.03,
                final_ratio: 0.02,
                weight_decay: 0.01,
                clip_norm: 3.0,
                ema_decay: 0.99,
                ..OptimizerConfig::default()
            },
            epochs: 32,
            steps_per_epoch: 100,
            batch: 8,
            seed: 1,
        }
    }
}

impl TokenizerRecipe {
    /// The card of the model.
    ///
    /// # Errors
    /// None while the front end's preset exists.
    pub fn card(&self, provenance: Value) -> Result<SpecVqganCard> {
        let frontend = presets::by_name(PRESET)?;
        Ok(SpecVqganCard { config: self.network.clone(), frontend, provenance })
    }

    /// Frames of an example.
    pub(super) fn frames(&self) -> usize {
        self.crop_tokens * self.network.factor() as usize
    }

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the setting; what the network's sizes say.
    pub fn validate(&self) -> Result<()> {
        self.card(Value::Null)?.validate()?;
        self.course().validate(&[("batch", self.batch), ("crop_tokens", self.crop_tokens)])?;
        if self.plain_epochs >= self.epochs {
            return Err(bad("plain_epochs", "leave epochs for the codes"));
        }
        if self.crop_tokens > 1 << 10 {
            return Err(bad("crop_tokens", "use up to 1024 columns"));
        }
        for (name, share) in [
            ("noise", self.noise),
            ("codes_share", self.codes_share),
            ("commitment", self.commitment),
            ("texture_share", self.texture_share),
        ] {
            if !(0.0..=100.0).contains(&share) {
                return Err(bad(name, "use 0 to 100"));
            }
        }
        levels(&[("gain", self.gain)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound_and_odd_numbers_are_refused() {
        TokenizerRecipe::default().validate().expect("sound");
        let network = SpecVqganConfig { ch: 33, ..SpecVqganConfig::default() };
        for broken in [
            TokenizerRecipe { network, ..Default::default() },
            TokenizerRecipe { batch: 0, ..Default::default() },
            TokenizerRecipe { plain_epochs: 32, ..Default::default() },
            TokenizerRecipe { noise: f64::NAN, ..Default::default() },
            TokenizerRecipe { codes_share: -1.0, ..Default::default() },
            TokenizerRecipe { crop_tokens: 1 << 40, ..Default::default() },
            TokenizerRecipe { gain: [6.0, -6.0], ..Default::default() },
        ] {
            assert!(broken.validate().is_err(), "{broken:?}");
        }
    }
}
