//! Eight numbers in plain Rust.

use super::Lanes;

const N: usize = 8;

/// Eight numbers, which the compiler keeps in whatever registers the target has.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; N]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut result = self;
        for (a, b) in result.0.iter_mut().zip(other.0) {
            *a = f(*a, b);
        }
        result
    }
}

impl Lanes for Portable {
    const N: usize = N;
    const TILE_ROWS: usize = 4;
    const NATIVE: bool = false;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; N])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises `N` elements, and an array is no more aligned than they.
        Self(unsafe { from.cast::<[f32; N]>().read() })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        let mut values = [0.0; N];
        // SAFETY: the caller promises `n <= N` elements.
        unsafe { std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), n) };
        Self(values)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises `N` elements.
        unsafe { to.cast::<[f32; N]>().write(self.0) };
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        // SAFETY: the caller promises `n <= N` elements.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, n) };
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // Rounded twice: without the instruction, rounding once is a slow library call.
        self.zip(factor, |a, b| a * b).zip(sum, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // Adding 1.5 * 2^23 leaves no bits for the fraction.
        const SHIFT: f32 = 12_582_912.0;
        let mut result = self;
        for a in &mut result.0 {
            *a = (*a + SHIFT) - SHIFT;
        }
        result
    }

    #[inline(always)]
    unsafe fn exp2_whole(self) -> Self {
        let mut result = self;
        for a in &mut result.0 {
            *a = f32::from_bits(((*a as i32 + 127) as u32) << 23);
        }
        result
    }

    #[inline(always)]
    unsafe fn where_at_least(self, bound: Self, yes: Self, no: Self) -> Self {
        let mut result = no;
        for i in 0..N {
            if self.0[i] >= bound.0[i] {
                result.0[i] = yes.0[i];
            }
        }
        result
    }
}
