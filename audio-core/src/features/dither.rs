//! Gaussian noise that depends on seed, frame and position alone, so that streams and whole
//! signals get the same.

use std::f64::consts::TAU;

use super::config::Dither;
use crate::random::{fraction, mix};

impl Dither {
    /// Add this dither's noise to frame number `frame`.
    pub(super) fn add(&self, frame: usize, samples: &mut [f32]) {
        let mut state = mix(self.seed ^ mix(frame as u64));
        let mut uniform = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            fraction(mix(state))
        };
        for pair in samples.chunks_mut(2) {
            // Box and Muller, 1958.
            let radius = (-2.0 * uniform().ln()).sqrt() * f64::from(self.amount);
            let (sin, cos) = (TAU * uniform()).sin_cos();
            for (sample, unit) in pair.iter_mut().zip([cos, sin]) {
                *sample += (radius * unit) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_normal_and_repeatable() {
        let dither = Dither { amount: 2.0, seed: 7 };
        let (mut a, mut b) = (vec![0.0; 20_001], vec![0.0; 20_001]);
        dither.add(3, &mut a);
        dither.add(3, &mut b);
        assert_eq!(a, b);
        let n = a.len() as f64;
        let moment = |power: i32| a.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.05);
        assert!((moment(2) - 4.0).abs() < 0.15);
        assert!((moment(4) - 48.0).abs() < 4.0, "3 sigma^4 for a normal distribution");
        dither.add(4, &mut b);
        assert_ne!(a, b);
    }
}
