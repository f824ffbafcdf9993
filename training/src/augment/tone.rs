//! Another microphone: a smooth frequency response at random.

use rand::{Rng, RngExt};
use realfft::RealFftPlanner;

/// Points of the response, spaced evenly on a scale that is nearly that of hearing.
const POINTS: usize = 7;
/// Hz up to which that scale is nearly linear.
const CORNER: f32 = 700.0;

/// Changes the tone as another microphone would: gains between `-most` and `most` dB at a few
/// frequencies, and straight lines between them. `rate` is in Hz.
pub fn change_tone(rng: &mut impl Rng, samples: &mut [f32], rate: u32, most: f32) {
    let gains: [f32; POINTS] = std::array::from_fn(|_| rng.random_range(-most..=most));
    if samples.is_empty() {
        return;
    }
    let length = samples.len().next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let mut time = forward.make_input_vec();
    time[..samples.len()].copy_from_slice(samples);
    let mut spectrum = forward.make_output_vec();
    forward.process(&mut time, &mut spectrum).expect("buffers were made by the plan");
    let scale = |hz: f32| (1.0 + hz / CORNER).ln();
    let nyquist = scale(rate as f32 / 2.0);
    let hz_per_bin = rate as f32 / length as f32;
    for (k, bin) in spectrum.iter_mut().enumerate() {
        let position = scale(k as f32 * hz_per_bin) / nyquist * (POINTS - 1) as f32;
        let below = (position as usize).min(POINTS - 2);
        let part = position - below as f32;
        let decibel = gains[below] * (1.0 - part) + gains[below + 1] * part;
        *bin *= 10f32.powf(decibel / 20.0) / length as f32;
    }
    inverse.process(&mut spectrum, &mut time).expect("buffers were made by the plan");
    samples.copy_from_slice(&time[..samples.len()]);
}

#[cfg(test)]
mod tests {
    use super::super::power;
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn tones_change_within_the_limit_and_not_alike() {
        let mut changes = Vec::new();
        for hz in [300.0f32, 1_000.0, 3_000.0] {
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            let tone: Vec<f32> = (0..8_192)
                .map(|i| (std::f32::consts::TAU * hz * i as f32 / 8_000.0).sin())
                .collect();
            let mut changed = tone.clone();
            change_tone(&mut rng, &mut changed, 8_000, 6.0);
            let (old, new) = (power(&tone[1_000..7_000]), power(&changed[1_000..7_000]));
            changes.push(10.0 * (new / old).log10());
        }
        assert!(changes.iter().all(|change| change.abs() <= 6.1), "{changes:?}");
        let spread = changes.iter().fold(f32::MIN, |a, &b| a.max(b))
            - changes.iter().fold(f32::MAX, |a, &b| a.min(b));
        assert!(spread > 0.5, "{changes:?}");
    }

    #[test]
    fn no_decibels_change_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut samples: Vec<f32> = (0..1_000).map(|i| ((i * i) as f32 * 0.01).sin()).collect();
        let before = samples.clone();
        change_tone(&mut rng, &mut samples, 16_000, 0.0);
        assert!(samples.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
