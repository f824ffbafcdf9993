//! Linear layers that begin as PyTorch's do: small enough that networks which normalise after
//! every residual learn from the first step.

use std::borrow::Borrow;

use tch::Kind;
use tch::nn::{self, Init, LinearConfig};

/// How large the last layer of a residual branch begins, so that at first a residual is more of
/// what goes around the branch than of what comes out of it.
pub const RESIDUAL_GAIN: f64 = 0.5;

/// Uniform numbers up to `gain` over the root of `inputs`.
#[must_use]
pub fn uniform(inputs: i64, gain: f64) -> Init {
    let bound = gain / (inputs as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// A linear layer with bias.
#[must_use]
pub fn linear<'a>(path: impl Borrow<nn::Path<'a>>, inputs: i64, outputs: i64) -> nn::Linear {
    linear_of(path, inputs, outputs, 1.0)
}

/// A linear layer whose outputs begin `gain` times as large.
#[must_use]
pub fn linear_of<'a>(
    path: impl Borrow<nn::Path<'a>>,
    inputs: i64,
    outputs: i64,
    gain: f64,
) -> nn::Linear {
    let init = uniform(inputs, gain);
    let config = LinearConfig { ws_init: init, bs_init: Some(init), bias: true };
    nn::linear(path.borrow(), inputs, outputs, config)
}

/// Makes a layer multiply numbers of `kind`, with copies of its weights that have no gradient.
pub fn set_kind(layer: &mut nn::Linear, kind: Kind) {
    layer.ws = layer.ws.detach().to_kind(kind);
    layer.bs = layer.bs.as_ref().map(|bias| bias.detach().to_kind(kind));
}
