//! The parts of `lmu_rnn_conv1d`: patch embedding, Legendre memory block, feed-forward.
//!
//! Each part has a whole-signal form, used for training and clips, and a streaming form.

use tch::Tensor;
use tch::nn::init::DEFAULT_KAIMING_UNIFORM;

use super::config::LmuFormerConfig;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::batch_norm::BatchNorm;
use crate::nn::legendre::LegendreMemory;
use crate::nn::linear::{Linear, uniform};
use crate::nn::stream_conv::{Bias, CenteredConv1d, ConvState, Delay, End};
use crate::params::Params;

/// Four convolutions (ReLU before normalisation), and a convolution that encodes position.
#[derive(Debug, Clone)]
pub(super) struct PatchEmbed {
    conv_layers: Vec<(CenteredConv1d, BatchNorm)>,
    rpe_conv: CenteredConv1d,
}

/// Stream state of [`PatchEmbed`].
#[derive(Debug)]
pub(super) struct PatchEmbedState {
    conv_layers: Vec<ConvState>,
    rpe_conv: ConvState,
    residual: Delay,
}

impl PatchEmbed {
    pub(super) fn new(params: &Params<'_>, config: &LmuFormerConfig) -> Result<Self> {
        let dim = config.dim;
        let conv_layers = (0..4)
            .map(|i| {
                let inputs = if i == 0 { config.in_channels } else { dim };
                let layer = params / "conv_layers" / i;
                // Entries 1 (ReLU) and 2 (identity) of the reference's sequence have no keys.
                let conv = CenteredConv1d::new(&(&layer / 0), inputs, dim, 3, Bias::No)?;
                Ok((conv, BatchNorm::new(&(layer / 3), dim)?))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            conv_layers,
            rpe_conv: CenteredConv1d::new(&(params / "rpe_conv"), dim, dim, 3, Bias::No)?,
        })
    }

    /// `[batch, in_channels, frames]` to `[batch, dim, frames]`.
    pub(super) fn forward_t(&self, x: &Tensor, train: bool, trace: &mut dyn Trace) -> Tensor {
        let mut x = x.shallow_clone();
        for (i, (conv, bn)) in self.conv_layers.iter().enumerate() {
            x = bn.forward_t(&conv.forward(&x).relu(), train);
            trace.record(&format!("patch_embed.conv_layers.{i}"), &x);
        }
        let x = &x + self.rpe_conv.forward(&x);
        trace.record("patch_embed", &x);
        x
    }

    pub(super) fn start(&self, batch: i64) -> PatchEmbedState {
        PatchEmbedState {
            conv_layers: self.conv_layers.iter().map(|(conv, _)| conv.start(batch)).collect(),
            rpe_conv: self.rpe_conv.start(batch),
            residual: Delay::default(),
        }
    }

    pub(super) fn step(
        &self,
        state: &mut PatchEmbedState,
        block: Option<&Tensor>,
        end: End,
    ) -> Option<Tensor> {
        let mut x = block.map(Tensor::shallow_clone);
        for ((conv, bn), state) in self.conv_layers.iter().zip(&mut state.conv_layers) {
            let y = conv.step(state, x.as_ref(), end);
            x = y.map(|y| bn.forward_t(&y.relu(), false));
        }
        let position = self.rpe_conv.step(&mut state.rpe_conv, x.as_ref(), end);
        let residual = state.residual.align(x.as_ref(), position.as_ref())?;
        Some(residual + position?)
    }
}

/// One block: Legendre memory, then feed-forward, each beside a residual.
#[derive(Debug, Clone)]
pub(super) struct Block {
    index: i64,
    w_u: Linear,
    memory: LegendreMemory,
    w_h: Linear,
    proj_conv: CenteredConv1d,
    proj_bn: BatchNorm,
    fc1_conv: CenteredConv1d,
    fc1_bn: BatchNorm,
    fc2_conv: CenteredConv1d,
    fc2_bn: BatchNorm,
}

impl Block {
    pub(super) fn new(params: &Params<'_>, index: i64, config: &LmuFormerConfig) -> Result<Self> {
        let (dim, hidden) = (config.dim, config.mlp_dim());
        let params = params / index;
        let (attn, mlp) = (&params / "attn", &params / "mlp");
        let lmu = &attn / "lmu";
        let memory_size = config.memory_size();
        Ok(Self {
            index,
            w_u: linear(&(&lmu / "W_u"), dim, 1)?,
            memory: LegendreMemory::new(&lmu, memory_size, config.theta, config.seq_len)?,
            w_h: linear(&(&lmu / "W_h"), memory_size + dim, dim)?,
            proj_conv: CenteredConv1d::new(&(&attn / "proj_conv"), dim, dim, 1, Bias::Yes)?,
            proj_bn: BatchNorm::new(&(&attn / "proj_bn"), dim)?,
            fc1_conv: CenteredConv1d::new(&(&mlp / "fc1_conv"), dim, hidden, 1, Bias::Yes)?,
            fc1_bn: BatchNorm::new(&(&mlp / "fc1_bn"), hidden)?,
            fc2_conv: CenteredConv1d::new(&(&mlp / "fc2_conv"), hidden, dim, 1, Bias::Yes)?,
            fc2_bn: BatchNorm::new(&(&mlp / "fc2_bn"), dim)?,
        })
    }

    /// The memory of `batch` streams before the first frame, `[batch, memory]`.
    pub(super) fn start(&self, batch: i64) -> Tensor {
        self.memory.empty(batch)
    }

    /// `[batch, dim, frames]` to the same shape. With `memory` the block continues a stream,
    /// without it the signal starts from nothing.
    pub(super) fn forward_t(
        &self,
        x: &Tensor,
        memory: Option<&mut Tensor>,
        train: bool,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let name = format!("block.{}", self.index);
        let h_in = x.transpose(1, 2); // [batch, frames, dim]
        let u = self.w_u.forward(&h_in); // [batch, frames, 1]
        trace.record(&format!("{name}.attn.lmu.W_u"), &u);
        let u = u.relu().squeeze_dim(-1);
        let m = match memory {
            Some(memory) => self.memory.advance(memory, &u),
            None => self.memory.forward(&u),
        }; // [batch, frames, memory]
        trace.record(&format!("{name}.attn.lmu.m"), &m);
        let y = self.w_h.forward(&Tensor::cat(&[m, h_in], -1)).relu(); // [batch, frames, dim]
        trace.record(&format!("{name}.attn.lmu.h"), &y);
        let attn = self.proj_bn.forward_t(&self.proj_conv.forward(&y.transpose(1, 2)), train);
        trace.record(&format!("{name}.attn"), &attn);
        let x = x + attn;
        let mlp = self.fc1_bn.forward_t(&self.fc1_conv.forward(&x), train).gelu("none");
        let mlp = self.fc2_bn.forward_t(&self.fc2_conv.forward(&mlp), train).relu();
        trace.record(&format!("{name}.mlp"), &mlp);
        let x = x + mlp;
        trace.record(&format!("{name}.out"), &x);
        x
    }
}

/// A linear layer that begins as libtorch's wrapper begins one.
pub(super) fn linear(params: &Params<'_>, inputs: i64, outputs: i64) -> Result<Linear> {
    Linear::begun_as(params, inputs, outputs, [DEFAULT_KAIMING_UNIFORM, uniform(inputs, 1.0)])
}
