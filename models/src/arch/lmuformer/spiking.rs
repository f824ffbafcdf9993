//! The parts of `slmu_rnn_ms_conv1d`: neurons along the frame axis, residuals that add membrane
//! inputs rather than spikes.
//!
//! Inference only. The streaming form keeps the memory before its normalisation and all six
//! voltages of a block, since the reference's own recurrent method is not equivalent.

use tch::Tensor;
use tch::nn::{Module, ModuleT};

use super::config::LmuFormerConfig;
use super::plain::linear;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::batch_norm::BatchNorm;
use crate::nn::legendre::LegendreMemory;
use crate::nn::lif::{Lif, Voltages};
use crate::nn::linear::Linear;
use crate::nn::stream_conv::{Bias, CenteredConv1d, ConvState, Delay, End};
use crate::params::Params;

/// The neurons of all layers but the one before the memory.
pub(super) fn neuron(config: &LmuFormerConfig) -> Lif {
    Lif { tau: config.tau, threshold: config.v_threshold, reset: config.v_reset }
}

/// Four convolutions with normalisation and neurons, and a convolution that encodes position.
#[derive(Debug, Clone)]
pub(super) struct PatchEmbed {
    proj: Vec<(CenteredConv1d, BatchNorm)>,
    rpe_conv: CenteredConv1d,
    lif: Lif,
}

/// Stream state of [`PatchEmbed`].
#[derive(Debug)]
pub(super) struct PatchEmbedState {
    proj: Vec<ConvState>,
    voltages: Vec<Voltages>,
    rpe_conv: ConvState,
    residual: Delay,
}

impl PatchEmbed {
    pub(super) fn new(params: &Params<'_>, config: &LmuFormerConfig) -> Result<Self> {
        let dim = config.dim;
        let proj = ["", "1", "2", "3"]
            .iter()
            .enumerate()
            .map(|(i, suffix)| {
                let inputs = if i == 0 { config.in_channels } else { dim };
                let conv = params / format!("proj_conv{suffix}");
                let bn = params / format!("proj_bn{suffix}");
                let conv = CenteredConv1d::new(&conv, inputs, dim, 3, Bias::No)?;
                Ok((conv, BatchNorm::new(&bn, dim)?))
            })
            .collect::<Result<_>>()?;
        let rpe_conv = CenteredConv1d::new(&(params / "rpe_conv"), dim, dim, 3, Bias::No)?;
        Ok(Self { proj, rpe_conv, lif: neuron(config) })
    }

    /// `[batch, in_channels, frames]` to `[batch, dim, frames]`.
    pub(super) fn forward(&self, x: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let mut spikes = x.shallow_clone();
        let mut x = x.shallow_clone();
        for (i, (conv, bn)) in self.proj.iter().enumerate() {
            let suffix = if i == 0 { String::new() } else { i.to_string() };
            x = conv.forward(&spikes);
            trace.record(&format!("patch_embed.proj_conv{suffix}"), &x);
            spikes = self.lif.forward(&bn.forward_t(&x, false), &mut Voltages::default());
            trace.record(&format!("patch_embed.proj_lif{suffix}"), &spikes);
        }
        let x = x + self.rpe_conv.forward(&spikes);
        trace.record("patch_embed", &x);
        x
    }

    pub(super) fn start(&self, batch: i64) -> PatchEmbedState {
        PatchEmbedState {
            proj: self.proj.iter().map(|(conv, _)| conv.start(batch)).collect(),
            voltages: vec![Voltages::default(); self.proj.len()],
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
        let mut spikes = block.map(Tensor::shallow_clone);
        let mut x = None;
        let layers = self.proj.iter().zip(&mut state.proj).zip(&mut state.voltages);
        for (((conv, bn), conv_state), voltages) in layers {
            x = conv.step(conv_state, spikes.as_ref(), end);
            spikes = x.as_ref().map(|x| self.lif.forward(&bn.forward_t(x, false), voltages));
        }
        let position = self.rpe_conv.step(&mut state.rpe_conv, spikes.as_ref(), end);
        let residual = state.residual.align(x.as_ref(), position.as_ref())?;
        Some(residual + position?)
    }
}

/// One block: spiking Legendre memory, then spiking feed-forward, each beside a residual.
#[derive(Debug, Clone)]
pub(super) struct Block {
    index: i64,
    lif: Lif,
    prev_lif: Lif,
    prev_bn: BatchNorm,
    w_u: Linear,
    bn_u: BatchNorm,
    memory: LegendreMemory,
    bn_m: BatchNorm,
    w_h: Linear,
    bn_h: BatchNorm,
    proj_conv: CenteredConv1d,
    proj_bn: BatchNorm,
    fc1_bn: BatchNorm,
    fc1_conv: CenteredConv1d,
    fc2_bn: BatchNorm,
    fc2_conv: CenteredConv1d,
}

/// Stream state of a [`Block`].
#[derive(Debug, Default)]
pub(super) struct BlockState {
    memory: Option<Tensor>, // [batch, memory], before normalisation
    prev: Voltages,
    u: Voltages,
    m: Voltages,
    h: Voltages,
    fc1: Voltages,
    fc2: Voltages,
}

impl Block {
    pub(super) fn new(params: &Params<'_>, index: i64, config: &LmuFormerConfig) -> Result<Self> {
        let (dim, hidden) = (config.dim, config.mlp_dim());
        let params = params / index;
        let (attn, mlp) = (&params / "attn", &params / "mlp");
        let lmu = &attn / "lmu";
        let memory_size = config.memory_size();
        let lif = neuron(config);
        Ok(Self {
            index,
            lif,
            prev_lif: Lif { threshold: config.prev_lif_threshold, ..lif },
            prev_bn: BatchNorm::new(&(&attn / "prev_bn"), dim)?,
            w_u: linear(&(&lmu / "W_u"), dim, 1)?,
            bn_u: BatchNorm::new(&(&lmu / "bn_u"), 1)?,
            memory: LegendreMemory::new(&lmu, memory_size, config.theta, config.seq_len)?,
            bn_m: BatchNorm::new(&(&lmu / "bn_m"), memory_size)?,
            w_h: linear(&(&lmu / "W_h"), memory_size + dim, dim)?,
            bn_h: BatchNorm::new(&(&lmu / "bn_h"), dim)?,
            proj_conv: CenteredConv1d::new(&(&attn / "proj_conv"), dim, dim, 1, Bias::Yes)?,
            proj_bn: BatchNorm::new(&(&attn / "proj_bn"), dim)?,
            fc1_bn: BatchNorm::new(&(&mlp / "fc1_bn"), dim)?,
            fc1_conv: CenteredConv1d::new(&(&mlp / "fc1_conv"), dim, hidden, 1, Bias::Yes)?,
            fc2_bn: BatchNorm::new(&(&mlp / "fc2_bn"), hidden)?,
            fc2_conv: CenteredConv1d::new(&(&mlp / "fc2_conv"), hidden, dim, 1, Bias::Yes)?,
        })
    }

    pub(super) fn start(&self, batch: i64) -> BlockState {
        BlockState { memory: Some(self.memory.empty(batch)), ..BlockState::default() }
    }

    /// `[batch, dim, frames]` to the same shape. The default `state` starts a whole signal, in
    /// which the memory is computed in parallel; one from [`Block::start`] continues a stream.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        state: &mut BlockState,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let name = format!("block.{}", self.index);
        let s = self.prev_lif.forward(&self.prev_bn.forward_t(x, false), &mut state.prev);
        trace.record(&format!("{name}.attn.prev_lif"), &s);
        let s_rows = s.transpose(1, 2); // [batch, frames, dim]
        let u = self.w_u.forward(&s_rows);
        trace.record(&format!("{name}.attn.lmu.W_u"), &u);
        let u = self.bn_u.forward_t(&u.transpose(1, 2), false); // [batch, 1, frames]
        let u = self.lif.forward(&u, &mut state.u);
        trace.record(&format!("{name}.attn.lmu.f_u"), &u);
        let u = u.squeeze_dim(1);
        let m = match &mut state.memory {
            Some(memory) => self.memory.advance(memory, &u),
            None => self.memory.forward(&u),
        }; // [batch, frames, memory]
        trace.record(&format!("{name}.attn.lmu.m"), &m);
        let mm = self.lif.forward(&self.bn_m.forward_t(&m.transpose(1, 2), false), &mut state.m);
        trace.record(&format!("{name}.attn.lmu.f_m"), &mm);
        let y = self.w_h.forward(&Tensor::cat(&[mm.transpose(1, 2), s_rows], -1));
        let y = self.lif.forward(&self.bn_h.forward_t(&y.transpose(1, 2), false), &mut state.h);
        trace.record(&format!("{name}.attn.lmu.h"), &y.transpose(1, 2));
        let attn = self.proj_bn.forward_t(&self.proj_conv.forward(&y), false);
        trace.record(&format!("{name}.attn"), &attn);
        let x = x + attn;
        let spikes = self.lif.forward(&self.fc1_bn.forward_t(&x, false), &mut state.fc1);
        let mlp = self.fc1_conv.forward(&spikes);
        let spikes = self.lif.forward(&self.fc2_bn.forward_t(&mlp, false), &mut state.fc2);
        let mlp = self.fc2_conv.forward(&spikes);
        trace.record(&format!("{name}.mlp"), &mlp);
        let x = x + mlp;
        trace.record(&format!("{name}.out"), &x);
        x
    }
}
