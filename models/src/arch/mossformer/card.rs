//! What a separator or enhancer says about itself: sizes, rate, front end, origin and measured
//! quality. Stored as JSON in the metadata of its weights file.

use formant_audio_core::features::{FeatureConfig, presets};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{Family, MossformerConfig};
use crate::arch::front_end;
use crate::error::{Error, Result};

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MossformerCard {
    /// Sizes of the network.
    pub config: MossformerConfig,
    /// Rate of the waveforms, Hz.
    pub sample_rate: u32,
    /// The features that it takes, where it takes features.
    #[serde(default)]
    pub frontend: Option<FeatureConfig>,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl MossformerCard {
    /// The card of a network as it is published: without a front end, or with that of the enhancer.
    ///
    /// # Errors
    /// [`Error::Config`] when the front end's preset is gone.
    pub fn published(config: MossformerConfig, sample_rate: u32) -> Result<Self> {
        let frontend = match config.family {
            Family::Mossformer2Se => Some(presets::by_name("mossformer2-se")?),
            Family::Mossformer | Family::Mossformer2Ss => None,
        };
        Ok(Self { config, sample_rate, frontend, provenance: Value::Null })
    }

    /// Refuses a card whose parts do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        if let Some(frontend) = self.frontend.as_ref().filter(|_| !self.config.separates()) {
            front_end::check(frontend, self.config.in_channels)?;
            let (bins, masked) = (frontend.win_length / 2 + 1, self.config.final_channels());
            if i64::try_from(bins) != Ok(masked) {
                let reason = format!("{bins} bins of a window for a mask of {masked}");
                return Err(Error::config("frontend.win_length", reason));
            }
        }
        if !(1_000..=768_000).contains(&self.sample_rate) {
            let reason = format!("{} Hz is not from 1,000 to 768,000", self.sample_rate);
            return Err(Error::config("sample_rate", reason));
        }
        Ok(())
    }
}
