//! What a recognizer says about itself: sizes, front end, vocabulary, origin and measured quality.
//! Stored as JSON in the metadata of its weights file.

use formant_audio_core::features::{FeatureConfig, presets};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{SqueezeformerConfig, SubsamplingMasks};
use crate::arch::front_end;
use crate::error::{Error, Result};
pub use crate::text::PieceKind;

/// Which releases of NeMo a checkpoint of theirs is to behave like: the front end and the
/// subsampling changed with 2.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NemoRelease {
    /// Up to 2.4: how the published checkpoints were trained and scored.
    V1,
    /// From 2.5 on.
    #[default]
    V2,
}

/// The answers of a network as text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vocabulary {
    /// How pieces become text.
    pub kind: PieceKind,
    /// The piece of every answer but a blank that is the last one.
    pub pieces: Vec<String>,
    /// The SentencePiece model, where the checkpoint brings one.
    #[serde(skip)]
    pub model: Option<Vec<u8>>,
}

/// Rates at which the voice detector, which cuts recordings, works, in Hz.
const VOICE_RATES: [u32; 2] = [8_000, 16_000];

/// Everything about a recogniser but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CtcCard {
    /// Sizes of the network.
    pub config: SqueezeformerConfig,
    /// The features that it takes.
    pub frontend: FeatureConfig,
    /// Its answers.
    pub vocabulary: Vocabulary,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl CtcCard {
    /// Refuses a card whose parts do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        front_end::check(&self.frontend, self.config.inputs())?;
        let rate = self.frontend.sample_rate;
        if !VOICE_RATES.contains(&rate) {
            let reason = format!("{rate} Hz; recognizers hear 8000 or 16000 Hz");
            return Err(Error::config("frontend.sample_rate", reason));
        }
        let answers = match self.config {
            SqueezeformerConfig::Nemo(_) => self.config.vocabulary() - 1,
            SqueezeformerConfig::Wenet(_) => self.config.vocabulary(),
        };
        let pieces = self.vocabulary.pieces.len();
        if pieces as i64 != answers {
            let reason = format!("{pieces} pieces for a network that has {answers}");
            return Err(Error::config("vocabulary", reason));
        }
        Ok(())
    }

    /// Makes a card of a NeMo archive that of another release: front end and subsampling differ.
    ///
    /// # Errors
    /// When a preset is missing, which does not happen.
    pub fn behave_like(&mut self, release: NemoRelease) -> Result<()> {
        let SqueezeformerConfig::Nemo(config) = &mut self.config else { return Ok(()) };
        let (masks, preset) = match release {
            NemoRelease::V1 => (SubsamplingMasks::Unmasked, "nemo-v1"),
            NemoRelease::V2 => (SubsamplingMasks::Masked, "nemo"),
        };
        config.subsampling_masks = masks;
        let stated = &self.frontend;
        self.frontend = FeatureConfig {
            sample_rate: stated.sample_rate,
            win_length: stated.win_length,
            hop_length: stated.hop_length,
            n_fft: stated.n_fft,
            mel: stated.mel,
            ..presets::by_name(preset)?
        };
        Ok(())
    }

    /// Index of the blank.
    #[must_use]
    pub fn blank(&self) -> i64 {
        self.config.blank()
    }

    /// Seconds from one answer to the next.
    #[must_use]
    pub fn seconds_per_answer(&self) -> f64 {
        let frame = self.frontend.hop_length as f64 / f64::from(self.frontend.sample_rate.max(1));
        frame * self.config.subsampling_factor() as f64
    }
}
