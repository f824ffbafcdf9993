//! Vectors of `f32` as wide as the processor has them, chosen when the program runs.
//!
//! A kernel is written once over `Lanes` and run by `dispatch`; what a kernel computes is
//! not this module's business.

pub(crate) mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::Avx512;

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Plain Rust, which the compiler vectorises for the oldest processors of the target.
    Portable,
    /// 128 bits on 64-bit ARM.
    Neon,
    /// 256 bits with fused multiply-add on x86-64.
    Avx2,
    /// 512 bits on x86-64.
    Avx512,
}

impl Level {
    const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Whether this processor has the instructions.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The fastest instructions that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|level| level.is_available()).unwrap_or(Self::Portable)
    }

    /// All instructions that this processor has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|level| level.is_available())
    }
}

/// A vector of `f32`.
///
/// # Safety
/// All functions may be called only where the processor has the instructions, and, to be fast,
/// from code that [`dispatch`] compiled for them. Pointers must be good for [`Lanes::N`]
/// elements, or for `n` in the functions that take it, where `1 <= n <= N`.
pub(crate) trait Lanes: Copy {
    /// Elements in a vector.
    const N: usize;
    /// Rows of two vectors each for whose sums there are registers, beside three for operands.
    const TILE_ROWS: usize;
    /// Whether a vector is a register, rather than whatever the compiler makes of it.
    const NATIVE: bool = true;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// The first `n` elements, and zeros.
    unsafe fn load_part(from: *const f32, n: usize) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The first `n` elements.
    unsafe fn store_part(self, to: *mut f32, n: usize);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// `1 / self` to one part in 10^7, for numbers from 1 on.
    #[inline(always)]
    unsafe fn reciprocal(self) -> Self {
        // SAFETY: the caller promises the instructions.
        unsafe { Self::splat(1.0).div(self) }
    }
    /// The larger; `other` where one of them is NaN, or where they are equal.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller; `other` where one of them is NaN, or where they are equal.
    unsafe fn min(self, other: Self) -> Self;
    /// `self * factor + sum`, rounded once where the processor can.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// To the nearest whole number.
    unsafe fn round(self) -> Self;
    /// Two to the power of whole numbers from -126 to 127.
    unsafe fn exp2_whole(self) -> Self;
    /// Writes the transpose of `rows` rows, at most [`Lanes::TILE_ROWS`] and `stride` apart, of
    /// [`Lanes::N`] elements each: that many rows, `to_stride` apart and in this order, each
    /// of a whole vector, whose elements behind `rows` are of any value.
    #[inline(always)]
    unsafe fn transpose(
        from: *const f32,
        stride: usize,
        rows: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        for column in 0..Self::N {
            for row in 0..rows {
                // SAFETY: the caller promises elements in all rows and columns.
                unsafe { *to.add(column * to_stride + row) = *from.add(row * stride + column) };
            }
        }
    }
    /// `yes` where an element is at least as large as that of `bound`, else `no`.
    unsafe fn where_at_least(self, bound: Self, yes: Self, no: Self) -> Self;
}

/// Code over vectors of any width.
///
/// Implementations of `run`, and all that it calls, must be `#[inline(always)]`, so that they are
/// compiled with the instructions that [`dispatch`] switches on.
pub(crate) trait Kernel {
    /// Does the work.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`.
    unsafe fn run<V: Lanes>(self);
}

/// Runs `kernel` with the instructions of `level`, or with portable ones where this processor
/// does not have them.
pub(crate) fn dispatch<K: Kernel>(level: Level, kernel: K) {
    if !level.is_available() {
        // SAFETY: portable code needs no special instructions.
        return unsafe { kernel.run::<portable::Portable>() };
    }
    match level {
        // SAFETY: portable code needs no special instructions.
        Level::Portable => unsafe { kernel.run::<portable::Portable>() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available.
        Level::Avx2 => unsafe { x86::with_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available.
        Level::Avx512 => unsafe { x86::with_avx512(kernel) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level is available.
        Level::Neon => unsafe { neon::with_neon(kernel) },
        // SAFETY: portable code needs no special instructions.
        _ => unsafe { kernel.run::<portable::Portable>() },
    }
}
