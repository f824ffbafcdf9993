//! Convolution by way of frequencies.
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

use std::cell::RefCell;

use super::fourier::LARGEST;
use super::passes::{Backward, Blocks, Forward};
use super::{ConvolutionConfig, Group};
use crate::activation::Activation;
use crate::error::Result;
use crate::gemm::{Gemm, Matrix, MatrixMut, PackedMatrix, Right, Start, Workspace};
use crate::row_activation::RowActivation;
use crate::simd::dispatch;

/// Most numbers of a layer's transformed weights, where a smaller transform does it in less.
const MOST_NUMBERS: usize = 1 << 23;
/// Blocks that are worked on at a time where the weights fit into a second cache, and where they do
/// not, so that more is to be done for each time they are read. Whole tiles of a product.
const BLOCKS: [usize; 2] = [56, 112];
/// Numbers of weights that fit.
const IN_CACHE: usize = 1 << 20;

/// The transformed weights.
#[derive(Debug, Clone)]
pub(super) struct Transformed {
    config: ConvolutionConfig,
    gemm: Gemm,
    points: usize,
    planes: Vec<PackedMatrix>,
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
pub(super) fn planes(points: usize) -> usize {
    3 * (points / 2) - 1
}

/// Frames that are transformed together: what needs the fewest products.
fn points(config: &ConvolutionConfig) -> usize {
    let sizes = [8, 16, 32].into_iter().filter(|&points| points > config.kernel);
    let numbers = config.inputs.saturating_mul(config.outputs);
    let products = |points: usize| planes(points) as f64 / (points - config.kernel + 1) as f64;
    let fits = |points: &usize| planes(*points).saturating_mul(numbers) <= MOST_NUMBERS;
    let best = sizes.clone().filter(fits).min_by(|&a, &b| products(a).total_cmp(&products(b)));
    best.or(sizes.min()).unwrap_or(LARGEST)
}

impl Transformed {
    /// Of `weight [kernel, inputs, outputs]`, whose sizes were checked.
    pub(super) fn new(gemm: Gemm, config: ConvolutionConfig, weight: &[f32]) -> Result<Self> {
        let points = points(&config);
        let planes = transformed(gemm, config, weight, points)?;
        Ok(Self { config, gemm, points, planes })
    }

    /// Makes products so from now on.
    pub(super) fn set_gemm(&mut self, gemm: Gemm) {
        self.gemm = gemm;
        self.planes.iter_mut().for_each(|plane| plane.set_gemm(gemm));
    }

    /// Rows that blocks of one dilated sequence after the other fill together.
    fn rows_of_step(&self) -> usize {
        (self.points - self.config.kernel + 1) * self.config.dilation
    }

    /// Rows that are computed together.
    pub(super) fn rows_of_group(&self) -> usize {
        let ConvolutionConfig { inputs, outputs, dilation, .. } = self.config;
        let is_large = self.planes.len() * inputs * outputs > IN_CACHE;
        (BLOCKS[usize::from(is_large)] / dilation).max(1) * self.rows_of_step()
    }

    /// Some rows, on this thread.
    pub(super) fn group(&self, group: Group<'_>) -> Result<()> {
        SCRATCH.with_borrow_mut(|scratch| self.with_scratch(group, scratch))
    }

    fn with_scratch(&self, group: Group<'_>, scratch: &mut Scratch) -> Result<()> {
        let Group { x, first, before, bias, onto, out, .. } = group;
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
        let start = first - self.config.reach() as isize;
        let (channels, planes_of_x) = (inputs, &mut *transformed);
        let forward = Forward { x, channels, start, blocks, points, before, out: planes_of_x };
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
        let products = &*products;
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
