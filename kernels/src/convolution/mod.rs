//! Convolution over time of rows of channels, every output of which sees all inputs, with an
//! activation in front and bias and residual in the same pass.
//!
//! Where the processor has a unit for whole matrices, it is `direct`: the sum by its definition, of
//! rows as they lie. Elsewhere it is `transformed`, by way of frequencies, in a fraction of the products.

#[cfg(target_arch = "x86_64")]
mod direct;
mod fourier;
mod passes;
#[cfg(test)]
mod tests;
mod transformed;
mod upsampling;

pub use upsampling::{Upsampling, UpsamplingConfig};

use std::cell::Cell;

use crate::error::{Error, Result, check_length};
use crate::gemm::Gemm;
use crate::row_activation::RowActivation;
use crate::threads::try_in_threads;
#[cfg(target_arch = "x86_64")]
use direct::Direct;
use transformed::Transformed;

/// Most taps of a [`Convolution`].
pub const LONGEST_KERNEL: usize = fourier::LARGEST - 1;

/// Sizes of a convolution that keeps the number of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionConfig {
    /// Channels that go in.
    pub inputs: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// Taps, an odd number.
    pub kernel: usize,
    /// Frames from tap to tap.
    pub dilation: usize,
}

impl ConvolutionConfig {
    /// Frames on each side that a frame depends on.
    #[must_use]
    pub fn reach(&self) -> usize {
        self.kernel / 2 * self.dilation
    }
}

/// `y[t] = bias + sum over k of weight[k] f(x[t + (k - kernel / 2) dilation])`, ready to run.
#[derive(Debug, Clone)]
pub struct Convolution {
    config: ConvolutionConfig,
    gemm: Gemm,
    before: RowActivation,
    bias: Vec<f32>,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Transformed(Transformed),
    #[cfg(target_arch = "x86_64")]
    Direct(Direct),
}

impl Form {
    fn new(gemm: Gemm, config: ConvolutionConfig, weight: &[f32]) -> Result<Self> {
        #[cfg(target_arch = "x86_64")]
        if let Some(direct) = Direct::new(gemm, config, weight) {
            return Ok(Self::Direct(direct));
        }
        Ok(Self::Transformed(Transformed::new(gemm, config, weight)?))
    }
}

/// What a convolution is added to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Onto<'a> {
    /// Rows like those that come out.
    pub residual: Option<&'a [f32]>,
    /// Whether to add to what the output holds.
    pub output: bool,
}

thread_local! {
    /// Rows between two layers, kept from one pair to the next.
    static BETWEEN: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Rows of a layer that are computed together, on one thread.
struct Group<'a> {
    x: &'a [f32],
    /// The frame of `x` that the first row of `out` is for.
    first: isize,
    /// What frames are multiplied by in front of `before`, where the form is the direct one.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    scale: f32,
    before: &'a RowActivation,
    bias: &'a [f32],
    onto: Onto<'a>,
    out: &'a mut [f32],
}

impl Convolution {
    /// A convolution of `weight [kernel, inputs, outputs]` and `bias [outputs]`.
    ///
    /// # Errors
    /// When lengths do not fit, and for an even kernel or one of more than 31 taps.
    pub fn new(
        gemm: Gemm,
        config: ConvolutionConfig,
        before: RowActivation,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        let ConvolutionConfig { inputs, outputs, kernel, dilation } = config;
        if kernel % 2 == 0 || kernel > LONGEST_KERNEL {
            let reason = "is not an odd number from 1 to 31";
            return Err(Error::Setting { setting: "kernel", reason });
        }
        if dilation == 0 || dilation > 1 << 31 || inputs == 0 || outputs == 0 {
            let reason = "channels and dilation are 1 at least, and dilation at most 2^31";
            return Err(Error::Setting { setting: "dilation", reason });
        }
        let numbers = outputs.checked_mul(inputs).and_then(|n| n.checked_mul(kernel));
        check_length("the weight", weight.len(), numbers.unwrap_or(usize::MAX))?;
        check_length("the bias", bias.len(), outputs)?;
        before.check(inputs)?;
        let form = Form::new(gemm, config, weight)?;
        Ok(Self { config, gemm, before, bias: bias.to_vec(), form })
    }

    /// Whether a matrix unit of the processor makes its products.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        !matches!(self.form, Form::Transformed(_))
    }

    /// How its products are made.
    #[must_use]
    pub fn gemm(&self) -> Gemm {
        self.gemm
    }

    /// Makes its products so from now on, of the weights as exact as they are kept.
    pub fn set_gemm(&mut self, gemm: Gemm) {
        if gemm == self.gemm {
            return;
        }
        self.gemm = gemm;
        match &mut self.form {
            Form::Transformed(form) => form.set_gemm(gemm),
            #[cfg(target_arch = "x86_64")]
            Form::Direct(direct) => {
                let form = Form::new(gemm, self.config, &direct.weight());
                self.form = form.expect("sizes that were taken before");
            }
        }
    }

    /// Its sizes.
    #[must_use]
    pub fn config(&self) -> ConvolutionConfig {
        self.config
    }

    /// Writes rows to `out`, the first of them for frame `first` of `x`. Frames before the first and
    /// behind the last of `x` are zeros behind the activation. At most `threads` threads work on it,
    /// with the same bytes in the result for any number of them.
    ///
    /// # Errors
    /// When lengths are not of whole rows, or the residual has others than the output.
    pub fn run(
        &self,
        x: &[f32],
        first: usize,
        onto: Onto<'_>,
        out: &mut [f32],
        threads: usize,
    ) -> Result<()> {
        check_length("the input", x.len(), x.len() / self.config.inputs * self.config.inputs)?;
        self.in_groups(onto, out, threads, |at, onto, out| {
            self.group(x, (first + at) as isize, onto, out)
        })
    }

    /// As [`Convolution::run`] of what `inner` makes of `x`, of which no more is computed at a time than
    /// caches hold.
    ///
    /// # Errors
    /// As [`Convolution::run`], and when `inner` has other outputs than there are inputs.
    pub fn run_behind(
        &self,
        inner: &Self,
        x: &[f32],
        first: usize,
        onto: Onto<'_>,
        out: &mut [f32],
        threads: usize,
    ) -> Result<()> {
        let (between, frames) = (self.config.inputs, x.len() / inner.config.inputs);
        check_length("the input", x.len(), frames * inner.config.inputs)?;
        check_length("the inner outputs", inner.config.outputs, between)?;
        self.in_groups(onto, out, threads, |at, onto, out| {
            let (first, reach) = (first + at, self.config.reach());
            let from = first.saturating_sub(reach).min(frames);
            let to = (first + out.len() / self.config.outputs + reach).min(frames);
            let mut rows = BETWEEN.take();
            rows.resize((to - from) * between, 0.0);
            inner.group(x, from as isize, Onto::default(), &mut rows)?;
            self.group(&rows, (first - from) as isize, onto, out)?;
            BETWEEN.set(rows);
            Ok(())
        })
    }

    /// Calls `work` with the first row, what it is added to, and the place for every group of rows.
    fn in_groups(
        &self,
        onto: Onto<'_>,
        out: &mut [f32],
        threads: usize,
        work: impl Fn(usize, Onto<'_>, &mut [f32]) -> Result<()> + Sync,
    ) -> Result<()> {
        let outputs = self.config.outputs;
        check_length("the output", out.len(), out.len() / outputs * outputs)?;
        if let Some(residual) = onto.residual {
            check_length("the residual", residual.len(), out.len())?;
        }
        let rows = match &self.form {
            Form::Transformed(form) => form.rows_of_group(),
            #[cfg(target_arch = "x86_64")]
            Form::Direct(_) => direct::ROWS,
        };
        try_in_threads(threads, out.chunks_mut(rows * outputs).enumerate(), |(part, out)| {
            let at = part * rows;
            let residual = onto.residual.map(|rows| &rows[at * outputs..][..out.len()]);
            work(at, Onto { residual, ..onto }, out)
        })
    }

    /// A group of rows, on this thread.
    fn group(&self, x: &[f32], first: isize, onto: Onto<'_>, out: &mut [f32]) -> Result<()> {
        let group =
            Group { x, first, scale: 1.0, before: &self.before, bias: &self.bias, onto, out };
        match &self.form {
            Form::Transformed(form) => form.group(group),
            #[cfg(target_arch = "x86_64")]
            Form::Direct(form) => {
                form.group(group);
                Ok(())
            }
        }
    }
}
