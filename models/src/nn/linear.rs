//! Linear layers that begin as PyTorch's do: small enough that networks which normalise after
//! every residual learn from the first step.

use tch::nn::Init;
use tch::{Kind, Tensor};

use crate::error::Result;
use crate::params::{Params, Weight};

/// How large the last layer of a residual branch begins, so that at first a residual is more of
/// what goes around the branch than of what comes out of it.
pub const RESIDUAL_GAIN: f64 = 0.5;

/// Uniform numbers up to `gain` over the root of `inputs`.
#[must_use]
pub fn uniform(inputs: i64, gain: f64) -> Init {
    let bound = gain / (inputs as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// `y = x weight^T + bias`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[outputs, inputs]`
    pub weight: Weight,
    /// `[outputs]`
    pub bias: Option<Weight>,
}

impl Linear {
    /// A layer with `weight` and `bias` under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        Self::with_gain(params, inputs, outputs, 1.0)
    }

    /// A layer whose outputs begin `gain` times as large.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn with_gain(params: &Params<'_>, inputs: i64, outputs: i64, gain: f64) -> Result<Self> {
        let init = uniform(inputs, gain);
        Self::begun_as(params, inputs, outputs, [init, init])
    }

    /// A layer whose tensors begin as these say.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn begun_as(
        params: &Params<'_>,
        inputs: i64,
        outputs: i64,
        [weight, bias]: [Init; 2],
    ) -> Result<Self> {
        Ok(Self {
            bias: Some(params.get("bias", &[outputs], bias)?),
            weight: params.get("weight", &[outputs, inputs], weight)?,
        })
    }

    /// A layer without a bias.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn without_bias(
        params: &Params<'_>,
        inputs: i64,
        outputs: i64,
        init: Init,
    ) -> Result<Self> {
        Ok(Self { bias: None, weight: params.get("weight", &[outputs, inputs], init)? })
    }

    /// `[.., inputs]` to `[.., outputs]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }

    /// Makes the layer multiply numbers of `kind`, with copies of its weights that have no gradient.
    pub fn set_kind(&mut self, kind: Kind) {
        self.weight = self.weight.detach().to_kind(kind).into();
        self.bias = self.bias.as_ref().map(|bias| bias.detach().to_kind(kind).into());
    }
}
