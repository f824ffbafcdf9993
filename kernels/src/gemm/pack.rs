//! Operands in the order in which a product reads them.

use super::matrix::Matrix;
use super::precision::{Multiply, Precision, Unit, Work, dispatch};
use super::{Gemm, split_tiles};
use crate::aligned::Aligned;
use crate::simd::Lanes;

/// A right operand `[depth, columns]` in panels of as many columns as a tile has, each with its
/// columns side by side for every step of the inner axis.
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    gemm: Gemm,
    size: [usize; 2],
    numbers: Aligned,
    /// Numbers of a panel, and of one step of the inner axis of it.
    panel: usize,
    width: usize,
}

impl PackedMatrix {
    pub(super) fn new(gemm: Gemm, matrix: Matrix<'_>) -> Self {
        let size = matrix.size();
        let mut packed = Self { gemm, size, numbers: Aligned::default(), panel: 0, width: 0 };
        dispatch(gemm.level, gemm.precision, PackAll { matrix, packed: &mut packed });
        packed
    }

    /// `[depth, columns]`.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The matrix as `[columns, depth]`, rounded as it was packed.
    #[must_use]
    pub fn transposed(&self) -> Vec<f32> {
        let [depth, columns] = self.size;
        let pair = match self.gemm.precision {
            Precision::Single => 1,
            Precision::Bf16 => 2,
        };
        let mut values = Vec::with_capacity(depth * columns);
        for column in 0..columns {
            let panel = self.panel(column / self.width, 0);
            for row in 0..depth {
                let number = panel[row / pair * self.width + column % self.width];
                values.push(f32::from_bits(match (self.gemm.precision, row % pair) {
                    (Precision::Single, _) => number,
                    (Precision::Bf16, 0) => number << 16,
                    (Precision::Bf16, _) => number & 0xffff_0000,
                }));
            }
        }
        values
    }

    /// Packs the numbers anew for other products.
    pub(crate) fn set_gemm(&mut self, gemm: Gemm) {
        if gemm != self.gemm {
            let ([depth, columns], values) = (self.size, self.transposed());
            let matrix = Matrix::dense(&values, [columns, depth]).expect("as many as there are");
            *self = Self::new(gemm, matrix.transposed());
        }
    }

    pub(super) fn gemm(&self) -> Gemm {
        self.gemm
    }

    /// The panel `at`, from step `step` of the inner axis on.
    #[inline(always)]
    pub(super) fn panel(&self, at: usize, step: usize) -> &[u32] {
        &self.numbers[at * self.panel + step * self.width..(at + 1) * self.panel]
    }
}

struct PackAll<'a> {
    matrix: Matrix<'a>,
    packed: &'a mut PackedMatrix,
}

impl Work for PackAll<'_> {
    #[inline(always)]
    unsafe fn run<M: Multiply>(self) {
        let Self { matrix, packed } = self;
        let [depth, columns] = matrix.size();
        packed.width = 2 * M::Lanes::N;
        let numbers = depth.div_ceil(M::DEPTH) * packed.width;
        packed.panel = depth.div_ceil(M::DEPTH).next_multiple_of(M::Unit::STEPS) * packed.width;
        packed.numbers.clear(columns.div_ceil(packed.width) * packed.panel);
        for (at, column) in (0..columns).step_by(packed.width).enumerate() {
            let right = matrix.part([0, depth], [column, packed.width.min(columns - column)]);
            let panel = &mut packed.numbers[at * packed.panel..][..numbers];
            // SAFETY: the caller promises the instructions.
            unsafe { pack_panel::<M>(right, panel) };
        }
    }
}

/// Packs the columns of `right`, no more than a panel has; others are zeros. The panel has two
/// vectors for every step of the inner axis.
///
/// # Safety
/// The processor must have the instructions of `M`.
#[inline(always)]
pub(super) unsafe fn pack_panel<M: Multiply>(right: Matrix<'_>, panel: &mut [u32]) {
    let n = M::Lanes::N;
    let [depth, columns] = right.size();
    for (step, numbers) in panel.chunks_exact_mut(2 * n).enumerate() {
        let row = step * M::DEPTH;
        let (first, stride) = right.row(row);
        let second = match M::DEPTH {
            1 => first,
            _ if row + 1 < depth => right.row(row + 1).0,
            _ => &[],
        };
        match [first, second].map(|row| row.get(..2 * n)) {
            [Some(first), Some(second)] if stride == 1 && columns == 2 * n => {
                for half in [0, n] {
                    let rows = [first[half..].as_ptr(), second[half..].as_ptr()];
                    // SAFETY: the caller promises the instructions; all have two vectors.
                    unsafe { M::store(M::numbers(rows), numbers[half..].as_mut_ptr()) };
                }
            }
            _ => {
                let (numbers, rest) = numbers.split_at_mut(columns);
                for (column, number) in numbers.iter_mut().enumerate() {
                    let at = |row: &[f32]| row.get(column * stride).copied().unwrap_or(0.0);
                    *number = M::number([at(first), at(second)]);
                }
                rest.fill(0);
            }
        }
    }
}

/// Packs the rows of `left` in tiles, each with its rows side by side for every step of the inner
/// axis, and with as much room behind the last as a vector needs.
///
/// # Safety
/// The processor must have the instructions of `M`.
#[inline(always)]
pub(super) unsafe fn pack_tiles<M: Multiply>(
    left: Matrix<'_>,
    tiles: &mut Vec<u32>,
    rows_of_tile: &mut Vec<u32>,
) {
    let n = M::Lanes::N;
    let [rows, depth] = left.size();
    let steps = depth.div_ceil(M::DEPTH);
    tiles.resize(rows * steps + n, 0);
    rows_of_tile.resize(M::Lanes::TILE_ROWS * steps, 0);
    for (row, count) in split_tiles(rows, M::Lanes::TILE_ROWS) {
        for (r, numbers) in rows_of_tile.chunks_exact_mut(steps.max(1)).take(count).enumerate() {
            // SAFETY: the caller promises the instructions.
            unsafe { pack_row::<M>(left.row(row + r), depth, numbers) };
        }
        let whole = steps - steps % n;
        let tile = &mut tiles[row * steps..(row + count) * steps + n];
        for step in (0..whole).step_by(n) {
            let from = rows_of_tile[step..].as_ptr().cast();
            let to = tile[step * count..].as_mut_ptr().cast();
            // SAFETY: the caller promises the instructions; every row has `steps` numbers, and the
            // tile has a vector behind the last step. Bits stay what they are.
            unsafe { M::Lanes::transpose(from, steps, count, to, count) };
        }
        for step in whole..steps {
            for r in 0..count {
                tile[step * count + r] = rows_of_tile[r * steps + step];
            }
        }
    }
}

/// Packs the rows of `left` one behind the other, with zeros up to whole tiles of a matrix unit.
///
/// # Safety
/// The processor must have the instructions of `M`.
#[inline(always)]
pub(super) unsafe fn pack_rows<M: Multiply>(left: Matrix<'_>, numbers: &mut Vec<u32>) {
    let [rows, depth] = left.size();
    let steps = depth.div_ceil(M::DEPTH);
    let padded = steps.next_multiple_of(M::Unit::STEPS);
    numbers.clear();
    numbers.resize(rows.next_multiple_of(M::Unit::SIDE) * padded, 0);
    for (row, numbers) in numbers.chunks_exact_mut(padded.max(1)).take(rows).enumerate() {
        // SAFETY: the caller promises the instructions.
        unsafe { pack_row::<M>(left.row(row), depth, &mut numbers[..steps]) };
    }
}

/// The first `depth` elements of a row as numbers.
///
/// # Safety
/// The processor must have the instructions of `M`.
#[inline(always)]
unsafe fn pack_row<M: Multiply>(row: (&[f32], usize), depth: usize, numbers: &mut [u32]) {
    let (values, stride) = row;
    let n = M::Lanes::N;
    let mut vectors = 0;
    if stride == 1 {
        vectors = depth / (n * M::DEPTH);
        let values = values[..vectors * n * M::DEPTH].chunks_exact(n * M::DEPTH);
        for (values, numbers) in values.zip(numbers.chunks_exact_mut(n)) {
            // SAFETY: the caller promises the instructions; both are a vector of numbers.
            unsafe { M::store(M::pairs(values.as_ptr()), numbers.as_mut_ptr()) };
        }
    }
    for (step, number) in numbers.iter_mut().enumerate().skip(vectors * n) {
        let at = |k: usize| if k < depth { values[k * stride] } else { 0.0 };
        let k = step * M::DEPTH;
        *number = M::number([at(k), at(k + 1)]);
    }
}
