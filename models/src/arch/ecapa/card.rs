//! What a speaker model says about itself: sizes, front end, how its scores become decisions,
//! origin and measured quality. Stored as JSON in the metadata of its weights file.

use formant_audio_core::features::{FeatureConfig, presets};
use serde::{Deserialize, Serialize};

use super::config::{EcapaConfig, Layout};
use crate::arch::front_end;
use crate::error::{Error, Result};

/// From a score to the probability that both voices are of one speaker, where both answers are
/// equally likely beforehand: `1 / (1 + exp(-(scale * score + offset)))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Steepness.
    pub scale: f64,
    /// Log-odds of a score of zero.
    pub offset: f64,
}

impl Calibration {
    /// The probability that belongs to a score.
    #[must_use]
    pub fn probability(&self, score: f64) -> f64 {
        1.0 / (1.0 + (-(self.scale * score + self.offset)).exp())
    }

    /// The score of an even chance.
    #[must_use]
    pub fn even_score(&self) -> f64 {
        -self.offset / self.scale
    }
}

/// How scores become decisions. The figures hold for the kind of score that `centre` and `norm`
/// say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decision {
    /// Scores above it mean the same speaker.
    pub threshold: f64,
    /// Probability of a score, where it was fitted.
    pub calibration: Option<Calibration>,
    /// Bring embeddings to unit length and subtract the mean voice (the file's `centre`) before
    /// they are compared.
    pub centre: bool,
    /// Normalise scores with that many of the closest voices of the file's cohort; none if `None`.
    pub norm: Option<usize>,
}

impl Default for Decision {
    /// The threshold of SpeechBrain's verification.
    fn default() -> Self {
        Self { threshold: 0.25, calibration: None, centre: false, norm: None }
    }
}

/// Everything about a speaker model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeakerCard {
    /// Sizes of the network.
    pub config: EcapaConfig,
    /// The features that it takes.
    pub frontend: FeatureConfig,
    /// Least speech that is compared, in seconds.
    pub minimum_seconds: f64,
    /// Longer speech is cut into pieces of about this many seconds, whose embeddings are averaged.
    pub window_seconds: f64,
    /// How scores become decisions.
    #[serde(default)]
    pub decision: Decision,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: serde_json::Value,
}

impl SpeakerCard {
    /// Least speech that is compared, where a card does not say.
    pub const MINIMUM_SECONDS: f64 = 0.4;
    /// Length of the pieces that long speech is cut into, where a card does not say.
    pub const WINDOW_SECONDS: f64 = 10.0;

    /// The card of a network of published form: the front end of whoever published it, with as
    /// many bands as the network takes.
    ///
    /// # Errors
    /// When a preset is missing, which does not happen.
    pub fn published(config: EcapaConfig) -> Result<Self> {
        let mut frontend = match config.layout {
            Layout::Speechbrain => presets::by_name("speechbrain")?,
            Layout::Wespeaker => presets::by_name("wespeaker")?,
            Layout::Taoruijie => presets::by_name("taoruijie")?,
        };
        if let Some(mel) = &mut frontend.mel {
            mel.n_mels = usize::try_from(config.input_size).unwrap_or(0);
        }
        Ok(Self {
            config,
            frontend,
            minimum_seconds: Self::MINIMUM_SECONDS,
            window_seconds: Self::WINDOW_SECONDS,
            decision: Decision::default(),
            provenance: serde_json::Value::Null,
        })
    }

    /// Refuses a card whose parts do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        front_end::check(&self.frontend, self.config.input_size)?;
        let times = self.minimum_seconds > 0.0 && self.window_seconds >= 1.0;
        if !times || self.minimum_seconds > self.window_seconds || self.window_seconds > 600.0 {
            let reason = format!(
                "{} and {} seconds; both positive, the first at most the second, that 1 to 600",
                self.minimum_seconds, self.window_seconds
            );
            return Err(Error::config("minimum_seconds, window_seconds", reason));
        }
        if self.decision.calibration.is_some_and(|c| !(c.scale > 0.0 && c.offset.is_finite())) {
            return Err(Error::config("calibration", "scale must be positive, offset finite"));
        }
        Ok(())
    }
}
