//! The conditioning encoder: from frames to what each path adds at its bottom. It runs once an
//! utterance. Its response normalisation is over the whole utterance; with norms measured before, it
//! sees a few frames around each only.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::config::{PeriodWaveConfig, STEP};
use super::layers::{Conv, Pass, Stored};
use super::pointwise::Pointwise;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::depthwise::{Depthwise, Padding};
use crate::nn::frame_norm::FrameNorm;
use crate::params::{Params, Weight};

/// Taps of the first convolution and of those inside of blocks.
const KERNEL: i64 = 7;
/// Blocks at the rate of the frames, and at that of the steps.
const FRAME_BLOCKS: usize = 8;
const STEP_BLOCKS: usize = 4;
/// Wider inside of blocks, by these factors.
const FRAME_WIDTH: i64 = 3;
const STEP_WIDTH: i64 = 4;
const LAYER_NORM_EPS: f64 = 1e-6;
const RESPONSE_EPS: f64 = 1e-6;
/// Frames over which squares are added up at once: what a block computes of them takes some 100 MB at
/// the published sizes.
const PART: i64 = 1 << 11;

/// Norms of the channels relative to their mean, for each block: all that an encoder knows of the
/// frames far away.
#[derive(Debug, Default)]
pub struct CondNorms(Vec<Tensor>); // [batch, 1, channels] each

impl Clone for CondNorms {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(Tensor::shallow_clone).collect())
    }
}

/// What a path adds at its bottom, from a mid frame on.
#[derive(Debug)]
pub struct Latents {
    /// `[batch, mid frames, hidden]`
    pub values: Tensor,
    /// The mid frame of the signal that they begin at.
    pub at: i64,
}

impl Latents {
    /// The same in the same memory.
    pub(super) fn shared(&self) -> Self {
        Self { values: self.values.shallow_clone(), at: self.at }
    }
}

/// A block of ConvNeXt V2: a depthwise convolution, and a wide layer with response normalisation.
///
/// Source: Woo et al., "ConvNeXt V2" (arXiv 2301.00808).
#[derive(Debug, Clone)]
struct ConvNext {
    dwconv: Depthwise,
    norm: FrameNorm,
    pwconv1: Pointwise,
    gamma: Weight, // [1, 1, inner]
    beta: Weight,  // [1, 1, inner]
    pwconv2: Pointwise,
}

impl ConvNext {
    fn new(params: &Params<'_>, channels: i64, inner: i64) -> Result<Self> {
        let place = |name: &str| params.sub(name);
        Ok(Self {
            dwconv: Depthwise::new(&place("dwconv"), channels, KERNEL, Padding::same(KERNEL))?,
            norm: FrameNorm::new(&place("norm"), channels, LAYER_NORM_EPS)?,
            pwconv1: Pointwise::new(&place("pwconv1"), channels, inner)?,
            gamma: place("grn").zeros("gamma", &[1, 1, inner])?,
            beta: place("grn").zeros("beta", &[1, 1, inner])?,
            pwconv2: Pointwise::new(&place("pwconv2"), inner, channels)?,
        })
    }

    /// `[batch, frames, channels]` to the same shape, and the norms: those of `x` unless `known`.
    fn forward(&self, x: &Tensor, known: Option<&Tensor>, threads: usize) -> (Tensor, Tensor) {
        let y = self.response(x, threads);
        let norms = known.map_or_else(|| relative_norms(&squares(&y)), Tensor::shallow_clone);
        let y = (&*self.gamma * &norms + 1.0) * y + &*self.beta;
        (self.pwconv2.forward(&y, threads) + x, norms)
    }

    /// The channels whose norms count, `[batch, frames, inner]`.
    fn response(&self, x: &Tensor, threads: usize) -> Tensor {
        // The form without a gradient is faster.
        let y = match self.dwconv.weight.requires_grad() {
            true => self.dwconv.forward(x),
            false => self.dwconv.infer(x),
        };
        self.pwconv1.forward(&self.norm.forward(&y), threads).gelu("none")
    }
}

/// Sums of the squares of channels over the frames, `[batch, 1, channels]`.
fn squares(y: &Tensor) -> Tensor {
    y.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float)
}

/// Norms relative to their mean, from sums of squares.
fn relative_norms(squares: &Tensor) -> Tensor {
    let norms = squares.sqrt();
    let mean = norms.mean_dim([2i64].as_slice(), true, Kind::Float);
    norms / (mean + RESPONSE_EPS)
}

/// The encoder.
#[derive(Debug, Clone)]
pub(super) struct CondEncoder {
    embed: Conv,
    frame_blocks: Vec<ConvNext>,
    up: Conv,
    step_blocks: Vec<ConvNext>,
    /// Periods with the convolution to the mid frames of their paths.
    paths: Vec<(i64, Conv)>,
    /// Threads of kernels.
    threads: usize,
}

impl CondEncoder {
    pub(super) fn new(params: &Params<'_>, config: &PeriodWaveConfig) -> Result<Self> {
        let hidden = config.hidden_dim;
        let inner = hidden / 2;
        let block = |name: &str, channels: i64, width: i64| {
            let name = name.to_owned();
            move |index: usize| ConvNext::new(&(params / &name / index), channels, channels * width)
        };
        let (kernel, padding) = if config.takes_mel() { (8, 2) } else { (11, 3) };
        let up = Pass::Up { factor: config.steps_a_frame(), padding };
        let embed = params.sub("embed");
        let path = |(index, &period): (usize, &i64)| {
            let pass = Pass::Down { stride: period, dilation: 1, padding: 0 };
            let place = params / "cond_block" / index;
            let conv = Conv::new(&place, Stored::Plane, [inner, hidden], 2 * period, pass)?;
            Ok((period, conv))
        };
        Ok(Self {
            embed: Conv::new(
                &embed,
                Stored::Line,
                [config.inputs(), hidden],
                KERNEL,
                Pass::same(KERNEL, 1),
            )?,
            frame_blocks: (0..FRAME_BLOCKS)
                .map(block("convnext_block", hidden, FRAME_WIDTH))
                .collect::<Result<_>>()?,
            up: Conv::new(&params.sub("up"), Stored::Line, [hidden, inner], kernel, up)?,
            step_blocks: (0..STEP_BLOCKS)
                .map(block("cond", inner, STEP_WIDTH))
                .collect::<Result<_>>()?,
            paths: config.periods.iter().enumerate().map(path).collect::<Result<_>>()?,
            threads: 1,
        })
    }

    /// The same without a gradient, faster on processors with a matrix unit.
    pub(super) fn freeze(&mut self) {
        for block in self.frame_blocks.iter_mut().chain(&mut self.step_blocks) {
            block.pwconv1.freeze();
            block.pwconv2.freeze();
        }
    }

    /// Has kernels use so many threads from now on.
    pub(super) fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    /// Frames `[batch, inputs, frames]` to steps `[batch, steps, hidden / 2]`, with the norms: those
    /// of these frames unless `known`.
    pub(super) fn steps(
        &self,
        x: &Tensor,
        known: Option<&CondNorms>,
        trace: &mut dyn Trace,
    ) -> (Tensor, CondNorms) {
        let mut norms = Vec::with_capacity(FRAME_BLOCKS + STEP_BLOCKS);
        let mut known = known.map(|known| known.0.iter());
        let mut through = |block: &ConvNext, x: &Tensor| {
            let (y, own) = block.forward(x, known.as_mut().and_then(Iterator::next), self.threads);
            norms.push(own);
            y
        };
        let mut record = |name: &str, x: &Tensor| trace.record(name, &x.transpose(1, 2));
        let embedded = self.embed.forward(&x.transpose(1, 2)); // [batch, frames, hidden]
        record("cond.embed", &embedded);
        let mut y = embedded.shallow_clone();
        for (index, block) in self.frame_blocks.iter().enumerate() {
            y = through(block, &y);
            record(&format!("cond.convnext{index}"), &y);
        }
        let mut y = self.up.forward(&(y + embedded).silu()); // [batch, steps, hidden / 2]
        record("cond.up", &y);
        for block in &self.step_blocks {
            y = through(block, &y);
        }
        record("cond.last", &y);
        (y.silu(), CondNorms(norms))
    }

    /// The norms over `frames` frames, of which `inputs` gives any range as `[1, inputs, frames]`, in
    /// memory that does not grow with their number. The norms of a block depend on all blocks before, so
    /// that every block has a pass over the frames of its own.
    pub(super) fn norms_in_parts(
        &self,
        frames: i64,
        halo: i64,
        inputs: &dyn Fn(Range<i64>) -> Tensor,
    ) -> CondNorms {
        let mut norms = CondNorms::default();
        for _ in 0..FRAME_BLOCKS + STEP_BLOCKS {
            let mut sum: Option<Tensor> = None;
            for from in (0..frames).step_by(PART as usize) {
                let core = from..frames.min(from + PART);
                let seen = (core.start - halo).max(0)..frames.min(core.end + halo);
                let first = seen.start;
                let own = self.squares(&inputs(seen), &norms, core.start - first..core.end - first);
                // Sums of squares of many frames would be rounded in 32 bits.
                let own = own.to_kind(Kind::Double);
                sum = Some(match sum {
                    Some(sum) => sum + own,
                    None => own,
                });
            }
            norms.0.extend(sum.map(|sum| relative_norms(&sum.to_kind(Kind::Float))));
        }
        norms
    }

    /// Sums of the squares in the block behind those whose norms are known, over the frames `core` of
    /// `x [batch, inputs, frames]`.
    fn squares(&self, x: &Tensor, known: &CondNorms, core: Range<i64>) -> Tensor {
        let through = |blocks: &[ConvNext], known: &[Tensor], x: Tensor| {
            let through = |x: Tensor, (block, norms): (&ConvNext, _)| {
                block.forward(&x, Some(norms), self.threads).0
            };
            blocks.iter().zip(known).fold(x, through)
        };
        let embedded = self.embed.forward(&x.transpose(1, 2)); // [batch, frames, hidden]
        let done = known.0.len();
        let y = through(&self.frame_blocks, &known.0, embedded.shallow_clone());
        let (block, y, rate) = match self.frame_blocks.get(done) {
            Some(block) => (block, y, 1),
            None => {
                let up = self.up.forward(&(y + &embedded).silu()); // [batch, steps, hidden / 2]
                let y = through(&self.step_blocks, &known.0[FRAME_BLOCKS..], up.shallow_clone());
                (&self.step_blocks[done - FRAME_BLOCKS], y, up.size()[1] / embedded.size()[1])
            }
        };
        let (from, count) = (core.start * rate, (core.end - core.start) * rate);
        squares(&block.response(&y, self.threads).narrow(1, from, count))
    }

    /// What the path `index` adds at its mid frames `range`, from steps that begin at step `at` and
    /// have all that these mid frames see. `end` are the steps of the signal.
    pub(super) fn latents(
        &self,
        index: usize,
        steps: &Tensor,
        at: i64,
        range: Range<i64>,
        end: i64,
    ) -> Latents {
        let (period, conv) = &self.paths[index];
        // A mid frame sees as many steps before its first as behind it.
        let (first, last) = (range.start * period - (period - 1), range.end * period + 1);
        let (from, to) = (first.max(0), last.min(end));
        let mut seen = steps.narrow(1, from - at, to - from).transpose(1, 2);
        let behind = last - to;
        if behind > 0 {
            // So many are reflected, whatever the length; zeros follow.
            let reflected = behind.min((period - 1).max(1));
            seen = seen.reflection_pad1d([0, reflected]).constant_pad_nd([0, behind - reflected]);
        }
        let seen = seen.constant_pad_nd([from - first, 0]).transpose(1, 2).contiguous();
        let values = conv.forward(&seen);
        Latents { values, at: range.start }
    }

    /// Frames on each side that a step sees, with norms that are known.
    pub(super) fn reach(&self, config: &PeriodWaveConfig) -> i64 {
        let (block, steps) = (KERNEL / 2, config.steps_a_frame());
        let across = block * STEP_BLOCKS as i64;
        block * (1 + FRAME_BLOCKS as i64) + 2 + (across + steps - 1) / steps
    }

    /// Mid frames of the path `index` for a signal of so many steps.
    pub(super) fn mid_frames(&self, index: usize, steps: i64) -> i64 {
        let period = self.paths[index].0;
        (steps + period - 1) / period
    }

    /// Steps of so many samples.
    pub(super) fn whole_steps(samples: i64) -> i64 {
        (samples + STEP - 1) / STEP
    }
}
