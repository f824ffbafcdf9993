//! One layer: attention, feed-forward, convolution, feed-forward, each behind a learnt scale and
//! before a residual and a normalisation.

use tch::Tensor;
use tch::nn::Init;

use super::config::{ConvNorm, NemoConfig, WenetConfig};
use crate::error::Result;
use crate::network::Trace;
use crate::nn::batch_norm::BatchNorm;
use crate::nn::depthwise::{Depthwise, Padding};
use crate::nn::frame_norm::FrameNorm;
use crate::nn::frames::Frames;
use crate::nn::linear::{Linear, RESIDUAL_GAIN, uniform};
use crate::nn::rel_pos_attention::{Pairs, RelPosAttention, Shift};
use crate::params::{Params, Weight};

/// Epsilon of the normalisations over channels.
pub(super) const LAYER_EPS: f64 = 1e-5;

/// `x * scale + bias` with one number a channel.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    pub(super) scale: Weight,
    pub(super) bias: Weight,
    used: bool,
}

impl Scale {
    /// `names` are those of scale and bias. Unused ones are stored and not trained.
    fn new(params: &Params<'_>, names: [&str; 2], shape: &[i64], used: bool) -> Result<Self> {
        let tensor = |name: &str, value: f64| match used {
            true => params.get(name, shape, Init::Const(value)),
            false => params.buffer(name, shape, || {
                Tensor::full(shape, value, (tch::Kind::Float, params.device()))
            }),
        };
        Ok(Self { scale: tensor(names[0], 1.0)?, bias: tensor(names[1], 0.0)?, used })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        if self.used { x * &*self.scale + &*self.bias } else { x.shallow_clone() }
    }

    /// The same without a gradient.
    pub(super) fn detached(&self) -> Self {
        Self { scale: self.scale.detach(), bias: self.bias.detach(), used: self.used }
    }

    /// Weight and bias of a linear layer that does the scaling as well.
    pub(super) fn fold(&self, weight: &Tensor, bias: Option<&Tensor>) -> (Tensor, Tensor) {
        let weight = weight.to_kind(tch::Kind::Double);
        let bias = match bias {
            Some(bias) => bias.to_kind(tch::Kind::Double),
            None => weight.new_zeros([weight.size()[0]], (weight.kind(), weight.device())),
        };
        let (folded, bias) = if self.used {
            let scale = self.scale.to_kind(tch::Kind::Double).flatten(0, -1);
            let shift = self.bias.to_kind(tch::Kind::Double).flatten(0, -1);
            (&weight * scale, bias + weight.matmul(&shift))
        } else {
            (weight, bias)
        };
        (folded.to_kind(tch::Kind::Float), bias.to_kind(tch::Kind::Float))
    }
}

/// Two linear layers with SiLU between them.
#[derive(Debug, Clone)]
pub(super) struct FeedForward {
    pub(super) scale: Scale,
    pub(super) linear1: Linear,
    pub(super) linear2: Linear,
    dropout: f64,
}

impl FeedForward {
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        let x = self.linear1.forward(&self.scale.forward(x)).silu();
        self.linear2.forward(&x.dropout(self.dropout, train))
    }
}

/// What lies between the first pointwise and the depthwise convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// SiLU on twice the width (NeMo).
    Silu,
    /// One half of the channels gates the other (WeNet).
    Glu,
}

/// Normalisation after the depthwise convolution.
#[derive(Debug, Clone)]
pub(super) enum Norm {
    Batch(BatchNorm),
    Layer(FrameNorm),
}

impl Norm {
    fn new(params: &Params<'_>, kind: ConvNorm, channels: i64) -> Result<Self> {
        Ok(match kind {
            ConvNorm::BatchNorm => Self::Batch(BatchNorm::new(params, channels)?),
            ConvNorm::LayerNorm => Self::Layer(FrameNorm::new(params, channels, LAYER_EPS)?),
        })
    }

    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        match self {
            Self::Batch(norm) => norm.forward_t(&x.flatten(0, 1), train).view_as(x),
            Self::Layer(norm) => norm.forward(x),
        }
    }
}

/// The convolution module.
#[derive(Debug, Clone)]
pub(super) struct ConvModule {
    pub(super) scale: Scale,
    pub(super) pointwise_conv1: Pointwise,
    pub(super) depthwise_conv: Depthwise,
    pub(super) norm: Norm,
    pub(super) pointwise_conv2: Pointwise,
    pub(super) gate: Gate,
    /// Zero frames that go through the module before the first (causal WeNet).
    pub(super) lead: i64,
}

/// A convolution over one frame, `[out, in, 1]` in the checkpoint.
#[derive(Debug, Clone)]
pub(super) struct Pointwise {
    pub(super) weight: Weight,
    pub(super) bias: Weight,
}

impl Pointwise {
    pub(super) fn new(params: &Params<'_>, inputs: i64, outputs: i64, gain: f64) -> Result<Self> {
        let init = uniform(inputs, gain);
        Ok(Self {
            weight: params.get("weight", &[outputs, inputs, 1], init)?,
            bias: params.get("bias", &[outputs], init)?,
        })
    }

    /// `[batch, frames, in]` to `[batch, frames, out]`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight.squeeze_dim(2), Some(&self.bias))
    }
}

impl ConvModule {
    fn forward_t(&self, x: &Tensor, frames: &Frames, train: bool) -> Tensor {
        let mut x = self.scale.forward(x);
        match self.gate {
            Gate::Silu => {
                x = frames.zero_padding(&self.pointwise_conv1.forward(&x).silu());
            }
            Gate::Glu => {
                // Zeroed before the bias of the first convolution, not after it.
                x = frames.zero_padding(&x).constant_pad_nd([0, 0, self.lead, 0]);
                x = self.pointwise_conv1.forward(&x).glu(-1);
            }
        }
        let conv = &self.depthwise_conv;
        let x = if train { conv.forward(&x) } else { conv.infer(&x) };
        let x = self.norm.forward_t(&x, train).silu();
        let x = self.pointwise_conv2.forward(&x);
        match self.gate {
            Gate::Silu => x,
            Gate::Glu => frames.zero_padding(&x),
        }
    }
}

/// One layer.
#[derive(Debug, Clone)]
pub(super) struct Block {
    name: String,
    labels: &'static Labels,
    pub(super) attention_scale: Scale,
    pub(super) attention: RelPosAttention,
    pub(super) feed_forward: [FeedForward; 2],
    pub(super) conv: ConvModule,
    /// After attention, feed-forward, convolution, feed-forward.
    pub(super) norms: [FrameNorm; 4],
    dropout: f64,
}

/// What a layer's activations are called in the trace.
#[derive(Debug, Clone)]
struct Labels {
    scaled: Option<&'static str>,
    norms: [Option<&'static str>; 3],
    conv: &'static str,
}

const NEMO: Labels = Labels {
    scaled: Some("self_attn_scale"),
    norms: [Some("norm_self_att"), Some("norm_feed_forward1"), Some("norm_conv")],
    conv: "conv",
};

const WENET: Labels = Labels {
    scaled: None,
    norms: [Some("layer_norm1"), Some("layer_norm2"), Some("layer_norm3")],
    conv: "conv_module",
};

impl Block {
    pub(super) fn nemo(params: &Params<'_>, index: i64, config: &NemoConfig) -> Result<Self> {
        let (dim, params) = (config.d_model, params / index);
        let scale = |name: &str| {
            Scale::new(&(&params / name), ["scale", "bias"], &[dim], config.adaptive_scale)
        };
        let feed_forward = |name: &str| -> Result<FeedForward> {
            let (inner, hidden) = (&params / name, dim * config.ff_expansion_factor);
            Ok(FeedForward {
                scale: scale(&format!("{name}_scale"))?,
                linear1: Linear::new(&(&inner / "linear1"), dim, hidden)?,
                linear2: Linear::with_gain(&(&inner / "linear2"), hidden, dim, RESIDUAL_GAIN)?,
                dropout: config.dropout,
            })
        };
        let norm = |name: &str| FrameNorm::new(&(&params / name), dim, LAYER_EPS);
        let (conv, kernel) = (&params / "conv", config.conv_kernel_size);
        let norm_name = "batch_norm";
        let mut attention =
            RelPosAttention::new(&(&params / "self_attn"), dim, config.n_heads, Shift::Relative)?;
        attention.dropout = config.dropout_att;
        Ok(Self {
            name: format!("layers.{index}"),
            labels: &NEMO,
            attention_scale: scale("self_attn_scale")?,
            attention,
            feed_forward: [feed_forward("feed_forward1")?, feed_forward("feed_forward2")?],
            conv: ConvModule {
                scale: scale("conv_scale")?,
                pointwise_conv1: Pointwise::new(&(&conv / "pointwise_conv1"), dim, 2 * dim, 1.0)?,
                depthwise_conv: Depthwise::new(
                    &(&conv / "depthwise_conv"),
                    2 * dim,
                    kernel,
                    Padding::same(kernel),
                )?,
                norm: Norm::new(&(&conv / norm_name), config.conv_norm_type, 2 * dim)?,
                pointwise_conv2: Pointwise::new(
                    &(&conv / "pointwise_conv2"),
                    2 * dim,
                    dim,
                    RESIDUAL_GAIN,
                )?,
                gate: Gate::Silu,
                lead: 0,
            },
            norms: [
                norm("norm_self_att")?,
                norm("norm_feed_forward1")?,
                norm("norm_conv")?,
                norm("norm_feed_forward2")?,
            ],
            dropout: config.dropout,
        })
    }

    pub(super) fn wenet(params: &Params<'_>, index: i64, config: &WenetConfig) -> Result<Self> {
        let (dim, params) = (config.encoder_dim, params / index);
        let scale = |name: &str| {
            let shape = [1, 1, dim];
            Scale::new(&(&params / name), ["ada_scale", "ada_bias"], &shape, config.adaptive_scale)
        };
        let feed_forward = |name: &str| -> Result<FeedForward> {
            let (inner, hidden) = (&params / name, dim * config.feed_forward_expansion_factor);
            Ok(FeedForward {
                scale: scale(name)?,
                linear1: Linear::new(&(&inner / "w_1"), dim, hidden)?,
                linear2: Linear::with_gain(&(&inner / "w_2"), hidden, dim, RESIDUAL_GAIN)?,
                dropout: 0.0,
            })
        };
        let norm = |name: &str| FrameNorm::new(&(&params / name), dim, LAYER_EPS);
        let shift = if config.do_rel_shift { Shift::Square } else { Shift::None };
        let (conv, kernel) = (&params / "conv_module", config.cnn_module_kernel);
        let (lead, padding) = match config.causal {
            true => (kernel - 1, Padding { left: 0, right: 0 }),
            false => (0, Padding::same(kernel)),
        };
        Ok(Self {
            name: format!("encoders.{index}"),
            labels: &WENET,
            attention_scale: scale("self_attn")?,
            attention: RelPosAttention::new(
                &(&params / "self_attn"),
                dim,
                config.attention_heads,
                shift,
            )?,
            feed_forward: [feed_forward("ffn1")?, feed_forward("ffn2")?],
            conv: ConvModule {
                scale: scale("conv_module")?,
                pointwise_conv1: Pointwise::new(&(&conv / "pointwise_conv1"), dim, 2 * dim, 1.0)?,
                depthwise_conv: Depthwise::new(&(&conv / "depthwise_conv"), dim, kernel, padding)?,
                norm: Norm::new(&(&conv / "norm"), config.cnn_norm_type, dim)?,
                pointwise_conv2: Pointwise::new(
                    &(&conv / "pointwise_conv2"),
                    dim,
                    dim,
                    RESIDUAL_GAIN,
                )?,
                gate: Gate::Glu,
                lead,
            },
            norms: [
                norm("layer_norm1")?,
                norm("layer_norm2")?,
                norm("layer_norm3")?,
                norm("layer_norm4")?,
            ],
            dropout: 0.0,
        })
    }

    /// `x [batch, frames, dim]` to the same shape.
    pub(super) fn forward_t(
        &self,
        x: &Tensor,
        frames: &Frames,
        pairs: &Pairs,
        train: bool,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let name = &self.name;
        let drop = |x: Tensor| x.dropout(self.dropout, train);
        let scaled = self.attention_scale.forward(x);
        if let Some(label) = self.labels.scaled {
            trace.record(&format!("{name}.{label}"), &scaled);
        }
        let label = format!("{name}.self_attn");
        let y = self.attention.forward_t(&scaled, pairs, train, trace, &label);
        trace.record(&label, &y);
        let x = self.norms[0].forward(&(x + drop(y)));
        self.record(trace, 0, &x);
        let x = self.norms[1].forward(&(&x + drop(self.feed_forward[0].forward_t(&x, train))));
        self.record(trace, 1, &x);
        let y = self.conv.forward_t(&x, frames, train);
        trace.record(&format!("{name}.{}", self.labels.conv), &y);
        let x = self.norms[2].forward(&(x + drop(y)));
        self.record(trace, 2, &x);
        let x = self.norms[3].forward(&(&x + drop(self.feed_forward[1].forward_t(&x, train))));
        trace.record(&format!("{name}.out"), &x);
        x
    }

    fn record(&self, trace: &mut dyn Trace, norm: usize, x: &Tensor) {
        if let Some(label) = self.labels.norms[norm] {
            trace.record(&format!("{}.{label}", self.name), x);
        }
    }
}
