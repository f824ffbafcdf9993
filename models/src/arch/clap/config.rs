//! Sizes of the text tower; field names are those of RoBERTa's config.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arch::bounds::check_sizes;
use crate::arch::stated::amended;
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Most tokens of the vocabulary, 20 times the published number.
const MOST_TOKENS: i64 = 1 << 20;
/// Largest widths, and most layers, heads and positions; ten times the published numbers and more.
const MOST_WIDTH: i64 = 1 << 13;
const MOST_INNER: i64 = 1 << 16;
const MOST_LAYERS: i64 = 1 << 8;
const MOST_POSITIONS: i64 = 1 << 14;
/// Width of a head of the published sizes.
const HEAD: i64 = 64;

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClapConfig {
    /// Tokens of the vocabulary.
    pub vocab_size: i64,
    /// Width of the transformer.
    pub hidden_size: i64,
    /// Layers.
    pub num_hidden_layers: i64,
    /// Heads of the attention.
    pub num_attention_heads: i64,
    /// Width between the layers of a feed-forward.
    pub intermediate_size: i64,
    /// Positions, of which those up to the padding's token are of no text.
    pub max_position_embeddings: i64,
    /// Kinds of text, of which the first is used.
    pub type_vocab_size: i64,
    /// Keeps the quotient of norms finite.
    pub layer_norm_eps: f64,
    /// The token of padding.
    pub pad_token_id: i64,
    /// Dimensions of the embedding.
    pub joint_embed: i64,
}

impl Default for ClapConfig {
    /// The published tower.
    fn default() -> Self {
        Self {
            vocab_size: 50_265,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            max_position_embeddings: 514,
            type_vocab_size: 1,
            layer_norm_eps: 1e-5,
            pad_token_id: 1,
            joint_embed: 512,
        }
    }
}

impl ClapConfig {
    /// Most tokens of a text.
    #[must_use]
    pub fn longest_text(&self) -> i64 {
        self.max_position_embeddings - self.pad_token_id - 1
    }

    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        check_sizes(&[
            ("vocab_size", self.vocab_size, MOST_TOKENS),
            ("hidden_size", self.hidden_size, MOST_WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MOST_LAYERS),
            ("intermediate_size", self.intermediate_size, MOST_INNER),
            ("max_position_embeddings", self.max_position_embeddings, MOST_POSITIONS),
            ("type_vocab_size", self.type_vocab_size, MOST_LAYERS),
            ("joint_embed", self.joint_embed, MOST_WIDTH),
        ])?;
        let refuse = |field: &str, reason: String| Err(Error::config(field, reason));
        let (heads, width) = (self.num_attention_heads, self.hidden_size);
        if width % heads != 0 {
            let reason = format!("{heads} heads for a width of {width}");
            return refuse("num_attention_heads", reason);
        }
        let pad = self.pad_token_id;
        if !(0..self.vocab_size).contains(&pad) || self.longest_text() < 1 {
            let reason = format!(
                "{pad}, for {} tokens and {} positions",
                self.vocab_size, self.max_position_embeddings
            );
            return refuse("pad_token_id", reason);
        }
        if !(0.0..=1.0).contains(&self.layer_norm_eps) {
            return refuse("layer_norm_eps", format!("{} is not from 0 to 1", self.layer_norm_eps));
        }
        Ok(())
    }

    /// The sizes of weights. What their shapes do not show is as `stated` or as published.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are of another network, or values have a wrong type.
    pub fn of_weights(weights: &StateDict, stated: Option<&Value>) -> Result<Self> {
        let dim = |name: &str, axis: usize| -> Result<i64> {
            let size = weights.get(name).and_then(|tensor| tensor.shape().get(axis).copied());
            size.and_then(|size| i64::try_from(size).ok()).ok_or_else(|| {
                Error::config("weights", format!("no `{name}` of a CLAP text tower"))
            })
        };
        let embeddings = |name: &str, axis: usize| {
            dim(&format!("text_branch.embeddings.{name}_embeddings.weight"), axis)
        };
        let layer =
            |layer: i64| format!("text_branch.encoder.layer.{layer}.intermediate.dense.weight");
        let hidden_size = embeddings("word", 1)?;
        let seen = Self {
            vocab_size: embeddings("word", 0)?,
            hidden_size,
            num_hidden_layers: (0..=MOST_LAYERS)
                .take_while(|&at| weights.get(&layer(at)).is_some())
                .count() as i64,
            num_attention_heads: (hidden_size / HEAD).max(1),
            intermediate_size: dim(&layer(0), 0)?,
            max_position_embeddings: embeddings("position", 0)?,
            type_vocab_size: embeddings("token_type", 0)?,
            joint_embed: dim("text_projection.2.weight", 0)?,
            ..Self::default()
        };
        amended(&seen, stated)
    }
}

#[cfg(test)]
impl ClapConfig {
    /// A network that computes in no time, for tests.
    pub(crate) fn tiny() -> Self {
        Self {
            vocab_size: 20,
            hidden_size: 8,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 12,
            max_position_embeddings: 12,
            joint_embed: 6,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_refused() {
        ClapConfig::tiny().validate().expect("sound sizes");
        let published = ClapConfig::default;
        published().validate().expect("published sizes");
        assert_eq!(published().longest_text(), 512);
        let broken = [
            ClapConfig { vocab_size: 1 << 40, ..published() },
            ClapConfig { hidden_size: 0, ..published() },
            ClapConfig { num_hidden_layers: 1 << 20, ..published() },
            ClapConfig { num_attention_heads: 7, ..published() },
            ClapConfig { max_position_embeddings: 2, ..published() },
            ClapConfig { layer_norm_eps: f64::NAN, ..published() },
            ClapConfig { pad_token_id: -1, ..published() },
            ClapConfig { pad_token_id: 1 << 40, ..published() },
        ];
        for config in broken {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
