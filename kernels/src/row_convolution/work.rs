//! The loops: products of rows that overlap in memory, and what is done to their sums.

use crate::activation::Activation;
use crate::gemm::{Multiply, PackedMatrix, Strided, Sums, Unit, Work};
use crate::simd::Lanes;

/// Some rows of a convolution.
pub(super) struct Convolve<'a> {
    /// Numbers from the first tap of the first row on.
    pub(super) left: &'a [u32],
    pub(super) strides: Strided,
    pub(super) weight: &'a PackedMatrix,
    pub(super) rows: usize,
    pub(super) out: Out<'a>,
}

/// Where sums go, as rows one behind the other.
pub(super) struct Out<'a> {
    pub(super) bias: &'a [f32],
    pub(super) scale: f32,
    /// The sums and this multiple of what was there.
    pub(super) rows: Option<(&'a mut [f32], f32)>,
    /// A function of them in the numbers of a product.
    pub(super) operand: Option<(Elements<'a>, Activation)>,
}

/// A part of an operand that is written.
pub(super) struct Elements<'a> {
    /// Of all parts, each `plane` numbers behind the one before; the first begins here.
    pub(super) numbers: &'a mut [u32],
    pub(super) plane: usize,
    pub(super) parts: usize,
}

impl Work for Convolve<'_> {
    #[inline(always)]
    unsafe fn run<M: Multiply>(mut self) {
        // SAFETY: the caller promises the instructions, and has compared the lengths of all memory.
        unsafe {
            let out = self.out.ready::<M>();
            if let Some(unit) = M::Unit::of_thread() {
                return self.by_unit::<M>(&out, &unit);
            }
            // Registers for sums, and for elements of all rows, which compilers load beforehand.
            match M::Lanes::TILE_ROWS {
                14 => self.by_tiles::<M, 8>(&out),
                _ => self.by_tiles::<M, 4>(&out),
            }
        }
    }
}

impl Convolve<'_> {
    /// # Safety
    /// The processor must have the instructions of `M`, `left` numbers for whole tiles of `R` rows, and
    /// the output all rows.
    #[inline(always)]
    unsafe fn by_tiles<M: Multiply, const R: usize>(&self, out: &Ready<M>) {
        let (columns, n) = (out.columns, M::Lanes::N);
        for (panel, column) in (0..columns).step_by(2 * n).enumerate() {
            let right = self.weight.panel(panel, 0);
            for row in (0..self.rows).step_by(R) {
                // SAFETY: the caller's promises.
                unsafe {
                    match columns - column <= n {
                        true => self.tile::<M, R, 1>(out, right, row, column),
                        false => self.tile::<M, R, 2>(out, right, row, column),
                    }
                }
            }
        }
    }

    /// `R` rows of `V` vectors.
    ///
    /// # Safety
    /// As [`Convolve::by_tiles`].
    #[inline(always)]
    unsafe fn tile<M: Multiply, const R: usize, const V: usize>(
        &self,
        out: &Ready<M>,
        right: &[u32],
        first: usize,
        column: usize,
    ) {
        let (n, Strided { row, tap, taps, steps, .. }) = (M::Lanes::N, self.strides);
        debug_assert!(right.len() >= taps * steps * 2 * n);
        // SAFETY: the caller's promises; a panel has two vectors for each step of all taps. Pointers
        // stay inside, but wrap, so that nothing is checked at every step.
        unsafe {
            let mut sums = [[M::Lanes::splat(0.0); V]; R];
            let (mut at, mut right) = (self.left.as_ptr().add(first * row), right.as_ptr());
            for _ in 0..taps {
                let mut left = at;
                for _ in 0..steps {
                    let mut b = [M::load(right); V];
                    for (v, b) in b.iter_mut().enumerate().skip(1) {
                        *b = M::load(right.wrapping_add(v * n));
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let from = left.wrapping_add(r.wrapping_mul(row));
                        let a = M::splat(from.read_unaligned());
                        for (sum, b) in sums.iter_mut().zip(b) {
                            *sum = M::multiply_add(a, b, *sum);
                        }
                    }
                    left = left.wrapping_add(1);
                    right = right.wrapping_add(2 * n);
                }
                at = at.wrapping_add(tap);
            }
            let rows = R.min(self.rows - first);
            for (r, sums) in sums.into_iter().enumerate() {
                if r < rows {
                    for (v, sum) in sums.into_iter().enumerate() {
                        out.take(sum, first + r, column + v * n);
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`Convolve::by_tiles`], for tiles of [`Unit::SIDE`] rows.
    #[inline(always)]
    unsafe fn by_unit<M: Multiply>(&self, out: &Ready<M>, unit: &M::Unit) {
        let (side, n) = (M::Unit::SIDE, M::Lanes::N);
        let mut sums = Sums([0.0; 32 * 32]);
        for (panel, column) in (0..out.columns).step_by(side).enumerate() {
            let right = self.weight.panel(panel, 0);
            let vectors = side.min(out.columns - column).div_ceil(n);
            for first in (0..self.rows).step_by(side) {
                // SAFETY: the caller's promises; sums are those of a whole tile.
                unsafe {
                    let left = &self.left[first * self.strides.row..];
                    unit.strided_sums(left, self.strides, right, &mut sums);
                    for r in 0..side.min(self.rows - first) {
                        for v in 0..vectors {
                            let from = sums.0.as_ptr().wrapping_add(r * side + v * n);
                            out.take(M::Lanes::load(from), first + r, column + v * n);
                        }
                    }
                }
            }
        }
    }
}

/// An [`Out`] as the innermost loops use it: places that are not there are null.
struct Ready<M: Multiply> {
    bias: *const f32,
    scale: M::Lanes,
    rows: *mut f32,
    adds: bool,
    kept: M::Lanes,
    numbers: *mut u32,
    plane: usize,
    parts: usize,
    activation: Activation,
    columns: usize,
}

impl Out<'_> {
    /// # Safety
    /// The processor must have the instructions of `M`.
    #[inline(always)]
    unsafe fn ready<M: Multiply>(&mut self) -> Ready<M> {
        let (rows, kept) = match &mut self.rows {
            Some((rows, kept)) => (rows.as_mut_ptr(), *kept),
            None => (std::ptr::null_mut(), 0.0),
        };
        let (numbers, plane, parts, activation) = match &mut self.operand {
            Some((to, activation)) => (to.numbers.as_mut_ptr(), to.plane, to.parts, *activation),
            None => (std::ptr::null_mut(), 0, 0, Activation::Identity),
        };
        // SAFETY: the caller's promise.
        let [scale, kept_lanes] = unsafe { [M::Lanes::splat(self.scale), M::Lanes::splat(kept)] };
        Ready {
            bias: self.bias.as_ptr(),
            scale,
            rows,
            adds: kept != 0.0,
            kept: kept_lanes,
            numbers,
            plane,
            parts,
            activation,
            columns: self.bias.len(),
        }
    }
}

impl<M: Multiply> Ready<M> {
    /// A vector of sums, from a column on.
    ///
    /// # Safety
    /// The processor must have the instructions of `M`, and the output the row.
    #[inline(always)]
    unsafe fn take(&self, sum: M::Lanes, row: usize, column: usize) {
        let n = M::Lanes::N;
        let count = n.min(self.columns.wrapping_sub(column));
        let at = row.wrapping_mul(self.columns).wrapping_add(column);
        // SAFETY: the caller's promises; parts of vectors end with the row.
        unsafe {
            let bias = self.bias.wrapping_add(column);
            let mut y = sum.mul_add(self.scale, part::<M::Lanes>(bias, count));
            if !self.rows.is_null() {
                let to = self.rows.wrapping_add(at);
                if self.adds {
                    y = part::<M::Lanes>(to, count).mul_add(self.kept, y);
                }
                match count == n {
                    true => y.store(to),
                    false => y.store_part(to, count),
                }
            }
            if !self.numbers.is_null() {
                let y = self.activation.of_lanes(y);
                store::<M>(y, self.numbers, at, count, self.plane, self.parts);
            }
        }
    }
}

/// The first `count` elements, and zeros.
///
/// # Safety
/// As [`Lanes::load_part`].
#[inline(always)]
unsafe fn part<V: Lanes>(from: *const f32, count: usize) -> V {
    // SAFETY: the caller's promises.
    unsafe {
        match count == V::N {
            true => V::load(from),
            false => V::load_part(from, count),
        }
    }
}

/// Writes the first `count` elements of `x` in as many parts, each of which holds what rounding left of
/// the one before.
///
/// # Safety
/// The processor must have the instructions of `M`, and every plane the elements.
#[inline(always)]
unsafe fn store<M: Multiply>(
    x: M::Lanes,
    to: *mut u32,
    at: usize,
    count: usize,
    plane: usize,
    parts: usize,
) {
    // SAFETY: the caller's promises.
    unsafe {
        M::store_elements(x, to, at, count);
        if parts == 3 {
            let second = x.sub(M::rounded(x));
            M::store_elements(second, to.wrapping_add(plane), at, count);
            let third = second.sub(M::rounded(second));
            M::store_elements(third, to.wrapping_add(2 * plane), at, count);
        }
    }
}

/// A function of numbers, as elements of an operand.
pub(super) struct Activate<'a> {
    pub(super) x: &'a [f32],
    pub(super) activation: Activation,
    pub(super) out: Elements<'a>,
}

impl Work for Activate<'_> {
    #[inline(always)]
    unsafe fn run<M: Multiply>(self) {
        let Self { x, activation, out: Elements { numbers, plane, parts } } = self;
        assert!(x.len() <= (numbers.len() - (parts - 1) * plane) * M::DEPTH);
        let n = M::Lanes::N;
        for at in (0..x.len()).step_by(n) {
            let count = n.min(x.len() - at);
            // SAFETY: the caller promises the instructions, and both have `count` elements there.
            unsafe {
                let x = part::<M::Lanes>(x.as_ptr().add(at), count);
                let y = activation.of_lanes(x);
                store::<M>(y, numbers.as_mut_ptr(), at, count, plane, parts);
            }
        }
    }
}
