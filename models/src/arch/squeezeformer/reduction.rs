//! Half the frame rate in the middle of the network, and back.

use tch::nn::Module;
use tch::{Kind, Tensor};

use super::block::Pointwise;
use super::config::TimeReduction;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::depthwise::{Depthwise, Padding};
use crate::nn::frames::Frames;
use crate::nn::linear::Linear;
use crate::params::Params;

/// A depthwise convolution of stride two and a projection.
#[derive(Debug, Clone)]
pub(super) struct Reduction {
    pub(super) dw_conv: Depthwise,
    pub(super) pw_conv: Pointwise,
    label: &'static str,
}

impl Reduction {
    pub(super) fn new(
        params: &Params<'_>,
        dim: i64,
        kind: TimeReduction,
        label: &'static str,
    ) -> Result<Self> {
        let (kernel, pad) = match kind {
            TimeReduction::Conv1d => (5, 3),
            TimeReduction::Stream => (1, 0),
        };
        let padding = Padding { left: pad, right: pad };
        Ok(Self {
            dw_conv: Depthwise::new(&(params / "dw_conv"), dim, kernel, padding)?.with_stride(2),
            pw_conv: Pointwise::new(&(params / "pw_conv"), dim, dim, 1.0)?,
            label,
        })
    }

    /// `[batch, frames, dim]` to `[batch, ceil(frames / 2), dim]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        frames: &Frames,
        trace: &mut dyn Trace,
    ) -> (Tensor, Frames) {
        let half = frames.map(|n| (n + 1) / 2);
        let y = self.dw_conv.forward(&frames.zero_padding(x));
        // The padding of five taps gives one frame too many.
        let y = self.pw_conv.forward(&y.narrow(1, 0, half.total()));
        trace.record(self.label, &y);
        (y, half)
    }
}

/// Every frame twice, projected, and added to what there was before the reduction.
#[derive(Debug, Clone)]
pub(super) struct Recovery {
    pub(super) linear: Linear,
    /// WeNet projects before it cuts, which shows in the trace alone, and zeroes padded frames.
    pub(super) wenet: bool,
}

impl Recovery {
    pub(super) fn new(params: &Params<'_>, dim: i64, wenet: bool) -> Result<Self> {
        Ok(Self { linear: Linear::new(params, dim, dim)?, wenet })
    }

    /// `x [batch, ceil(frames / 2), dim]` and `skip [batch, frames, dim]` to the latter's shape.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        skip: &Tensor,
        frames: &Frames,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let (total, size) = (frames.total(), x.size());
        // Projecting comes first: it is the same for both copies of a frame.
        let y = self.linear.forward(x).unsqueeze(2);
        let y = y.expand([size[0], size[1], 2, size[2]], false).flatten(1, 2);
        if self.wenet {
            trace.record("time_recover.linear", &y);
        }
        let y = y.narrow(1, 0, total);
        if !self.wenet {
            trace.record("time_recovery.linear", &y);
        }
        let sum = skip + y;
        if self.wenet {
            return frames.zero_padding(&sum);
        }
        trace.record("time_recovery.sum", &sum.to_kind(Kind::Float));
        sum
    }
}
