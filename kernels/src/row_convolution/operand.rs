//! Rows of channels as products read them.

use std::ops::Range;

use super::work::{Activate, Elements};
use crate::activation::Activation;
use crate::aligned::Aligned;
use crate::error::{Error, Result, check_length};
use crate::gemm::{Gemm, Precision, dispatch};

/// Rows of zeros in front of the first row and behind the last.
pub const AROUND: usize = 4;
/// Rows behind them, which a tile that is not whole reads in vain.
const SPARE: usize = 128;

/// How products of rows are made.
///
/// Where a processor has a matrix unit for bf16, numbers of 32 bits are sums of three such numbers,
/// which have as many digits, and products sums of the six products of parts that are not below the
/// last digit: that is more than twice as fast as the vector unit, and as exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Products {
    pub(super) gemm: Gemm,
    /// Numbers whose sum is an element.
    pub(super) parts: usize,
}

impl Products {
    /// With the fastest instructions that this processor has, `None` where it has none for numbers of
    /// `precision`.
    #[must_use]
    pub fn new(precision: Precision) -> Option<Self> {
        let unit = Gemm::new(Precision::Bf16).filter(|gemm| gemm.has_unit());
        match (precision, unit) {
            (Precision::Single, Some(gemm)) => Some(Self { gemm, parts: 3 }),
            _ => Gemm::new(precision).map(Self::plain),
        }
    }

    /// Those of numbers of 32 bits as they are, `None` where libraries have means that these products do
    /// not use.
    #[must_use]
    pub fn of_vectors() -> Option<Self> {
        Gemm::preferred(Precision::Single).map(Self::plain)
    }

    /// Products of numbers as they are.
    #[must_use]
    pub fn plain(gemm: Gemm) -> Self {
        Self { gemm, parts: 1 }
    }

    /// Elements that share a number.
    pub(super) fn per_number(self) -> usize {
        match self.gemm.precision {
            Precision::Single => 1,
            Precision::Bf16 => 2,
        }
    }
}

/// Rows of channels, one behind the other, in the numbers of a product, with [`AROUND`] rows of zeros on
/// each side.
#[derive(Debug, Clone)]
pub struct Operand {
    products: Products,
    channels: usize,
    rows: usize,
    /// Planes of all rows, one for each part of an element.
    numbers: Aligned,
}

impl Operand {
    /// No rows of `channels`.
    ///
    /// # Errors
    /// When two channels share a number, and one is left over.
    pub fn new(products: Products, channels: usize) -> Result<Self> {
        if channels == 0 || !channels.is_multiple_of(products.per_number()) {
            let reason = "are 1 at least, and an even number where products take pairs";
            return Err(Error::Setting { setting: "channels", reason });
        }
        Ok(Self { products, channels, rows: 0, numbers: Aligned::default() })
    }

    /// Makes it `rows` long; those that were not there are zeros or what was there before.
    pub fn resize(&mut self, rows: usize) {
        if rows != self.rows || self.numbers.is_empty() {
            self.rows = rows;
            let numbers = self.plane() * self.products.parts;
            self.numbers.clear(numbers);
        }
    }

    /// Makes zeros of what was written around the rows.
    pub fn clear_around(&mut self) {
        let (row, end, plane) = (self.row(), AROUND + self.rows, self.plane());
        for numbers in self.numbers.chunks_exact_mut(plane) {
            numbers[..AROUND * row].fill(0);
            numbers[end * row..(end + AROUND) * row].fill(0);
        }
    }

    /// Writes a function of `x`, which holds the same rows, to `rows`.
    ///
    /// # Errors
    /// When `x` holds others, or there are not as many.
    pub fn activate(
        &mut self,
        x: &[f32],
        rows: Range<usize>,
        activation: Activation,
    ) -> Result<()> {
        check_length("the rows", x.len(), self.rows * self.channels)?;
        let x = x.get(rows.start * self.channels..rows.end * self.channels).ok_or(OUTSIDE)?;
        let Gemm { level, precision } = self.products.gemm;
        let row = self.row();
        let out = self.part((AROUND + rows.start) * row..(AROUND + rows.end) * row)?;
        dispatch(level, precision, Activate { x, activation, out });
        Ok(())
    }

    /// How products of it are made.
    #[must_use]
    pub fn products(&self) -> Products {
        self.products
    }

    /// Channels of a row.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Numbers of a row of a plane.
    pub(super) fn row(&self) -> usize {
        self.channels / self.products.per_number()
    }

    /// Numbers of a plane.
    pub(super) fn plane(&self) -> usize {
        (self.rows + 2 * AROUND + SPARE) * self.row()
    }

    /// All numbers, from the first row of zeros on.
    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// A range of the numbers of every plane that may be written: all rows, and those of zeros.
    pub(super) fn part(&mut self, range: Range<usize>) -> Result<Elements<'_>> {
        let (plane, parts) = (self.plane(), self.products.parts);
        if range.start > range.end || range.end > (2 * AROUND + self.rows) * self.row() {
            return Err(OUTSIDE);
        }
        let last = (parts - 1) * plane;
        let numbers = self.numbers.get_mut(range.start..last + range.end).ok_or(OUTSIDE)?;
        Ok(Elements { numbers, plane, parts })
    }
}

/// Rows that are not there.
pub(super) const OUTSIDE: Error =
    Error::Setting { setting: "rows", reason: "are inside of those that are there" };
