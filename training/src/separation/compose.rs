//! One training example: voices, or speech and noise, and by summing them a mixture.

use rand::{Rng, RngExt};

use super::recipe::{Goal, SeparationRecipe};
use crate::augment::{change_speed, change_tone, move_formants, power, put_in_room, some_noise};
use crate::voices::{Drawing, Voices};

/// The sources of a mixture, and what is in it besides.
pub(super) struct Example {
    /// As many as the network has outputs, of equal length.
    pub(super) sources: Vec<Vec<f32>>,
    /// The mixture.
    pub(super) mixture: Vec<f32>,
}

/// Draws and composes an example of `length` samples.
pub(super) fn compose(
    rng: &mut impl Rng,
    data: &Voices,
    drawing: &Drawing,
    recipe: &SeparationRecipe,
    length: usize,
) -> Example {
    let mut sources = match recipe.goal {
        Goal::Separate => voices(rng, data, drawing, recipe, length),
        Goal::Enhance => speech_and_noise(rng, data, drawing, recipe, length),
    };
    let mut mixture = sum(&sources, length);
    if recipe.goal == Goal::Separate && rng.random_bool(f64::from(recipe.noise_share)) {
        let mut noise = noise(rng, data, length);
        let snr = rng.random_range(recipe.snr[0]..=recipe.snr[1]);
        let gain = (power(&mixture) / power(&noise).max(1e-20)).sqrt() * decibel(-snr);
        scale(&mut noise, gain);
        mixture.iter_mut().zip(&noise).for_each(|(x, n)| *x += n);
    }
    let wanted = decibel(rng.random_range(recipe.level[0]..=recipe.level[1]));
    let gain = wanted / power(&mixture).sqrt().max(1e-6);
    sources.iter_mut().for_each(|source| scale(source, gain));
    scale(&mut mixture, gain);
    sources.truncate(recipe.outputs());
    Example { sources, mixture }
}

fn voices(
    rng: &mut impl Rng,
    data: &Voices,
    drawing: &Drawing,
    recipe: &SeparationRecipe,
    length: usize,
) -> Vec<Vec<f32>> {
    let mut speakers: Vec<usize> = Vec::new();
    // With few speakers somebody may speak twice.
    for _ in 0..8 * recipe.outputs() {
        let speaker = drawing.speaker(rng);
        if speakers.len() < recipe.outputs() && !speakers.contains(&speaker) {
            speakers.push(speaker);
        }
    }
    while speakers.len() < recipe.outputs() {
        speakers.push(drawing.speaker(rng));
    }
    let mut voices: Vec<Vec<f32>> =
        speakers.iter().map(|&speaker| voice(rng, data, recipe, speaker, length)).collect();
    for voice in voices.iter_mut().skip(1) {
        scale(
            voice,
            decibel(rng.random_range(recipe.relative_level[0]..=recipe.relative_level[1])),
        );
    }
    if rng.random_bool(f64::from(recipe.pause_share)) {
        let silent = rng.random_range(0..voices.len());
        let pause = rng.random_range(length / 8..=length / 2);
        let from = rng.random_range(0..=length - pause);
        voices[silent][from..from + pause].fill(0.0);
    }
    voices
}

fn speech_and_noise(
    rng: &mut impl Rng,
    data: &Voices,
    drawing: &Drawing,
    recipe: &SeparationRecipe,
    length: usize,
) -> Vec<Vec<f32>> {
    let speaker = drawing.speaker(rng);
    let mut speech = voice(rng, data, recipe, speaker, length);
    if rng.random_bool(f64::from(recipe.pause_share)) {
        let pause = rng.random_range(length / 8..=length / 2);
        let from = rng.random_range(0..=length - pause);
        speech[from..from + pause].fill(0.0);
    }
    put_in_room(rng, &data.rooms, recipe.room_share, &mut speech);
    let mut noise = noise(rng, data, length);
    let snr = rng.random_range(recipe.snr[0]..=recipe.snr[1]);
    let gain = (power(&speech) / power(&noise).max(1e-20)).sqrt() * decibel(-snr);
    scale(&mut noise, gain);
    vec![speech, noise]
}

/// `length` samples of a speaker at a level of one, at some speed.
fn voice(
    rng: &mut impl Rng,
    data: &Voices,
    recipe: &SeparationRecipe,
    speaker: usize,
    length: usize,
) -> Vec<f32> {
    let factor = rng.random_range(recipe.speed[0]..=recipe.speed[1]);
    let wanted = (length as f32 * factor) as usize + 2;
    let samples = data.speech(rng, &data.speakers[speaker], wanted, |part| {
        let part: Vec<f32> = part.iter().map(|&x| f32::from(x)).collect();
        let level = power(&part).sqrt().max(1.0);
        part.iter().map(|x| x / level).collect()
    });
    let mut samples = change_speed(&samples, factor);
    samples.resize(length, 0.0);
    disguise(rng, recipe, &mut samples);
    samples
}

/// Makes a voice another one, at a level of one where its spectrum is changed.
fn disguise(rng: &mut impl Rng, recipe: &SeparationRecipe, samples: &mut [f32]) {
    if recipe.reversed_share > 0.0 && rng.random_bool(f64::from(recipe.reversed_share)) {
        samples.reverse();
    }
    let (moved, toned) = (recipe.formants != [1.0; 2], recipe.tone_db > 0.0);
    if moved {
        let factor = rng.random_range(recipe.formants[0]..=recipe.formants[1]);
        move_formants(samples, recipe.sample_rate, factor);
    }
    if toned {
        change_tone(rng, samples, recipe.sample_rate, recipe.tone_db);
    }
    if moved || toned {
        let level = power(samples).sqrt();
        scale(samples, 1.0 / level.max(1e-6));
    }
}

/// Noise of the data, of two kinds at once now and then, or made up.
fn noise(rng: &mut impl Rng, data: &Voices, length: usize) -> Vec<f32> {
    let mut noise = one_noise(rng, data, length);
    if rng.random_bool(0.2) {
        let other = one_noise(rng, data, length);
        let gain = (power(&noise) / power(&other).max(1e-20)).sqrt();
        noise.iter_mut().zip(&other).for_each(|(x, y)| *x += gain * y);
    }
    noise
}

fn one_noise(rng: &mut impl Rng, data: &Voices, length: usize) -> Vec<f32> {
    some_noise(rng, &data.corpus, &data.noise, 0.2, length)
}

fn sum(sources: &[Vec<f32>], length: usize) -> Vec<f32> {
    let mut mixture = vec![0.0; length];
    for source in sources {
        mixture.iter_mut().zip(source).for_each(|(x, s)| *x += s);
    }
    mixture
}

fn scale(samples: &mut [f32], gain: f32) {
    samples.iter_mut().for_each(|x| *x *= gain);
}

fn decibel(level: f32) -> f32 {
    10f32.powf(level / 20.0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn a_voice_is_disguised_where_the_recipe_says_so() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let voice: Vec<f32> = (0..4_000).map(|n| (n as f32 * 0.3).sin() + 0.1).collect();
        let mut disguised = |recipe: SeparationRecipe| {
            let mut samples = voice.clone();
            disguise(&mut rng, &recipe, &mut samples);
            samples
        };
        let plain = SeparationRecipe::default();
        assert_eq!(disguised(plain.clone()), voice);
        let backwards = disguised(SeparationRecipe { reversed_share: 1.0, ..plain.clone() });
        assert!(backwards.iter().eq(voice.iter().rev()));
        for recipe in [
            SeparationRecipe { formants: [1.1, 1.2], ..plain.clone() },
            SeparationRecipe { tone_db: 6.0, ..plain },
        ] {
            let other = disguised(recipe);
            assert_eq!(other.len(), voice.len());
            assert!((power(&other) - 1.0).abs() < 1e-3);
            assert!(other.iter().zip(&voice).any(|(a, b)| (a - 1.4 * b).abs() > 0.05));
        }
    }
}
