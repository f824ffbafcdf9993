//! Convolutions of few taps over rows of channels, in front of which and behind which nothing is left to
//! do: they read rows as products take them, and write their sums with bias, residual and activation as
//! the next convolution reads them.
//!
//! Rows of the left operand are those of the input, which overlap in memory, so that nothing is
//! copied: a convolution of `k` taps is the product of rows of `k` times as many channels, as far
//! apart as the input's. Where outputs are few, packing such rows would cost as much as a third
//! of the product.

mod operand;
#[cfg(test)]
mod tests;
mod work;

use std::ops::Range;

pub use operand::{AROUND, Operand, Products};

use crate::activation::Activation;
use crate::error::{Error, Result, check_length};
use crate::gemm::{Gemm, Matrix, PackedMatrix, Strided, dispatch, rounded};
use operand::OUTSIDE;
use work::{Convolve, Out};

/// Rows of the largest tile.
const TILE: usize = 32;

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowConfig {
    /// Channels that go in.
    pub inputs: usize,
    /// Elements of a row that comes out.
    pub outputs: usize,
    /// Taps.
    pub kernel: usize,
    /// Rows from tap to tap.
    pub dilation: usize,
    /// Rows from output to output.
    pub stride: usize,
    /// Rows in front of the first that its first tap sees, at most [`AROUND`].
    pub padding: usize,
}

/// `y[t] = sum over k of weight[k] x[stride t + dilation k - padding]`, ready to run.
#[derive(Debug, Clone)]
pub struct RowConvolution {
    products: Products,
    config: RowConfig,
    weight: PackedMatrix,
}

/// Where the sums of a convolution go.
#[derive(Debug)]
pub struct Sink<'a> {
    /// Added to every row.
    pub bias: &'a [f32],
    /// Factor of the sums.
    pub scale: f32,
    /// Rows that become the sums plus this multiple of what they were.
    pub rows: Option<(&'a mut [f32], f32)>,
    /// Rows of a product that become a function of that, from this one on, counted with those of zeros.
    pub operand: Option<(&'a mut Operand, usize, Activation)>,
}

impl RowConfig {
    /// Neighboring taps are one of as many times the channels.
    fn is_dense(&self) -> bool {
        self.dilation == 1
    }

    /// Taps that the loops see, and the elements of each in a packed weight.
    fn taps(&self, gemm: Gemm) -> [usize; 2] {
        let [taps, inputs] = match self.is_dense() {
            true => [1, self.kernel * self.inputs],
            false => [self.kernel, self.inputs],
        };
        [taps, inputs.next_multiple_of(gemm.depth_unit())]
    }
}

impl RowConvolution {
    /// A convolution of `weight [kernel, inputs, outputs]`.
    ///
    /// # Errors
    /// When lengths do not fit, for sizes of zero and padding that is not there; as [`Operand::new`].
    pub fn new(products: Products, config: RowConfig, weight: &[f32]) -> Result<Self> {
        let RowConfig { inputs, outputs, kernel, dilation, stride, padding } = config;
        if [inputs, outputs, kernel, dilation, stride].contains(&0) || padding > AROUND {
            let reason = "are 1 at least, and padding at most 4";
            return Err(Error::Setting { setting: "sizes", reason });
        }
        Operand::new(products, inputs)?;
        let numbers = outputs.checked_mul(inputs).and_then(|n| n.checked_mul(kernel));
        check_length("the weight", weight.len(), numbers.unwrap_or(usize::MAX))?;
        let (gemm, parts) = (products.gemm, products.parts);
        let [taps, depth] = config.taps(gemm);
        let mut padded = Vec::with_capacity(taps * depth * outputs);
        for (tap, rows) in weight.chunks_exact(weight.len() / taps).enumerate() {
            padded.extend_from_slice(rows);
            padded.resize((tap + 1) * depth * outputs, 0.0);
        }
        if parts == 3 {
            // The parts of as many rows as a tile has, one behind the other.
            let tiles = padded.chunks_exact(gemm.depth_unit() * outputs);
            padded = tiles.flat_map(thirds).collect();
        }
        let weight = gemm.pack(Matrix::dense(&padded, [parts * taps * depth, outputs])?);
        Ok(Self { products, config, weight })
    }

    /// How its products are made.
    #[must_use]
    pub fn products(&self) -> Products {
        self.products
    }

    /// The same with other products, of weights as exact as they are kept.
    ///
    /// # Errors
    /// As [`RowConvolution::new`].
    pub fn with_products(&self, products: Products) -> Result<Self> {
        let RowConfig { inputs, outputs, kernel, .. } = self.config;
        let Products { gemm, parts } = self.products;
        let ([taps, depth], columns) = (self.config.taps(gemm), self.weight.transposed());
        let (inner, unit) = (kernel * inputs / taps, gemm.depth_unit());
        let mut weight = Vec::with_capacity(kernel * inputs * outputs);
        for row in (0..taps).flat_map(|tap| tap * depth..tap * depth + inner) {
            let at = row / unit * unit * parts + row % unit;
            weight.extend((0..outputs).map(|column| {
                let part = |part: usize| columns[column * parts * taps * depth + at + part * unit];
                (0..parts).map(part).sum::<f32>()
            }));
        }
        Self::new(products, self.config, &weight)
    }

    /// Its sizes.
    #[must_use]
    pub fn config(&self) -> RowConfig {
        self.config
    }

    /// Makes `rows` of its output from `x`, on this thread.
    ///
    /// # Errors
    /// When they are not there, or operands are of other products or channels.
    pub fn run(&self, x: &Operand, rows: Range<usize>, sink: Sink<'_>) -> Result<()> {
        let RowConfig { inputs, outputs, dilation, stride, padding, .. } = self.config;
        check_length("the input's channels", x.channels(), inputs)?;
        check_length("the bias", sink.bias.len(), outputs)?;
        let Sink { bias, scale, rows: raw, operand } = sink;
        let others = operand.as_ref().map(|(operand, ..)| operand.products());
        let products = self.products;
        if x.products() != products || others.is_some_and(|others| others != products) {
            let reason = "is made for the instructions and numbers that multiply it";
            return Err(Error::Setting { setting: "operand", reason });
        }
        if rows.is_empty() {
            return Ok(());
        }
        let Products { gemm: Gemm { level, precision }, parts } = products;
        let ([taps, depth], per) = (self.config.taps(products.gemm), products.per_number());
        let strides = Strided {
            row: stride * x.row(),
            tap: dilation * x.row(),
            taps,
            steps: depth / per,
            plane: x.plane(),
            parts,
        };
        let left = (AROUND - padding + rows.start * stride) * x.row();
        // To the last tap of the last row of a tile, whose first row is one of those wanted.
        let seen =
            left + (rows.len() + TILE - 2) * strides.row + (taps - 1) * strides.tap + strides.steps;
        if seen > x.plane() || x.numbers().len() < parts * x.plane() {
            return Err(OUTSIDE);
        }
        let left = &x.numbers()[left..];
        let wanted = rows.start * outputs..rows.end * outputs;
        let raw = match raw {
            None => None,
            Some((raw, kept)) => Some((raw.get_mut(wanted.clone()).ok_or(OUTSIDE)?, kept)),
        };
        let operand = match operand {
            None => None,
            Some((operand, from, activation)) => {
                let from = from * operand.row();
                if !outputs.is_multiple_of(per) {
                    return Err(OUTSIDE);
                }
                let part = from + wanted.start / per..from + wanted.end / per;
                Some((operand.part(part)?, activation))
            }
        };
        let out = Out { bias, scale, rows: raw, operand };
        let (rows, weight) = (rows.len(), &self.weight);
        dispatch(level, precision, Convolve { left, strides, weight, rows, out });
        Ok(())
    }
}

/// Three times as many numbers whose sums are `x`, each with the digits of bf16.
fn thirds(x: &[f32]) -> Vec<f32> {
    let first: Vec<f32> = x.iter().map(|x| rounded(*x)).collect();
    let rest = || x.iter().zip(&first).map(|(x, first)| x - first);
    let second: Vec<f32> = rest().map(rounded).collect();
    let third = rest().zip(&second).map(|(rest, second)| rest - second).collect();
    [first, second, third].concat()
}
