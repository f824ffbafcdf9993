//! Every number of a separation training, in one place that is stored with the weights.

use formant_models::arch::mossformer::MossformerConfig;
use serde::{Deserialize, Serialize};

use crate::checks::{bad, factors, levels, shares};
use crate::error::Result;
use crate::optim::OptimizerConfig;
use crate::training::Recipe;

/// What comes out of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// As many voices as the network has, in any order.
    #[default]
    Separate,
    /// Speech, and the noise as a second output where the network has one.
    Enhance,
}

/// What is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The ratio of signal to error: outputs also learn the right level.
    #[default]
    Snr,
    /// The same for the level that fits best.
    SiSdr,
}

/// How encoder and decoder begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filters {
    /// At random.
    #[default]
    Random,
    /// As a lapped Fourier or cosine transform.
    Fourier,
}

/// A separation training. All levels are in dB, all shares between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeparationRecipe {
    /// What the network learns.
    pub goal: Goal,
    /// Sizes of the network.
    pub network: MossformerConfig,
    /// How its encoder and decoder begin.
    pub filters: Filters,
    /// Rate of the waveforms, Hz.
    pub sample_rate: u32,
    /// Seconds of one example.
    pub crop_seconds: f64,
    /// Level of a voice relative to the first, between these.
    pub relative_level: [f32; 2],
    /// Signal-to-noise ratio between these, where there is noise.
    pub snr: [f32; 2],
    /// Share of separation examples with noise, which no output has to hold.
    pub noise_share: f32,
    /// Level of a mixture (RMS, dBFS) between these.
    pub level: [f32; 2],
    /// Speed of every voice between these.
    pub speed: [f32; 2],
    /// Formants of every voice are moved by a factor between these, its pitch is not.
    pub formants: [f32; 2],
    /// Gain of another microphone for every voice: most dB, up or down, at any frequency.
    pub tone_db: f32,
    /// Share of voices that are played backwards.
    pub reversed_share: f32,
    /// Share of examples in which somebody is silent for a while.
    pub pause_share: f32,
    /// Share of enhancement examples in a room; the room belongs to the speech that is wanted.
    pub room_share: f32,
    /// A speaker with `n` seconds is drawn in proportion to `n` to this power.
    pub speaker_balance: f32,
    /// What is made small.
    pub measure: Measure,
    /// Ratio beyond which an output is good enough.
    pub clamp_db: f64,
    /// Optimiser and schedule.
    pub optimizer: OptimizerConfig,
    /// Passes; an epoch is `steps_per_epoch` batches, since mixtures are made at random.
    pub epochs: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// Mixtures to validate on, at most.
    pub dev_mixtures: usize,
    /// Start of all random draws.
    pub seed: u64,
}

impl Default for SeparationRecipe {
    /// A small separator at 8 kHz; the bundled one has four, `training/recipes/separation-8k*.json`.
    fn default() -> Self {
        Self {
            goal: Goal::Separate,
            network: MossformerConfig {
                in_channels: 128,
                out_channels: 128,
                kernel_size: 32,
                num_blocks: 6,
                group_size: 128,
                query_key_dim: 64,
                fsmn_inner_channels: 128,
                ..MossformerConfig::default()
            },
            filters: Filters::Random,
            sample_rate: 8_000,
            crop_seconds: 3.0,
            relative_level: [-5.0, 5.0],
            snr: [-5.0, 20.0],
            noise_share: 0.0,
            level: [-33.0, -15.0],
            speed: [0.9, 1.1],
            formants: [1.0; 2],
            tone_db: 0.0,
            reversed_share: 0.0,
            pause_share: 0.15,
            room_share: 0.2,
            speaker_balance: 0.5,
            measure: Measure::Snr,
            clamp_db: 30.0,
            optimizer: OptimizerConfig {
                learning_rate: 1e-3,
                warmup: 0.03,
                final_ratio: 0.02,
                weight_decay: 0.01,
                clip_norm: 5.0,
                ema_decay: 0.998,
                ..OptimizerConfig::default()
            },
            epochs: 40,
            steps_per_epoch: 250,
            batch: 1,
            dev_mixtures: 40,
            seed: 1,
        }
    }
}

impl SeparationRecipe {
    /// Samples of one example.
    #[must_use]
    pub fn samples(&self) -> usize {
        (self.crop_seconds * f64::from(self.sample_rate)) as usize
    }

    /// Outputs that are learnt.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.network.num_spks as usize
    }

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        self.course().validate(&[("batch", self.batch), ("dev_mixtures", self.dev_mixtures)])?;
        self.network.validate()?;
        if !self.network.separates() {
            return Err(bad("network", "use a network from waveforms to waveforms"));
        }
        match self.goal {
            Goal::Separate if !(2..=4).contains(&self.outputs()) => {
                return Err(bad("network.num_spks", "use 2 to 4 voices"));
            }
            Goal::Enhance if !(1..=2).contains(&self.outputs()) => {
                let reason = "use 1 for speech, or 2 for speech and noise";
                return Err(bad("network.num_spks", reason));
            }
            Goal::Separate | Goal::Enhance => {}
        }
        if !(4_000..=192_000).contains(&self.sample_rate) {
            return Err(bad("sample_rate", "use 4000 to 192000 Hz"));
        }
        if !(0.5..=60.0).contains(&self.crop_seconds) {
            return Err(bad("crop_seconds", "use 0.5 to 60 seconds"));
        }
        factors([0.5, 2.0], &[("speed", self.speed), ("formants", self.formants)])?;
        if !(0.0..=20.0).contains(&self.tone_db) {
            return Err(bad("tone_db", "use 0 to 20 dB"));
        }
        levels(&[
            ("relative_level", self.relative_level),
            ("snr", self.snr),
            ("level", self.level),
        ])?;
        shares(&[
            ("noise_share", self.noise_share),
            ("reversed_share", self.reversed_share),
            ("pause_share", self.pause_share),
            ("room_share", self.room_share),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_checked() {
        SeparationRecipe::default().validate().expect("sound");
        let recipe = SeparationRecipe::default();
        for broken in [
            SeparationRecipe { batch: 0, ..recipe.clone() },
            SeparationRecipe { speed: [1.2, 0.9], ..recipe.clone() },
            SeparationRecipe { pause_share: 2.0, ..recipe.clone() },
            SeparationRecipe { formants: [0.1, 1.0], ..recipe.clone() },
            SeparationRecipe { tone_db: -1.0, ..recipe.clone() },
            SeparationRecipe { reversed_share: 1.5, ..recipe.clone() },
            SeparationRecipe { network: MossformerConfig::enhancement(), ..recipe.clone() },
            SeparationRecipe {
                network: MossformerConfig { num_spks: 1, ..recipe.network.clone() },
                ..recipe.clone()
            },
        ] {
            assert!(broken.validate().is_err(), "{broken:?}");
        }
    }
}
