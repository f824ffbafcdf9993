//! Every number of a keyword training, in one place that is stored with the weights.

use formant_audio_core::features::{FeatureConfig, presets};
use formant_models::arch::lmuformer::LmuFormerConfig;
use formant_models::tasks::spot::{DetectionDefaults, SpotCard};
use serde::{Deserialize, Serialize};

use crate::augment::SpecMasks;
use crate::checks::{bad, counts, factors, levels, shares};
use crate::error::Result;
use crate::optim::OptimizerConfig;

/// A keyword training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpotRecipe {
    /// Words to learn, in the order of the answers; every label of the data when empty.
    pub words: Vec<String>,
    /// Sizes of the network; the number of answers follows from the words.
    pub network: LmuFormerConfig,
    /// Features; the number of bins follows from them.
    pub frontend: FeatureConfig,
    /// Frames before the window, which hold whatever came before a word.
    pub context_frames: usize,
    /// Frames over which answers are averaged, about the length of the longest word.
    pub window_frames: usize,
    /// Optimiser and schedule.
    pub optimizer: OptimizerConfig,
    /// Passes; an epoch is `steps_per_epoch` batches, since clips are drawn at random.
    pub epochs: usize,
    /// Epochs without better figures after which the training ends early; 0 for none.
    pub patience: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Clips in a batch.
    pub batch: usize,
    /// Share of clips that hold speech but none of the words.
    pub unknown_share: f32,
    /// Share of clips without speech.
    pub silence_share: f32,
    /// Among clips without words the share of stretches that fooled the model that training
    /// starts from, if there are any.
    pub hard_share: f32,
    /// Among the other clips without words the share of noises that stand out, such as barks.
    pub event_share: f32,
    /// A word with `n` clips is drawn in proportion to `n` to this power.
    pub word_balance: f32,
    /// Within a word, a source with `n` clips is drawn in proportion to `n` to this power.
    pub source_balance: f32,
    /// Probability mass that is spread over the wrong answers.
    pub label_smoothing: f64,
    /// Share of batches in which pairs of clips are blended.
    pub mixup_share: f64,
    /// Changes to clips.
    pub augmentation: Augmentation,
    /// Score that a word needs to be reported, unless the caller says otherwise.
    pub threshold: f32,
    /// Seconds over which scores are averaged, unless the caller says otherwise.
    pub smoothing: f64,
    /// Start of all random draws.
    pub seed: u64,
}

/// Changes to clips; all levels in dB, all shares between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Augmentation {
    /// Speed and pitch change by a factor between these.
    pub speed: [f32; 2],
    /// Level of speech (RMS, dBFS) between these.
    pub level: [f32; 2],
    /// Share of clips with noise that is as loud as `snr` says; the others have faint noise.
    pub noise_share: f32,
    /// Signal-to-noise ratio between these, in dB.
    pub snr: [f32; 2],
    /// Share of clips in digital silence.
    pub clean_share: f32,
    /// Share of clips in a room.
    pub room_share: f32,
    /// Share of clips with a band limit between 3 and 7 kHz, half of them that of a telephone.
    pub band_share: f32,
    /// Share of words with other speech before or after them.
    pub neighbour_share: f32,
    /// Share of clips whose stream begins, and share of those whose stream ends, beside the word.
    pub edge_share: f32,
    /// Masks over the features.
    pub masks: SpecMasks,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            speed: [0.85, 1.18],
            level: [-42.0, -12.0],
            noise_share: 0.55,
            snr: [0.0, 30.0],
            clean_share: 0.15,
            room_share: 0.25,
            band_share: 0.25,
            neighbour_share: 0.4,
            edge_share: 0.12,
            masks: SpecMasks::default(),
        }
    }
}

impl Default for SpotRecipe {
    /// The recipe of the bundled model.
    fn default() -> Self {
        let mut frontend = presets::by_name("lmuformer").expect("a preset of this name");
        frontend.target_frames = None;
        if let Some(mel) = &mut frontend.mel {
            mel.n_mels = 64;
        }
        Self {
            words: Vec::new(),
            network: LmuFormerConfig {
                dim: 128,
                num_heads: 8,
                seq_len: 160,
                theta: 100.0,
                ..LmuFormerConfig::default()
            },
            frontend,
            context_frames: 50,
            window_frames: 100,
            optimizer: OptimizerConfig::default(),
            epochs: 40,
            patience: 0,
            steps_per_epoch: 400,
            batch: 32,
            unknown_share: 0.25,
            silence_share: 0.08,
            hard_share: 0.3,
            event_share: 0.15,
            word_balance: 0.4,
            source_balance: 0.4,
            label_smoothing: 0.05,
            mixup_share: 0.3,
            augmentation: Augmentation::default(),
            threshold: DetectionDefaults::default().threshold,
            smoothing: DetectionDefaults::default().smoothing,
            seed: 1,
        }
    }
}

impl SpotRecipe {
    /// The recipe for words of one's own that starts from a bundled model: minutes, where
    /// [`SpotRecipe::default`] takes an hour or more.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            optimizer: OptimizerConfig {
                learning_rate: 1e-3,
                ema_decay: 0.99,
                ..OptimizerConfig::default()
            },
            epochs: 12,
            patience: 5,
            steps_per_epoch: 80,
            unknown_share: 0.42,
            mixup_share: 0.15,
            threshold: 0.96,
            smoothing: 0.2,
            ..Self::default()
        }
    }

    /// The recipe with network, features and window of a model to start from.
    #[must_use]
    pub fn starting_from(self, card: &SpotCard) -> Self {
        let network = LmuFormerConfig {
            in_channels: self.network.in_channels,
            num_classes: self.network.num_classes,
            ..card.config.clone()
        };
        if network == self.network && card.frontend == self.frontend {
            return self;
        }
        let window_frames = card.detection.window_frames;
        Self {
            network,
            frontend: card.frontend.clone(),
            window_frames,
            context_frames: window_frames / 2,
            ..self
        }
    }

    /// Frames of one training example.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.context_frames + self.window_frames
    }

    /// Samples of one training example.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.frames().saturating_sub(1) * self.frontend.hop_length + self.frontend.win_length
    }

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        counts(&[
            ("epochs", self.epochs),
            ("steps_per_epoch", self.steps_per_epoch),
            ("batch", self.batch),
            ("window_frames", self.window_frames),
        ])?;
        if self.batch < 2 {
            return Err(bad("batch", "batch normalisation needs at least 2 clips"));
        }
        let a = &self.augmentation;
        factors([0.25, 4.0], &[("speed", a.speed)])?;
        levels(&[("level", a.level), ("snr", a.snr)])?;
        shares(&[
            ("unknown_share", self.unknown_share),
            ("silence_share", self.silence_share),
            ("hard_share", self.hard_share),
            ("event_share", self.event_share),
            ("label_smoothing", self.label_smoothing as f32),
            ("mixup_share", self.mixup_share as f32),
            ("noise_share", a.noise_share),
            ("clean_share", a.clean_share),
            ("room_share", a.room_share),
            ("band_share", a.band_share),
            ("neighbour_share", a.neighbour_share),
            ("edge_share", a.edge_share),
        ])?;
        if self.unknown_share + self.silence_share >= 1.0 {
            let reason = "together with silence_share it leaves no room for words";
            return Err(bad("unknown_share", reason));
        }
        Ok(())
    }
}
