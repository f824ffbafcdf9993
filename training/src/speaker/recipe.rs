//! Every number of a speaker training, in one place that is stored with the weights.

use formant_audio_core::features::{FeatureConfig, presets};
use formant_models::arch::ecapa::EcapaConfig;
use serde::{Deserialize, Serialize};

use crate::augment::SpecMasks;
use crate::checks::{bad, counts, levels, shares};
use crate::error::Result;
use crate::optim::OptimizerConfig;

/// A speaker training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpeakerRecipe {
    /// Sizes of the network.
    pub network: EcapaConfig,
    /// Features; the number of bins follows from them.
    pub frontend: FeatureConfig,
    /// Seconds of one training example.
    pub crop_seconds: f64,
    /// Angle, in radians, by which a voice has to be closer to its own speaker than to the others.
    pub margin: f64,
    /// Share of all steps in which the margin rises from zero.
    pub margin_warmup: f64,
    /// Steepness of the loss: the logits of a perfect match.
    pub scale: f64,
    /// Speeds at which recordings are played; each but 1 makes a speaker of its own out of every
    /// speaker.
    pub speeds: Vec<f32>,
    /// A speaker with `n` seconds is drawn in proportion to `n` to this power.
    pub speaker_balance: f32,
    /// Optimiser and schedule.
    pub optimizer: OptimizerConfig,
    /// Passes; an epoch is `steps_per_epoch` batches, since crops are drawn at random.
    pub epochs: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// The last epochs, with longer examples.
    pub final_stage: FinalStage,
    /// Changes to recordings.
    pub augmentation: SpeakerAugmentation,
    /// Closest voices of the training that scores are normalised with, where that is better on the
    /// pairs to validate on; 0 leaves it out.
    pub cohort_top: usize,
    /// Least speech of a speaker who belongs to those voices, in seconds: the mean of a few words
    /// is no voice.
    pub cohort_seconds: f64,
    /// Least speech that is compared, in seconds.
    pub minimum_seconds: f64,
    /// Pieces that long speech is cut into, in seconds.
    pub window_seconds: f64,
    /// Start of all random draws.
    pub seed: u64,
}

/// The last epochs of a training.
///
/// Source: Thienpondt, Desplanques, Demuynck, "The IDLab VoxSRC-20 Submission: Large Margin
/// Fine-Tuning and Quality-Aware Score Calibration in DNN Based Speaker Verification" (ICASSP
/// 2021).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FinalStage {
    /// Number of epochs; 0 for none.
    pub epochs: usize,
    /// Seconds of one example.
    pub crop_seconds: f64,
    /// The margin, in radians.
    pub margin: f64,
}

impl Default for FinalStage {
    fn default() -> Self {
        Self { epochs: 3, crop_seconds: 4.0, margin: 0.35 }
    }
}

/// Changes to recordings; all levels in dB, all shares between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpeakerAugmentation {
    /// Level of speech (RMS, dBFS) between these.
    pub level: [f32; 2],
    /// Share of examples with noise.
    pub noise_share: f32,
    /// Signal-to-noise ratio between these, in dB.
    pub snr: [f32; 2],
    /// Share of examples with a second, softer voice among the noise.
    pub babble_share: f32,
    /// Share of examples in a room.
    pub room_share: f32,
    /// Share of examples with a band limit between 3 and 7 kHz, half of them that of a telephone.
    pub band_share: f32,
    /// Masks over the features.
    pub masks: SpecMasks,
}

impl Default for SpeakerAugmentation {
    fn default() -> Self {
        Self {
            level: [-35.0, -12.0],
            noise_share: 0.45,
            snr: [5.0, 25.0],
            babble_share: 0.1,
            room_share: 0.25,
            band_share: 0.2,
            masks: SpecMasks { bands: 1, band_share: 0.12, times: 1, time_frames: 10 },
        }
    }
}

impl Default for SpeakerRecipe {
    /// The recipe of the bundled model.
    fn default() -> Self {
        let mut frontend = presets::by_name("wespeaker").expect("a preset of this name");
        frontend.hop_length = 320;
        if let Some(mel) = &mut frontend.mel {
            mel.n_mels = 64;
        }
        Self {
            network: EcapaConfig {
                input_size: 64,
                channels: vec![256, 256, 256, 256, 384],
                dilations: vec![1, 1, 2, 3, 1],
                attention_channels: 64,
                se_channels: 64,
                lin_neurons: 192,
                ..EcapaConfig::default()
            },
            frontend,
            crop_seconds: 2.0,
            margin: 0.2,
            margin_warmup: 0.4,
            scale: 30.0,
            speeds: vec![1.0, 0.9, 1.1],
            speaker_balance: 0.5,
            optimizer: OptimizerConfig {
                learning_rate: 3e-3,
                warmup: 0.04,
                final_ratio: 0.002,
                weight_decay: 0.05,
                beta2: 0.99,
                clip_norm: 5.0,
                ema_decay: 0.998,
                ..OptimizerConfig::default()
            },
            epochs: 40,
            steps_per_epoch: 100,
            batch: 64,
            final_stage: FinalStage::default(),
            augmentation: SpeakerAugmentation::default(),
            cohort_top: 200,
            cohort_seconds: 3.0,
            minimum_seconds: 0.4,
            window_seconds: 10.0,
            seed: 1,
        }
    }
}

impl SpeakerRecipe {
    /// Samples of one example in `epoch` (from 0).
    #[must_use]
    pub fn samples(&self, epoch: usize) -> usize {
        let seconds = match self.in_final_stage(epoch) {
            true => self.final_stage.crop_seconds,
            false => self.crop_seconds,
        };
        (seconds * f64::from(self.frontend.sample_rate)) as usize
    }

    /// Samples of the longest example.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.samples(0).max(self.samples(self.epochs.saturating_sub(1)))
    }

    /// Whether `epoch` (from 0) belongs to the final stage.
    #[must_use]
    pub fn in_final_stage(&self, epoch: usize) -> bool {
        epoch + self.final_stage.epochs >= self.epochs
    }

    /// Margin at `step` of `epoch`, both from 0.
    #[must_use]
    pub fn margin_at(&self, epoch: usize, step: usize) -> f64 {
        if self.in_final_stage(epoch) {
            return self.final_stage.margin;
        }
        let done = (epoch * self.steps_per_epoch + step) as f64;
        let rise = self.margin_warmup * (self.epochs * self.steps_per_epoch) as f64;
        self.margin * (done / rise.max(1.0)).min(1.0)
    }

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        counts(&[("epochs", self.epochs), ("steps_per_epoch", self.steps_per_epoch)])?;
        if self.batch < 2 {
            return Err(bad("batch", "batch normalisation needs at least 2 examples"));
        }
        let crops = [self.crop_seconds, self.final_stage.crop_seconds];
        if crops.iter().any(|s| !(0.3..=60.0).contains(s)) {
            return Err(bad("crop_seconds", "use 0.3 to 60 seconds"));
        }
        if !(self.cohort_seconds >= 0.0 && self.cohort_seconds.is_finite()) {
            return Err(bad("cohort_seconds", "use 0 seconds or more"));
        }
        if self.speeds.is_empty() || self.speeds.iter().any(|s| !(0.5..=2.0).contains(s)) {
            return Err(bad("speeds", "at least one, between 0.5 and 2"));
        }
        if !(self.scale > 0.0 && (0.0..1.0).contains(&self.margin)) {
            return Err(bad("margin", "use a positive scale and a margin between 0 and 1"));
        }
        let a = &self.augmentation;
        levels(&[("level", a.level), ("snr", a.snr)])?;
        shares(&[
            ("noise_share", a.noise_share),
            ("babble_share", a.babble_share),
            ("room_share", a.room_share),
            ("band_share", a.band_share),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_rise_and_end_large() {
        let recipe = SpeakerRecipe { epochs: 10, steps_per_epoch: 10, ..Default::default() };
        assert_eq!(recipe.margin_at(0, 0), 0.0);
        assert!((recipe.margin_at(2, 0) - 0.1).abs() < 1e-9);
        assert_eq!(recipe.margin_at(6, 0), 0.2);
        assert_eq!(recipe.margin_at(7, 0), 0.35);
        assert_eq!((recipe.samples(6), recipe.samples(7)), (32_000, 64_000));
        recipe.validate().expect("sound");
        assert!(SpeakerRecipe { batch: 1, ..Default::default() }.validate().is_err());
    }
}
