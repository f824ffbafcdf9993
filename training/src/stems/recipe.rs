//! Every number of a stem training, in one place that is stored with the weights.

use formant_models::arch::mel_roformer::MelRoformerConfig;
use formant_models::tasks::stems::StemsCard;
use serde::{Deserialize, Serialize};

use crate::checks::{bad, factors, levels, shares};
use crate::error::Result;
use crate::optim::OptimizerConfig;
use crate::training::Recipe;

/// A stem training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StemsRecipe {
    /// Sizes of the network, which has one channel and one stem: the voice.
    pub network: MelRoformerConfig,
    /// Seconds of one training example.
    pub crop_seconds: f64,
    /// Seconds of the chunks that the finished model cuts mixes into.
    pub chunk_seconds: f64,
    /// Optimiser and schedule.
    pub optimizer: OptimizerConfig,
    /// Passes; an epoch is `steps_per_epoch` batches, since crops are drawn at random.
    pub epochs: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// Transform lengths at which spectra of the stem are compared.
    pub loss_windows: Vec<i64>,
    /// One in so many songs is kept for validation where the data name none.
    pub hold_out: usize,
    /// How mixes are made.
    pub mixing: Mixing,
    /// Start of all random draws.
    pub seed: u64,
}

/// How mixes are made; levels in dB, shares between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mixing {
    /// Level of the voice (RMS, dBFS) between these.
    pub level: [f32; 2],
    /// Level of the accompaniment below that of the voice between these.
    pub ratio: [f32; 2],
    /// Share of examples with voice and accompaniment of one song, in time with each other.
    pub same_song_share: f32,
    /// Share of examples with a second voice of another song.
    pub duet_share: f32,
    /// Share of examples with the accompaniments of two songs.
    pub double_share: f32,
    /// Share of examples whose voice is spoken, where there is speech.
    pub speech_share: f32,
    /// Share of examples without a voice.
    pub instrumental_share: f32,
    /// Share of examples without an accompaniment.
    pub alone_share: f32,
    /// Speeds, and with them pitches, between these.
    pub speed: [f32; 2],
}

impl Default for Mixing {
    fn default() -> Self {
        Self {
            level: [-32.0, -16.0],
            ratio: [-6.0, 6.0],
            same_song_share: 0.3,
            duet_share: 0.05,
            double_share: 0.1,
            speech_share: 0.1,
            instrumental_share: 0.08,
            alone_share: 0.03,
            speed: [0.88, 1.14],
        }
    }
}

impl Default for StemsRecipe {
    /// The recipe of the bundled model: long hops and few bands, for one processor core.
    fn default() -> Self {
        Self {
            network: MelRoformerConfig {
                dim: 48,
                depth: 4,
                stereo: false,
                num_bands: 32,
                dim_head: 16,
                heads: 3,
                stft_n_fft: 4096,
                stft_win_length: 4096,
                stft_hop_length: 1024,
                zero_dc: false,
                mask_estimator_depth: 1,
                mlp_expansion_factor: 1,
                ..MelRoformerConfig::default()
            },
            crop_seconds: 2.5,
            chunk_seconds: 6.0,
            optimizer: OptimizerConfig {
                learning_rate: 3e-3,
                warmup: 0.04,
                final_ratio: 0.02,
                weight_decay: 0.01,
                beta2: 0.99,
                clip_norm: 5.0,
                ema_decay: 0.99,
                ..OptimizerConfig::default()
            },
            epochs: 30,
            steps_per_epoch: 30,
            batch: 4,
            loss_windows: vec![4096, 1024, 256],
            hold_out: 4,
            mixing: Mixing::default(),
            seed: 1,
        }
    }
}

impl StemsRecipe {
    /// Samples of one example.
    #[must_use]
    pub fn samples(&self) -> usize {
        (self.crop_seconds * f64::from(self.network.sample_rate)) as usize
    }

    /// The card of the model.
    #[must_use]
    pub fn card(&self) -> StemsCard {
        let mut card = StemsCard::of_config(self.network.clone());
        let hop = self.network.stft_hop_length.max(1) as f64;
        let hops = (self.chunk_seconds * f64::from(self.network.sample_rate) / hop).ceil();
        card.demix.chunk_size = (hops * hop) as usize;
        card
    }

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the setting; what the network's sizes say.
    pub fn validate(&self) -> Result<()> {
        self.card().validate()?;
        self.course().validate(&[("batch", self.batch)])?;
        if self.network.stereo || self.network.num_stems != 1 {
            return Err(bad("network", "one channel and one stem are trained"));
        }
        let longest = self.loss_windows.iter().copied().max().unwrap_or(0);
        let longest = longest.max(self.network.stft_n_fft) as usize;
        if self.loss_windows.iter().any(|n| *n < 16 || n % 4 != 0) {
            return Err(bad("loss_windows", "use lengths from 16 on that four divides"));
        }
        if self.samples() <= longest || self.crop_seconds > 60.0 {
            return Err(bad("crop_seconds", "more than the longest transform, at most 60 seconds"));
        }
        if self.hold_out < 2 {
            return Err(bad("hold_out", "at least every second song has to be left to learn from"));
        }
        let m = &self.mixing;
        factors([0.5, 2.0], &[("speed", m.speed)])?;
        levels(&[("level", m.level), ("ratio", m.ratio)])?;
        shares(&[
            ("same_song_share", m.same_song_share),
            ("duet_share", m.duet_share),
            ("double_share", m.double_share),
            ("speech_share", m.speech_share),
            ("instrumental_share", m.instrumental_share),
            ("alone_share", m.alone_share),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound_and_odd_numbers_are_refused() {
        StemsRecipe::default().validate().expect("sound");
        assert_eq!(StemsRecipe::default().card().demix.chunk_size % 1024, 0);
        for broken in [
            StemsRecipe { batch: 0, ..Default::default() },
            StemsRecipe { crop_seconds: 0.05, ..Default::default() },
            StemsRecipe { hold_out: 1, ..Default::default() },
            StemsRecipe { loss_windows: vec![10], ..Default::default() },
        ] {
            assert!(broken.validate().is_err());
        }
    }
}
