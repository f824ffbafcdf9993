//! Examples: a stretch of a recording, and what is left of it in a narrow band, made anew for every
//! step. The same seed, epoch and step always give the same ones.

use formant_audio_core::features::FeaturePlan;
use formant_models::tasks::superres::heard_band;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::data::SuperresData;
use super::narrow::{Band, full_and_narrow};
use super::recipe::SuperresRecipe;
use crate::error::Result;
use crate::examples::{pick, stack};
use crate::training::{Learn, Recipe};

/// What the encoder sees, and the slice in the middle.
pub(super) struct Batch {
    /// Log-mel spectra of the narrow band, `[batch, frames, bands]`.
    pub(super) mel: Tensor,
    /// The narrow band in the slice, `[batch, samples]`.
    pub(super) low: Tensor,
    /// The full band in the slice, `[batch, samples]`.
    pub(super) full: Tensor,
    /// Hz at which the narrow band ends, `[batch]`.
    pub(super) edges: Tensor,
}

/// Makes batches.
pub(super) struct Batches<'a> {
    pub(super) data: &'a SuperresData,
    pub(super) recipe: &'a SuperresRecipe,
    pub(super) plan: FeaturePlan,
    /// Frames of an example, and of its slice.
    pub(super) frames: [usize; 2],
    /// Samples of a frame.
    pub(super) hop: usize,
}

impl Batches<'_> {
    /// Hands the batches of one epoch in order to `learn`, which may stop early.
    pub(super) fn run(&self, epoch: usize, learn: Learn<'_, Batch>) -> Result<()> {
        let batch = |examples| {
            let [mel, low, full, edges] = stack(examples)?;
            let mel = mel.view([mel.size()[0], -1, self.plan.bins() as i64]);
            Ok(Batch { mel, low, full, edges: edges.view([-1]) })
        };
        let examples = self.recipe.course().examples(self.recipe.batch);
        examples.run(epoch, |rng| self.example(rng), batch, learn)
    }

    fn example(&self, rng: &mut ChaCha8Rng) -> Result<[Vec<f32>; 4]> {
        let (data, rate) = (self.data, self.data.corpus.rate());
        let noise = !data.noise.is_empty() && rng.random::<f32>() < self.recipe.noise_share;
        // Speakers count alike, however much there is of each.
        let list = if noise { &data.noise } else { pick(rng, &data.speech) };
        let wide = pick(rng, list);
        let [crop, slice] = self.frames.map(|frames| frames * self.hop);
        let before = (self.frames[0] - self.frames[1]) / 2 * self.hop;
        let samples = data.corpus.clip(wide.clip);
        // The slice lies in the recording; around that there is silence, as at its ends.
        let at = rng.random_range(0..=samples.len().saturating_sub(slice));
        let [least, most] = self.recipe.gain;
        let gain = 10f32.powf(rng.random_range(least..=most) / 20.0) / 32_768.0;
        let part: Vec<f32> = (0..crop)
            .map(|n| (at + n).checked_sub(before).and_then(|n| samples.get(n)))
            .map(|x| x.map_or(0.0, |&x| f32::from(x) * gain))
            .collect();
        let band = Band::draw(rng, self.recipe);
        let (full, narrow) = full_and_narrow(&part, f64::from(rate), wide.band, &band);
        let low = heard_band(&narrow, band.edge, rate)?;
        let mel = self.plan.compute(&low)?.into_raw_vec_and_offset().0;
        let middle = |x: &[f32]| x[before..before + slice].to_vec();
        Ok([mel, middle(&low), middle(&full), vec![band.edge as f32]])
    }
}
