//! One training example: a stretch of somebody's speech, perhaps at another speed, perhaps in a
//! room, in noise, or over a telephone.

use rand::{Rng, RngExt};

use super::data::{Speaker, SpeakerData};
use super::recipe::SpeakerRecipe;
use crate::augment::{add_at_snr, change_speed, colored_noise, low_pass, power};

/// Draws and composes `length` samples; also the index of who speaks, where every speed other than
/// 1 makes speakers of its own.
pub(super) fn compose(
    rng: &mut impl Rng,
    data: &SpeakerData,
    recipe: &SpeakerRecipe,
    drawing: &Drawing,
    length: usize,
) -> (Vec<f32>, usize) {
    let speaker = drawing.speaker(rng);
    let speed = rng.random_range(0..recipe.speeds.len());
    let factor = recipe.speeds[speed];
    let wanted = (length as f32 * factor) as usize + 2;
    let speech = stretch(rng, data, &data.speakers[speaker], wanted);
    let mut samples = if factor == 1.0 { speech } else { change_speed(&speech, factor) };
    samples.resize(length, 0.0);
    surroundings(rng, data, recipe, speaker, &mut samples);
    (samples, speed * data.speakers.len() + speaker)
}

/// Draws speakers in proportion to a power of their seconds.
#[derive(Debug)]
pub(super) struct Drawing {
    cumulative: Vec<f64>,
}

impl Drawing {
    pub(super) fn new(data: &SpeakerData, recipe: &SpeakerRecipe) -> Self {
        let power = f64::from(recipe.speaker_balance);
        let mut sum = 0.0;
        let cumulative = data.speakers.iter().map(|speaker| {
            sum += speaker.seconds.powf(power);
            sum
        });
        Self { cumulative: cumulative.collect() }
    }

    fn speaker(&self, rng: &mut impl Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let draw = rng.random::<f64>() * total;
        self.cumulative.partition_point(|&end| end <= draw).min(self.cumulative.len() - 1)
    }
}

/// `length` samples of a speaker from a random place on, of several recordings where one is too
/// short.
fn stretch(rng: &mut impl Rng, data: &SpeakerData, speaker: &Speaker, length: usize) -> Vec<f32> {
    let mut samples = Vec::with_capacity(length);
    while samples.len() < length {
        let clip = data.corpus.clip(speaker.clips[rng.random_range(0..speaker.clips.len())]);
        let need = length - samples.len();
        let from = match clip.len() > need {
            true => rng.random_range(0..=clip.len() - need),
            false => 0,
        };
        let part = &clip[from..clip.len().min(from + need)];
        // Recordings of one speaker may differ in level.
        let scale = 1.0 / rms(part).max(1.0);
        samples.extend(part.iter().map(|&x| f32::from(x) * scale));
    }
    samples
}

fn rms(samples: &[i16]) -> f32 {
    let sum: f64 = samples.iter().map(|&x| f64::from(x).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt() as f32
}

/// Room, noise, band limit and level.
fn surroundings(
    rng: &mut impl Rng,
    data: &SpeakerData,
    recipe: &SpeakerRecipe,
    speaker: usize,
    samples: &mut [f32],
) {
    let a = &recipe.augmentation;
    if !data.rooms.is_empty() && rng.random_bool(f64::from(a.room_share)) {
        data.rooms[rng.random_range(0..data.rooms.len())].apply(samples);
    }
    let level = power(samples);
    if rng.random_bool(f64::from(a.noise_share)) {
        let noise = noise(rng, data, samples.len());
        add_at_snr(samples, &noise, level, rng.random_range(a.snr[0]..=a.snr[1]));
    }
    if data.speakers.len() > 1 && rng.random_bool(f64::from(a.babble_share)) {
        let other = (speaker + rng.random_range(1..data.speakers.len())) % data.speakers.len();
        let voice = stretch(rng, data, &data.speakers[other], samples.len());
        add_at_snr(samples, &voice, level, rng.random_range(12.0..25.0));
    }
    let rate = recipe.frontend.sample_rate;
    if rng.random_bool(f64::from(a.band_share)) {
        let telephone = rng.random_bool(0.5);
        let cutoff = if telephone { 3_900.0 } else { rng.random_range(3_000.0..7_000.0) };
        low_pass(samples, rate, cutoff);
    }
    let wanted = 10f32.powf(rng.random_range(a.level[0]..=a.level[1]) / 20.0);
    let gain = wanted / power(samples).sqrt().max(1e-6);
    // What a converter would do to the loudest peaks.
    samples.iter_mut().for_each(|x| *x = (*x * gain).clamp(-1.0, 1.0));
}

fn noise(rng: &mut impl Rng, data: &SpeakerData, length: usize) -> Vec<f32> {
    if data.noise.is_empty() || rng.random_bool(0.25) {
        let color = rng.random();
        return colored_noise(rng, length, color);
    }
    let clip = data.corpus.clip(data.noise[rng.random_range(0..data.noise.len())]);
    let from = rng.random_range(0..clip.len());
    (0..length).map(|i| f32::from(clip[(from + i) % clip.len()]) / 32768.0).collect()
}
