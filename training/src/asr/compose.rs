//! One training utterance: drawn first, so that its length is known, and made into samples later.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::data::{AsrData, Utterance};
use super::recipe::AsrRecipe;
use crate::augment::{
    add_at_snr, change_speed, colored_noise, low_pass, power, put_in_room, some_noise,
};
use crate::examples::pick;

/// A drawn utterance.
#[derive(Debug, Clone)]
pub(super) struct Draft<'a> {
    parts: Vec<&'a Utterance>,
    speed: f32,
    /// Silence before each part and after the last, in samples.
    gaps: Vec<usize>,
    seed: u64,
    /// Samples in all.
    pub(super) length: usize,
}

impl Draft<'_> {
    /// What is said.
    pub(super) fn text(&self) -> String {
        let texts: Vec<&str> = self.parts.iter().map(|part| part.text.as_str()).collect();
        texts.join(" ")
    }
}

/// Words with `n` clips are drawn in proportion to `n` to this power.
const WORD_BALANCE: f64 = 0.35;

/// Draws an utterance.
pub(super) fn draw<'a>(rng: &mut impl Rng, data: &'a AsrData, recipe: &AsrRecipe) -> Draft<'a> {
    let rate = f64::from(data.corpus.rate());
    let a = &recipe.augmentation;
    let speed = rng.random_range(a.speed[0]..=a.speed[1]);
    let sequence = !data.words.is_empty() && rng.random_bool(recipe.sequence_share);
    let mut parts = Vec::new();
    if sequence {
        for _ in 0..rng.random_range(1..=7) {
            let lists: Vec<&Vec<Utterance>> = data.words.values().collect();
            let weights = lists.iter().map(|list| (list.len() as f64).powf(WORD_BALANCE));
            let list = lists[weighted(rng, weights)];
            parts.push(pick(rng, list));
        }
    } else {
        let lists: Vec<(&String, &Vec<Utterance>)> = data.train.iter().collect();
        let weights = lists.iter().map(|(source, list)| list.len() as f64 * recipe.weight(source));
        let list = lists[weighted(rng, weights)].1;
        parts.push(pick(rng, list));
        if rng.random_bool(recipe.join_share) {
            let second = pick(rng, list);
            let length = |u: &Utterance| data.corpus.clip(u.clip).len() as f64 / rate;
            if length(parts[0]) + length(second) < recipe.longest {
                parts.push(second);
            }
        }
    }
    let mut gaps: Vec<usize> =
        parts.iter().map(|_| (rng.random_range(0.0..0.35) * rate) as usize).collect();
    gaps[0] = (rng.random_range(0.0..=f64::from(a.edges)) * rate) as usize;
    gaps.push((rng.random_range(0.0..=f64::from(a.edges)) * rate) as usize);
    let speech: usize = parts
        .iter()
        .map(|part| (data.corpus.clip(part.clip).len() as f64 / f64::from(speed)).round() as usize)
        .sum();
    let length = speech + gaps.iter().sum::<usize>();
    Draft { parts, speed, gaps, seed: rng.random(), length }
}

/// The samples of a drawn utterance.
pub(super) fn compose(draft: &Draft<'_>, data: &AsrData, recipe: &AsrRecipe) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(draft.seed);
    let rate = data.corpus.rate();
    let a = &recipe.augmentation;
    let mut samples = Vec::with_capacity(draft.length);
    for (part, gap) in draft.parts.iter().zip(&draft.gaps) {
        samples.resize(samples.len() + gap, 0.0);
        let mut clip = change_speed(&data.corpus.clip_f32(part.clip), draft.speed);
        // Parts of different recordings are about equally loud.
        let gain = if draft.parts.len() > 1 {
            10f32.powf(rng.random_range(-3.0..3.0) / 20.0) * 0.05 / power(&clip).sqrt().max(1e-5)
        } else {
            1.0
        };
        clip.iter_mut().for_each(|x| *x *= gain);
        samples.extend(clip);
    }
    samples.resize(samples.len() + draft.gaps.last().copied().unwrap_or(0), 0.0);
    put_in_room(&mut rng, &data.rooms, a.room_share, &mut samples);
    let draw: f32 = rng.random();
    let level = power(&samples);
    if draw < a.noise_share {
        let noise = some_noise(&mut rng, &data.corpus, &data.noise, 0.25, samples.len());
        add_at_snr(&mut samples, &noise, level, rng.random_range(a.snr[0]..=a.snr[1]));
    } else if draw < a.noise_share + a.hiss_share {
        let color = rng.random();
        let hiss = colored_noise(&mut rng, samples.len(), color);
        add_at_snr(&mut samples, &hiss, level, rng.random_range(30.0..60.0));
    }
    if rng.random_bool(f64::from(a.band_share)) {
        low_pass(&mut samples, rate, rng.random_range(3_000.0..7_000.0));
    }
    samples
}

/// An index in proportion to its weight.
fn weighted(rng: &mut impl Rng, weights: impl Iterator<Item = f64>) -> usize {
    let weights: Vec<f64> = weights.collect();
    let mut rest = rng.random_range(0.0..1.0) * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        rest -= weight;
        if rest < 0.0 {
            return index;
        }
    }
    weights.len() - 1
}
