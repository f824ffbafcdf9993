//! Attentive statistics pooling: mean and deviation over time, weighted per channel and frame.
//!
//! What the attention sees of the whole signal is the same in every frame, so its share of the
//! hidden layer is computed once and added, which saves two thirds of that layer's work.

use tch::nn;
use tch::{Kind, Tensor};

use super::config::{EcapaConfig, Layout};
use super::layers::{Conv, FrameMask, Reach, mean_over_time};
use super::names::{Names, Traced};
use crate::error::Result;
use crate::network::Trace;
use crate::nn::batch_norm::BatchNorm;
use crate::nn::threads::threads;
use crate::params::{Params, Weight};

/// Least variance; the deviation stays away from the root's steep end.
const FLOOR_SPEECHBRAIN: f64 = 1e-12;
const FLOOR_WESPEAKER: f64 = 1e-7;
const FLOOR_TAORUIJIE: f64 = 1e-4;

const TIME: [i64; 1] = [2];

#[derive(Debug, Clone)]
pub(super) struct AttentivePooling {
    names: Names,
    layout: Layout,
    weight: Weight, // [attention, channels or 3 * channels, 1]
    bias: Weight,
    norm: Option<BatchNorm>,
    out: Conv,
    channels: i64,
    global_context: bool,
}

impl AttentivePooling {
    pub(super) fn new(params: &Params<'_>, config: &EcapaConfig) -> Result<Self> {
        let names = Names::new(config.layout);
        let (channels, inside) = (config.aggregation(), config.attention_channels);
        let inputs = if config.global_context { 3 * channels } else { channels };
        let (conv, norm) = names.attention();
        let hidden = params.sub(&conv);
        let bound = 1.0 / (inputs as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        Ok(Self {
            names,
            layout: config.layout,
            weight: hidden.get("weight", &[inside, inputs, 1], init)?,
            bias: hidden.get("bias", &[inside], init)?,
            norm: norm.map(|name| BatchNorm::new(&params.sub(&name), inside)).transpose()?,
            out: Conv::new(
                params,
                &names.attention_out(),
                inside,
                channels,
                Reach::POINT,
                config.layout,
            )?,
            channels,
            global_context: config.global_context,
        })
    }

    /// `[batch, channels, frames]` to `[batch, 2 * channels]`: means, then deviations.
    pub(super) fn forward_t(
        &self,
        x: &Tensor,
        mask: Option<&FrameMask>,
        train: bool,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let mut hidden = self.hidden(x, mask); // [batch, attention, frames]
        if let Some(norm) = &self.norm {
            hidden = norm.forward_t(&hidden.relu(), train);
        }
        trace.record(&self.names.traced(Traced::Attention), &hidden);
        let scores = self.out.forward(&hidden.tanh()); // [batch, channels, frames]
        trace.record(&self.names.traced(Traced::AttentionOut), &scores);
        let floor = match self.layout {
            Layout::Speechbrain => FLOOR_SPEECHBRAIN,
            Layout::Wespeaker => FLOOR_WESPEAKER,
            Layout::Taoruijie => FLOOR_TAORUIJIE,
        };
        let (mean, variance) = match statistics(x, Some(&scores), mask) {
            Some(found) => found,
            None => self.attentive_statistics(x, &scores, mask),
        };
        let variance = variance.clamp_min(floor);
        let pooled = Tensor::cat(&[mean, variance.sqrt()], 1).squeeze_dim(2);
        trace.record(&self.names.traced(Traced::Pooled), &pooled);
        pooled
    }

    /// Means and variances with the attention's weights, `[batch, channels, 1]`, in the order of
    /// operations of each reference.
    fn attentive_statistics(
        &self,
        x: &Tensor,
        scores: &Tensor,
        mask: Option<&FrameMask>,
    ) -> (Tensor, Tensor) {
        let weights = match mask {
            Some(mask) => scores.masked_fill(&mask.keep.eq(0.0), f64::NEG_INFINITY),
            None => scores.shallow_clone(),
        };
        let weights = weights.softmax(2, Kind::Float);
        let sum = |x: Tensor| x.sum_dim_intlist(TIME.as_slice(), true, Kind::Float);
        let mean = sum(x * &weights);
        let variance = match self.layout {
            Layout::Speechbrain => sum(weights * (x - &mean).square()),
            Layout::Wespeaker | Layout::Taoruijie => sum(x.square() * weights) - mean.square(),
        };
        (mean, variance)
    }

    /// The hidden layer before its activation.
    fn hidden(&self, x: &Tensor, mask: Option<&FrameMask>) -> Tensor {
        let part = |index: i64| self.weight.narrow(1, index * self.channels, self.channels);
        if !self.global_context {
            return x.conv1d(&self.weight, Some(&self.bias), 1, 0, 1, 1);
        }
        let (mean, variance) = statistics(x, None, mask).unwrap_or_else(|| {
            let mean = mean_over_time(x, mask);
            let variance = mean_over_time(&(x - &mean).square(), mask);
            (mean, variance)
        });
        let deviation = self.context_deviation(variance, x.size()[2], mask);
        let context = mean.squeeze_dim(2).linear(&part(1).squeeze_dim(2), Some(&self.bias))
            + deviation.squeeze_dim(2).linear(&part(2).squeeze_dim(2), None::<&Tensor>);
        x.conv1d(&part(0), None::<&Tensor>, 1, 0, 1, 1) + context.unsqueeze(2)
    }

    /// The deviation over time that the attention sees, `[batch, channels, 1]`, from the biased
    /// variance of the same shape.
    fn context_deviation(&self, variance: Tensor, frames: i64, mask: Option<&FrameMask>) -> Tensor {
        let unbiased = |variance: Tensor| match mask {
            Some(mask) => variance * (&*mask.count / (&*mask.count - 1.0)),
            None => {
                let frames = frames as f64;
                variance * (frames / (frames - 1.0))
            }
        };
        match self.layout {
            Layout::Speechbrain => variance.clamp_min(FLOOR_SPEECHBRAIN),
            Layout::Wespeaker => unbiased(variance) + FLOOR_WESPEAKER,
            Layout::Taoruijie => unbiased(variance).clamp_min(FLOOR_TAORUIJIE),
        }
        .sqrt()
    }
}

/// Means and biased variances over time, `[batch, channels, 1]`, by a kernel that goes over `x` and
/// `scores` once. `None` where a gradient is needed, or the kernel can't take the tensors.
fn statistics(
    x: &Tensor,
    scores: Option<&Tensor>,
    mask: Option<&FrameMask>,
) -> Option<(Tensor, Tensor)> {
    let valid = mask.map(FrameMask::counts);
    // The lengths fit, or the tensors could not have been computed.
    let found =
        formant_kernels::tensor::statistics(x, scores, valid.as_deref(), threads()).ok()??;
    Some((found.0.unsqueeze(2), found.1.unsqueeze(2)))
}
