//! What a transformer says about itself: sizes, sampling, origin and measured quality. Stored as JSON in
//! the metadata of its weights file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::SpecMaskGitConfig;
use super::sampling::Sampling;
use crate::error::Result;

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecMaskGitCard {
    /// Sizes of the network.
    pub config: SpecMaskGitConfig,
    /// How tokens are drawn where nothing else is asked for.
    #[serde(default)]
    pub sampling: Sampling,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl SpecMaskGitCard {
    /// The card of a network of these sizes with the usual sampling.
    #[must_use]
    pub fn sized(config: SpecMaskGitConfig) -> Self {
        Self { config, sampling: Sampling::default(), provenance: Value::Null }
    }

    /// Refuses a card whose parts are out of their bounds.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        self.sampling.validate()
    }
}
