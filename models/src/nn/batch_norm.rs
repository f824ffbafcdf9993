//! Batch normalisation over the channels of `[batch, channels]` or `[batch, channels, frames]`,
//! with an epsilon of 1e-5 and a momentum of 0.1.

use tch::Tensor;

use crate::error::Result;
use crate::params::{Params, Weight};

/// Added to variances.
pub const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Scale and offset of channels whose mean and variance are known from the training.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    /// `[channels]`
    pub weight: Weight,
    /// `[channels]`
    pub bias: Weight,
    /// `[channels]`
    pub running_mean: Weight,
    /// `[channels]`
    pub running_var: Weight,
}

impl BatchNorm {
    /// The identity at first.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, channels: i64) -> Result<Self> {
        let size = [channels];
        let options = (tch::Kind::Float, params.device());
        Ok(Self {
            weight: params.ones("weight", &size)?,
            bias: params.zeros("bias", &size)?,
            running_mean: params.buffer("running_mean", &size, || Tensor::zeros(size, options))?,
            running_var: params.buffer("running_var", &size, || Tensor::ones(size, options))?,
        })
    }

    /// Normalises by the statistics of `x` if `train`, and by those of the training otherwise.
    pub fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        x.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            MOMENTUM,
            EPS,
            true,
        )
    }
}
