//! From features to the input of the layers: two strided convolutions and a projection, a quarter
//! of the frames.

use tch::{Kind, Tensor};

use super::config::{NemoConfig, SubsamplingMasks, WenetConfig};
use crate::error::Result;
use crate::network::Trace;
use crate::nn::conv2d::{Conv2d, Sampling};
use crate::nn::frames::Frames;
use crate::nn::linear::Linear;
use crate::params::Params;

/// The shortening part of either layout.
#[derive(Debug, Clone)]
pub(super) enum Subsampling {
    /// `pre_encode`
    Nemo {
        conv0: Conv2d,
        conv2: Conv2d,
        conv3: Conv2d,
        out: Linear,
        masks: SubsamplingMasks,
        scale: f64,
    },
    /// `embed`
    Wenet { pw_conv: Conv2d, dw_conv: Conv2d, input_proj: Linear, scale: f64 },
}

fn strided(padding: i64, groups: i64) -> Sampling {
    Sampling { stride: 2, padding, groups }
}

impl Subsampling {
    pub(super) fn nemo(params: &Params<'_>, config: &NemoConfig) -> Result<Self> {
        let conv = params / "conv";
        let (channels, dim) = (config.conv_channels(), config.d_model);
        let bins = (config.feat_in + 1) / 2;
        let bins = (bins + 1) / 2;
        Ok(Self::Nemo {
            conv0: Conv2d::new(&(&conv / "0"), [1, channels], 3, strided(1, 1))?,
            conv2: Conv2d::new(&(&conv / "2"), [channels, channels], 3, strided(1, channels))?,
            conv3: Conv2d::new(&(&conv / "3"), [channels, channels], 1, Sampling::default())?,
            out: Linear::new(&(params / "out"), channels * bins, dim)?,
            masks: config.subsampling_masks,
            scale: if config.xscaling { (dim as f64).sqrt() } else { 1.0 },
        })
    }

    pub(super) fn wenet(params: &Params<'_>, config: &WenetConfig) -> Result<Self> {
        let dim = config.encoder_dim;
        let groups = if config.dw_stride { dim } else { 1 };
        let flat = dim * config.subsampled_bins();
        let projection = params / "input_proj" / "0";
        Ok(Self::Wenet {
            pw_conv: Conv2d::new(&(params / "pw_conv"), [1, dim], 3, strided(0, 1))?,
            dw_conv: Conv2d::new(&(params / "dw_conv"), [dim, dim], 3, strided(0, groups))?,
            input_proj: Linear::new(&projection, flat, dim)?,
            scale: (dim as f64).sqrt(),
        })
    }

    /// Lengths after one of the two strided convolutions.
    pub(super) fn halved(&self, frames: &Frames) -> Frames {
        match self {
            // Also right for no frames, where the convolutions would see padding alone.
            Self::Nemo { .. } => frames.map(|n| (n + 1) / 2),
            // WeNet takes every second entry of the mask of the padded batch, less two.
            Self::Wenet { .. } => {
                let total = (frames.total() - 1) / 2;
                let seen = frames.total() - 2;
                let lengths: Vec<i64> =
                    frames.lengths().iter().map(|&n| (n.min(seen) + 1) / 2).collect();
                Frames::new(&lengths, total.max(0))
            }
        }
    }

    /// `[batch, frames, bins]` to `[batch, frames', dim]`, scaled by the root of `dim`.
    pub(super) fn forward(
        &self,
        features: &Tensor,
        frames: &Frames,
        trace: &mut dyn Trace,
    ) -> (Tensor, Frames) {
        let x = features.unsqueeze(1); // [batch, 1, frames, bins]
        let half = self.halved(frames);
        let quarter = self.halved(&half);
        let flatten = |x: &Tensor| x.transpose(1, 2).flatten(2, 3); // [batch, frames', channels * bins']
        match self {
            Self::Nemo { conv0, conv2, conv3, out, masks, scale } => {
                let mask = |x: Tensor, frames: &Frames| match masks {
                    SubsamplingMasks::Masked => mask_frames(x, frames),
                    SubsamplingMasks::Unmasked => x,
                };
                let x = mask(conv0.forward(&mask(x, frames)), &half).relu();
                let x = mask(conv2.forward(&mask(x, &half)), &quarter);
                let x = mask(mask(conv3.forward(&x), &quarter).relu(), &quarter);
                trace.record("pre_encode.conv", &x);
                let x = out.forward(&flatten(&x));
                trace.record("pre_encode", &x);
                let x = x * *scale;
                trace.record("pos_enc.x", &x);
                (x, quarter)
            }
            Self::Wenet { pw_conv, dw_conv, input_proj, scale } => {
                let x = dw_conv.forward(&pw_conv.forward(&x).relu()).relu();
                // Scaled before the projection, whose bias therefore is not.
                let x = input_proj.forward(&(flatten(&x) * *scale));
                trace.record("embed.x", &x);
                let mask = quarter.mask(x.device()).unsqueeze(1).to_kind(Kind::Uint8);
                trace.record("embed.mask", &mask);
                (x, quarter)
            }
        }
    }
}

/// Zeros in the frames of `x [batch, channels, frames, bins]` that belong to no utterance.
fn mask_frames(x: Tensor, frames: &Frames) -> Tensor {
    if frames.is_full() {
        return x;
    }
    let valid = frames.mask(x.device()).unsqueeze(1).unsqueeze(3);
    x.masked_fill(&valid.logical_not(), 0.0)
}
