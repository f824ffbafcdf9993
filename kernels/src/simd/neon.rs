//! 128 bits on 64-bit ARM.

use std::arch::aarch64::*;

use super::{Kernel, Lanes};

/// Runs a kernel that is compiled for NEON.
///
/// # Safety
/// The processor must have it; all 64-bit ones do.
#[target_feature(enable = "neon")]
pub(super) unsafe fn with_neon<K: Kernel>(kernel: K) {
    // SAFETY: the caller promises the instructions of `Neon`.
    unsafe { kernel.run::<Neon>() };
}

/// Four numbers.
#[derive(Clone, Copy)]
pub(super) struct Neon(float32x4_t);

/// Functions that are one instruction without pointers.
macro_rules! plain {
    ($($name:ident($($arg:ident),*) = $body:expr;)*) => {
        $(#[inline(always)]
        unsafe fn $name(self $(, $arg: Self)*) -> Self {
            // SAFETY: the trait asks the caller for the processor's having the instruction.
            #[allow(unused_unsafe, reason = "intrinsics without pointers may be safe")]
            Self(unsafe { $body(self.0 $(, $arg.0)*) })
        })*
    };
}

impl Lanes for Neon {
    const N: usize = 4;
    const TILE_ROWS: usize = 14;

    plain! {
        add(other) = vaddq_f32;
        sub(other) = vsubq_f32;
        mul(other) = vmulq_f32;
        div(other) = vdivq_f32;
        round() = vrndnq_f32;
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // The single instruction gives NaN where one of them is NaN, whichever it is.
        // SAFETY: the caller promises NEON.
        Self(unsafe { vbslq_f32(vcgtq_f32(self.0, other.0), self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // As `max`.
        // SAFETY: the caller promises NEON.
        Self(unsafe { vbslq_f32(vcltq_f32(self.0, other.0), self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller promises NEON.
        Self(unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises four elements.
        Self(unsafe { vld1q_f32(from) })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        let mut values = [0.0; Self::N];
        // SAFETY: the caller promises `n <= 4` elements.
        unsafe { std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), n) };
        // SAFETY: the array has four elements.
        unsafe { Self::load(values.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises four elements.
        unsafe { vst1q_f32(to, self.0) };
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        let mut values = [0.0; Self::N];
        // SAFETY: the array has four elements.
        unsafe { self.store(values.as_mut_ptr()) };
        // SAFETY: the caller promises `n <= 4` elements.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), to, n) };
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the caller promises NEON.
        Self(unsafe { vfmaq_f32(sum.0, self.0, factor.0) })
    }

    #[inline(always)]
    unsafe fn exp2_whole(self) -> Self {
        // SAFETY: the caller promises NEON.
        Self(unsafe {
            let biased = vaddq_s32(vcvtq_s32_f32(self.0), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased))
        })
    }

    #[inline(always)]
    unsafe fn where_at_least(self, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: the caller promises NEON.
        Self(unsafe { vbslq_f32(vcgeq_f32(self.0, bound.0), yes.0, no.0) })
    }
}
