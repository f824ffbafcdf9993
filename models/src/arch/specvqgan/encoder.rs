//! From a spectrogram to latents.

use tch::Tensor;

use super::blocks::{GroupNorm, Middle, Step, same};
use super::config::SpecVqganConfig;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::conv2d::{Conv2d, Sampling};
use crate::params::Params;

/// `[batch, 1, bands, frames]` to `[batch, z_channels, bands / factor, frames / factor]`.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    conv_in: Conv2d,
    levels: Vec<Level>,
    middle: Middle,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Debug, Clone)]
struct Level {
    steps: Vec<Step>,
    down: Option<Conv2d>,
}

impl Encoder {
    pub(super) fn new(params: &Params<'_>, config: &SpecVqganConfig) -> Result<Self> {
        let mut inputs = config.ch;
        let mut level = |index: usize| -> Result<Level> {
            let (place, outputs) = (params / "down" / index, config.channels(index));
            let step = |at: i64| {
                let inputs = if at == 0 { inputs } else { outputs };
                Step::new(&place, at, [inputs, outputs], config.has_attention(index))
            };
            let steps = (0..config.num_res_blocks).map(step).collect::<Result<_>>()?;
            inputs = outputs;
            let halved = Sampling { stride: 2, ..Sampling::default() };
            let down = || Conv2d::new(&place.sub("downsample.conv"), [outputs, outputs], 3, halved);
            let is_last = index + 1 == config.ch_mult.len();
            Ok(Level { steps, down: (!is_last).then(down).transpose()? })
        };
        let bottom = config.bottom();
        Ok(Self {
            conv_in: same(&params.sub("conv_in"), [1, config.ch], 3)?,
            levels: (0..config.ch_mult.len()).map(&mut level).collect::<Result<_>>()?,
            middle: Middle::new(&params.sub("mid"), bottom)?,
            norm_out: GroupNorm::new(&params.sub("norm_out"), bottom)?,
            conv_out: same(&params.sub("conv_out"), [bottom, config.z_channels], 3)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let mut x = self.conv_in.forward(x);
        trace.record("encoder.conv_in", &x);
        for level in &self.levels {
            x = level.steps.iter().fold(x, |x, step| step.forward(&x));
            if let Some(down) = &level.down {
                // A column on the right and a row at the bottom of zeros.
                x = down.forward(&x.constant_pad_nd([0, 1, 0, 1]));
            }
        }
        let (x, seen) = self.middle.forward(&x);
        trace.record("encoder.mid_attn", &seen);
        let x = self.conv_out.forward(&self.norm_out.activated(&x));
        trace.record("encoder.out", &x);
        x
    }
}
