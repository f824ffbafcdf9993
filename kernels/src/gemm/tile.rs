//! The innermost part of a product: as many sums as the processor has registers for.

use super::Start;
use super::precision::{Multiply, Sums, Unit};
use crate::activation::Activation;
use crate::simd::Lanes;

/// Where a tile's operands lie, and where its results go.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// Numbers of the left operand, the rows side by side for every step of the inner axis.
    pub(super) left: &'a [u32],
    /// Numbers of the right operand, two vectors for every step of the inner axis.
    pub(super) right: &'a [u32],
    /// Steps of the inner axis.
    pub(super) steps: usize,
    /// First result.
    pub(super) out: *mut f32,
    /// From one row of results to the next.
    pub(super) stride: usize,
    /// Results of a row, from one to those of two vectors.
    pub(super) columns: usize,
    /// What is added; the bias begins with that of the first column.
    pub(super) start: Start<'a>,
    /// What is done to the sums.
    pub(super) activation: Activation,
}

/// Computes a tile of `rows` rows.
///
/// # Safety
/// The processor must have the instructions of `M`. `out` must be good for `columns` elements in
/// each of `rows` rows, `left` must have `rows` numbers and `right` two vectors for each step.
#[inline(always)]
pub(super) unsafe fn compute<M: Multiply>(rows: usize, tile: Tile<'_>) {
    macro_rules! of {
        ($($rows:literal)*) => {
            match rows {
                // SAFETY: the caller's promises.
                $($rows if $rows <= M::Lanes::TILE_ROWS => unsafe { tile.rows::<M, $rows>() },)*
                _ => unreachable!("rows are split into tiles of 1 to 14"),
            }
        };
    }
    of!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

impl Tile<'_> {
    /// # Safety
    /// As [`compute`] for `R` rows.
    #[inline(always)]
    unsafe fn rows<M: Multiply, const R: usize>(self) {
        let n = M::Lanes::N;
        debug_assert!(self.left.len() >= R * self.steps && self.right.len() >= 2 * n * self.steps);
        // SAFETY: the caller's promises; the operands are as long as its steps.
        unsafe {
            let mut sums = [[M::Lanes::splat(0.0); 2]; R];
            let (mut left, mut right) = (self.left.as_ptr(), self.right.as_ptr());
            for _ in 0..self.steps {
                let b = [M::load(right), M::load(right.add(n))];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = M::splat(*left.add(r));
                    sums[0] = M::multiply_add(a, b[0], sums[0]);
                    sums[1] = M::multiply_add(a, b[1], sums[1]);
                }
                left = left.add(R);
                right = right.add(2 * n);
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (half, sum) in sums.into_iter().enumerate() {
                    let from = half * n;
                    if from < self.columns {
                        self.finish(sum, r * self.stride, from);
                    }
                }
            }
        }
    }

    /// Computes the tile's `rows` rows, at most [`Unit::SIDE`], by a matrix unit.
    ///
    /// # Safety
    /// As [`compute`]; `left` must have [`Unit::SIDE`] rows, one behind the other, and both
    /// operands zeros up to whole tiles.
    #[inline(always)]
    pub(super) unsafe fn with_unit<M: Multiply>(
        self,
        unit: &M::Unit,
        rows: usize,
        sums: &mut Sums,
    ) {
        // SAFETY: the caller's promises; there are sums for all rows and columns.
        unsafe {
            unit.sums(self.left, self.right, self.steps, sums);
            for (row, sums) in sums.0.chunks_exact(M::Unit::SIDE).take(rows).enumerate() {
                for from in (0..self.columns).step_by(M::Lanes::N) {
                    let sum = M::Lanes::load(sums[from..].as_ptr());
                    self.finish(sum, row * self.stride, from);
                }
            }
        }
    }

    /// Adds the start to `sum`, applies the activation and stores, `row` elements and `from` columns
    /// behind the first result.
    ///
    /// # Safety
    /// As [`compute`].
    #[inline(always)]
    unsafe fn finish<V: Lanes>(&self, sum: V, row: usize, from: usize) {
        let count = V::N.min(self.columns - from);
        // SAFETY: the caller promises as many results, and a bias has as many columns.
        unsafe {
            let out = self.out.add(row + from);
            let load = |values: *const f32| match count == V::N {
                true => V::load(values),
                false => V::load_part(values, count),
            };
            let sum = match self.start {
                Start::Zero => sum,
                Start::Bias(bias) => sum.add(load(bias[from..].as_ptr())),
                Start::Output => sum.add(load(out)),
            };
            let y = self.activation.of_lanes(sum);
            match count == V::N {
                true => y.store(out),
                false => y.store_part(out, count),
            }
        }
    }
}
