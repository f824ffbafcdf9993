//! The noise of sampling: Gumbel numbers that are given, or that depend on a seed, the step and the
//! place alone.

use formant_audio_core::random::{fraction, mix};
use tch::Tensor;

use crate::error::{Error, Result};

/// Standard Gumbel numbers for every step and place.
pub trait Noise {
    /// Fills `out` with a number for each code of a place.
    fn tokens(&self, step: usize, place: usize, out: &mut [f32]);

    /// The number for the confidence in a place.
    fn confidence(&self, step: usize, place: usize) -> f32;
}

/// Noise of a seed. Two windows of one sound have the same noise where they overlap, and nothing else
/// that is sampled at the same time changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeededNoise {
    /// The seed.
    pub seed: u64,
    /// Columns of the grid.
    pub columns: usize,
    /// Column of the sound at which the grid begins.
    pub first_column: u64,
}

/// Odd, so that its multiples go through all numbers: the golden ratio's fraction.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

impl SeededNoise {
    /// What the numbers of a place begin with; the first is for its confidence.
    fn key(&self, step: usize, place: usize) -> u64 {
        let columns = self.columns.max(1);
        let (row, column) = (place / columns, self.first_column + (place % columns) as u64);
        let parts = [step as u64, row as u64, column];
        let seed = mix(self.seed ^ 0x5EED_70CE_5A3F_11ED);
        parts.iter().fold(seed, |key, part| {
            mix(key.wrapping_add(part.wrapping_mul(STRIDE)).wrapping_add(1))
        })
    }
}

fn gumbel(key: u64, index: u64) -> f32 {
    let uniform = fraction(mix(key.wrapping_add(index.wrapping_mul(STRIDE))));
    -(-uniform.ln()).ln() as f32
}

impl Noise for SeededNoise {
    fn tokens(&self, step: usize, place: usize, out: &mut [f32]) {
        let key = self.key(step, place);
        out.iter_mut().zip(1..).for_each(|(out, index)| *out = gumbel(key, index));
    }

    fn confidence(&self, step: usize, place: usize) -> f32 {
        gumbel(self.key(step, place), 0)
    }
}

/// Noise that is given, such as another program's.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenNoise {
    tokens: Vec<f32>,     // [steps, places, codes]
    confidence: Vec<f32>, // [steps, places]
    places: usize,
    codes: usize,
}

impl GivenNoise {
    /// Of tensors `[steps, places, codes]` and `[steps, places]`.
    ///
    /// # Errors
    /// [`Error::Config`] when their shapes do not belong together.
    pub fn new(tokens: &Tensor, confidence: &Tensor) -> Result<Self> {
        let size = tokens.size();
        let numbers = |tensor: &Tensor| Vec::<f32>::try_from(tensor.reshape([-1])).ok();
        let fits = size.len() == 3 && confidence.size() == size[..2] && size.iter().all(|&n| n > 0);
        match (numbers(tokens), numbers(confidence)) {
            (Some(tokens), Some(confidence)) if fits => {
                let (places, codes) = (size[1] as usize, size[2] as usize);
                Ok(Self { tokens, confidence, places, codes })
            }
            _ => {
                let reason = format!(
                    "{size:?} and {:?} are not [steps, places, codes] and [steps, places] of \
                     32-bit numbers",
                    confidence.size()
                );
                Err(Error::config("noise", reason))
            }
        }
    }
}

impl Noise for GivenNoise {
    /// Zeros where nothing was given.
    fn tokens(&self, step: usize, place: usize, out: &mut [f32]) {
        let from = (step * self.places + place) * self.codes;
        let given = self.tokens.get(from..from + self.codes).unwrap_or_default();
        out.fill(0.0);
        out.iter_mut().zip(given).for_each(|(out, given)| *out = *given);
    }

    fn confidence(&self, step: usize, place: usize) -> f32 {
        self.confidence.get(step * self.places + place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_gumbel_and_belong_to_a_column_of_the_sound() {
        let noise = SeededNoise { seed: 3, columns: 50, first_column: 0 };
        let mut all = vec![0.0; 40_000];
        noise.tokens(0, 7, &mut all);
        let n = all.len() as f64;
        let mean = all.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = all.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        // Euler's constant, and a sixth of the square of pi.
        assert!(
            (mean - 0.5772).abs() < 0.03 && (variance - 1.6449).abs() < 0.06,
            "{mean} {variance}"
        );
        let later = SeededNoise { first_column: 30, ..noise };
        let places = [(&noise, 2 * 50 + 40), (&later, 2 * 50 + 10)];
        let [first, second] = places.map(|(noise, place)| {
            let mut some = vec![0.0; 20];
            noise.tokens(5, place, &mut some);
            (some, noise.confidence(5, place))
        });
        assert_eq!(first, second);
        let mut seen = Vec::new();
        for noise in [noise, SeededNoise { seed: 4, ..noise }] {
            for (step, place) in [(0, 0), (1, 0), (0, 1), (0, 50), (1, 51)] {
                seen.push(noise.confidence(step, place).to_bits());
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 10);
    }
}
