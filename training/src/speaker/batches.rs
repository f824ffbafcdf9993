//! Batches of features, composed by other threads while the network learns.

use formant_audio_core::features::FeaturePlan;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Kind, Tensor};

use super::compose::{Drawing, compose};
use super::data::SpeakerData;
use super::recipe::SpeakerRecipe;
use crate::ahead::compose_ahead;
use crate::augment::mask;
use crate::error::Result;

/// Features and speakers of one batch.
pub(super) struct Batch {
    /// `[batch, frames, bins]`
    pub(super) features: Tensor,
    /// `[batch]`, 64-bit integers.
    pub(super) speakers: Tensor,
}

/// Makes batches; the same seed, epoch and step always give the same one.
pub(super) struct Batches<'a> {
    pub(super) data: &'a SpeakerData,
    pub(super) recipe: &'a SpeakerRecipe,
    pub(super) plan: &'a FeaturePlan,
    pub(super) drawing: Drawing,
}

impl Batches<'_> {
    /// Composes the batches of one epoch in order and hands each to `learn`, which may stop early.
    pub(super) fn run(
        &self,
        epoch: usize,
        learn: impl FnMut(usize, Batch) -> Result<()>,
    ) -> Result<()> {
        compose_ahead(0..self.recipe.steps_per_epoch, |step| self.batch(epoch, step), learn)
    }

    fn batch(&self, epoch: usize, step: usize) -> Result<Batch> {
        let (batch, length) = (self.recipe.batch, self.recipe.samples(epoch));
        let examples: Vec<Result<(Vec<f32>, i64)>> = (0..batch)
            .into_par_iter()
            .map(|index| {
                let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed);
                rng.set_stream(
                    ((epoch * self.recipe.steps_per_epoch + step) * batch + index) as u64,
                );
                let (samples, speaker) =
                    compose(&mut rng, self.data, self.recipe, &self.drawing, length);
                let mut features = self.plan.compute(&samples)?;
                let fill = features.mean().unwrap_or(0.0);
                mask(&mut rng, &mut features.view_mut(), &self.recipe.augmentation.masks, fill);
                Ok((features.into_raw_vec_and_offset().0, speaker as i64))
            })
            .collect();
        let mut values = Vec::new();
        let mut speakers = Vec::with_capacity(batch);
        for example in examples {
            let (features, speaker) = example?;
            values.extend(features);
            speakers.push(speaker);
        }
        let bins = self.recipe.network.input_size;
        Ok(Batch {
            features: Tensor::from_slice(&values).view([batch as i64, -1, bins]),
            speakers: Tensor::from_slice(&speakers).to_kind(Kind::Int64),
        })
    }
}
