//! From latents to a spectrogram.

use tch::Tensor;

use super::blocks::{GroupNorm, Middle, Step, same};
use super::config::SpecVqganConfig;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::conv2d::Conv2d;
use crate::params::Params;

/// `[batch, z_channels, height, width]` to `[batch, 1, height * factor, width * factor]`.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    pub(super) conv_in: Conv2d,
    pub(super) middle: Middle,
    /// The coarsest first.
    pub(super) levels: Vec<Level>,
    pub(super) norm_out: GroupNorm,
    pub(super) conv_out: Conv2d,
}

#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) steps: Vec<Step>,
    pub(super) up: Option<Conv2d>,
}

impl Decoder {
    pub(super) fn new(params: &Params<'_>, config: &SpecVqganConfig) -> Result<Self> {
        let bottom = config.bottom();
        let mut inputs = bottom;
        let mut level = |index: usize| -> Result<Level> {
            let (place, outputs) = (params / "up" / index, config.channels(index));
            let step = |at: i64| {
                let inputs = if at == 0 { inputs } else { outputs };
                Step::new(&place, at, [inputs, outputs], config.has_attention(index))
            };
            let steps = (0..=config.num_res_blocks).map(step).collect::<Result<_>>()?;
            inputs = outputs;
            let up = || same(&place.sub("upsample.conv"), [outputs, outputs], 3);
            Ok(Level { steps, up: (index > 0).then(up).transpose()? })
        };
        Ok(Self {
            conv_in: same(&params.sub("conv_in"), [config.z_channels, bottom], 3)?,
            middle: Middle::new(&params.sub("mid"), bottom)?,
            levels: (0..config.ch_mult.len()).rev().map(&mut level).collect::<Result<_>>()?,
            norm_out: GroupNorm::new(&params.sub("norm_out"), config.ch * config.ch_mult[0])?,
            conv_out: same(&params.sub("conv_out"), [config.ch * config.ch_mult[0], 1], 3)?,
        })
    }

    pub(super) fn forward(&self, latents: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let (mut x, seen) = self.middle.forward(&self.conv_in.forward(latents));
        trace.record("decoder.mid_attn", &seen);
        for level in &self.levels {
            x = level.steps.iter().fold(x, |x, step| step.forward(&x));
            if let Some(up) = &level.up {
                let size = x.size();
                x = up.forward(&x.upsample_nearest2d([2 * size[2], 2 * size[3]], 2.0, 2.0));
            }
        }
        self.conv_out.forward(&self.norm_out.activated(&x))
    }
}
