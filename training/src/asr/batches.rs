//! Batches of utterances of about the same length, composed by other threads while the network
//! learns.

use formant_audio_core::features::FeaturePlan;
use formant_models::nn::frames::batch;
use ndarray::Array2;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Kind, Tensor};

use super::compose::{Draft, compose, draw};
use super::data::AsrData;
use super::pieces::Pieces;
use super::recipe::AsrRecipe;
use crate::ahead::compose_ahead;
use crate::augment::{SpecMasks, mask};
use crate::error::Result;

/// Features and answers of one batch.
pub(super) struct Batch {
    /// `[batch, frames, bins]`, zeros behind the end.
    pub(super) features: Tensor,
    /// Valid frames.
    pub(super) lengths: Vec<i64>,
    /// `[answers of all utterances]`, 64-bit integers.
    pub(super) answers: Tensor,
    /// Answers of each utterance.
    pub(super) counts: Vec<i64>,
}

/// Makes batches; the same seed and epoch always give the same ones.
pub(super) struct Batches<'a> {
    pub(super) data: &'a AsrData,
    pub(super) recipe: &'a AsrRecipe,
    pub(super) plan: &'a FeaturePlan,
    pub(super) pieces: &'a Pieces,
}

/// Batches among whose utterances those of similar length are looked for.
const POOL: usize = 16;

impl<'a> Batches<'a> {
    /// Composes the batches of one epoch in order and hands each to `learn`, which may stop early.
    pub(super) fn run(
        &self,
        epoch: usize,
        learn: impl FnMut(usize, Batch) -> Result<()>,
    ) -> Result<()> {
        // The drafts are drawn on the other thread, too.
        let drafts = std::iter::once_with(|| self.drafts(epoch)).flatten();
        compose_ahead(drafts, |drafts| self.batch(&drafts), learn)
    }

    /// What each batch of an epoch holds.
    fn drafts(&self, epoch: usize) -> Vec<Vec<Draft<'a>>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed);
        rng.set_stream(epoch as u64);
        let rate = f64::from(self.data.corpus.rate());
        let room = (self.recipe.batch_seconds * rate) as usize;
        let mut batches = Vec::new();
        while batches.len() < self.recipe.steps_per_epoch {
            batches.extend(self.pool(&mut rng, room));
        }
        batches.truncate(self.recipe.steps_per_epoch);
        batches
    }

    fn pool(&self, rng: &mut impl Rng, room: usize) -> Vec<Vec<Draft<'a>>> {
        let mut drafts = Vec::new();
        let mut total = 0;
        while total < POOL * room {
            let draft = draw(rng, self.data, self.recipe);
            total += draft.length;
            drafts.push(draft);
        }
        drafts.sort_by_key(|draft| draft.length);
        let mut batches: Vec<Vec<Draft<'a>>> = Vec::new();
        for draft in drafts {
            match batches.last_mut() {
                // Lengths rise, so that the new one is what all are padded to.
                Some(batch) if (batch.len() + 1) * draft.length <= room => batch.push(draft),
                _ => batches.push(vec![draft]),
            }
        }
        // A batch of one has poor statistics.
        batches.retain(|batch| batch.len() > 1);
        batches.shuffle(rng);
        batches
    }

    fn batch(&self, drafts: &[Draft<'a>]) -> Result<Batch> {
        let features: Vec<Result<Array2<f32>>> = drafts
            .par_iter()
            .map(|draft| {
                let samples = compose(draft, self.data, self.recipe);
                let mut features = self.plan.compute(&samples)?;
                let a = &self.recipe.augmentation;
                let longest = (features.nrows() as f32 * a.mask_share) as usize;
                let masks = SpecMasks { time_frames: a.masks.time_frames.min(longest), ..a.masks };
                let mut rng = ChaCha8Rng::seed_from_u64(draft.length as u64);
                mask(&mut rng, &mut features.view_mut(), &masks, 0.0);
                Ok(features)
            })
            .collect();
        let features: Vec<Array2<f32>> = features.into_iter().collect::<Result<_>>()?;
        let answers: Vec<Vec<i64>> =
            drafts.iter().map(|draft| self.pieces.encode(&draft.text())).collect();
        Ok(Batch {
            features: batch(&features),
            lengths: features.iter().map(|rows| rows.nrows() as i64).collect(),
            counts: answers.iter().map(|ids| ids.len() as i64).collect(),
            answers: Tensor::from_slice(&answers.concat()).to_kind(Kind::Int64),
        })
    }
}
