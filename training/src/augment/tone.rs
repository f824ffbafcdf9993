//! Another microphone: a smooth frequency response at random.

use rand::{Rng, RngExt};

use super::response;

/// Points of the response, spaced evenly on a scale that is nearly that of hearing.
const POINTS: usize = 7;
/// Hz up to which that scale is nearly linear.
const CORNER: f32 = 700.0;

/// Changes the tone as another microphone would: gains between `-most` and `most` dB at a few
/// frequencies, and straight lines between them. `rate` is in Hz.
pub fn change_tone(rng: &mut impl Rng, samples: &mut [f32], rate: u32, most: f32) {
    let gains: [f32; POINTS] = std::array::from_fn(|_| rng.random_range(-most..=most));
    let scale = |hz: f32| (1.0 + hz / CORNER).ln();
    let nyquist = scale(rate as f32 / 2.0);
    response::apply(samples, rate, |hz| {
        let position = scale(hz) / nyquist * (POINTS - 1) as f32;
        let below = (position as usize).min(POINTS - 2);
        let part = position - below as f32;
        let decibel = gains[below] * (1.0 - part) + gains[below + 1] * part;
        10f32.powf(decibel / 20.0)
    });
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
}
