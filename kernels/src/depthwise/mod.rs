//! Depth-wise 1-D convolution over time, where every channel has a filter of its own, with bias,
//! folded normalisation, activation and residual in the same pass over memory.
//!
//! Here is the plan, which a layer makes once from its weights; the definition is in `scalar`,
//! the vectorised loops in `frames` (neighbouring times in a vector, for `[batch, channels,
//! frames]`) and `channels` (neighbouring channels, for `[batch, frames, channels]`); `gradient` is
//! for training.

mod channels;
mod frames;
mod gradient;
mod scalar;
mod split;

pub use gradient::{filter_gradient, filter_gradient_with};

use crate::activation::Activation;
use crate::error::{Error, Result, check_length, check_shape};
use crate::simd::{Level, dispatch};
use crate::view::{Shape, View, ViewMut};

/// How a depth-wise convolution reads its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthwiseConfig {
    /// Taps of each filter.
    pub kernel: usize,
    /// Frames from tap to tap.
    pub dilation: usize,
    /// Zeros before the first and behind the last frame.
    pub padding: (usize, usize),
    /// What follows the sum (and the folded normalisation).
    pub activation: Activation,
}

impl DepthwiseConfig {
    /// As many frames out as in; with an even number of taps the odd zero goes behind, as in
    /// PyTorch's `padding="same"`.
    #[must_use]
    pub fn same(kernel: usize) -> Self {
        let total = kernel.saturating_sub(1);
        let padding = (total / 2, total - total / 2);
        Self { kernel, dilation: 1, padding, activation: Activation::Identity }
    }

    /// As many frames out as in, none of which sees a later one.
    #[must_use]
    pub fn causal(kernel: usize) -> Self {
        Self { padding: (kernel.saturating_sub(1), 0), ..Self::same(kernel) }
    }

    /// With another activation.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Refuses numbers that cannot work.
    fn check(&self) -> Result<()> {
        const LIMIT: usize = 1 << 31;
        if self.kernel == 0 || self.dilation == 0 {
            let setting = if self.kernel == 0 { "kernel" } else { "dilation" };
            return Err(Error::Setting { setting, reason: "is 0; the least is 1" });
        }
        let reach = self.kernel.checked_mul(self.dilation);
        let furthest = reach.map(|reach| reach.max(self.padding.0).max(self.padding.1));
        if furthest.is_none_or(|furthest| furthest > LIMIT) {
            let reason = "kernel times dilation, and padding, must stay below 2^31";
            return Err(Error::Setting { setting: "padding", reason });
        }
        Ok(())
    }

    /// Frames that come out when `frames` go in.
    fn output_frames(&self, frames: usize) -> usize {
        let (before, behind) = self.padding;
        frames.saturating_add(before + behind).saturating_sub(self.reach())
    }

    /// Frames between the first and the last tap.
    fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation
    }
}

/// A depth-wise convolution with stride 1, ready to run:
/// `y[c, t] = activation(bias[c] + sum over k of weight[c, k] x[c, t + k dilation - padding])`,
/// plus a residual.
#[derive(Debug, Clone)]
pub struct DepthwiseConv1d {
    config: DepthwiseConfig,
    channels: usize,
    weight: Vec<f32>, // [channels, kernel]
    bias: Vec<f32>,   // [channels]
    packed: Packed,
}

/// Channels that are packed together, a multiple of all vectors' lengths.
const BLOCK: usize = 16;

/// The parameters once more, in blocks of neighbouring channels and filled up with zeros, so that
/// vectors of channels find them together: rows as far apart as a power of two would push each
/// other out of the first cache.
#[derive(Debug, Clone)]
struct Packed {
    weight: Vec<f32>, // [channels / BLOCK, kernel, BLOCK]
    bias: Vec<f32>,   // [channels / BLOCK, BLOCK]
}

impl Packed {
    fn new(weight: &[f32], bias: &[f32], kernel: usize) -> Self {
        let blocks = bias.len().div_ceil(BLOCK);
        let mut packed =
            Self { weight: vec![0.0; blocks * kernel * BLOCK], bias: vec![0.0; blocks * BLOCK] };
        packed.bias[..bias.len()].copy_from_slice(bias);
        for (c, taps) in weight.chunks_exact(kernel).enumerate() {
            for (k, &tap) in taps.iter().enumerate() {
                packed.weight[((c / BLOCK) * kernel + k) * BLOCK + c % BLOCK] = tap;
            }
        }
        packed
    }
}

impl DepthwiseConv1d {
    /// A convolution with `weight [channels, kernel]` and, unless it is empty, `bias [channels]`.
    ///
    /// # Errors
    /// When a length does not fit, or a setting is out of its range.
    pub fn new(config: DepthwiseConfig, weight: &[f32], bias: &[f32]) -> Result<Self> {
        config.check()?;
        let channels = weight.len() / config.kernel;
        check_length("weight", weight.len(), channels * config.kernel)?;
        if !bias.is_empty() {
            check_length("bias", bias.len(), channels)?;
        }
        let bias = if bias.is_empty() { vec![0.0; channels] } else { bias.to_vec() };
        let packed = Packed::new(weight, &bias, config.kernel);
        Ok(Self { config, channels, weight: weight.to_vec(), bias, packed })
    }

    /// Multiplies what comes out of the sum by `scale [channels]` and adds `shift [channels]`,
    /// before the activation, by changing weights and bias: batch normalisation costs nothing.
    ///
    /// # Errors
    /// When a length does not fit.
    pub fn scaled(mut self, scale: &[f32], shift: &[f32]) -> Result<Self> {
        check_length("scale", scale.len(), self.channels)?;
        check_length("shift", shift.len(), self.channels)?;
        for (taps, scale) in self.weight.chunks_exact_mut(self.config.kernel).zip(scale) {
            for tap in taps {
                *tap *= scale;
            }
        }
        for ((bias, scale), shift) in self.bias.iter_mut().zip(scale).zip(shift) {
            *bias = *bias * scale + shift;
        }
        self.packed = Packed::new(&self.weight, &self.bias, self.config.kernel);
        Ok(self)
    }

    /// Settings.
    #[must_use]
    pub fn config(&self) -> DepthwiseConfig {
        self.config
    }

    /// Number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The filters with all that was folded into them, `[channels, kernel]`.
    #[must_use]
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// The bias with all that was folded into it, `[channels]`.
    #[must_use]
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Frames that come out when `frames` go in.
    #[must_use]
    pub fn output_frames(&self, frames: usize) -> usize {
        self.config.output_frames(frames)
    }

    /// Convolves `x`, adds `residual` behind the activation, and writes to `out`.
    ///
    /// It is fast when all views agree in either frames or channels being neighbours in memory;
    /// other strides are taken, too. At most `threads` threads work on large inputs, with the
    /// same bytes in the result for any number of them.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes do not fit.
    pub fn run(
        &self,
        x: View<'_>,
        residual: Option<View<'_>>,
        out: &mut ViewMut<'_>,
        threads: usize,
    ) -> Result<()> {
        self.run_with(Level::best(), x, residual, out, threads)
    }

    /// Like [`DepthwiseConv1d::run`] with given instructions, for tests and comparisons; where the
    /// processor does not have them, with portable ones.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes do not fit.
    pub fn run_with(
        &self,
        level: Level,
        x: View<'_>,
        residual: Option<View<'_>>,
        out: &mut ViewMut<'_>,
        threads: usize,
    ) -> Result<()> {
        let job = Job::new(self, x, residual, out)?;
        if job.out_shape.is_empty() {
            return Ok(());
        }
        match job.neighbours() {
            Some(Neighbours::Channels) => {
                let rows = job.out_shape.batch * job.out_shape.frames;
                split::split(rows, self.work(job.out_shape.channels), threads, |rows| {
                    dispatch(level, channels::Channels { job: &job, rows });
                });
            }
            Some(Neighbours::Frames) => {
                let rows = job.out_shape.batch * job.out_shape.channels;
                split::split(rows, self.work(job.out_shape.frames), threads, |rows| {
                    dispatch(level, frames::Frames { job: &job, rows });
                });
            }
            None => scalar::run(&job),
        }
        Ok(())
    }

    /// Multiplications for a row of `outputs`.
    fn work(&self, outputs: usize) -> usize {
        outputs.saturating_mul(self.config.kernel)
    }
}

/// A convolution with its arguments, whose shapes fit.
struct Job<'a> {
    conv: &'a DepthwiseConv1d,
    x: View<'a>,
    residual: Option<View<'a>>,
    out: *mut f32,
    out_shape: Shape,
    out_strides: crate::view::Strides,
}

// SAFETY: the only field that keeps `Job` from being shared is `out`. It comes from a `ViewMut`,
// whose elements have places of their own, and threads get disjoint sets of rows of it.
unsafe impl Sync for Job<'_> {}

/// The axis along which all views have neighbours in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Neighbours {
    Channels,
    Frames,
}

impl<'a> Job<'a> {
    fn new(
        conv: &'a DepthwiseConv1d,
        x: View<'a>,
        residual: Option<View<'a>>,
        out: &'a mut ViewMut<'_>,
    ) -> Result<Self> {
        check_shape("the input", x.shape, Shape { channels: conv.channels, ..x.shape })?;
        let wanted = Shape { frames: conv.output_frames(x.shape.frames), ..x.shape };
        check_shape("the output", out.shape, wanted)?;
        if let Some(residual) = residual {
            check_shape("the residual", residual.shape, wanted)?;
        }
        let (out, out_strides) = (out.ptr, out.strides);
        Ok(Self { conv, x, residual, out, out_shape: wanted, out_strides })
    }

    fn neighbours(&self) -> Option<Neighbours> {
        let views = [
            Some((self.x.shape, self.x.strides)),
            self.residual.map(|view| (view.shape, view.strides)),
            Some((self.out_shape, self.out_strides)),
        ];
        let all = |adjacent: fn(Shape, crate::view::Strides) -> bool| {
            views.iter().flatten().all(|&(shape, strides)| adjacent(shape, strides))
        };
        if all(|shape, strides| shape.channels > 1 && strides.channel == 1) {
            Some(Neighbours::Channels)
        } else if all(|shape, strides| shape.frames <= 1 || strides.frame == 1) {
            Some(Neighbours::Frames)
        } else {
            None
        }
    }

    /// The taps that see the input when output `t` is computed; those outside see zeros.
    #[inline(always)]
    fn taps(&self, t: usize) -> std::ops::Range<usize> {
        let DepthwiseConfig { kernel, dilation, padding: (before, _), .. } = self.conv.config;
        let first = before.saturating_sub(t).div_ceil(dilation).min(kernel);
        let last = (self.x.shape.frames + before).saturating_sub(t).div_ceil(dilation).min(kernel);
        first..last.max(first)
    }
}

#[cfg(test)]
mod tests;
