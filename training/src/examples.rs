//! Examples drawn at random. Each has a number, and with it a random stream of its own, so that the
//! same seed, epoch and step always give the same batch, on any number of threads.

use formant_audio_core::features::FeaturePlan;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Kind, Tensor};

use crate::ahead::compose_ahead;
use crate::augment::{SpecMasks, mask};
use crate::error::Result;

/// The examples of a training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Examples {
    pub(crate) seed: u64,
    pub(crate) steps_per_epoch: usize,
    /// Examples in a batch.
    pub(crate) batch: usize,
}

/// Features of a batch and the class of each example.
pub(crate) struct Labelled {
    /// `[batch, frames, bins]`
    pub(crate) features: Tensor,
    /// `[batch]`, 64-bit integers.
    pub(crate) classes: Tensor,
}

impl Examples {
    /// Draws the examples of every step of an epoch on other threads, makes a batch of them with
    /// `stack`, and hands it with the number of the step to `learn`, which may stop early.
    pub(crate) fn run<E: Send, B: Send>(
        self,
        epoch: usize,
        draw: impl Fn(&mut ChaCha8Rng) -> E + Send + Sync,
        stack: impl Fn(Vec<E>) -> Result<B> + Send,
        learn: impl FnMut(usize, B) -> Result<()>,
    ) -> Result<()> {
        let step = move |step| {
            let first = (epoch * self.steps_per_epoch + step) * self.batch;
            let example = |number: usize| {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(number as u64);
                draw(&mut rng)
            };
            stack((first..first + self.batch).into_par_iter().map(example).collect())
        };
        compose_ahead(0..self.steps_per_epoch, step, learn)
    }

    /// Runs an epoch of examples that are samples of equal length and a class each: `masks` are drawn
    /// over the features that `plan` computes of them.
    pub(crate) fn run_labelled(
        self,
        epoch: usize,
        (plan, masks): (&FeaturePlan, &SpecMasks),
        draw: impl Fn(&mut ChaCha8Rng) -> (Vec<f32>, usize) + Send + Sync,
        learn: impl FnMut(usize, Labelled) -> Result<()>,
    ) -> Result<()> {
        let example = |rng: &mut ChaCha8Rng| {
            let (samples, class) = draw(rng);
            let mut features = plan.compute(&samples)?;
            let fill = features.mean().unwrap_or(0.0);
            mask(rng, &mut features.view_mut(), masks, fill);
            Ok([features.into_raw_vec_and_offset().0, vec![class as f32]])
        };
        let batch = |examples| {
            let [features, classes] = stack(examples)?;
            Ok(Labelled {
                features: features.view([features.size()[0], -1, plan.bins() as i64]),
                classes: classes.view([-1]).to_kind(Kind::Int64),
            })
        };
        self.run(epoch, example, batch, learn)
    }
}

/// Examples of the same parts, of the same lengths, as tensors `[batch, values of the part]`.
pub(crate) fn stack<const N: usize>(examples: Vec<Result<[Vec<f32>; N]>>) -> Result<[Tensor; N]> {
    let count = examples.len() as i64;
    let mut parts = [const { Vec::new() }; N];
    for example in examples {
        parts.iter_mut().zip(example?).for_each(|(all, part)| all.extend(part));
    }
    Ok(parts.map(|values| Tensor::from_slice(&values).view([count, -1])))
}

/// One of a list that is not empty.
pub(crate) fn pick<'a, T>(rng: &mut impl Rng, list: &'a [T]) -> &'a T {
    &list[rng.random_range(0..list.len())]
}

/// Normal draws (Box and Muller, 1958).
pub(crate) fn normal(rng: &mut impl Rng, length: usize) -> Vec<f32> {
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
