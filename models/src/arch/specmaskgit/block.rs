//! A block of the transformer.

use formant_kernels::activation::Activation;
use tch::{Kind, Tensor};

use super::config::SpecMaskGitConfig;
use crate::error::Result;
use crate::nn::frozen_linear::FrozenLinear;
use crate::nn::linear::Linear;
use crate::params::{Params, Weight};

const NORM_EPS: f64 = 1e-6;

/// A norm over the width of each token.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    weight: Weight, // [dim]
    bias: Weight,
}

impl Norm {
    pub(super) fn new(params: &Params<'_>, dim: i64) -> Result<Self> {
        let weight = params.ones("weight", &[dim])?;
        Ok(Self { weight, bias: params.zeros("bias", &[dim])? })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (Some(&*self.weight), Some(&*self.bias));
        x.layer_norm(self.weight.size(), weight, bias, NORM_EPS, false)
    }
}

/// A linear layer, with a gradient or without.
#[derive(Debug, Clone)]
pub(super) enum Layer {
    Trained(Linear),
    Frozen(FrozenLinear),
}

impl Layer {
    pub(super) fn new(params: &Params<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        Linear::new(params, inputs, outputs).map(Self::Trained)
    }

    /// `[batch, tokens, inputs]` to `[batch, tokens, outputs]`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Trained(layer) => layer.forward(x),
            Self::Frozen(layer) => layer.forward(x),
        }
    }

    pub(super) fn freeze(&mut self) {
        if let Self::Trained(Linear { weight, bias }) = self {
            *self = Self::Frozen(FrozenLinear::new(weight, bias.as_deref(), Activation::Identity));
        }
    }

    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.freeze();
        if let Self::Frozen(layer) = self {
            layer.set_kind(kind);
        }
    }
}

/// Attention of every token to all tokens, and a feed-forward, each behind a norm and with its input
/// added.
#[derive(Debug, Clone)]
pub(super) struct Block {
    norm1: Norm,
    qkv: Layer,
    proj: Layer,
    norm2: Norm,
    fc1: Layer,
    fc2: Layer,
    heads: i64,
}

impl Block {
    pub(super) fn new(params: &Params<'_>, config: &SpecMaskGitConfig) -> Result<Self> {
        let (dim, inner) = (config.dim, config.mlp_dim);
        Ok(Self {
            norm1: Norm::new(&params.sub("norm1"), dim)?,
            qkv: Layer::new(&params.sub("attn.qkv"), dim, 3 * dim)?,
            proj: Layer::new(&params.sub("attn.proj"), dim, dim)?,
            norm2: Norm::new(&params.sub("norm2"), dim)?,
            fc1: Layer::new(&params.sub("mlp.fc1"), dim, inner)?,
            fc2: Layer::new(&params.sub("mlp.fc2"), inner, dim)?,
            heads: config.heads,
        })
    }

    /// `[batch, tokens, dim]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let (batch, tokens, dim) = x.size3().expect("three axes");
        let qkv = self.qkv.forward(&self.norm1.forward(x));
        let qkv = qkv.view([batch, tokens, 3, self.heads, dim / self.heads]);
        let [q, k, v] = [0, 1, 2].map(|part| qkv.select(2, part).transpose(1, 2));
        let none = None::<&Tensor>;
        let seen = Tensor::scaled_dot_product_attention(&q, &k, &v, none, 0.0, false, None, false);
        let x = x + self.proj.forward(&seen.transpose(1, 2).reshape([batch, tokens, dim]));
        let inner = self.fc1.forward(&self.norm2.forward(&x)).gelu("none");
        x + self.fc2.forward(&inner)
    }

    pub(super) fn layers(&mut self) -> [&mut Layer; 4] {
        [&mut self.qkv, &mut self.proj, &mut self.fc1, &mut self.fc2]
    }
}
