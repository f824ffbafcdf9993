//! Convolution over time of rows of channels, every output of which sees all inputs, with an
//! activation in front and bias and residual in the same pass.
//!
//! A kernel of `k` taps slides over a block of `n` frames at `n - k + 1` places. Transformed to
//! frequencies, the block costs as many products as there are frequencies, rather than `k` a
//! place: three of real numbers for each complex frequency. At 11 taps and blocks of 32 frames
//! that is a fifth of the multiplications. Transforms are short enough to round no more than the
//! sums of a direct product do, and cost little where channels are many.
//!
//! Here is the plan, which a layer makes once from its weights; `fourier` has the transforms, and
//! `passes` what is done between memory and them.
//!
//! Source: overlap-save convolution as in Oppenheim and Schafer, "Discrete-Time Signal
//! Processing"; complex products by three real ones after Gauss.

mod fourier;
mod passes;
#[cfg(test)]
mod tests;
mod upsampling;

pub use upsampling::{Upsampling, UpsamplingConfig};

use std::cell::RefCell;

use crate::activation::Activation;
use crate::error::{Error, Result, check_length};
use crate::gemm::{Gemm, Matrix, MatrixMut, PackedMatrix, Right, Start, Workspace};
use crate::row_activation::RowActivation;
use crate::simd::dispatch;
use crate::threads::try_in_threads;
use passes::{Backward, Blocks, Forward};

/// Most taps of a [`Convolution`].
pub const LONGEST_KERNEL: usize = fourier::LARGEST - 1;

/// Most numbers of a layer's transformed weights, where a smaller transform does it in less.
const MOST_NUMBERS: usize = 1 << 23;
/// Blocks that are worked on at a time where the weights fit into a second cache, and where they do
/// not, so that more is to be done for each time they are read. Whole tiles of a product.
const BLOCKS: [usize; 2] = [56, 112];
/// Numbers of weights that fit.
const IN_CACHE: usize = 1 << 20;

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
    points: usize,
    planes: Vec<PackedMatrix>,
}

/// What a convolution is added to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Onto<'a> {
    /// Rows like those that come out.
    pub residual: Option<&'a [f32]>,
    /// Whether to add to what the output holds.
    pub output: bool,
}

/// Memory of a thread for the blocks that it works on.
#[derive(Default)]
struct Scratch {
    transformed: Vec<f32>,
    products: Vec<f32>,
    workspace: Workspace,
}

thread_local! {
    /// Kept from one layer to the next, which need about the same: some megabytes.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The first `count` numbers of a list that grows as needed.
fn first_of(list: &mut Vec<f32>, count: usize) -> &mut [f32] {
    if list.len() < count {
        list.resize(count, 0.0);
    }
    &mut list[..count]
}

/// Real numbers per position that stand for the frequencies of a transform: one for the first and
/// the last, three for each other.
fn planes(points: usize) -> usize {
    3 * (points / 2) - 1
}

/// Frames that are transformed together: what needs the fewest products.
fn points(config: &ConvolutionConfig) -> Option<usize> {
    let sizes = [8, 16, 32].into_iter().filter(|&points| points > config.kernel);
    let numbers = config.inputs.saturating_mul(config.outputs);
    let products = |points: usize| planes(points) as f64 / (points - config.kernel + 1) as f64;
    let fits = |points: &usize| planes(*points).saturating_mul(numbers) <= MOST_NUMBERS;
    let best = sizes.clone().filter(fits).min_by(|&a, &b| products(a).total_cmp(&products(b)));
    best.or(sizes.min())
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
        let points = points(&config).filter(|_| kernel % 2 == 1).ok_or(Error::Setting {
            setting: "kernel",
            reason: "is not an odd number from 1 to 31",
        })?;
        if dilation == 0 || dilation > 1 << 31 || inputs == 0 || outputs == 0 {
            let reason = "channels and dilation are 1 at least, and dilation at most 2^31";
            return Err(Error::Setting { setting: "dilation", reason });
        }
        let numbers = outputs.checked_mul(inputs).and_then(|n| n.checked_mul(kernel));
        check_length("the weight", weight.len(), numbers.unwrap_or(usize::MAX))?;
        check_length("the bias", bias.len(), outputs)?;
        before.check(inputs)?;
        let planes = transformed(gemm, config, weight, points)?;
        Ok(Self { config, gemm, before, bias: bias.to_vec(), points, planes })
    }

    /// How its products are made.
    #[must_use]
    pub fn gemm(&self) -> Gemm {
        self.gemm
    }

    /// Makes its products so from now on, of the weights as exact as they are kept.
    pub fn set_gemm(&mut self, gemm: Gemm) {
        self.gemm = gemm;
        self.planes.iter_mut().for_each(|plane| plane.set_gemm(gemm));
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
        let ConvolutionConfig { inputs, outputs, .. } = self.config;
        check_length("the input", x.len(), x.len() / inputs * inputs)?;
        check_length("the output", out.len(), out.len() / outputs * outputs)?;
        if let Some(residual) = onto.residual {
            check_length("the residual", residual.len(), out.len())?;
        }
        let rows = self.rows_of_group();
        let parts = out.chunks_mut(rows * outputs).enumerate();
        try_in_threads(threads, parts, |(part, out)| {
            let skipped = part * rows;
            let residual = onto.residual.map(|rows| &rows[skipped * outputs..][..out.len()]);
            SCRATCH.with_borrow_mut(|scratch| {
                self.group(x, first + skipped, Onto { residual, ..onto }, out, scratch)
            })
        })
    }

    /// Rows that blocks of one dilated sequence after the other fill together.
    fn rows_of_step(&self) -> usize {
        (self.points - self.config.kernel + 1) * self.config.dilation
    }

    fn rows_of_group(&self) -> usize {
        let ConvolutionConfig { inputs, outputs, dilation, .. } = self.config;
        let is_large = self.planes.len() * inputs * outputs > IN_CACHE;
        (BLOCKS[usize::from(is_large)] / dilation).max(1) * self.rows_of_step()
    }

    /// Some rows, on this thread.
    fn group(
        &self,
        x: &[f32],
        first: usize,
        onto: Onto<'_>,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<()> {
        let ConvolutionConfig { inputs, outputs, .. } = self.config;
        let blocks = Blocks {
            rows: out.len() / outputs,
            step: self.rows_of_step(),
            dilation: self.config.dilation,
        };
        let (count, planes) = (blocks.count(), self.planes.len());
        let Scratch { transformed, products, workspace } = scratch;
        let transformed = first_of(transformed, planes * count * inputs);
        let products = first_of(products, planes * count * outputs);
        let (points, level) = (self.points, self.gemm.level());
        let start = first as isize - self.config.reach() as isize;
        let (before, channels) = (&self.before, inputs);
        let out_of_rows = &mut *transformed;
        let forward = Forward { x, channels, start, blocks, points, before, out: out_of_rows };
        dispatch(level, forward);
        let left = transformed.chunks_exact(count * inputs);
        let results = products.chunks_exact_mut(count * outputs);
        for ((left, weight), out) in left.zip(&self.planes).zip(results) {
            self.gemm.multiply(
                Matrix::dense(left, [count, inputs])?,
                Right::Packed(weight),
                Start::Zero,
                Activation::Identity,
                &mut MatrixMut::dense(out, [count, outputs])?,
                workspace,
            )?;
        }
        let (products, bias) = (&*products, &self.bias);
        dispatch(level, Backward { products, bias, blocks, points, onto, out });
        Ok(())
    }
}

/// The planes of the transform of `weight`, conjugate and with all factors of transforms, as
/// [`passes`] needs them.
fn transformed(
    gemm: Gemm,
    config: ConvolutionConfig,
    weight: &[f32],
    points: usize,
) -> Result<Vec<PackedMatrix>> {
    let size = [config.inputs, config.outputs];
    let channels = size[0] * size[1];
    let scaled: Vec<f32> = weight.iter().map(|weight| weight / points as f32).collect();
    let mut numbers = vec![0.0; planes(points) * channels];
    let blocks = Blocks { rows: 1, step: 1, dilation: 1 };
    let (x, before, out) = (&scaled, &RowActivation::Identity, &mut numbers);
    dispatch(gemm.level(), Forward { x, channels, start: 0, blocks, points, before, out });
    let (outer, inner) = numbers.split_at_mut(2 * channels);
    for parts in inner.chunks_exact_mut(3 * channels) {
        let (sum, rest) = parts.split_at_mut(channels);
        let (re, im) = rest.split_at_mut(channels);
        for ((first, second), third) in sum.iter_mut().zip(re).zip(im) {
            let [re, im] = [*second, *third];
            [*first, *second, *third] = [re, -im - re, re - im];
        }
    }
    let planes = outer.chunks_exact(channels).chain(inner.chunks_exact(channels));
    planes.map(|plane| Ok(gemm.pack(Matrix::dense(plane, size)?))).collect()
}
