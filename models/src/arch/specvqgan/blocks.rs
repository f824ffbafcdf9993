//! Blocks that encoder and decoder share.

use tch::Tensor;

use crate::error::Result;
use crate::nn::conv2d::{Conv2d, Sampling};
use crate::params::{Params, Weight};

/// Groups of channels whose statistics a norm takes together.
pub(super) const GROUPS: i64 = 32;
pub(super) const NORM_EPS: f64 = 1e-6;

/// A convolution whose output is as large as its input.
pub(super) fn same(params: &Params<'_>, channels: [i64; 2], kernel: i64) -> Result<Conv2d> {
    Conv2d::new(params, channels, kernel, Sampling { padding: kernel / 2, ..Sampling::default() })
}

/// A norm over groups of channels.
#[derive(Debug, Clone)]
pub(super) struct GroupNorm {
    pub(super) weight: Weight, // [channels]
    pub(super) bias: Weight,
}

impl GroupNorm {
    pub(super) fn new(params: &Params<'_>, channels: i64) -> Result<Self> {
        let weight = params.ones("weight", &[channels])?;
        Ok(Self { weight, bias: params.zeros("bias", &[channels])? })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        x.group_norm(GROUPS, Some(&*self.weight), Some(&*self.bias), NORM_EPS, false)
    }

    /// The norm and the activation that follows it everywhere but in attention.
    pub(super) fn activated(&self, x: &Tensor) -> Tensor {
        self.forward(x).silu()
    }
}

/// Two convolutions, each behind a norm, around which the input goes.
#[derive(Debug, Clone)]
pub(super) struct ResBlock {
    pub(super) norm1: GroupNorm,
    pub(super) conv1: Conv2d,
    pub(super) norm2: GroupNorm,
    pub(super) conv2: Conv2d,
    pub(super) shortcut: Option<Conv2d>,
}

impl ResBlock {
    pub(super) fn new(params: &Params<'_>, [inputs, outputs]: [i64; 2]) -> Result<Self> {
        let differs = inputs != outputs;
        let shortcut = || same(&params.sub("nin_shortcut"), [inputs, outputs], 1);
        Ok(Self {
            norm1: GroupNorm::new(&params.sub("norm1"), inputs)?,
            conv1: same(&params.sub("conv1"), [inputs, outputs], 3)?,
            norm2: GroupNorm::new(&params.sub("norm2"), outputs)?,
            conv2: same(&params.sub("conv2"), [outputs, outputs], 3)?,
            shortcut: differs.then(shortcut).transpose()?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let inner = self.conv1.forward(&self.norm1.activated(x));
        let inner = self.conv2.forward(&self.norm2.activated(&inner));
        match &self.shortcut {
            Some(shortcut) => inner + shortcut.forward(x),
            None => inner + x,
        }
    }
}

/// Attention of every place to all places, around which the input goes.
#[derive(Debug, Clone)]
pub(super) struct Attention {
    norm: GroupNorm,
    q: Conv2d,
    k: Conv2d,
    v: Conv2d,
    out: Conv2d,
}

impl Attention {
    pub(super) fn new(params: &Params<'_>, channels: i64) -> Result<Self> {
        let conv = |name: &str| same(&params.sub(name), [channels, channels], 1);
        Ok(Self {
            norm: GroupNorm::new(&params.sub("norm"), channels)?,
            q: conv("q")?,
            k: conv("k")?,
            v: conv("v")?,
            out: conv("proj_out")?,
        })
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let normed = self.norm.forward(x);
        // [batch, 1, places, channels]
        let places =
            |conv: &Conv2d| conv.forward(&normed).flatten(2, 3).transpose(1, 2).unsqueeze(1);
        let [q, k, v] = [&self.q, &self.k, &self.v].map(places);
        let none = None::<&Tensor>;
        let seen = Tensor::scaled_dot_product_attention(&q, &k, &v, none, 0.0, false, None, false);
        let seen = seen.squeeze_dim(1).transpose(1, 2).reshape(x.size());
        self.out.forward(&seen) + x
    }
}

/// The middle of encoder and decoder, on the coarsest level.
#[derive(Debug, Clone)]
pub(super) struct Middle {
    pub(super) before: ResBlock,
    pub(super) attention: Attention,
    pub(super) after: ResBlock,
}

impl Middle {
    pub(super) fn new(params: &Params<'_>, channels: i64) -> Result<Self> {
        Ok(Self {
            before: ResBlock::new(&params.sub("block_1"), [channels, channels])?,
            attention: Attention::new(&params.sub("attn_1"), channels)?,
            after: ResBlock::new(&params.sub("block_2"), [channels, channels])?,
        })
    }

    /// The output, and that of the attention.
    pub(super) fn forward(&self, x: &Tensor) -> (Tensor, Tensor) {
        let seen = self.attention.forward(&self.before.forward(x));
        (self.after.forward(&seen), seen)
    }
}

/// A residual block, behind which there may be attention.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) block: ResBlock,
    pub(super) attention: Option<Attention>,
}

impl Step {
    /// Step `index` of a level, whose parameters are below `block` and `attn`.
    pub(super) fn new(
        level: &Params<'_>,
        index: i64,
        channels: [i64; 2],
        has_attention: bool,
    ) -> Result<Self> {
        let attention = || Attention::new(&(level / "attn" / index), channels[1]);
        Ok(Self {
            block: ResBlock::new(&(level / "block" / index), channels)?,
            attention: has_attention.then(attention).transpose()?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.block.forward(x);
        self.attention.as_ref().map_or_else(|| x.shallow_clone(), |attention| attention.forward(&x))
    }
}
