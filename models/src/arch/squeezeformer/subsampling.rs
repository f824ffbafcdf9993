//! From features to the input of the layers: two strided convolutions and a projection, a quarter
//! of the frames.

use tch::nn::{self, Module};
use tch::{Kind, Tensor};

use super::config::{NemoConfig, SubsamplingMasks, WenetConfig};
use crate::network::Trace;
use crate::nn::frames::Frames;

/// The shortening part of either layout.
#[derive(Debug)]
pub(super) enum Subsampling {
    /// `pre_encode`
    Nemo {
        conv0: nn::Conv2D,
        conv2: nn::Conv2D,
        conv3: nn::Conv2D,
        out: nn::Linear,
        masks: SubsamplingMasks,
        scale: f64,
    },
    /// `embed`
    Wenet { pw_conv: nn::Conv2D, dw_conv: nn::Conv2D, input_proj: nn::Linear, scale: f64 },
}

fn strided(padding: i64, groups: i64) -> nn::ConvConfig {
    nn::ConvConfig { stride: 2, padding, groups, ..Default::default() }
}

impl Subsampling {
    pub(super) fn nemo(path: &nn::Path<'_>, config: &NemoConfig) -> Self {
        let conv = path / "conv";
        let (channels, dim) = (config.conv_channels(), config.d_model);
        let bins = (config.feat_in + 1) / 2;
        let bins = (bins + 1) / 2;
        Self::Nemo {
            conv0: nn::conv2d(&conv / "0", 1, channels, 3, strided(1, 1)),
            conv2: nn::conv2d(&conv / "2", channels, channels, 3, strided(1, channels)),
            conv3: nn::conv2d(&conv / "3", channels, channels, 1, nn::ConvConfig::default()),
            out: nn::linear(path / "out", channels * bins, dim, nn::LinearConfig::default()),
            masks: config.subsampling_masks,
            scale: if config.xscaling { (dim as f64).sqrt() } else { 1.0 },
        }
    }

    pub(super) fn wenet(path: &nn::Path<'_>, config: &WenetConfig) -> Self {
        let dim = config.encoder_dim;
        let groups = if config.dw_stride { dim } else { 1 };
        let flat = dim * config.subsampled_bins();
        let projection = path / "input_proj" / "0";
        Self::Wenet {
            pw_conv: nn::conv2d(path / "pw_conv", 1, dim, 3, strided(0, 1)),
            dw_conv: nn::conv2d(path / "dw_conv", dim, dim, 3, strided(0, groups)),
            input_proj: nn::linear(projection, flat, dim, nn::LinearConfig::default()),
            scale: (dim as f64).sqrt(),
        }
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
