//! Mixes made anew for every step: a voice, what accompanies it, at drawn levels and speeds. The
//! same seed, epoch and step always give the same ones.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::data::StemsData;
use super::recipe::StemsRecipe;
use crate::augment::{change_speed, power};
use crate::error::Result;
use crate::examples::{pick, stack};
use crate::training::{Learn, Recipe};

/// Mixes and the voices in them, each `[batch, samples]`.
pub(super) struct Batch {
    pub(super) mix: Tensor,
    pub(super) voice: Tensor,
}

/// Makes batches.
pub(super) struct Batches<'a> {
    pub(super) data: &'a StemsData,
    pub(super) recipe: &'a StemsRecipe,
}

impl Batches<'_> {
    /// Hands the batches of one epoch in order to `learn`, which may stop early.
    pub(super) fn run(&self, epoch: usize, learn: Learn<'_, Batch>) -> Result<()> {
        let length = self.recipe.samples();
        let example = |rng: &mut ChaCha8Rng| {
            let (voice, rest) = self.example(rng, length);
            Ok([voice.iter().zip(rest).map(|(voice, rest)| voice + rest).collect(), voice])
        };
        let batch = |examples| stack(examples).map(|[mix, voice]| Batch { mix, voice });
        let examples = self.recipe.course().examples(self.recipe.batch);
        examples.run(epoch, example, batch, learn)
    }

    /// A voice and what accompanies it.
    fn example(&self, rng: &mut ChaCha8Rng, length: usize) -> (Vec<f32>, Vec<f32>) {
        let (data, mixing) = (self.data, &self.recipe.mixing);
        let happens = |rng: &mut ChaCha8Rng, share: f32| rng.random::<f32>() < share;
        let speed = between(rng, mixing.speed);
        let level = between(rng, mixing.level);
        let ratio = between(rng, mixing.ratio);
        let (mut voice, mut rest);
        if !data.songs.is_empty() && happens(rng, mixing.same_song_share) {
            let song = pick(rng, &data.songs);
            let at = rng.random::<f32>();
            voice = self.crop(song.vocals, at, speed, length);
            rest = self.crop(song.accompaniment, at, speed, length);
        } else {
            let spoken = !data.speech.is_empty() && happens(rng, mixing.speech_share);
            voice = self.fill(rng, if spoken { &data.speech } else { &data.vocals }, speed, length);
            let other = between(rng, mixing.speed);
            rest = self.fill(rng, &data.accompaniments, other, length);
        }
        set_level(&mut voice, level);
        if happens(rng, mixing.duet_share) {
            let mut second = self.fill(rng, &data.vocals, speed, length);
            set_level(&mut second, level - rng.random_range(0.0..8.0));
            voice.iter_mut().zip(second).for_each(|(sum, x)| *sum += x);
        }
        set_level(&mut rest, level - ratio);
        if happens(rng, mixing.double_share) {
            let mut second = self.fill(rng, &data.accompaniments, speed, length);
            set_level(&mut second, level - ratio - rng.random_range(0.0..6.0));
            rest.iter_mut().zip(second).for_each(|(sum, x)| *sum += x);
        }
        if happens(rng, mixing.instrumental_share) {
            voice.fill(0.0);
        } else if happens(rng, mixing.alone_share) {
            rest.fill(0.0);
        }
        (voice, rest)
    }

    /// Drawn recordings one after the other until there are `length` samples.
    fn fill(&self, rng: &mut ChaCha8Rng, clips: &[usize], speed: f32, length: usize) -> Vec<f32> {
        let mut samples = Vec::with_capacity(length);
        // A recording may be empty; the draws are not endless.
        for _ in 0..64 {
            let clip = *pick(rng, clips);
            samples.extend(self.crop(clip, rng.random(), speed, length));
            while samples.last() == Some(&0.0) {
                samples.pop();
            }
            if samples.len() >= length {
                break;
            }
        }
        samples.resize(length, 0.0);
        samples
    }

    /// `length` samples of a recording, or what there is and zeros.
    fn crop(&self, clip: usize, at: f32, speed: f32, length: usize) -> Vec<f32> {
        let samples = self.data.corpus.clip(clip);
        let taken = ((length as f32 * speed).ceil() as usize + 4).min(samples.len());
        let from = ((samples.len() - taken) as f32 * at) as usize;
        let part: Vec<f32> =
            samples[from..from + taken].iter().map(|&x| f32::from(x) / 32768.0).collect();
        let mut part = change_speed(&part, speed);
        part.resize(length, 0.0);
        part
    }
}

fn between(rng: &mut ChaCha8Rng, [low, high]: [f32; 2]) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Power of what counts as silence: -60 dBFS.
const SILENCE: f32 = 1e-6;

/// Brings the root mean square to `level` dBFS; silence, which would become noise, stays.
fn set_level(samples: &mut [f32], level: f32) {
    let power = power(samples);
    if power > SILENCE {
        let gain = 10f32.powf(level / 20.0) / power.sqrt();
        samples.iter_mut().for_each(|x| *x *= gain);
    }
}
