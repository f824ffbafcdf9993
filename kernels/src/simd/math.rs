//! Functions of vectors that are no single instruction.

use super::Lanes;

/// `exp(x)` to about one part in 10^7, for `x` clamped to -87..88, where the result is a normal
/// number; NaN for NaN.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(crate) unsafe fn exp<V: Lanes>(x: V) -> V {
    // The logarithm of two in two parts; the first has so few digits that `n` times it is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Taylor's series: on |r| <= ln(2)/2 the first term left out is 5e-9.
    const SERIES: [f32; 6] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    // SAFETY: the caller promises the instructions.
    unsafe {
        let x = V::splat(88.0).min(V::splat(-87.0).max(x));
        let n = x.mul(V::splat(std::f32::consts::LOG2_E)).round();
        let r = n.mul_add(V::splat(-LN_2_HIGH), x);
        let r = n.mul_add(V::splat(-LN_2_LOW), r);
        let mut sum = V::splat(1.0 / 5040.0);
        for term in SERIES {
            sum = sum.mul_add(r, V::splat(term));
        }
        sum.mul_add(r, V::splat(1.0)).mul(n.exp2_whole())
    }
}

/// `x / (1 + exp(-x))`.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(crate) unsafe fn silu<V: Lanes>(x: V) -> V {
    // SAFETY: the caller promises the instructions.
    unsafe { x.mul(V::splat(1.0).add(exp(V::splat(0.0).sub(x))).reciprocal()) }
}

/// `sin(x)^2`, to 5e-7 for `x` within 30,000; about 0 to 1 for any other number, NaN for NaN.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(crate) unsafe fn sine_squared<V: Lanes>(x: V) -> V {
    use std::f32::consts::FRAC_1_PI;
    // Pi in three parts, of which the first two have so few digits that `n` times them is exact.
    const PI: [f32; 3] = [3.140_625, 9.670_257_6e-4, 6.278_329_3e-7];
    // Beyond pi/2 by as much as rounding can make of `n` for the `x` above.
    const LARGEST: f32 = 1.6;
    // Taylor's series: on |r| <= pi/2 the first term left out is 6e-8.
    const SERIES: [f32; 5] = [1.0 / 362_880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0];
    // SAFETY: the caller promises the instructions.
    unsafe {
        let n = x.mul(V::splat(FRAC_1_PI)).round();
        let mut r = x;
        for part in PI {
            r = n.mul_add(V::splat(-part), r);
        }
        let r = V::splat(LARGEST).min(V::splat(-LARGEST).max(r));
        let square = r.mul(r);
        let mut sum = V::splat(-1.0 / 39_916_800.0);
        for term in SERIES {
            sum = sum.mul_add(square, V::splat(term));
        }
        let sine = sum.mul(r);
        sine.mul(sine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, Level, dispatch};

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        SineSquared,
    }

    struct Map<'a> {
        function: Function,
        x: &'a [f32],
        y: &'a mut [f32],
    }

    impl Kernel for Map<'_> {
        #[inline(always)]
        unsafe fn run<V: Lanes>(self) {
            for (x, y) in self.x.chunks(V::N).zip(self.y.chunks_mut(V::N)) {
                // SAFETY: both chunks have as many elements as are loaded and stored.
                unsafe {
                    let x = V::load_part(x.as_ptr(), x.len());
                    let values = match self.function {
                        Function::Exp => exp(x),
                        Function::SineSquared => sine_squared(x),
                    };
                    values.store_part(y.as_mut_ptr(), y.len());
                }
            }
        }
    }

    #[test]
    fn exponential_is_exact_to_seven_digits() {
        let x: Vec<f32> = (-8700..=8800).map(|i| i as f32 / 100.0).collect();
        for level in Level::available() {
            let mut y = vec![0.0; x.len()];
            dispatch(level, Map { function: Function::Exp, x: &x, y: &mut y });
            for (&x, y) in x.iter().zip(y) {
                let exact = f64::from(x).exp();
                let error = (f64::from(y) / exact - 1.0).abs();
                assert!(error < 2e-7, "{level:?}: exp({x}) is off by {error}");
            }
            let (mut y, clamped) = ([0.0; 3], [87.0f64, -88.0].map(|x| (-x).exp()));
            let x = &[f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
            dispatch(level, Map { function: Function::Exp, x, y: &mut y });
            for (y, exact) in y.iter().zip(clamped) {
                assert!((f64::from(*y) / exact - 1.0).abs() < 2e-7, "{level:?}: {y}, not {exact}");
            }
            assert!(y[2].is_nan(), "{level:?}: exp(NaN) is {}", y[2]);
        }
    }

    #[test]
    fn squares_of_sines_are_exact_to_six_digits() {
        let x: Vec<f32> = (-30_000..=30_000)
            .flat_map(|i| {
                [i as f32 / 3000.0, i as f32 + 0.37, i as f32 * std::f32::consts::FRAC_PI_2]
            })
            .filter(|x| x.abs() <= 30_000.0)
            .collect();
        for level in Level::available() {
            let mut y = vec![0.0; x.len()];
            dispatch(level, Map { function: Function::SineSquared, x: &x, y: &mut y });
            for (&x, y) in x.iter().zip(y) {
                let error = (f64::from(y) - f64::from(x).sin().powi(2)).abs();
                assert!(error < 5e-7, "{level:?}: sin({x})^2 is off by {error}");
            }
            let (far, mut y) = ([3e9, -1e30, f32::MAX, f32::NAN], [0.0; 4]);
            dispatch(level, Map { function: Function::SineSquared, x: &far, y: &mut y });
            assert!(y[..3].iter().all(|y| (0.0..=1.000_001).contains(y)), "{level:?}: {y:?}");
            assert!(y[3].is_nan(), "{level:?}: {y:?}");
        }
    }
}
