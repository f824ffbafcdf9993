//! Band limits, as of telephones and low sample rates.

use rand::{Rng, RngExt};

use super::response;

/// Removes everything above `cutoff` Hz, as if the clip had been recorded at twice that rate.
pub fn low_pass(samples: &mut [f32], rate: u32, cutoff: f32) {
    if cutoff * 2.0 < rate as f32 {
        // A roll-off of 200 Hz keeps the ringing short.
        response::apply(samples, rate, |hz| ((cutoff - hz) / 200.0 + 0.5).clamp(0.0, 1.0));
    }
}

/// Draws a band limit, half of the time that of a telephone.
pub(crate) fn limit_band(rng: &mut impl Rng, samples: &mut [f32], rate: u32) {
    let telephone = rng.random_bool(0.5);
    let cutoff = if telephone { 3_900.0 } else { rng.random_range(3_000.0..7_000.0) };
    low_pass(samples, rate, cutoff);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_pass_band_and_empties_the_stop_band() {
        let sine = |hz: f32| -> Vec<f32> {
            (0..16_000).map(|i| (std::f32::consts::TAU * hz * i as f32 / 16_000.0).sin()).collect()
        };
        let level = |x: &[f32]| super::super::power(&x[2_000..14_000]);
        let (mut low, mut high) = (sine(1_000.0), sine(5_000.0));
        low_pass(&mut low, 16_000, 4_000.0);
        low_pass(&mut high, 16_000, 4_000.0);
        assert!((level(&low) - 0.5).abs() < 1e-3);
        assert!(level(&high) < 1e-6, "stop band at {}", level(&high));
    }
}
