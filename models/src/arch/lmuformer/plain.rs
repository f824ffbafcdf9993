//! The parts of `lmu_rnn_conv1d`: patch embedding, Legendre memory block, feed-forward.
//!
//! Each part has a whole-signal form, used for training and clips, and a streaming form.

use tch::nn::{self, Module, ModuleT};
use tch::{Kind, Tensor};

use super::config::LmuFormerConfig;
use crate::network::Trace;
use crate::nn::legendre::LegendreMemory;
use crate::nn::stream_conv::{Bias, CenteredConv1d, ConvState, Delay, End};

/// Four convolutions (ReLU before normalisation), and a convolution that encodes position.
#[derive(Debug)]
pub(super) struct PatchEmbed {
    conv_layers: Vec<(CenteredConv1d, nn::BatchNorm)>,
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
    pub(super) fn new(path: &nn::Path<'_>, config: &LmuFormerConfig) -> Self {
        let dim = config.dim;
        let conv_layers = (0..4)
            .map(|i| {
                let inputs = if i == 0 { config.in_channels } else { dim };
                let layer = path / "conv_layers" / i;
                // Entries 1 (ReLU) and 2 (identity) of the reference's sequence have no keys.
                let conv = CenteredConv1d::new(&(&layer / 0), inputs, dim, 3, Bias::No);
                (conv, batch_norm(&(layer / 3), dim))
            })
            .collect();
        Self {
            conv_layers,
            rpe_conv: CenteredConv1d::new(&(path / "rpe_conv"), dim, dim, 3, Bias::No),
        }
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
#[derive(Debug)]
pub(super) struct Block {
    index: i64,
    w_u: nn::Linear,
    memory: LegendreMemory,
    w_h: nn::Linear,
    proj_conv: CenteredConv1d,
    proj_bn: nn::BatchNorm,
    fc1_conv: CenteredConv1d,
    fc1_bn: nn::BatchNorm,
    fc2_conv: CenteredConv1d,
    fc2_bn: nn::BatchNorm,
}

impl Block {
    pub(super) fn new(path: &nn::Path<'_>, index: i64, config: &LmuFormerConfig) -> Self {
        let (dim, hidden) = (config.dim, config.mlp_dim());
        let path = path / index;
        let (attn, mlp) = (&path / "attn", &path / "mlp");
        let lmu = &attn / "lmu";
        let memory_size = config.memory_size();
        Self {
            index,
            w_u: nn::linear(&lmu / "W_u", dim, 1, nn::LinearConfig::default()),
            memory: LegendreMemory::new(&lmu, memory_size, config.theta, config.seq_len),
            w_h: nn::linear(&lmu / "W_h", memory_size + dim, dim, nn::LinearConfig::default()),
            proj_conv: CenteredConv1d::new(&(&attn / "proj_conv"), dim, dim, 1, Bias::Yes),
            proj_bn: batch_norm(&(&attn / "proj_bn"), dim),
            fc1_conv: CenteredConv1d::new(&(&mlp / "fc1_conv"), dim, hidden, 1, Bias::Yes),
            fc1_bn: batch_norm(&(&mlp / "fc1_bn"), hidden),
            fc2_conv: CenteredConv1d::new(&(&mlp / "fc2_conv"), hidden, dim, 1, Bias::Yes),
            fc2_bn: batch_norm(&(&mlp / "fc2_bn"), dim),
        }
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

/// Batch normalisation over channels with the reference's epsilon of 1e-5, starting as the
/// identity.
pub(super) fn batch_norm(path: &nn::Path<'_>, channels: i64) -> nn::BatchNorm {
    let config = nn::BatchNormConfig { ws_init: nn::Init::Const(1.0), ..Default::default() };
    nn::batch_norm1d(path, channels, config)
}

/// Mean over all frames so far, for every frame: `[batch, frames, n]` to the same shape.
pub(super) fn cumulative_mean(x: &Tensor) -> Tensor {
    let frames = x.size()[1];
    let counts = Tensor::arange_start(1, frames + 1, (Kind::Float, x.device())).view([1, -1, 1]);
    x.cumsum(1, Kind::Float) / counts
}
