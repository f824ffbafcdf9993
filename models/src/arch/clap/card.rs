//! What a text tower says about itself: sizes, origin and measured quality. Stored as JSON in the
//! metadata of its weights file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::ClapConfig;
use super::words::{WordPieces, Words};
use crate::error::{Error, Result};

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClapCard {
    /// Sizes of the network.
    pub config: ClapConfig,
    /// How texts become tokens, where the checkpoint says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<WordPieces>,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl ClapCard {
    /// The card of a network of these sizes.
    #[must_use]
    pub fn sized(config: ClapConfig) -> Self {
        Self { config, pieces: None, provenance: Value::Null }
    }

    /// What makes tokens of texts.
    ///
    /// # Errors
    /// [`Error::Config`] when the checkpoint came without it, or its pieces do not belong together.
    pub fn words(&self) -> Result<Words> {
        let pieces = self.pieces.as_ref().ok_or_else(|| {
            let reason =
                "is missing; put RoBERTa's `tokenizer.json` (of roberta-base) beside the weights";
            Error::config("tokenizer", reason)
        })?;
        Words::new(pieces, usize::try_from(self.config.longest_text()).unwrap_or_default())
    }

    /// Refuses a card whose sizes are out of their bounds.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()
    }
}
