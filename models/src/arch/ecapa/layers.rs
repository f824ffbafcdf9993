//! The layers that all parts share: padded convolution, dense layer, convolution with ReLU and
//! batch normalisation behind it, and frame masks.

use tch::nn;
use tch::{Kind, Tensor};

use super::config::Layout;
use crate::error::Result;
use crate::nn::batch_norm::BatchNorm;
use crate::params::{Params, Weight};

/// Frames and how far they are apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) kernel: i64,
    pub(super) dilation: i64,
}

impl Reach {
    /// A single frame.
    pub(super) const POINT: Self = Self { kernel: 1, dilation: 1 };
}

/// A convolution over time that keeps the number of frames.
#[derive(Debug, Clone)]
pub(super) struct Conv {
    weight: Weight, // [out, in, kernel]
    bias: Weight,
    padding: i64,
    dilation: i64,
    reflect: bool,
}

impl Conv {
    pub(super) fn new(
        params: &Params<'_>,
        name: &str,
        inputs: i64,
        outputs: i64,
        reach: Reach,
        layout: Layout,
    ) -> Result<Self> {
        let params = params.sub(name);
        let bound = 1.0 / ((inputs * reach.kernel) as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        Ok(Self {
            weight: params.get("weight", &[outputs, inputs, reach.kernel], init)?,
            bias: params.get("bias", &[outputs], init)?,
            padding: reach.dilation * (reach.kernel - 1) / 2,
            dilation: reach.dilation,
            reflect: layout == Layout::Speechbrain,
        })
    }

    /// `[batch, in, frames]` to `[batch, out, frames]`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let bias = Some(&self.bias);
        if self.reflect && self.padding > 0 {
            let x = x.reflection_pad1d([self.padding, self.padding]);
            x.conv1d(&self.weight, bias, 1, 0, self.dilation, 1)
        } else {
            x.conv1d(&self.weight, bias, 1, self.padding, self.dilation, 1)
        }
    }
}

/// A dense layer, stored as a matrix or as a convolution over one frame.
#[derive(Debug, Clone)]
pub(super) struct Dense {
    weight: Weight, // [out, in] or [out, in, 1]
    bias: Weight,
}

/// How the weights of a [`Dense`] are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Matrix,
    Convolution,
}

impl Dense {
    pub(super) fn new(
        params: &Params<'_>,
        name: &str,
        inputs: i64,
        outputs: i64,
        stored: Stored,
    ) -> Result<Self> {
        let params = params.sub(name);
        let bound = 1.0 / (inputs as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        let shape: &[i64] = match stored {
            Stored::Matrix => &[outputs, inputs],
            Stored::Convolution => &[outputs, inputs, 1],
        };
        Ok(Self {
            weight: params.get("weight", shape, init)?,
            bias: params.get("bias", &[outputs], init)?,
        })
    }

    /// `[batch, in]` to `[batch, out]`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight.flatten(1, -1), Some(&self.bias))
    }
}

/// Convolution, ReLU, batch normalisation, in this order.
#[derive(Debug, Clone)]
pub(super) struct Tdnn {
    conv: Conv,
    norm: BatchNorm,
}

impl Tdnn {
    pub(super) fn new(
        params: &Params<'_>,
        names: &(String, String),
        inputs: i64,
        outputs: i64,
        reach: Reach,
        layout: Layout,
    ) -> Result<Self> {
        Ok(Self {
            conv: Conv::new(params, &names.0, inputs, outputs, reach, layout)?,
            norm: BatchNorm::new(&params.sub(&names.1), outputs)?,
        })
    }

    /// `[batch, in, frames]` to `[batch, out, frames]`.
    pub(super) fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        self.norm.forward_t(&self.conv.forward(x).relu_(), train)
    }

    /// Like [`Tdnn::forward_t`]; `see` gets the convolution's output.
    pub(super) fn forward_seen(
        &self,
        x: &Tensor,
        train: bool,
        see: impl FnOnce(&Tensor),
    ) -> Tensor {
        let y = self.conv.forward(x);
        see(&y);
        self.norm.forward_t(&y.relu(), train)
    }
}

/// Which frames of a padded batch hold signal.
#[derive(Debug, Clone)]
pub(super) struct FrameMask {
    /// `[batch, 1, frames]`, one or zero.
    pub(super) keep: Weight,
    /// Frames that hold signal, `[batch, 1, 1]`.
    pub(super) count: Weight,
}

impl FrameMask {
    /// From the length of each row relative to the longest, `[batch]`. As in the reference, the
    /// product is rounded to float32, so that a whole number may come out one frame longer.
    pub(super) fn new(relative: &Tensor, frames: i64) -> Self {
        let index = Tensor::arange(frames, (Kind::Float, relative.device()));
        let ends = relative.to_kind(Kind::Float) * frames as f64; // [batch]
        let keep = index.unsqueeze(0).lt_tensor(&ends.unsqueeze(1)); // [batch, frames]
        let keep = keep.to_kind(Kind::Float).unsqueeze(1);
        let count = keep.sum_dim_intlist([2i64].as_slice(), true, Kind::Float);
        Self { keep: keep.into(), count: count.into() }
    }

    /// Frames that hold signal, one number a row.
    pub(super) fn counts(&self) -> Vec<usize> {
        let counts = Vec::<f32>::try_from(self.count.view([-1])).unwrap_or_default();
        counts.into_iter().map(|count| count as usize).collect()
    }

    /// Mean over the frames that hold signal, `[batch, channels, 1]`.
    pub(super) fn mean(&self, x: &Tensor) -> Tensor {
        (x * &*self.keep).sum_dim_intlist([2i64].as_slice(), true, Kind::Float) / &*self.count
    }
}

/// Mean over all frames, or over those that `mask` keeps: `[batch, channels, 1]`.
pub(super) fn mean_over_time(x: &Tensor, mask: Option<&FrameMask>) -> Tensor {
    match mask {
        Some(mask) => mask.mean(x),
        None => x.mean_dim([2i64].as_slice(), true, Kind::Float),
    }
}
