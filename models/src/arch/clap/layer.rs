//! A layer of the transformer, whose norms are behind what they norm.

use tch::Tensor;

use super::config::ClapConfig;
use crate::error::Result;
use crate::nn::linear::Linear;
use crate::params::{Params, Weight};

/// A norm over the width of each token.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    weight: Weight, // [hidden]
    bias: Weight,
    eps: f64,
}

impl Norm {
    pub(super) fn new(params: &Params<'_>, config: &ClapConfig) -> Result<Self> {
        let size = [config.hidden_size];
        let weight = params.ones("weight", &size)?;
        Ok(Self { weight, bias: params.zeros("bias", &size)?, eps: config.layer_norm_eps })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (Some(&*self.weight), Some(&*self.bias));
        x.layer_norm(self.weight.size(), weight, bias, self.eps, false)
    }
}

/// Attention and a feed-forward, each with its input added and normed.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attended_norm: Norm,
    inner: Linear,
    outer: Linear,
    outer_norm: Norm,
    heads: i64,
}

impl Layer {
    pub(super) fn new(params: &Params<'_>, config: &ClapConfig) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let square = |name: &str| Linear::new(&params.sub(name), hidden, hidden);
        Ok(Self {
            query: square("attention.self.query")?,
            key: square("attention.self.key")?,
            value: square("attention.self.value")?,
            attended: square("attention.output.dense")?,
            attended_norm: Norm::new(&params.sub("attention.output.LayerNorm"), config)?,
            inner: Linear::new(&params.sub("intermediate.dense"), hidden, inner)?,
            outer: Linear::new(&params.sub("output.dense"), inner, hidden)?,
            outer_norm: Norm::new(&params.sub("output.LayerNorm"), config)?,
            heads: config.num_attention_heads,
        })
    }

    /// `[batch, tokens, hidden]` to the same shape; `is_text [batch, 1, 1, tokens]` is false for padding,
    /// which no token sees.
    pub(super) fn forward(&self, x: &Tensor, is_text: &Tensor) -> Tensor {
        let (batch, tokens, hidden) = x.size3().expect("three axes");
        let heads = |layer: &Linear| {
            let split = [batch, tokens, self.heads, hidden / self.heads];
            layer.forward(x).view(split).transpose(1, 2)
        };
        let [q, k, v] = [&self.query, &self.key, &self.value].map(heads);
        let mask = Some(is_text);
        let seen = Tensor::scaled_dot_product_attention(&q, &k, &v, mask, 0.0, false, None, false);
        let seen = seen.transpose(1, 2).reshape([batch, tokens, hidden]);
        let x = self.attended_norm.forward(&(self.attended.forward(&seen) + x));
        let inner = self.inner.forward(&x).gelu("none");
        self.outer_norm.forward(&(self.outer.forward(&inner) + &x))
    }
}
