//! The mask network: norm, positions, blocks, and gated outputs for every voice.

use std::sync::{Mutex, MutexGuard, PoisonError};

use formant_kernels::gated_attention::Scratch;
use tch::nn::Init;
use tch::{Device, Kind, Tensor};

use super::config::{Family, MossformerConfig};
use crate::error::Result;
use crate::network::Trace;
use crate::nn::frame_norm::FrameNorm;
use crate::nn::fsmn::{FrozenFsmn, Fsmn, FsmnSizes, MemoryKind, Pointwise};
use crate::nn::gated_attention::{AttentionSizes, FrozenAttention, GatedAttention};
use crate::nn::rotary::{Rotary, RotaryTable};
use crate::nn::sequence_norm::GlobalNorm;
use crate::nn::tape::cut;
use crate::params::{Params, Weight};

/// Epsilon of the norms over the whole sequence.
const SEQUENCE_EPS: f64 = 1e-8;
/// Epsilon of the norm behind the blocks.
const BLOCKS_EPS: f64 = 1e-6;

/// `[batch, frames, in_channels]` to masks `[batch * num_spks, frames, final_channels]`, which are
/// not negative and have no upper bound.
#[derive(Debug, Clone)]
pub struct MaskNet {
    ends: Ends,
    layers: Vec<GatedAttention>,
    recurrent: Vec<Fsmn>,
    /// The rotary embedding, which all blocks share and each of them stores.
    rotary: Vec<Rotary>,
    names: Names,
}

/// All but the blocks.
#[derive(Debug, Clone)]
struct Ends {
    norm: GlobalNorm,
    encoder: Pointwise,
    inv_freq: Weight, // [width / 2]
    pos_scale: Weight,
    blocks_norm: FrameNorm,
    sequence_norm: GlobalNorm,
    slope: Weight, // [1]
    out: Pointwise,
    output: Pointwise,
    gate: Pointwise,
    decoder: Pointwise,
    voices: i64,
    skip: bool,
    positions: bool,
}

/// Names of a network's parts.
#[derive(Debug, Clone, Copy)]
struct Names {
    net: &'static str,
    blocks: &'static str,
    blocks_norm: &'static str,
    sequence_norm: &'static str,
}

impl Names {
    fn of(family: Family) -> Self {
        let net = if family == Family::Mossformer2Se { "mossformer" } else { "mask_net" };
        match family {
            Family::Mossformer => {
                Self { net, blocks: "att_mdl", blocks_norm: "norm.norm", sequence_norm: "att_norm" }
            }
            Family::Mossformer2Ss | Family::Mossformer2Se => {
                Self { net, blocks: "intra_mdl", blocks_norm: "norm", sequence_norm: "intra_norm" }
            }
        }
    }
}

impl MaskNet {
    /// All parameters below `mask_net`, or `mossformer`, under `params`.
    pub(super) fn new(params: &Params<'_>, config: &MossformerConfig) -> Result<Self> {
        let names = Names::of(config.family);
        let params = params / names.net;
        let (mdl, width) = (&params / "mdl", config.width());
        let inside = &mdl / names.blocks;
        let blocks = &inside / "mossformerM";
        let attention = AttentionSizes {
            dim: width,
            expansion: config.expansion(),
            query_key_dim: config.query_key_dim,
            group_size: config.group_size,
            kernel: config.conv_kernel,
        };
        let memory = match config.family {
            Family::Mossformer => None,
            Family::Mossformer2Ss => Some(MemoryKind::Dense(config.fsmn_depth)),
            Family::Mossformer2Se => Some(MemoryKind::Plain),
        };
        let layer = |i: i64| &blocks / "layers" / i;
        let recurrent = |memory| -> Result<Vec<Fsmn>> {
            let sizes = FsmnSizes {
                dim: width,
                inner: config.fsmn_inner_channels,
                order: config.fsmn_lorder,
                kernel: config.conv_kernel,
                memory,
            };
            (0..config.num_blocks).map(|i| Fsmn::new(&(&blocks / "fsmn" / i), sizes)).collect()
        };
        Ok(Self {
            layers: (0..config.num_blocks)
                .map(|i| GatedAttention::new(&layer(i), attention))
                .collect::<Result<_>>()?,
            rotary: (0..config.num_blocks)
                .map(|i| Rotary::new(&(layer(i) / "rotary_pos_emb"), config.rotated()))
                .collect::<Result<_>>()?,
            recurrent: memory.map(recurrent).transpose()?.unwrap_or_default(),
            ends: Ends::new(&params, config, names)?,
            names,
        })
    }

    /// The masks; intermediate activations go to `trace`.
    pub fn forward(&self, x: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let (net, ends) = (self.names.net, &self.ends);
        let inside = cut(&ends.enter(x, |name, x| trace.record(&format!("{net}.{name}"), x)));
        let table = self.table(x.size()[1]);
        let mut y = inside.shallow_clone(); // [batch, frames, width]
        for (i, layer) in self.layers.iter().enumerate() {
            let mut seen = |name: &str, x: &Tensor| trace.record(&format!("layers.{i}.{name}"), x);
            y = layer.forward(&y, &table, &mut seen);
            if let Some(recurrent) = self.recurrent.get(i) {
                let mut seen =
                    |name: &str, x: &Tensor| trace.record(&format!("fsmn.{i}.{name}"), x);
                y = recurrent.forward(&y, &mut seen);
            }
        }
        let y = ends.blocks_norm.forward(&y);
        trace.record(&format!("{}.norm", self.names.blocks), &y);
        let y = ends.sequence_norm.forward(&y);
        trace.record(self.names.sequence_norm, &first(&y));
        ends.leave(&y, &inside, |name, x| trace.record(&format!("{net}.{name}"), x))
    }

    fn table(&self, frames: i64) -> RotaryTable {
        self.rotary[0].table(frames)
    }

    /// The same without a gradient.
    #[must_use]
    pub fn freeze(self) -> FrozenMaskNet {
        let ends = self.ends.detached();
        self.freeze_with(ends)
    }

    /// The same without a gradient, for the first voice alone.
    #[must_use]
    pub fn freeze_first(self) -> FrozenMaskNet {
        let ends = self.ends.detached();
        let out = ends.out.narrowed(ends.inv_freq.size()[0] * 2);
        self.freeze_with(Ends { out, voices: 1, ..ends })
    }

    /// Each layer is dropped when its frozen form is there.
    fn freeze_with(self, ends: Ends) -> FrozenMaskNet {
        FrozenMaskNet {
            ends,
            layers: self.layers.into_iter().map(|layer| layer.freeze()).collect(),
            recurrent: self.recurrent.into_iter().map(|layer| layer.freeze()).collect(),
            rotary: Rotary { freqs: self.rotary[0].freqs.clone() },
            idle: Idle::default(),
        }
    }
}

/// As the references order the axes: `[batch, channels, frames]`.
fn first(x: &Tensor) -> Tensor {
    x.transpose(1, 2)
}

impl Ends {
    fn new(params: &Params<'_>, config: &MossformerConfig, names: Names) -> Result<Self> {
        let (width, inputs) = (config.width(), config.in_channels);
        let mdl = params / "mdl";
        let pos = params / "pos_enc";
        let usual = || {
            let exponents = Tensor::arange_start_step(0, width, 2, (Kind::Float, Device::Cpu));
            (exponents * (-(1e4f64.ln()) / width as f64)).exp()
        };
        let inv_freq = pos.buffer("inv_freq", &[width / 2], usual)?;
        Ok(Self {
            norm: GlobalNorm::new(&(params / "norm"), inputs, SEQUENCE_EPS)?,
            encoder: Pointwise::without_bias(&(params / "conv1d_encoder"), inputs, width)?,
            inv_freq,
            pos_scale: pos.ones("scale", &[1])?,
            blocks_norm: FrameNorm::new(
                &(&mdl / names.blocks).sub(names.blocks_norm),
                width,
                BLOCKS_EPS,
            )?,
            sequence_norm: GlobalNorm::new(&(&mdl / names.sequence_norm), width, SEQUENCE_EPS)?,
            slope: (params / "prelu").get("weight", &[1], Init::Const(0.25))?,
            out: Pointwise::new(&(params / "conv1d_out"), width, width * config.num_spks)?,
            output: Pointwise::new(&params.sub("output.0"), width, width)?,
            gate: Pointwise::new(&params.sub("output_gate.0"), width, width)?,
            decoder: Pointwise::without_bias(
                &(params / "conv1_decoder"),
                width,
                config.final_channels(),
            )?,
            voices: config.num_spks,
            skip: config.skip_around_intra,
            positions: config.use_global_pos_enc,
        })
    }

    /// From the features to the input of the blocks, `[batch, frames, width]`.
    fn enter(&self, x: &Tensor, mut seen: impl FnMut(&str, &Tensor)) -> Tensor {
        let normed = self.norm.forward(x);
        seen("norm", &first(&normed));
        let encoded = self.encoder.forward(&normed);
        seen("conv1d_encoder", &first(&encoded));
        let inside = if self.positions {
            let positions = self.sinusoids(x.size()[1]);
            seen("pos_enc", &positions);
            encoded + positions
        } else {
            encoded
        };
        seen("mdl.in", &first(&inside));
        inside
    }

    /// `[frames, width]`: sines, then cosines.
    fn sinusoids(&self, frames: i64) -> Tensor {
        let times = Tensor::arange(frames, (self.inv_freq.kind(), self.inv_freq.device()));
        let angles = times.unsqueeze(1) * self.inv_freq.unsqueeze(0); // [frames, width / 2]
        Tensor::cat(&[angles.sin(), angles.cos()], 1) * &*self.pos_scale
    }

    /// From the normalised output of the blocks, and their input, to the masks.
    fn leave(&self, y: &Tensor, inside: &Tensor, mut seen: impl FnMut(&str, &Tensor)) -> Tensor {
        let y = if self.skip { y + inside } else { y.shallow_clone() };
        seen("mdl", &first(&y));
        let y = y.prelu(&self.slope);
        seen("prelu", &first(&y));
        let y = self.out.forward(&y); // [batch, frames, voices * width]
        seen("conv1d_out", &first(&y));
        let y = self.apart(&y); // [batch * voices, frames, width]
        let output = self.output.forward(&y).tanh();
        let gate = self.gate.forward(&y).sigmoid();
        seen("output", &first(&output));
        seen("output_gate", &first(&gate));
        let y = self.decoder.forward(&(output * gate));
        seen("conv1_decoder", &first(&y));
        y.relu() // [batch * voices, frames, final_channels]
    }

    /// `[batch, frames, voices * width]` to `[batch * voices, frames, width]`.
    fn apart(&self, y: &Tensor) -> Tensor {
        let size = y.size();
        let (batch, frames, width) = (size[0], size[1], size[2] / self.voices);
        y.view([batch, frames, self.voices, width]).transpose(1, 2).reshape([
            batch * self.voices,
            frames,
            width,
        ])
    }

    fn detached(&self) -> Self {
        Self {
            norm: self.norm.detached(),
            encoder: self.encoder.detached(),
            inv_freq: self.inv_freq.clone(),
            pos_scale: self.pos_scale.detach(),
            blocks_norm: self.blocks_norm.detached(),
            sequence_norm: self.sequence_norm.detached(),
            slope: self.slope.detach(),
            out: self.out.detached(),
            output: self.output.detached(),
            gate: self.gate.detached(),
            decoder: self.decoder.detached(),
            voices: self.voices,
            skip: self.skip,
            positions: self.positions,
        }
    }
}

/// A [`MaskNet`] without a gradient, which computes the same masks faster.
#[derive(Debug, Clone)]
pub struct FrozenMaskNet {
    ends: Ends,
    layers: Vec<FrozenAttention>,
    recurrent: Vec<FrozenFsmn>,
    rotary: Rotary,
    /// Memory of passes that are over, for the next: in large blocks that come and go with every
    /// window, others would settle between them, and the process would grow.
    idle: Idle,
}

/// Memory that no pass uses now. A clone of a network begins without any.
#[derive(Debug, Default)]
struct Idle(Mutex<Vec<Scratch>>);

impl Clone for Idle {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Vec<Scratch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Scratch {
        self.lock().pop().unwrap_or_default()
    }

    fn put(&self, scratch: Scratch) {
        self.lock().push(scratch);
    }
}

impl FrozenMaskNet {
    /// Makes the matrix products in numbers of `kind`; norms, convolutions and sums stay as they
    /// are.
    pub fn set_kind(&mut self, kind: Kind) {
        let ends = &mut self.ends;
        for product in
            [&mut ends.encoder, &mut ends.out, &mut ends.output, &mut ends.gate, &mut ends.decoder]
        {
            product.set_kind(kind);
        }
        self.layers.iter_mut().for_each(|layer| layer.set_kind(kind));
        self.recurrent.iter_mut().for_each(|layer| layer.set_kind(kind));
    }

    /// As [`MaskNet::forward`].
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let inside = self.ends.enter(x, |_, _| {});
        let table = self.rotary.table(x.size()[1]);
        let mut scratch = self.idle.take();
        let mut y = inside.shallow_clone();
        for (i, layer) in self.layers.iter().enumerate() {
            y = layer.forward(&y, &table, &mut scratch);
            if let Some(recurrent) = self.recurrent.get(i) {
                y = recurrent.forward(&y);
            }
        }
        self.idle.put(scratch);
        let y = self.ends.sequence_norm.forward(&self.ends.blocks_norm.forward(&y));
        self.ends.leave(&y, &inside, |_, _| {})
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::{
        FrozenMaskEstimator, FrozenSourceSeparator, MaskEstimator, SourceSeparator,
    };
    use super::*;
    use tch::nn::VarStore;

    fn shares<T: Clone + Send + 'static>() {}

    #[test]
    fn clones_share_their_weights_and_go_to_other_threads() {
        shares::<SourceSeparator>();
        shares::<FrozenSourceSeparator>();
        shares::<MaskEstimator>();
        shares::<FrozenMaskEstimator>();
        let config = MossformerConfig::tiny();
        let vs = VarStore::new(Device::Cpu);
        let network = MaskNet::new(&Params::random(&vs.root()), &config).expect("sound sizes");
        let clone = network.clone();
        assert_eq!(clone.ends.slope.data_ptr(), network.ends.slope.data_ptr());
        let frozen = network.freeze();
        let clone = frozen.clone();
        assert_eq!(clone.ends.slope.data_ptr(), frozen.ends.slope.data_ptr());
        assert_eq!(clone.rotary.freqs.data_ptr(), frozen.rotary.freqs.data_ptr());
    }
}
