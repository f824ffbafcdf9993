//! Layer normalisation of every frame over its channels, with weights that can be taken out of
//! training.

use tch::Tensor;

use crate::error::Result;
use crate::params::{Params, Weight};

/// A mean and a deviation for every frame over all channels, with a scale and an offset a channel.
#[derive(Debug, Clone)]
pub struct FrameNorm {
    /// `[channels]`
    pub weight: Weight,
    /// `[channels]`
    pub bias: Weight,
    eps: f64,
}

impl FrameNorm {
    /// `weight` and `bias` under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, channels: i64, eps: f64) -> Result<Self> {
        let weight = params.ones("weight", &[channels])?;
        Ok(Self { weight, bias: params.zeros("bias", &[channels])?, eps })
    }

    /// `[.., channels]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let channels = self.weight.size()[0];
        x.layer_norm([channels], Some(&self.weight), Some(&self.bias), self.eps, false)
    }

    /// The same without a gradient.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { weight: self.weight.detach(), bias: self.bias.detach(), eps: self.eps }
    }
}
