//! Examples: a stretch of a recording, its spectrogram, and noise. The same seed, epoch and step always
//! give the same ones.

use formant_audio_core::features::FeaturePlan;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::data::VocodeData;
use super::recipe::VocodeRecipe;
use crate::error::Result;
use crate::examples::{Examples, pick, stack};

/// What the network hears, and what it is to say.
pub(super) struct Batch {
    /// Log-mel spectra, `[batch, bands, frames]`.
    pub(super) frames: Tensor,
    /// The recordings, `[batch, 1, samples]`.
    pub(super) wave: Tensor,
    /// Noise of variance one, as long.
    pub(super) noise: Tensor,
    /// Times of the flow, from 0 to 1, `[batch]`.
    pub(super) times: Tensor,
}

/// Makes batches.
pub(super) struct Batches<'a> {
    pub(super) data: &'a VocodeData,
    pub(super) recipe: &'a VocodeRecipe,
    pub(super) plan: &'a FeaturePlan,
    /// Samples of an example.
    pub(super) length: usize,
}

impl Batches<'_> {
    /// Hands the batches of one epoch in order to `learn`, which may stop early.
    pub(super) fn run(
        &self,
        examples: Examples,
        epoch: usize,
        learn: impl FnMut(usize, Batch) -> Result<()>,
    ) -> Result<()> {
        let batch = |examples| {
            let [frames, wave, noise, times] = stack(examples)?;
            let bands = self.plan.bins() as i64;
            Ok(Batch {
                frames: frames.view([frames.size()[0], -1, bands]).transpose(1, 2),
                wave: wave.unsqueeze(1),
                noise: noise.unsqueeze(1),
                times: times.view([-1]),
            })
        };
        examples.run(epoch, |rng| self.example(rng), batch, learn)
    }

    fn example(&self, rng: &mut ChaCha8Rng) -> Result<[Vec<f32>; 4]> {
        // Speakers count alike, however much there is of each.
        let speaker = pick(rng, &self.data.speech);
        let clip = self.data.corpus.clip(*pick(rng, speaker));
        let at = rng.random_range(0..=clip.len() - self.length);
        let [least, most] = self.recipe.gain;
        let gain = 10f32.powf(rng.random_range(least..=most) / 20.0) / 32_768.0;
        let wave: Vec<f32> =
            clip[at..at + self.length].iter().map(|&x| f32::from(x) * gain).collect();
        let frames = self.plan.compute(&wave)?.into_raw_vec_and_offset().0;
        Ok([frames, wave, normal(rng, self.length), vec![rng.random()]])
    }
}

/// Normal draws (Box and Muller, 1958).
fn normal(rng: &mut impl Rng, length: usize) -> Vec<f32> {
    let mut pair = || {
        let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * rng.random::<f32>()).sin_cos();
        [radius * cos, radius * sin]
    };
    let mut draws: Vec<f32> = (0..length.div_ceil(2)).flat_map(|_| pair()).collect();
    draws.truncate(length);
    draws
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn draws_are_normal() {
        let draws = normal(&mut ChaCha8Rng::seed_from_u64(1), 100_001);
        let moment =
            |power| draws.iter().map(|x| f64::from(*x).powi(power)).sum::<f64>() / 100_001.0;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.02, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.15, "{}", moment(4));
    }
}
