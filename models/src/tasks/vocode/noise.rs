//! Noise that depends on a seed and on the place of a sample alone, so that chunks, threads and jobs
//! change nothing.

use std::f64::consts::TAU;

use formant_audio_core::random::{fraction, mix};

/// Standard normal numbers for the samples from `from` on.
pub(super) fn fill(seed: u64, from: u64, out: &mut [f32]) {
    let seed = mix(seed ^ 0x5EED_0F5E_EDB0_0C5E);
    for (sample, place) in out.iter_mut().zip(from..) {
        // Box and Muller, 1958: a pair of samples shares two numbers.
        let pair = place / 2;
        let radius = (-2.0 * uniform(seed, 2 * pair).ln()).sqrt();
        let angle = TAU * uniform(seed, 2 * pair + 1);
        *sample = (radius * if place % 2 == 0 { angle.cos() } else { angle.sin() }) as f32;
    }
}

/// A number between 0 and 1, neither of which it is.
fn uniform(seed: u64, index: u64) -> f64 {
    fraction(mix(seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_normal_and_the_same_from_any_place_on() {
        let mut all = vec![0.0; 50_001];
        fill(7, 0, &mut all);
        for from in [1, 2, 333, 40_000] {
            let mut part = vec![0.0; 100];
            fill(7, from as u64, &mut part);
            assert_eq!(part, all[from..from + 100]);
        }
        let n = all.len() as f64;
        let moment = |power: i32| all.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.03, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.15, "{}", moment(4));
        let lag: f64 = all.windows(2).map(|w| f64::from(w[0]) * f64::from(w[1])).sum::<f64>() / n;
        assert!(lag.abs() < 0.02, "{lag}");
        let mut other = vec![0.0; 100];
        fill(8, 0, &mut other);
        assert_ne!(other, all[..100]);
    }
}
