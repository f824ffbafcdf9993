//! Which numbers are multiplied, and with which instructions.

use crate::simd::{Kernel, Lanes, Level, dispatch as dispatch_lanes};

/// Numbers that are multiplied; sums have 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32 bits.
    #[default]
    Single,
    /// 16 bits with the exponent of 32: operands are rounded as they are packed.
    Bf16,
}

impl Precision {
    /// Whether this processor has instructions of `level` for such products.
    #[must_use]
    pub fn is_available(self, level: Level) -> bool {
        match self {
            Self::Single => true,
            #[cfg(target_arch = "x86_64")]
            Self::Bf16 => level == Level::Avx512 && is_x86_feature_detected!("avx512bf16"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Bf16 => {
                let _ = level;
                false
            }
        }
    }

    /// Whether this processor has a unit for whole matrices of such numbers, and the system lets this
    /// program use it.
    #[must_use]
    pub fn has_matrix_unit(self) -> bool {
        match self {
            Self::Single => false,
            #[cfg(target_arch = "x86_64")]
            Self::Bf16 => super::amx::Numbers::Bf16.is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Bf16 => false,
        }
    }
}

/// Products of packed operands, whose numbers lie in 32 bits each.
///
/// # Safety
/// All unsafe functions may be called only where the processor has the instructions. Pointers must
/// be good for as many numbers as [`Multiply::Lanes`] has.
pub(super) trait Multiply: Copy {
    /// Sums.
    type Lanes: Lanes;
    /// Numbers of one operand.
    type Numbers: Copy;
    /// What multiplies whole tiles of them.
    type Unit: Unit;
    /// Elements of the inner axis that share 32 bits.
    const DEPTH: usize;

    /// As many elements as [`Multiply::DEPTH`] in 32 bits.
    fn number(elements: [f32; 2]) -> u32;
    /// Numbers of two neighbouring rows, where [`Multiply::DEPTH`] is two, or of the first alone.
    unsafe fn numbers(rows: [*const f32; 2]) -> Self::Numbers;
    /// Numbers of neighbouring columns of one row: [`Multiply::DEPTH`] elements each.
    unsafe fn pairs(row: *const f32) -> Self::Numbers;
    unsafe fn store(numbers: Self::Numbers, to: *mut u32);
    unsafe fn splat(number: u32) -> Self::Numbers;
    unsafe fn load(numbers: *const u32) -> Self::Numbers;
    unsafe fn multiply_add(a: Self::Numbers, b: Self::Numbers, sums: Self::Lanes) -> Self::Lanes;
}

/// A matrix unit of the processor, as one thread uses it.
pub(super) trait Unit: Sized {
    /// Rows and columns of the sums that are computed at once.
    const SIDE: usize;
    /// Operands have numbers for a multiple of so many steps of the inner axis.
    const STEPS: usize;

    /// The unit, where there is one.
    fn of_thread() -> Option<Self>;

    /// Sums over `steps` steps of [`Unit::SIDE`] rows of `left` by as many columns of `right`,
    /// a row behind the other.
    ///
    /// # Safety
    /// Both must have as many rows and columns, with zeros up to whole tiles.
    unsafe fn sums(&self, left: &[u32], right: &[u32], steps: usize, sums: &mut Sums);
}

/// Sums of 32 rows by 32 columns, the largest [`Unit::SIDE`].
#[repr(C, align(64))]
pub(crate) struct Sums(pub(crate) [f32; 32 * 32]);

/// No unit.
pub(super) enum Without {}

impl Unit for Without {
    const SIDE: usize = 1;
    const STEPS: usize = 1;

    fn of_thread() -> Option<Self> {
        None
    }

    unsafe fn sums(&self, _: &[u32], _: &[u32], _: usize, _: &mut Sums) {
        match *self {}
    }
}

/// Code over products of any kind; as [`Kernel`].
pub(super) trait Work {
    /// Does the work.
    ///
    /// # Safety
    /// The processor must have the instructions of `M`.
    unsafe fn run<M: Multiply>(self);
}

/// Runs `work`, whose instructions must be available.
pub(super) fn dispatch<W: Work>(level: Level, precision: Precision, work: W) {
    match precision {
        #[cfg(target_arch = "x86_64")]
        Precision::Bf16 if precision.is_available(level) => {
            // SAFETY: the instructions are available.
            unsafe { x86::with_bf16(work) }
        }
        _ => dispatch_lanes(level, OfSingles(work)),
    }
}

struct OfSingles<W>(W);

impl<W: Work> Kernel for OfSingles<W> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: the caller promises the instructions.
        unsafe { self.0.run::<Singles<V>>() }
    }
}

/// Products of 32-bit numbers.
#[derive(Clone, Copy)]
pub(super) struct Singles<V>(std::marker::PhantomData<V>);

impl<V: Lanes> Multiply for Singles<V> {
    type Lanes = V;
    type Numbers = V;
    type Unit = Without;
    const DEPTH: usize = 1;

    #[inline(always)]
    fn number([element, _]: [f32; 2]) -> u32 {
        element.to_bits()
    }

    #[inline(always)]
    unsafe fn numbers([row, _]: [*const f32; 2]) -> V {
        // SAFETY: the caller promises the instructions and the elements.
        unsafe { V::load(row) }
    }

    #[inline(always)]
    unsafe fn pairs(row: *const f32) -> V {
        // SAFETY: the caller promises the instructions and the elements.
        unsafe { V::load(row) }
    }

    #[inline(always)]
    unsafe fn store(numbers: V, to: *mut u32) {
        // SAFETY: the caller promises the instructions and the place.
        unsafe { numbers.store(to.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(number: u32) -> V {
        // SAFETY: the caller promises the instructions.
        unsafe { V::splat(f32::from_bits(number)) }
    }

    #[inline(always)]
    unsafe fn load(numbers: *const u32) -> V {
        // SAFETY: the caller promises the instructions and the numbers, which are bits of `f32`.
        unsafe { V::load(numbers.cast()) }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: V, b: V, sums: V) -> V {
        // SAFETY: the caller promises the instructions.
        unsafe { a.mul_add(b, sums) }
    }
}

/// The bits of a number as bf16, rounded to the nearest, or to the even one of two.
#[inline(always)]
pub(crate) fn bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    match x.is_nan() {
        // Rounding can carry into the exponent and the sign; as the processor does, a NaN loses its
        // last bits and is quiet.
        true => bits >> 16 | 0x40,
        false => (bits + (0x7fff + (bits >> 16 & 1))) >> 16,
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use super::super::amx::Tiles;
    use super::{Multiply, Work, bf16};
    use crate::simd::Avx512;

    /// Runs work that is compiled for AVX-512 with products of bf16.
    ///
    /// # Safety
    /// The processor must have AVX-512F and AVX512_BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn with_bf16<W: Work>(work: W) {
        // SAFETY: the caller promises the instructions.
        unsafe { work.run::<Bf16>() };
    }

    /// Products of pairs of bf16.
    #[derive(Clone, Copy)]
    struct Bf16;

    /// Sixteen elements as bf16, rounded to the nearest, or to the even one of two.
    ///
    /// # Safety
    /// The processor must have the instructions; `from` must be good for sixteen elements.
    #[inline(always)]
    unsafe fn rounded(from: *const f32) -> __m256i {
        // SAFETY: the caller's promises; both types are 256 bits of which every pattern is valid.
        unsafe { transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(from))) }
    }

    impl Multiply for Bf16 {
        type Lanes = Avx512;
        type Numbers = __m512i;
        type Unit = Tiles;
        const DEPTH: usize = 2;

        #[inline(always)]
        fn number([first, second]: [f32; 2]) -> u32 {
            bf16(first) | bf16(second) << 16
        }

        #[inline(always)]
        unsafe fn numbers([first, second]: [*const f32; 2]) -> __m512i {
            // SAFETY: the caller promises the instructions and the elements.
            unsafe {
                let [first, second] =
                    [first, second].map(|row| _mm512_cvtepu16_epi32(rounded(row)));
                _mm512_or_si512(first, _mm512_slli_epi32::<16>(second))
            }
        }

        #[inline(always)]
        unsafe fn pairs(row: *const f32) -> __m512i {
            // SAFETY: the caller promises the instructions and the elements, two a number.
            unsafe {
                let halves = [rounded(row), rounded(row.add(16))];
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(halves[0]), halves[1])
            }
        }

        #[inline(always)]
        unsafe fn store(numbers: __m512i, to: *mut u32) {
            // SAFETY: the caller promises the instructions and the place.
            unsafe { _mm512_storeu_si512(to.cast(), numbers) }
        }

        #[inline(always)]
        unsafe fn splat(number: u32) -> __m512i {
            // SAFETY: the caller promises the instructions.
            unsafe { _mm512_set1_epi32(number.cast_signed()) }
        }

        #[inline(always)]
        unsafe fn load(numbers: *const u32) -> __m512i {
            // SAFETY: the caller promises the instructions and sixteen numbers.
            unsafe { _mm512_loadu_si512(numbers.cast()) }
        }

        #[inline(always)]
        unsafe fn multiply_add(a: __m512i, b: __m512i, sums: Avx512) -> Avx512 {
            // SAFETY: the caller promises the instructions; both types are 512 bits of which
            // every pattern is valid.
            unsafe {
                let [a, b] = [a, b].map(|x| transmute::<__m512i, __m512bh>(x));
                Avx512(_mm512_dpbf16_ps(sums.0, a, b))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_nan_becomes_a_number() {
        for bits in [0x7fff_ffff, 0xffff_ffff, 0x7f80_0001, 0xff80_0001, 0x7fc0_0000, 0x7fff_8000] {
            let nan = f32::from_bits(bits);
            let found = f32::from_bits(bf16(nan) << 16);
            assert!(found.is_nan(), "{bits:08x} became {found}");
            assert_eq!(found.is_sign_negative(), nan.is_sign_negative(), "{bits:08x}");
        }
    }

    #[test]
    fn numbers_round_to_the_nearest() {
        let largest = f32::from_bits(0x7f7f_0000);
        let cases = [
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (1.0 + 1.1 / 256.0, 1.0 + 2.0 / 256.0),
            (-0.0, -0.0),
            (largest, largest),
            (f32::MAX, f32::INFINITY),
            (-f32::MAX, f32::NEG_INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ];
        for (x, wanted) in cases {
            assert_eq!((bf16(x) << 16), f32::to_bits(wanted), "{x}");
        }
    }
}
