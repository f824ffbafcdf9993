//! Every number of a vocoder training, in one place that is stored with the weights.

use formant_models::arch::periodwave::{Energy, PeriodWaveCard, PeriodWaveConfig, Sampling};
use serde::{Deserialize, Serialize};

use crate::checks::{bad, levels};
use crate::error::Result;
use crate::optim::OptimizerConfig;
use crate::training::Recipe;

/// A vocoder training. Levels are in dB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VocodeRecipe {
    /// Sizes of the network. With 80 bands its rate is 22.05 kHz, otherwise 24 kHz.
    pub network: PeriodWaveConfig,
    /// Factor of the noise.
    pub noise_scale: f64,
    /// Steps of the finished model, and of the second part of the training.
    pub steps: usize,
    /// Epochs that learn the flow; those behind them learn the waveform that the steps come to.
    pub flow_epochs: usize,
    /// Seconds of an example.
    pub crop_seconds: f64,
    /// Gain of an example between these.
    pub gain: [f32; 2],
    /// Transform lengths at which spectra are compared.
    pub loss_windows: Vec<i64>,
    /// What the log-mel distance counts beside the spectra.
    pub mel_share: f64,
    /// Optimizer and schedule.
    pub optimizer: OptimizerConfig,
    /// Passes; an epoch is `steps_per_epoch` batches, since examples are drawn at random.
    pub epochs: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// One in so many speakers is kept for validation where the data name nobody.
    pub hold_out: usize,
    /// Seconds of recordings to validate on, at most.
    pub dev_seconds: f64,
    /// Start of all random draws.
    pub seed: u64,
}

impl Default for VocodeRecipe {
    fn default() -> Self {
        Self {
            network: PeriodWaveConfig {
                hidden_dim: 128,
                final_dim: 8,
                ..PeriodWaveConfig::default()
            },
            noise_scale: 0.5,
            steps: 2,
            flow_epochs: 10,
            crop_seconds: 0.7,
            gain: [-12.0, 6.0],
            loss_windows: vec![2048, 1024, 512, 256],
            mel_share: 1.0,
            optimizer: OptimizerConfig {
                learning_rate: 1e-3,
                warmup: 0.03,
                final_ratio: 0.02,
                weight_decay: 0.01,
                beta2: 0.99,
                clip_norm: 3.0,
                ema_decay: 0.99,
                ..OptimizerConfig::default()
            },
            epochs: 40,
            steps_per_epoch: 100,
            batch: 4,
            hold_out: 5,
            dev_seconds: 30.0,
            seed: 1,
        }
    }
}

impl VocodeRecipe {
    /// The card of the model, for recordings whose frames have energies within `energy`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for a network that takes no spectrograms.
    pub fn card(&self, energy: Energy) -> Result<PeriodWaveCard> {
        if !self.network.takes_mel() {
            return Err(bad("network", "only networks that take spectrograms are trained"));
        }
        let card = PeriodWaveCard::published(self.network.clone())?;
        let sampling = Sampling { steps: self.steps, ..Sampling::default() };
        let noise_scale = self.noise_scale;
        Ok(PeriodWaveCard { energy: Some(energy), noise_scale, sampling, ..card })
    }

    /// Frames of an example.
    pub(super) fn frames(&self, card: &PeriodWaveCard) -> usize {
        (self.crop_seconds * f64::from(card.sample_rate())) as usize
            / self.network.hop().max(1) as usize
    }

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the setting; what the network's sizes say.
    pub fn validate(&self) -> Result<()> {
        let card = self.card(Energy::LIBRITTS)?;
        card.validate()?;
        self.course().validate(&[("batch", self.batch)])?;
        if self.noise_scale <= 0.0 {
            return Err(bad("noise_scale", "is not above 0"));
        }
        if !(0.05..=60.0).contains(&self.crop_seconds) {
            return Err(bad("crop_seconds", "use 0.05 to 60 seconds"));
        }
        let windows = &self.loss_windows;
        if windows.is_empty() || windows.iter().any(|n| !(64..=16_384).contains(n) || n % 4 != 0) {
            return Err(bad("loss_windows", "use lengths from 64 to 16384 that four divides"));
        }
        let samples = self.frames(&card) as i64 * self.network.hop();
        if windows.iter().any(|&n| 2 * n > samples) {
            return Err(bad(
                "crop_seconds",
                "use twice the longest transform of the loss at least",
            ));
        }
        if !(0.0..=100.0).contains(&self.mel_share) {
            return Err(bad("mel_share", "use 0 to 100"));
        }
        if self.hold_out < 2 {
            return Err(bad("hold_out", "every second speaker has to be left to learn from"));
        }
        if !(1.0..=3600.0).contains(&self.dev_seconds) {
            return Err(bad("dev_seconds", "use 1 to 3600 seconds"));
        }
        levels(&[("gain", self.gain)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound_and_odd_numbers_are_refused() {
        VocodeRecipe::default().validate().expect("sound");
        let network = |hidden_dim| PeriodWaveConfig { hidden_dim, ..PeriodWaveConfig::default() };
        for broken in [
            VocodeRecipe { batch: 0, ..Default::default() },
            VocodeRecipe { network: network(24), ..Default::default() },
            VocodeRecipe { noise_scale: f64::NAN, ..Default::default() },
            VocodeRecipe { noise_scale: 0.0, ..Default::default() },
            VocodeRecipe { steps: 0, ..Default::default() },
            VocodeRecipe { crop_seconds: 0.1, ..Default::default() },
            VocodeRecipe { loss_windows: vec![10], ..Default::default() },
            VocodeRecipe { mel_share: -1.0, ..Default::default() },
            VocodeRecipe { hold_out: 1, ..Default::default() },
            VocodeRecipe { dev_seconds: 0.0, ..Default::default() },
        ] {
            assert!(broken.validate().is_err(), "{broken:?}");
        }
    }
}
