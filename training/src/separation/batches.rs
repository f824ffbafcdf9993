//! Batches of mixtures, composed by other threads while the network learns.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::Tensor;

use super::compose::compose;
use super::data::SeparationData;
use super::recipe::SeparationRecipe;
use crate::ahead::compose_ahead;
use crate::error::Result;

/// Mixtures and their sources.
pub(super) struct Batch {
    /// `[batch, samples]`
    pub(super) mixtures: Tensor,
    /// `[batch, sources, samples]`
    pub(super) sources: Tensor,
}

impl Batch {
    /// Parts of it for at most `count` learners, with the share of the whole that each has.
    pub(super) fn split(&self, count: usize) -> Vec<(f64, Batch)> {
        let size = self.mixtures.size()[0];
        let parts = |x: &Tensor| x.tensor_split(count as i64, 0);
        parts(&self.mixtures)
            .into_iter()
            .zip(parts(&self.sources))
            .filter(|(mixtures, _)| mixtures.size()[0] > 0)
            .map(|(mixtures, sources)| {
                let share = mixtures.size()[0] as f64 / size as f64;
                (share, Batch { mixtures, sources })
            })
            .collect()
    }
}

/// Makes batches; the same seed, epoch and step always give the same one.
pub(super) struct Batches<'a> {
    pub(super) data: &'a SeparationData,
    pub(super) recipe: &'a SeparationRecipe,
}

impl Batches<'_> {
    /// Composes the batches of one epoch in order and hands each to `learn`, which may stop early.
    pub(super) fn run(
        &self,
        epoch: usize,
        learn: impl FnMut(usize, Batch) -> Result<()>,
    ) -> Result<()> {
        compose_ahead(0..self.recipe.steps_per_epoch, |step| Ok(self.batch(epoch, step)), learn)
    }

    fn batch(&self, epoch: usize, step: usize) -> Batch {
        let (batch, length) = (self.recipe.batch, self.recipe.samples());
        let examples: Vec<_> = (0..batch)
            .into_par_iter()
            .map(|index| {
                let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed);
                let number = (epoch * self.recipe.steps_per_epoch + step) * batch + index;
                rng.set_stream(number as u64);
                compose(&mut rng, self.data, self.recipe, length)
            })
            .collect();
        let (mut mixtures, mut sources) = (Vec::new(), Vec::new());
        for example in examples {
            mixtures.extend(example.mixture);
            sources.extend(example.sources.into_iter().flatten());
        }
        let (batch, length) = (batch as i64, length as i64);
        Batch {
            mixtures: Tensor::from_slice(&mixtures).view([batch, length]),
            sources: Tensor::from_slice(&sources).view([batch, -1, length]),
        }
    }
}
