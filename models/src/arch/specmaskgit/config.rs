//! Sizes of the transformer.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arch::bounds::check_sizes;
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Most codes, 64 times the usual number.
const MOST_CODES: i64 = 1 << 16;
/// Most tokens of a grid, whose attention sees all of them; 60 times the usual number.
const MOST_TOKENS: i64 = 1 << 14;
/// Largest width, and that of the layers between; ten times the usual numbers and more.
const MOST_WIDTH: i64 = 1 << 13;
const MOST_INNER: i64 = 1 << 16;
/// Most blocks and heads.
const MOST_BLOCKS: i64 = 1 << 8;

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecMaskGitConfig {
    /// Codes of the tokenizer; the token behind them is the mask.
    pub codebook_size: i64,
    /// Rows of the grid: blocks of mel bands.
    pub grid_h: i64,
    /// Columns of the grid: blocks of frames.
    pub grid_w: i64,
    /// Width of the transformer.
    pub dim: i64,
    /// Blocks.
    pub depth: i64,
    /// Heads of the attention.
    pub heads: i64,
    /// Width between the layers of a feed-forward.
    pub mlp_dim: i64,
    /// Dimensions of the embedding of a description.
    pub cond_dim: i64,
}

impl Default for SpecMaskGitConfig {
    /// The network of the paper, for ten seconds at 22.05 kHz.
    fn default() -> Self {
        Self {
            codebook_size: 1024,
            grid_h: 5,
            grid_w: 53,
            dim: 768,
            depth: 24,
            heads: 8,
            mlp_dim: 3072,
            cond_dim: 512,
        }
    }
}

impl SpecMaskGitConfig {
    /// Tokens of a grid, row after row.
    #[must_use]
    pub fn tokens(&self) -> i64 {
        self.grid_h.saturating_mul(self.grid_w)
    }

    /// The token of a masked place.
    #[must_use]
    pub fn mask(&self) -> i64 {
        self.codebook_size
    }

    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        check_sizes(&[
            ("codebook_size", self.codebook_size, MOST_CODES),
            ("grid_h", self.grid_h, MOST_TOKENS),
            ("grid_w", self.grid_w, MOST_TOKENS / self.grid_h.max(1)),
            ("dim", self.dim, MOST_WIDTH),
            ("depth", self.depth, MOST_BLOCKS),
            ("heads", self.heads, MOST_BLOCKS),
            ("mlp_dim", self.mlp_dim, MOST_INNER),
            ("cond_dim", self.cond_dim, MOST_WIDTH),
        ])?;
        if self.dim % self.heads != 0 {
            let reason = format!("{} heads for a width of {}", self.heads, self.dim);
            return Err(Error::config("heads", reason));
        }
        Ok(())
    }

    /// The sizes of weights. What their shapes do not show, the rows of the grid and the heads, is as
    /// `stated` or as usual.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are of another network, or of another size than stated.
    pub fn of_weights(weights: &StateDict, stated: Option<&Value>) -> Result<Self> {
        let dim = |name: &str, axis: usize| -> Result<i64> {
            let size = weights.get(name).and_then(|tensor| tensor.shape().get(axis).copied());
            size.and_then(|size| i64::try_from(size).ok())
                .ok_or_else(|| Error::config("weights", format!("no `{name}` of a SpecMaskGIT")))
        };
        let usual = Self::default();
        let tokens = dim("pos_emb", 1)? - 1;
        let blocks = (0..=MOST_BLOCKS)
            .take_while(|block| weights.get(&format!("blocks.{block}.norm1.weight")).is_some());
        let seen = Self {
            codebook_size: dim("head.weight", 0)?,
            grid_w: tokens / usual.grid_h,
            dim: dim("head.weight", 1)?,
            depth: blocks.count() as i64,
            mlp_dim: dim("blocks.0.mlp.fc1.weight", 0)?,
            cond_dim: dim("cond_proj.weight", 1)?,
            ..usual
        };
        let Some(stated) = stated else { return Ok(seen) };
        // Sizes stand alone, or below the name of what takes them.
        let sizes = stated.get("constructor").unwrap_or(stated);
        let unreadable = |e: serde_json::Error| Error::config("config.json", e.to_string());
        let mut fields = serde_json::to_value(&seen).map_err(unreadable)?;
        for (name, size) in fields.as_object_mut().into_iter().flatten() {
            if let Some(stated) = sizes.get(name).filter(|size| !size.is_null()) {
                *size = stated.clone();
            }
        }
        serde_json::from_value(fields).map_err(unreadable)
    }
}

#[cfg(test)]
impl SpecMaskGitConfig {
    /// A network that computes in no time, for tests.
    pub(crate) fn tiny() -> Self {
        Self {
            codebook_size: 12,
            grid_h: 2,
            grid_w: 4,
            dim: 16,
            depth: 2,
            heads: 2,
            mlp_dim: 24,
            cond_dim: 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_refused() {
        SpecMaskGitConfig::tiny().validate().expect("sound sizes");
        let usual = SpecMaskGitConfig::default;
        usual().validate().expect("usual sizes");
        let broken = [
            SpecMaskGitConfig { codebook_size: 0, ..usual() },
            SpecMaskGitConfig { grid_h: 1 << 40, ..usual() },
            SpecMaskGitConfig { grid_w: 1 << 20, ..usual() },
            SpecMaskGitConfig { dim: -1, ..usual() },
            SpecMaskGitConfig { depth: 1 << 20, ..usual() },
            SpecMaskGitConfig { heads: 7, ..usual() },
            SpecMaskGitConfig { mlp_dim: 1 << 40, ..usual() },
        ];
        for config in broken {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
