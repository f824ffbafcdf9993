//! What a tokenizer says about itself: sizes, front end, origin and measured quality. Stored as JSON in
//! the metadata of its weights file.

use formant_audio_core::features::{FeatureConfig, presets};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::SpecVqganConfig;
use crate::arch::front_end;
use crate::error::{Error, Result};

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecVqganCard {
    /// Sizes of the network.
    pub config: SpecVqganConfig,
    /// The spectrogram that it takes and gives, within -1 and 1.
    pub frontend: FeatureConfig,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl SpecVqganCard {
    /// The card of a network as it is published.
    ///
    /// # Errors
    /// [`Error::Config`] when the front end's preset is gone.
    pub fn published(config: SpecVqganConfig) -> Result<Self> {
        Ok(Self { config, frontend: presets::by_name("specvqgan")?, provenance: Value::Null })
    }

    /// Bands of the spectrogram.
    #[must_use]
    pub fn bands(&self) -> usize {
        self.frontend.mel.as_ref().map_or(self.frontend.n_fft / 2 + 1, |mel| mel.n_mels)
    }

    /// Refuses a card whose parts do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        let (bands, factor) = (self.bands() as i64, self.config.factor());
        front_end::check(&self.frontend, bands)?;
        if bands % factor != 0 {
            let reason = format!("{bands} bands for tokens of {factor}");
            return Err(Error::config("frontend.n_mels", reason));
        }
        Ok(())
    }
}
