//! Every number of a super-resolution training, in one place that is stored with the weights.

use formant_models::arch::hifi_sr::{GeneratorConfig, HifiSrCard, HifiSrConfig};
use formant_models::arch::mossformer::{Family, MossformerConfig};
use serde::{Deserialize, Serialize};

use crate::checks::{bad, levels, shares};
use crate::error::Result;
use crate::optim::OptimizerConfig;
use crate::training::Recipe;

/// A super-resolution training. Levels are in dB, shares between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SuperresRecipe {
    /// Sizes of the network.
    pub network: HifiSrConfig,
    /// Samples of the windows that the encoder sees; it sees one for each frame of the generator.
    pub n_fft: usize,
    /// Highest frequency that the encoder sees, Hz.
    pub top_hz: f64,
    /// Recordings whose band ends below, Hz, teach nothing and are left out.
    pub least_band_hz: f64,
    /// Seconds that the encoder sees of an example, and of the windows of the finished model.
    pub crop_seconds: f64,
    /// Seconds in the middle of an example that the generator makes.
    pub slice_seconds: f64,
    /// Gain of an example between these.
    pub gain: [f32; 2],
    /// Share of examples that are noise, where there is noise.
    pub noise_share: f32,
    /// Share of examples from telephone lines.
    pub telephone_share: f32,
    /// Share of examples whose band ends anywhere, with any slope; the rest has low sample rates.
    pub slope_share: f32,
    /// Sample rates of recordings, Hz; each is drawn as often as it stands here.
    pub rates: Vec<u32>,
    /// Transform lengths at which spectra are compared.
    pub loss_windows: Vec<i64>,
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

impl Default for SuperresRecipe {
    /// The sizes of the bundled model, several times as fast as the audio on one processor core. Its
    /// two recipes are `training/recipes/superres-speech-*.json`.
    fn default() -> Self {
        let encoder = MossformerConfig {
            family: Family::Mossformer2Se,
            in_channels: 96,
            out_channels: 128,
            out_channels_final: Some(64),
            num_blocks: 4,
            group_size: 128,
            query_key_dim: 32,
            fsmn_inner_channels: 64,
            num_spks: 1,
            ..MossformerConfig::default()
        };
        let generator = GeneratorConfig {
            upsample_rates: vec![8, 8, 4],
            upsample_kernel_sizes: vec![16, 16, 8],
            upsample_initial_channel: 128,
            resblock_kernel_sizes: vec![3, 7],
            resblock_dilation_sizes: vec![vec![1, 3]; 2],
            ..GeneratorConfig::default()
        };
        Self {
            network: HifiSrConfig { encoder, generator },
            n_fft: 1024,
            top_hz: 16_000.0,
            least_band_hz: 15_000.0,
            crop_seconds: 1.2,
            slice_seconds: 0.4,
            gain: [-12.0, 6.0],
            noise_share: 0.1,
            telephone_share: 0.1,
            slope_share: 0.25,
            rates: vec![
                8_000, 8_000, 8_000, 16_000, 16_000, 16_000, 12_000, 22_050, 24_000, 32_000,
            ],
            loss_windows: vec![2048, 1024, 512, 256],
            optimizer: OptimizerConfig {
                learning_rate: 1.5e-3,
                warmup: 0.03,
                final_ratio: 0.02,
                weight_decay: 0.01,
                beta2: 0.99,
                clip_norm: 3.0,
                ema_decay: 0.99,
                ..OptimizerConfig::default()
            },
            epochs: 30,
            steps_per_epoch: 100,
            batch: 4,
            hold_out: 5,
            dev_seconds: 40.0,
            seed: 1,
        }
    }
}

impl SuperresRecipe {
    /// The card of the model.
    ///
    /// # Errors
    /// What the front end says.
    pub fn card(&self) -> Result<HifiSrCard> {
        let card = HifiSrCard::sized(self.network.clone(), self.n_fft, self.top_hz)?;
        Ok(HifiSrCard { window_seconds: Some(self.crop_seconds), ..card })
    }

    /// Frames of an example, and of the slice in its middle.
    pub(super) fn frames(&self, card: &HifiSrCard) -> [usize; 2] {
        let hop = card.frontend.hop_length.max(1) as f64;
        let frames = |seconds: f64| (seconds * f64::from(card.sample_rate()) / hop) as usize;
        [frames(self.crop_seconds), frames(self.slice_seconds)]
    }

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the setting; what the network's sizes say.
    pub fn validate(&self) -> Result<()> {
        let card = self.card()?;
        card.validate()?;
        if self.n_fft < card.frontend.hop_length {
            let reason = format!("the hop is {} samples", card.frontend.hop_length);
            return Err(bad("n_fft", reason));
        }
        self.course().validate(&[("batch", self.batch)])?;
        let nyquist = f64::from(card.sample_rate()) / 2.0;
        if !(1_000.0..=nyquist).contains(&self.top_hz) {
            return Err(bad("top_hz", format!("use 1000 to {nyquist} Hz")));
        }
        if !(4_000.0..=nyquist).contains(&self.least_band_hz) {
            return Err(bad("least_band_hz", format!("use 4000 to {nyquist} Hz")));
        }
        if !(0.2..=60.0).contains(&self.crop_seconds) {
            return Err(bad("crop_seconds", "use 0.2 to 60 seconds"));
        }
        let longest = self.loss_windows.iter().copied().max().unwrap_or(0);
        let slice = self.slice_seconds * f64::from(card.sample_rate());
        if slice < 2.0 * longest as f64 || self.slice_seconds > self.crop_seconds {
            let reason = "twice the longest transform of the loss at least, the crop at most";
            return Err(bad("slice_seconds", reason));
        }
        if self.loss_windows.is_empty()
            || self.loss_windows.iter().any(|n| !(64..=16_384).contains(n) || n % 4 != 0)
        {
            return Err(bad("loss_windows", "use lengths from 64 to 16384 that four divides"));
        }
        if self.rates.is_empty() || self.rates.iter().any(|rate| !(6_000..=36_000).contains(rate)) {
            return Err(bad("rates", "use rates from 6000 to 36000 Hz"));
        }
        if self.hold_out < 2 {
            return Err(bad("hold_out", "every second speaker has to be left to learn from"));
        }
        if !(1.0..=3600.0).contains(&self.dev_seconds) {
            return Err(bad("dev_seconds", "use 1 to 3600 seconds"));
        }
        levels(&[("gain", self.gain)])?;
        shares(&[
            ("noise_share", self.noise_share),
            ("telephone_share", self.telephone_share),
            ("slope_share", self.slope_share),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound_and_odd_numbers_are_refused() {
        SuperresRecipe::default().validate().expect("sound");
        for broken in [
            SuperresRecipe { batch: 0, ..Default::default() },
            SuperresRecipe { n_fft: 0, ..Default::default() },
            SuperresRecipe { n_fft: 128, ..Default::default() },
            SuperresRecipe { top_hz: 30_000.0, ..Default::default() },
            SuperresRecipe { least_band_hz: f64::NAN, ..Default::default() },
            SuperresRecipe { slice_seconds: 0.01, ..Default::default() },
            SuperresRecipe { slice_seconds: 3.0, ..Default::default() },
            SuperresRecipe { rates: vec![], ..Default::default() },
            SuperresRecipe { rates: vec![48_000], ..Default::default() },
            SuperresRecipe { loss_windows: vec![10], ..Default::default() },
            SuperresRecipe { hold_out: 1, ..Default::default() },
            SuperresRecipe { noise_share: 1.5, ..Default::default() },
        ] {
            assert!(broken.validate().is_err(), "{broken:?}");
        }
    }
}
