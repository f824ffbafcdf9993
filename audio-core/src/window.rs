//! Window functions, periodic and symmetric, computed in double precision.
//!
//! Only shapes live here; which frame a window is applied to is [`crate::chunk::FrameGrid`]'s
//! business.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The shape of a window.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// All ones.
    Rectangular,
    /// 0.5 - 0.5 cos, zero at the ends; Kaldi calls it "hanning".
    #[default]
    Hann,
    /// 0.54 - 0.46 cos.
    Hamming,
    /// 0.42 - 0.5 cos + 0.08 cos of the double angle.
    Blackman,
    /// Hann to the power 0.85, Kaldi's default.
    Povey,
    /// Half a period of a sine.
    Sine,
    /// Kaiser's window; the larger `beta`, the wider the main lobe and the lower the side lobes.
    Kaiser {
        /// Shape parameter.
        beta: f64,
    },
}

/// Where the second end of a window lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symmetry {
    /// The last sample mirrors the first (Kaldi, NeMo, filter design).
    Symmetric,
    /// The sample after the last would mirror the first (torch, librosa, SciPy's `fftbins`).
    #[default]
    Periodic,
}

impl Window {
    /// The window's `length` samples in double precision.
    #[must_use]
    pub fn samples_f64(self, length: usize, symmetry: Symmetry) -> Vec<f64> {
        if length <= 1 {
            return vec![1.0; length];
        }
        let period = match symmetry {
            Symmetry::Symmetric => (length - 1) as f64,
            Symmetry::Periodic => length as f64,
        };
        (0..length).map(|n| self.at(n as f64 / period)).collect()
    }

    /// The window's `length` samples.
    #[must_use]
    pub fn samples(self, length: usize, symmetry: Symmetry) -> Vec<f32> {
        self.samples_f64(length, symmetry).into_iter().map(|w| w as f32).collect()
    }

    /// Value at `x` in [0, 1], the fraction of the window's period.
    fn at(self, x: f64) -> f64 {
        let cos = (2.0 * PI * x).cos();
        match self {
            Self::Rectangular => 1.0,
            Self::Hann => 0.5 - 0.5 * cos,
            Self::Hamming => 0.54 - 0.46 * cos,
            Self::Blackman => 0.42 - 0.5 * cos + 0.08 * (4.0 * PI * x).cos(),
            Self::Povey => (0.5 - 0.5 * cos).max(0.0).powf(0.85),
            Self::Sine => (PI * x).sin(),
            Self::Kaiser { beta } => {
                let r = 2.0 * x - 1.0;
                bessel_i0(beta * (1.0 - r * r).max(0.0).sqrt()) / bessel_i0(beta)
            }
        }
    }
}

/// Modified Bessel function of the first kind, order zero, by its power series (all terms are
/// positive, so that nothing cancels).
#[must_use]
pub fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0f64, 1.0f64, 1.0f64);
    while term > sum * 1e-17 && k < 1000.0 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?} is not {expected:?}");
        }
    }

    #[test]
    fn five_points_of_each() {
        let five = |window: Window| window.samples_f64(5, Symmetry::Symmetric);
        close(&five(Window::Hann), &[0.0, 0.5, 1.0, 0.5, 0.0]);
        close(&five(Window::Hamming), &[0.08, 0.54, 1.0, 0.54, 0.08]);
        close(&five(Window::Blackman), &[0.0, 0.34, 1.0, 0.34, 0.0]);
        let povey = 0.5f64.powf(0.85);
        close(&five(Window::Povey), &[0.0, povey, 1.0, povey, 0.0]);
        close(&five(Window::Rectangular), &[1.0; 5]);
    }

    #[test]
    fn periodic_is_the_longer_symmetric_without_its_end() {
        for window in [Window::Hann, Window::Sine, Window::Kaiser { beta: 8.6 }] {
            let long = window.samples_f64(9, Symmetry::Symmetric);
            close(&window.samples_f64(8, Symmetry::Periodic), &long[..8]);
        }
    }

    #[test]
    fn kaiser_against_scipy() {
        // scipy.signal.windows.kaiser(5, 8.6), SciPy 1.17.
        let expected = [0.001_332_513_997_902_419_8, 0.340_393_622_440_187_56, 1.0];
        let found = Window::Kaiser { beta: 8.6 }.samples_f64(5, Symmetry::Symmetric);
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
        assert_eq!(found[0], found[4]);
    }

    #[test]
    fn tiny_lengths() {
        assert!(Window::Hann.samples(0, Symmetry::Periodic).is_empty());
        assert_eq!(Window::Hann.samples(1, Symmetry::Periodic), [1.0]);
    }
}
