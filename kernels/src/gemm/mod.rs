//! Matrix products `C = f(A B + start)` for layers whose weights are known beforehand: these are
//! packed once into the order in which the product reads them, and bias and activation are
//! applied while the results are still in the nearest cache.
//!
//! Source of the scheme: Goto and van de Geijn, "Anatomy of High-Performance Matrix
//! Multiplication" (ACM TOMS 34:3, 2008), with a tile as large as the registers hold.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
mod matrix;
mod pack;
mod precision;
#[cfg(test)]
mod tests;
mod tile;

pub use matrix::{Matrix, MatrixMut};
pub use pack::PackedMatrix;
pub use precision::Precision;
pub(crate) use precision::Sums;
#[cfg(target_arch = "x86_64")]
pub(crate) use precision::bf16;

use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::simd::{Lanes, Level};
use pack::{pack_panel, pack_rows, pack_tiles};
use precision::{Multiply, Unit, Work, dispatch};
use tile::{Tile, compute};

/// Elements of the inner axis that are multiplied before sums go back to memory: a panel of
/// the right operand that deep fills about the nearest cache.
const DEPTH: usize = 512;

/// Rows of the left operand that are packed at a time: with [`DEPTH`] half of a second cache.
const ROWS: usize = 280;

/// What a product is added to.
#[derive(Debug, Clone, Copy, Default)]
pub enum Start<'a> {
    /// Nothing.
    #[default]
    Zero,
    /// A number for every column.
    Bias(&'a [f32]),
    /// What the output holds.
    Output,
}

/// The right operand of a product.
#[derive(Debug, Clone, Copy)]
pub enum Right<'a> {
    /// Packed beforehand.
    Packed(&'a PackedMatrix),
    /// Packed as it is read.
    Plain(Matrix<'a>),
}

impl Right<'_> {
    fn size(&self) -> [usize; 2] {
        match self {
            Self::Packed(packed) => packed.size(),
            Self::Plain(matrix) => matrix.size(),
        }
    }
}

/// Memory for operands on their way through a product, kept from one product to the next.
#[derive(Debug, Default)]
pub struct Workspace {
    tiles: Vec<u32>,
    rows: Vec<u32>,
    panel: Vec<u32>,
}

/// How products are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gemm {
    level: Level,
    precision: Precision,
}

impl Gemm {
    /// Products with the fastest instructions that this processor has, `None` where it has none for
    /// numbers of `precision`.
    #[must_use]
    pub fn new(precision: Precision) -> Option<Self> {
        Self::with_level(Level::best(), precision)
    }

    /// As [`Gemm::new`], but `None` where libraries have means that these products do not use:
    /// the matrix units of Apple's processors, and of Intel's for bf16.
    #[must_use]
    pub fn preferred(precision: Precision) -> Option<Self> {
        let plain = matches!(Level::best(), Level::Portable | Level::Neon);
        match plain || precision.has_matrix_unit() {
            true => None,
            false => Self::new(precision),
        }
    }

    pub(crate) fn level(self) -> Level {
        self.level
    }

    /// The numbers that are multiplied.
    #[must_use]
    pub fn precision(self) -> Precision {
        self.precision
    }

    /// Products with given instructions, for tests and comparisons.
    #[must_use]
    pub fn with_level(level: Level, precision: Precision) -> Option<Self> {
        (level.is_available() && precision.is_available(level)).then_some(Self { level, precision })
    }

    /// `right [depth, columns]`, a layer's weights, in the order of these products.
    #[must_use]
    pub fn pack(self, right: Matrix<'_>) -> PackedMatrix {
        PackedMatrix::new(self, right)
    }

    /// Writes `activation(left right + start)` to `out [rows, columns]`, for
    /// `left [rows, depth]` and `right [depth, columns]`, on this thread.
    ///
    /// # Errors
    /// When sizes do not fit each other, `right` was packed for other products, or the product is
    /// to be added to an output without numbers.
    pub fn multiply(
        self,
        left: Matrix<'_>,
        right: Right<'_>,
        start: Start<'_>,
        activation: Activation,
        out: &mut MatrixMut<'_>,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let ([rows, depth], [right_depth, columns]) = (left.size(), right.size());
        check("the right operand", [right_depth, columns], [depth, columns])?;
        check("the output", out.size(), [rows, columns])?;
        if let Start::Bias(bias) = start {
            check("the bias", [1, bias.len()], [1, columns])?;
        }
        if matches!(start, Start::Output) && !out.initialized {
            let reason = "holds numbers where a product is added to it";
            return Err(Error::Setting { setting: "output", reason });
        }
        if let Right::Packed(packed) = right
            && packed.gemm() != self
        {
            let reason = "is packed for the instructions and numbers that multiply it";
            return Err(Error::Setting { setting: "right operand", reason });
        }
        if rows > 0 && columns > 0 {
            let product = Product { left, right, start, activation, out, workspace };
            dispatch(self.level, self.precision, product);
        }
        Ok(())
    }
}

fn check(what: &'static str, found: [usize; 2], wanted: [usize; 2]) -> Result<()> {
    let shape = |[rows, columns]: [usize; 2]| [1, rows, columns];
    match found == wanted {
        true => Ok(()),
        false => Err(Error::Shape { what, found: shape(found), wanted: shape(wanted) }),
    }
}

struct Product<'a, 'b, 'c> {
    left: Matrix<'a>,
    right: Right<'a>,
    start: Start<'a>,
    activation: Activation,
    out: &'b mut MatrixMut<'c>,
    workspace: &'b mut Workspace,
}

impl Work for Product<'_, '_, '_> {
    #[inline(always)]
    unsafe fn run<M: Multiply>(mut self) {
        let unit = M::Unit::of_thread();
        let [rows, depth] = self.left.size();
        let block = rows.div_ceil(rows.div_ceil(ROWS)).max(1);
        for row in (0..rows).step_by(block) {
            let rows = [row, block.min(rows - row)];
            let mut first = 0;
            loop {
                let deep = DEPTH.min(depth - first);
                let is_last = first + deep == depth;
                let start = if first == 0 { self.start } else { Start::Output };
                let activation = if is_last { self.activation } else { Activation::Identity };
                // SAFETY: the caller promises the instructions.
                unsafe { self.block::<M>(rows, [first, deep], start, activation, unit.as_ref()) };
                first += deep;
                if is_last {
                    break;
                }
            }
        }
    }
}

impl Product<'_, '_, '_> {
    /// Some `rows` of the result, from a part of the inner axis, each given by its first index and
    /// their number.
    ///
    /// # Safety
    /// The processor must have the instructions of `M`.
    #[inline(always)]
    unsafe fn block<M: Multiply>(
        &mut self,
        rows: [usize; 2],
        depth: [usize; 2],
        start: Start<'_>,
        activation: Activation,
        unit: Option<&M::Unit>,
    ) {
        let Workspace { tiles, rows: rows_of_tile, panel } = &mut *self.workspace;
        let left = self.left.part(rows, depth);
        // SAFETY: the caller promises the instructions.
        unsafe {
            match unit {
                Some(_) => pack_rows::<M>(left, tiles),
                None => pack_tiles::<M>(left, tiles, rows_of_tile),
            }
        }
        let steps = depth[1].div_ceil(M::DEPTH);
        let padded = steps.next_multiple_of(M::Unit::STEPS);
        let width = 2 * M::Lanes::N;
        if matches!(self.right, Right::Plain(_)) {
            panel.clear();
            panel.resize(padded * width, 0);
        }
        let mut sums = Sums([0.0; 32 * 32]);
        let (columns, stride) = (self.out.size()[1], self.out.stride());
        for column in (0..columns).step_by(width) {
            let count = width.min(columns - column);
            let right = match &self.right {
                Right::Packed(packed) => packed.panel(column / width, depth[0] / M::DEPTH),
                Right::Plain(matrix) => {
                    // SAFETY: as above.
                    unsafe {
                        let numbers = &mut panel[..steps * width];
                        pack_panel::<M>(matrix.part(depth, [column, count]), numbers);
                    }
                    panel.as_slice()
                }
            };
            let start = match start {
                Start::Bias(bias) => Start::Bias(&bias[column..]),
                other => other,
            };
            if let Some(unit) = unit {
                for row in (0..rows[1]).step_by(M::Unit::SIDE) {
                    let first = (rows[0] + row) * stride + column;
                    let out = self.out.values[first..].as_mut_ptr().cast();
                    let left = &tiles[row * padded..];
                    let tile =
                        Tile { left, right, steps, out, stride, columns: count, start, activation };
                    let rows = M::Unit::SIDE.min(rows[1] - row);
                    // SAFETY: the output has these rows and columns, and operands are filled up to
                    // whole tiles.
                    unsafe { tile.with_unit::<M>(unit, rows, &mut sums) };
                }
                continue;
            }
            for (row, rows_of_tile) in split_tiles(rows[1], M::Lanes::TILE_ROWS) {
                let first = (rows[0] + row) * stride + column;
                let out = self.out.values[first..].as_mut_ptr().cast();
                let left = &tiles[row * steps..];
                let tile =
                    Tile { left, right, steps, out, stride, columns: count, start, activation };
                // SAFETY: the caller promises the instructions; the output has these rows and
                // columns, and operands are packed for as many steps.
                unsafe { compute::<M>(rows_of_tile, tile) };
            }
        }
    }
}

/// Rows in tiles of at most `most`, about equally high: the first row and the number of each.
fn split_tiles(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = rows.div_ceil(most);
    (0..tiles).map(move |tile| {
        let [from, to] = [tile, tile + 1].map(|tile| tile * rows / tiles);
        (from, to - from)
    })
}
