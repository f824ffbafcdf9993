//! Stretches of sounds as spectrograms. The same seed, epoch and step always give the same ones.

use formant_audio_core::features::FeaturePlan;
use rand::{Rng, RngExt};

use super::data::{Sound, SoundData};
use crate::error::Result;

/// The spectrogram of a stretch of `frames` frames, `[frames, bands]` row after row, from a random place
/// and at a random level within `gain`, in dB. Behind the end of a sound there is silence.
pub(super) fn stretch(
    data: &SoundData,
    plan: &FeaturePlan,
    sound: Sound,
    frames: usize,
    gain: [f32; 2],
    rng: &mut impl Rng,
) -> Result<Vec<f32>> {
    let length = frames * plan.config().hop_length;
    let spare = data.corpus.clip(sound.clip).len().saturating_sub(length);
    let at = rng.random_range(0..=spare);
    let gain = 10f32.powf(rng.random_range(gain[0]..=gain[1]) / 20.0);
    spectrogram(data, plan, sound, at, length, gain)
}

/// The spectrogram of `length` samples from `at` on, with silence behind the end.
pub(super) fn spectrogram(
    data: &SoundData,
    plan: &FeaturePlan,
    sound: Sound,
    at: usize,
    length: usize,
    gain: f32,
) -> Result<Vec<f32>> {
    let clip = data.corpus.clip(sound.clip);
    let heard = &clip[at.min(clip.len())..(at + length).min(clip.len())];
    let mut wave: Vec<f32> = heard.iter().map(|&x| f32::from(x) * gain / 32_768.0).collect();
    wave.resize(length, 0.0);
    Ok(plan.compute(&wave)?.into_raw_vec_and_offset().0)
}

/// What weights a sound has when one is drawn: its length, up to that of a grid and a half, so that
/// long recordings do not crowd out short ones.
pub(super) fn weights(data: &SoundData, frames: usize, hop_length: usize) -> Vec<f64> {
    let longest = frames * hop_length * 3 / 2;
    let weight = |sound: &Sound| data.corpus.clip(sound.clip).len().min(longest) as f64;
    data.train.iter().map(weight).collect()
}
