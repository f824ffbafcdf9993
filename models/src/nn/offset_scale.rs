//! OffsetScale: several cheap queries and keys out of one, by a scale and an offset a channel.
//!
//! Source: Hua et al., "Transformer Quality in Linear Time" (ICML 2022), section 3.1.

use tch::Tensor;
use tch::nn;

/// Scales and offsets of every head.
#[derive(Debug)]
pub struct OffsetScale {
    /// `[heads, channels]`
    pub gamma: Tensor,
    /// `[heads, channels]`
    pub beta: Tensor,
}

impl OffsetScale {
    /// Registers `gamma` and `beta` under `path`.
    #[must_use]
    pub fn new(path: &nn::Path<'_>, heads: i64, channels: i64) -> Self {
        let spread = nn::Init::Randn { mean: 0.0, stdev: 0.02 };
        Self {
            gamma: path.var("gamma", &[heads, channels], spread),
            beta: path.zeros("beta", &[heads, channels]),
        }
    }

    /// `[batch, frames, channels]` to `[batch, frames, heads, channels]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.unsqueeze(-2) * &self.gamma + &self.beta
    }
}
