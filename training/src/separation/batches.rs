//! Batches of mixtures, composed by other threads while the network learns.

use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::compose::{Example, compose};
use super::recipe::SeparationRecipe;
use crate::error::Result;
use crate::examples::stack;
use crate::training::{Learn, Recipe};
use crate::voices::{Drawing, Voices};

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

/// Hands the batches of one epoch in order to `learn`, which may stop early.
pub(super) fn run(
    epoch: usize,
    data: &Voices,
    recipe: &SeparationRecipe,
    learn: Learn<'_, Batch>,
) -> Result<()> {
    let length = recipe.samples();
    let drawing = Drawing::new(&data.speakers, recipe.speaker_balance);
    let example = |rng: &mut ChaCha8Rng| {
        let Example { mixture, sources } = compose(rng, data, &drawing, recipe, length);
        Ok([mixture, sources.concat()])
    };
    let batch = |examples| {
        let [mixtures, sources] = stack(examples)?;
        let sources = sources.view([sources.size()[0], -1, length as i64]);
        Ok(Batch { mixtures, sources })
    };
    recipe.course().examples(recipe.batch).run(epoch, example, batch, learn)
}
