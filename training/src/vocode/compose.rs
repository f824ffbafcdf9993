//! Examples: a stretch of a recording, its spectrogram, and noise. The same seed, epoch and step always
//! give the same ones.

use formant_audio_core::features::FeaturePlan;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::data::VocodeData;
use super::recipe::VocodeRecipe;
use crate::error::Result;
use crate::examples::{normal, pick, stack};
use crate::training::{Learn, Recipe};

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
    pub(super) plan: FeaturePlan,
    /// Samples of an example.
    pub(super) length: usize,
}

impl Batches<'_> {
    /// Hands the batches of one epoch in order to `learn`, which may stop early.
    pub(super) fn run(&self, epoch: usize, learn: Learn<'_, Batch>) -> Result<()> {
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
        let examples = self.recipe.course().examples(self.recipe.batch);
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
