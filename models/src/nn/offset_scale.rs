//! OffsetScale: several cheap queries and keys out of one, by a scale and an offset a channel.
//!
//! Source: Hua et al., "Transformer Quality in Linear Time" (ICML 2022), section 3.1.

use crate::error::Result;
use crate::params::{Params, Weight};
use tch::Tensor;
use tch::nn;

/// Scales and offsets of every head.
#[derive(Debug, Clone)]
pub struct OffsetScale {
    /// `[heads, channels]`
    pub gamma: Weight,
    /// `[heads, channels]`
    pub beta: Weight,
}

impl OffsetScale {
    /// `gamma` and `beta` under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, heads: i64, channels: i64) -> Result<Self> {
        let spread = nn::Init::Randn { mean: 0.0, stdev: 0.02 };
        Ok(Self {
            gamma: params.get("gamma", &[heads, channels], spread)?,
            beta: params.zeros("beta", &[heads, channels])?,
        })
    }

    /// `[batch, frames, channels]` to `[batch, frames, heads, channels]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.unsqueeze(-2) * &*self.gamma + &*self.beta
    }
}
