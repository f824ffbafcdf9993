//! 256 and 512 bits on x86-64.

use std::arch::x86_64::*;

use super::{Kernel, Lanes};

/// Runs a kernel that is compiled for AVX2 with fused multiply-add.
///
/// # Safety
/// The processor must have both.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn with_avx2<K: Kernel>(kernel: K) {
    // SAFETY: the caller promises the instructions of `Avx2`.
    unsafe { kernel.run::<Avx2>() };
}

/// Runs a kernel that is compiled for AVX-512.
///
/// # Safety
/// The processor must have AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn with_avx512<K: Kernel>(kernel: K) {
    // SAFETY: the caller promises the instructions of `Avx512`.
    unsafe { kernel.run::<Avx512>() };
}

/// Eight numbers.
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256);

/// Sixteen numbers.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(pub(crate) __m512);

/// Functions that are one instruction without pointers.
macro_rules! plain {
    ($($name:ident($($arg:ident),*) = $body:expr;)*) => {
        $(#[inline(always)]
        unsafe fn $name(self $(, $arg: Self)*) -> Self {
            // SAFETY: the trait asks the caller for the processor's having the instruction.
            Self(unsafe { $body(self.0 $(, $arg.0)*) })
        })*
    };
}

const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// A window of eight into this list is a mask of the first `n` elements.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The mask of the first `n` of eight elements.
///
/// # Safety
/// The processor must have AVX2; `n <= 8`.
#[inline(always)]
unsafe fn first_of_8(n: usize) -> __m256i {
    // SAFETY: `8 - n` and the seven elements behind it are inside the list of sixteen.
    unsafe { _mm256_loadu_si256(FIRST.as_ptr().add(8 - n).cast()) }
}

impl Lanes for Avx2 {
    const N: usize = 8;
    const TILE_ROWS: usize = 6;

    plain! {
        add(other) = _mm256_add_ps;
        sub(other) = _mm256_sub_ps;
        mul(other) = _mm256_mul_ps;
        div(other) = _mm256_div_ps;
        max(other) = _mm256_max_ps;
        min(other) = _mm256_min_ps;
        mul_add(factor, sum) = _mm256_fmadd_ps;
        round() = _mm256_round_ps::<NEAREST>;
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller promises AVX2.
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises eight elements.
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        // SAFETY: the caller promises `n <= 8` elements; others are not touched.
        Self(unsafe { _mm256_maskload_ps(from, first_of_8(n)) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises eight elements.
        unsafe { _mm256_storeu_ps(to, self.0) };
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        // SAFETY: the caller promises `n <= 8` elements; others are not touched.
        unsafe { _mm256_maskstore_ps(to, first_of_8(n), self.0) };
    }

    #[inline(always)]
    unsafe fn exp2_whole(self) -> Self {
        // SAFETY: the caller promises AVX2.
        Self(unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        })
    }

    #[inline(always)]
    unsafe fn where_at_least(self, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: the caller promises AVX2.
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, _mm256_cmp_ps::<_CMP_GE_OQ>(self.0, bound.0)) })
    }
}

/// The transpose of sixteen rows, by exchange of elements, pairs, quarters and halves.
///
/// # Safety
/// The processor must have AVX-512F.
#[inline(always)]
unsafe fn transposed(x: [__m512; 16]) -> [__m512; 16] {
    let mut y = x;
    // SAFETY: the caller promises AVX-512F; both types are 512 bits of which every pattern is valid.
    unsafe {
        for i in (0..16).step_by(2) {
            y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
            y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
        }
        // Of four rows: the columns 0, 1, 2 and 3 of every quarter.
        let mut z = y;
        for i in (0..16).step_by(4) {
            let [a, b, c, d] = [y[i], y[i + 1], y[i + 2], y[i + 3]].map(|y| _mm512_castps_pd(y));
            let pairs = [
                _mm512_unpacklo_pd(a, c),
                _mm512_unpackhi_pd(a, c),
                _mm512_unpacklo_pd(b, d),
                _mm512_unpackhi_pd(b, d),
            ];
            z[i..i + 4].copy_from_slice(&pairs.map(|pair| _mm512_castpd_ps(pair)));
        }
        for column in 0..4 {
            let [a, b, c, d] = [0, 4, 8, 12].map(|row| z[row + column]);
            let even = [
                _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b),
                _mm512_shuffle_f32x4::<0b10_00_10_00>(c, d),
            ];
            let odd = [
                _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b),
                _mm512_shuffle_f32x4::<0b11_01_11_01>(c, d),
            ];
            y[column] = _mm512_shuffle_f32x4::<0b10_00_10_00>(even[0], even[1]);
            y[column + 4] = _mm512_shuffle_f32x4::<0b10_00_10_00>(odd[0], odd[1]);
            y[column + 8] = _mm512_shuffle_f32x4::<0b11_01_11_01>(even[0], even[1]);
            y[column + 12] = _mm512_shuffle_f32x4::<0b11_01_11_01>(odd[0], odd[1]);
        }
    }
    y
}

impl Lanes for Avx512 {
    const N: usize = 16;
    const TILE_ROWS: usize = 14;

    plain! {
        add(other) = _mm512_add_ps;
        sub(other) = _mm512_sub_ps;
        mul(other) = _mm512_mul_ps;
        div(other) = _mm512_div_ps;
        max(other) = _mm512_max_ps;
        min(other) = _mm512_min_ps;
        mul_add(factor, sum) = _mm512_fmadd_ps;
        round() = _mm512_roundscale_ps::<NEAREST>;
    }

    #[inline(always)]
    unsafe fn reciprocal(self) -> Self {
        // SAFETY: the caller promises AVX-512F.
        Self(unsafe {
            // An estimate, and a step of Newton's: a division takes as long as all of an exponential.
            let estimate = _mm512_rcp14_ps(self.0);
            let error = _mm512_fnmadd_ps(self.0, estimate, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(estimate, error, estimate)
        })
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller promises AVX-512F.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises sixteen elements.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        // SAFETY: the caller promises `n <= 16` elements; others are not touched.
        Self(unsafe { _mm512_maskz_loadu_ps(0xffff >> (16 - n), from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises sixteen elements.
        unsafe { _mm512_storeu_ps(to, self.0) };
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        // SAFETY: the caller promises `n <= 16` elements; others are not touched.
        unsafe { _mm512_mask_storeu_ps(to, 0xffff >> (16 - n), self.0) };
    }

    #[inline(always)]
    unsafe fn exp2_whole(self) -> Self {
        // SAFETY: the caller promises AVX-512F.
        Self(unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), self.0) })
    }

    #[inline(always)]
    unsafe fn transpose(
        from: *const f32,
        stride: usize,
        rows: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        // SAFETY: the caller promises AVX-512F, the rows, and vectors to write.
        unsafe {
            let mut x = [_mm512_setzero_ps(); 16];
            for (row, x) in x.iter_mut().enumerate().take(rows) {
                *x = _mm512_loadu_ps(from.add(row * stride));
            }
            for (column, x) in transposed(x).into_iter().enumerate() {
                _mm512_storeu_ps(to.add(column * to_stride), x);
            }
        }
    }

    #[inline(always)]
    unsafe fn where_at_least(self, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: the caller promises AVX-512F.
        Self(unsafe {
            _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(self.0, bound.0), no.0, yes.0)
        })
    }
}
