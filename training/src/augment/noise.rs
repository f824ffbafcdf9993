//! Background noise at a chosen level.

use rand::{Rng, RngExt};

use crate::corpus::Corpus;
use crate::examples::pick;

/// Mean square of the samples; zero for none.
#[must_use]
pub fn power(samples: &[f32]) -> f32 {
    let sum: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (sum / samples.len().max(1) as f64) as f32
}

/// Adds `noise` to `signal` (as much of it as there is) so that a signal of mean square
/// `signal_power` stands `snr` dB above it.
pub fn add_at_snr(signal: &mut [f32], noise: &[f32], signal_power: f32, snr: f32) {
    let noise_power = power(noise);
    if noise_power <= 0.0 || signal_power <= 0.0 {
        return;
    }
    let gain = (signal_power / noise_power * 10f32.powf(-snr / 10.0)).sqrt();
    for (x, n) in signal.iter_mut().zip(noise) {
        *x += gain * n;
    }
}

/// Noise of mean square one between white (`color` 0) and brown (`color` 1).
#[must_use]
pub fn colored_noise(rng: &mut impl Rng, length: usize, color: f32) -> Vec<f32> {
    // A leaky integrator: the closer its pole is to one, the more it falls towards high frequencies.
    let pole = 0.98 * color.clamp(0.0, 1.0);
    let gain = (1.0 - pole * pole).sqrt();
    let mut state = 0.0f32;
    (0..length)
        .map(|_| {
            // The sum of three uniform draws is near enough to a normal one; variance 3 * (4/12).
            let white: f32 = (0..3).map(|_| rng.random_range(-1.0f32..1.0)).sum();
            state = pole * state + gain * white;
            state
        })
        .collect()
}

/// A random stretch of one of the clips, repeated as needed; in a share of `colored` cases, and where
/// there is no clip, colored noise.
pub(crate) fn some_noise(
    rng: &mut impl Rng,
    corpus: &Corpus,
    clips: &[usize],
    colored: f64,
    length: usize,
) -> Vec<f32> {
    if clips.is_empty() || rng.random_bool(colored) {
        let color = rng.random();
        return colored_noise(rng, length, color);
    }
    let clip = corpus.clip(*pick(rng, clips));
    let from = rng.random_range(0..clip.len());
    clip.iter().cycle().skip(from).take(length).map(|&x| f32::from(x) / 32768.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn noise_lands_at_the_asked_level() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noise = colored_noise(&mut rng, 50_000, 0.7);
        assert!((power(&noise) - 1.0).abs() < 0.1, "power {}", power(&noise));
        let mut signal = vec![0.0; noise.len()];
        add_at_snr(&mut signal, &noise, 0.01, 10.0);
        let level = 10.0 * (power(&signal) / 0.01).log10();
        assert!((level + 10.0).abs() < 0.01, "noise at {level} dB");
    }
}
