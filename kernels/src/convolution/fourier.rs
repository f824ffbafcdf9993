//! Discrete Fourier transforms of a few real numbers, of as many signals as a vector has elements.
//!
//! A transform of `n` numbers stays in their place, in half-complex order: the real part of
//! frequency `k` at `k`, its imaginary part at `n - k`. Each step makes two transforms of half the
//! size one, and its inverse takes one apart.
//!
//! Source: Sorensen et al., "Real-Valued Fast Fourier Transform Algorithms" (IEEE Transactions on
//! Acoustics, Speech, and Signal Processing 35:6, 1987).

use crate::simd::Lanes;

/// The largest transform.
pub(super) const LARGEST: usize = 32;

/// Cosines of the multiples of a thirty-second turn, from none to eight.
const COSINES: [f32; 9] = [
    1.0,
    0.980_785_25,
    0.923_879_5,
    0.831_469_6,
    std::f32::consts::FRAC_1_SQRT_2,
    0.555_570_24,
    0.382_683_43,
    0.195_090_32,
    0.0,
];

/// Cosine and sine of `k` parts of half a turn in `half`, `2 k <= half`.
#[inline(always)]
fn turn(k: usize, half: usize) -> [f32; 2] {
    let at = 16 * k / half;
    [COSINES[at], COSINES[8 - at]]
}

/// The place of number `at` of `points` in front of [`forward`] and behind [`backward`].
#[inline(always)]
pub(super) fn place(at: usize, points: usize) -> usize {
    at.reverse_bits() >> (usize::BITS - points.trailing_zeros())
}

/// Calls `$step::<V, HALF>` for each of the sizes up to the half of `N`: loops of known lengths, which
/// the compiler unrolls.
macro_rules! steps {
    ($x:ident, $step:ident: $($half:literal)*) => {
        $(if $half < N {
            // SAFETY: the caller of the transform promises the instructions.
            unsafe { $step::<V, $half>($x) };
        })*
    };
}

/// Transforms `x`, whose numbers are at their [`place`]s, to half-complex order.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn forward<V: Lanes, const N: usize>(x: &mut [V; N]) {
    steps!(x, join: 1 2 4 8 16);
}

/// The inverse of [`forward`], times `N`.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn backward<V: Lanes, const N: usize>(x: &mut [V; N]) {
    steps!(x, part: 16 8 4 2 1);
}

/// Makes pairs of transforms of `HALF` numbers transforms of twice as many.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
unsafe fn join<V: Lanes, const HALF: usize>(x: &mut [V]) {
    for x in x.chunks_exact_mut(2 * HALF) {
        // SAFETY: the caller promises the instructions.
        unsafe {
            (x[0], x[HALF]) = (x[0].add(x[HALF]), x[0].sub(x[HALF]));
            for k in 1..HALF.div_ceil(2) {
                let [cos, sin] = turn(k, HALF).map(|x| V::splat(x));
                let [re, im] = [x[k], x[HALF - k]];
                let [a, b] = [x[HALF + k], x[2 * HALF - k]];
                let [a, b] = [b.mul_add(sin, a.mul(cos)), b.mul(cos).sub(a.mul(sin))];
                (x[k], x[HALF - k]) = (re.add(a), re.sub(a));
                (x[2 * HALF - k], x[HALF + k]) = (im.add(b), b.sub(im));
            }
            if HALF > 1 {
                x[HALF + HALF / 2] = V::splat(0.0).sub(x[HALF + HALF / 2]);
            }
        }
    }
}

/// Takes transforms of twice `HALF` numbers apart, each number twice as large.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
unsafe fn part<V: Lanes, const HALF: usize>(x: &mut [V]) {
    for x in x.chunks_exact_mut(2 * HALF) {
        // SAFETY: the caller promises the instructions.
        unsafe {
            (x[0], x[HALF]) = (x[0].add(x[HALF]), x[0].sub(x[HALF]));
            for k in 1..HALF.div_ceil(2) {
                let [cos, sin] = turn(k, HALF).map(|x| V::splat(x));
                let [a, b] = [x[k].sub(x[HALF - k]), x[2 * HALF - k].add(x[HALF + k])];
                (x[k], x[HALF - k]) = (x[k].add(x[HALF - k]), x[2 * HALF - k].sub(x[HALF + k]));
                x[HALF + k] = a.mul(cos).sub(b.mul(sin));
                x[2 * HALF - k] = b.mul_add(cos, a.mul(sin));
            }
            if HALF > 1 {
                let [a, b] = [x[HALF / 2], x[HALF + HALF / 2]];
                x[HALF / 2] = a.add(a);
                x[HALF + HALF / 2] = V::splat(0.0).sub(b.add(b));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, Level, dispatch};
    use std::f64::consts::TAU;

    struct Transform<'a, const N: usize> {
        x: &'a [f32; N],
        frequencies: &'a mut [f32; N],
        again: &'a mut [f32; N],
    }

    impl<const N: usize> Kernel for Transform<'_, N> {
        #[inline(always)]
        unsafe fn run<V: Lanes>(self) {
            // SAFETY: the level is available; one element is written at a time.
            unsafe {
                let mut x = [V::splat(0.0); N];
                for (at, &value) in self.x.iter().enumerate() {
                    x[place(at, N)] = V::splat(value);
                }
                forward(&mut x);
                for (x, out) in x.iter().zip(self.frequencies.iter_mut()) {
                    x.store_part(out, 1);
                }
                backward(&mut x);
                for (at, out) in self.again.iter_mut().enumerate() {
                    x[place(at, N)].store_part(out, 1);
                }
            }
        }
    }

    fn check<const N: usize>() {
        let x: [f32; N] = std::array::from_fn(|i| (i as f32 * 1.7).sin() + 0.3);
        for level in Level::available() {
            let (mut frequencies, mut again) = ([0.0; N], [0.0; N]);
            let transform = Transform { x: &x, frequencies: &mut frequencies, again: &mut again };
            dispatch(level, transform);
            for (k, frequency) in frequencies.into_iter().enumerate() {
                let sum: f64 = (0..N)
                    .map(|i| {
                        let angle = TAU * (k.min(N - k) * i) as f64 / N as f64;
                        let factor = if 2 * k <= N { angle.cos() } else { -angle.sin() };
                        f64::from(x[i]) * factor
                    })
                    .sum();
                let error = (f64::from(frequency) - sum).abs();
                assert!(error < 4e-6, "{level:?}, {k} of {N}: off by {error}");
            }
            for (found, wanted) in again.iter().zip(x) {
                assert!((found / N as f32 - wanted).abs() < 1e-6, "{level:?}, {N}");
            }
        }
    }

    #[test]
    fn transforms_equal_their_definition() {
        check::<8>();
        check::<16>();
        check::<32>();
    }
}
