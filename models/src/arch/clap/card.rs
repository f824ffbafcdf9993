//! What a text tower says about itself: sizes, origin and measured quality. Stored as JSON in the
//! metadata of its weights file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::ClapConfig;
use crate::error::Result;

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClapCard {
    /// Sizes of the network.
    pub config: ClapConfig,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl ClapCard {
    /// The card of a network of these sizes.
    #[must_use]
    pub fn sized(config: ClapConfig) -> Self {
        Self { config, provenance: Value::Null }
    }

    /// Refuses a card whose sizes are out of their bounds.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()
    }
}
