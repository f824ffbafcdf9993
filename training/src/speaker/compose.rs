//! One training example: a stretch of somebody's speech, perhaps at another speed, perhaps in a
//! room, in noise, or over a telephone.

use rand::{Rng, RngExt};

use super::recipe::SpeakerRecipe;
use crate::augment::{add_at_snr, change_speed, limit_band, power, put_in_room, some_noise};
use crate::voices::{Drawing, Speaker, Voices};

/// Draws and composes `length` samples; also the index of who speaks, where every speed other than
/// 1 makes speakers of its own.
pub(super) fn compose(
    rng: &mut impl Rng,
    data: &Voices,
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

/// Speech of a speaker, every recording at a level of one.
fn stretch(rng: &mut impl Rng, data: &Voices, speaker: &Speaker, length: usize) -> Vec<f32> {
    data.speech(rng, speaker, length, |part| {
        let scale = 1.0 / rms(part).max(1.0);
        part.iter().map(|&x| f32::from(x) * scale).collect()
    })
}

fn rms(samples: &[i16]) -> f32 {
    let sum: f64 = samples.iter().map(|&x| f64::from(x).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt() as f32
}

/// Room, noise, band limit and level.
fn surroundings(
    rng: &mut impl Rng,
    data: &Voices,
    recipe: &SpeakerRecipe,
    speaker: usize,
    samples: &mut [f32],
) {
    let a = &recipe.augmentation;
    put_in_room(rng, &data.rooms, a.room_share, samples);
    let level = power(samples);
    if rng.random_bool(f64::from(a.noise_share)) {
        let noise = some_noise(rng, &data.corpus, &data.noise, 0.25, samples.len());
        add_at_snr(samples, &noise, level, rng.random_range(a.snr[0]..=a.snr[1]));
    }
    if data.speakers.len() > 1 && rng.random_bool(f64::from(a.babble_share)) {
        let other = (speaker + rng.random_range(1..data.speakers.len())) % data.speakers.len();
        let voice = stretch(rng, data, &data.speakers[other], samples.len());
        add_at_snr(samples, &voice, level, rng.random_range(12.0..25.0));
    }
    if rng.random_bool(f64::from(a.band_share)) {
        limit_band(rng, samples, recipe.frontend.sample_rate);
    }
    let wanted = 10f32.powf(rng.random_range(a.level[0]..=a.level[1]) / 20.0);
    let gain = wanted / power(samples).sqrt().max(1e-6);
    // What a converter would do to the loudest peaks.
    samples.iter_mut().for_each(|x| *x = (*x * gain).clamp(-1.0, 1.0));
}
