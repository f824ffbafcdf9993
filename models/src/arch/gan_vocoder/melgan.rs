//! MelGAN's generator: stages of upsampling and residual blocks, all of whose convolutions see a
//! reflection of the signal behind its ends.

use tch::Tensor;

use super::config::MelGanConfig;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::linear::uniform;
use crate::params::{Params, Weight};

/// Kernel of the first and of the last convolution.
const OUTER_KERNEL: i64 = 7;
/// Kernel of the dilated convolutions, and the factor of their dilations from block to block.
const KERNEL: i64 = 3;
/// What is left of negative numbers.
const SLOPE: f64 = 0.2;

/// Spectrograms `[batch, bands, frames]` to samples `[batch, 1, frames * hop]`.
#[derive(Debug, Clone)]
pub(super) struct MelGan {
    first: Conv,
    stages: Vec<Stage>,
    last: Conv,
}

#[derive(Debug, Clone)]
struct Stage {
    index: usize,
    up: Conv,
    rate: i64,
    blocks: Vec<Block>,
}

/// A convolution that takes as much from each end as its kernel is long.
#[derive(Debug, Clone)]
struct Conv {
    weight: Weight, // [outputs, inputs, kernel]; of an upsampling inputs come first
    bias: Weight,   // [outputs]
}

impl Conv {
    fn new(params: &Params<'_>, shape: [i64; 3], outputs: i64) -> Result<Self> {
        let begin = uniform(shape[1] * shape[2], 1.0);
        let weight = params.get("weight", &shape, begin)?;
        Ok(Self { weight, bias: params.get("bias", &[outputs], begin)? })
    }

    fn plain(params: &Params<'_>, [inputs, outputs]: [i64; 2], kernel: i64) -> Result<Self> {
        Self::new(params, [outputs, inputs, kernel], outputs)
    }

    fn forward(&self, x: &Tensor, dilation: i64) -> Tensor {
        x.conv1d(&self.weight, Some(&*self.bias), [1], [0], [dilation], 1)
    }

    /// As many out as in.
    fn reflected(&self, x: &Tensor, dilation: i64) -> Tensor {
        let margin = dilation * (self.weight.size()[2] - 1) / 2;
        self.forward(&x.reflection_pad1d([margin, margin]), dilation)
    }

    fn upsampled(&self, x: &Tensor, rate: i64) -> Tensor {
        let odd = rate % 2;
        let (bias, padding) = (Some(&*self.bias), rate / 2 + odd);
        x.conv_transpose1d(&self.weight, bias, [rate], [padding], [odd], 1, [1])
    }
}

#[derive(Debug, Clone)]
struct Block {
    dilated: Conv,
    plain: Conv,
    shortcut: Conv,
    dilation: i64,
}

impl Block {
    fn new(params: &Params<'_>, channels: i64, dilation: i64) -> Result<Self> {
        let conv = |name: &str, kernel: i64| Conv::plain(&params.sub(name), [channels; 2], kernel);
        Ok(Self {
            dilated: conv("block.2", KERNEL)?,
            plain: conv("block.4", 1)?,
            shortcut: conv("shortcut", 1)?,
            dilation,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let inner = self.dilated.reflected(&leaky(x), self.dilation);
        self.shortcut.forward(x, 1) + self.plain.forward(&leaky(&inner), 1)
    }
}

fn leaky(x: &Tensor) -> Tensor {
    x.maximum(&(x * SLOPE))
}

impl MelGan {
    pub(super) fn new(params: &Params<'_>, config: &MelGanConfig) -> Result<Self> {
        let params = params.sub("model");
        let mut channels = config.first_channels();
        let first = [config.n_mel_channels, channels];
        let first = Conv::plain(&params.sub(1), first, OUTER_KERNEL)?;
        // Layers without parameters count in the names: activations and reflections.
        let mut index = 3;
        let mut stages = Vec::with_capacity(config.ratios.len());
        for &rate in &config.ratios {
            let (outer, inner) = (channels, channels / 2);
            let block = |at: i64| {
                let place = params.sub(index as i64 + 1 + at);
                Block::new(&place, inner, KERNEL.pow(u32::try_from(at).unwrap_or_default()))
            };
            let blocks = (0..config.n_residual_layers).map(block).collect::<Result<Vec<_>>>()?;
            let up = Conv::new(&params.sub(index), [outer, inner, 2 * rate], inner)?;
            let behind = index + 2 + blocks.len();
            stages.push(Stage { index, up, rate, blocks });
            (index, channels) = (behind, inner);
        }
        let last = Conv::plain(&params.sub(index + 1), [channels, 1], OUTER_KERNEL)?;
        Ok(Self { first, stages, last })
    }

    /// Fewest frames: reflections are shorter than the signal.
    pub(super) fn minimum_frames(&self) -> i64 {
        let mut rate = 1;
        let outer = (OUTER_KERNEL - 1) / 2;
        self.stages.iter().fold(outer + 1, |frames, stage| {
            rate *= stage.rate;
            let widest = stage.blocks.iter().map(|block| block.dilation).max().unwrap_or(0);
            frames.max(widest / rate + 1)
        })
    }

    pub(super) fn forward(&self, mel: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let mut x = self.first.reflected(mel, 1);
        trace.record("model.1", &x);
        for stage in &self.stages {
            x = stage.up.upsampled(&leaky(&x), stage.rate);
            trace.record(&format!("model.{}", stage.index), &x);
            for (block, at) in stage.blocks.iter().zip(stage.index + 1..) {
                x = block.forward(&x);
                trace.record(&format!("model.{at}"), &x);
            }
        }
        self.last.reflected(&leaky(&x), 1).tanh()
    }
}
