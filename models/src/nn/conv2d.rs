//! Convolutions over two axes, with square kernels.

use tch::Tensor;
use tch::nn::Init;
use tch::nn::init::DEFAULT_KAIMING_UNIFORM;

use crate::error::Result;
use crate::params::{Params, Weight};

/// Distances and groups of a [`Conv2d`], the same on both axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Distance of neighbouring outputs at the input.
    pub stride: i64,
    /// Zeros at each end.
    pub padding: i64,
    /// Groups of channels that do not see each other.
    pub groups: i64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { stride: 1, padding: 0, groups: 1 }
    }
}

/// A convolution with bias, `[batch, in, height, width]` to `[batch, out, ..]`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    pub(crate) weight: Weight, // [out, in / groups, kernel, kernel]
    pub(crate) bias: Weight,
    sampling: Sampling,
}

impl Conv2d {
    /// `weight` and `bias` under `params`, for channels `[in, out]`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(
        params: &Params<'_>,
        [inputs, outputs]: [i64; 2],
        kernel: i64,
        sampling: Sampling,
    ) -> Result<Self> {
        let shape = [outputs, inputs / sampling.groups.max(1), kernel, kernel];
        Ok(Self {
            bias: params.get("bias", &[outputs], Init::Const(0.0))?,
            weight: params.get("weight", &shape, DEFAULT_KAIMING_UNIFORM)?,
            sampling,
        })
    }

    /// The convolution.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let Sampling { stride, padding, groups } = self.sampling;
        let (bias, both) = (Some(&self.bias), |n| [n, n]);
        x.conv2d(&self.weight, bias, both(stride), both(padding), [1, 1], groups)
    }
}
