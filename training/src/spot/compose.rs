//! One training example: a word (or none) at a random place, with what may stand before, after
//! and behind it in a stream.

use rand::{Rng, RngExt};

use super::data::SpotData;
use super::recipe::SpotRecipe;
use crate::augment::{
    add_at_snr, change_speed, colored_noise, limit_band, power, put_in_room, some_noise,
};
use crate::examples::pick;

/// Sample positions of an example.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    /// Samples in all.
    pub(super) length: usize,
    /// First sample of the window in which the answer is formed.
    pub(super) window_start: usize,
    /// Last sample at which a word may end, so that the network's look-ahead sees it whole.
    pub(super) word_end: usize,
    /// Samples in a second.
    pub(super) rate: f32,
}

/// Draws and composes one example; also the index of its answer: a word, or `words.len()` for
/// unknown, or the one after for silence.
pub(super) fn compose(
    rng: &mut impl Rng,
    data: &SpotData,
    recipe: &SpotRecipe,
    geometry: &Geometry,
) -> (Vec<f32>, usize) {
    let composer = Composer { data, recipe, geometry };
    let (mut samples, answer) = composer.foreground(rng);
    composer.surroundings(rng, &mut samples);
    (samples, answer)
}

struct Composer<'a> {
    data: &'a SpotData,
    recipe: &'a SpotRecipe,
    geometry: &'a Geometry,
}

impl Composer<'_> {
    /// Speech alone, at some level, and the answer.
    fn foreground(&self, rng: &mut impl Rng) -> (Vec<f32>, usize) {
        let mut samples = vec![0.0; self.geometry.length];
        let (unknown, silence) = (self.data.words.len(), self.data.words.len() + 1);
        let draw: f32 = rng.random();
        let answer = if draw < self.recipe.silence_share {
            self.quiet_window(rng, &mut samples);
            silence
        } else if draw < self.recipe.silence_share + self.recipe.unknown_share {
            self.other_speech(rng, &mut samples);
            unknown
        } else {
            let (word, clip) = self.draw_word(rng);
            let clip = self.vary(rng, clip);
            self.place_word(rng, &mut samples, &clip);
            word
        };
        (samples, answer)
    }

    /// A window without speech; half of the time a word has just ended before it.
    fn quiet_window(&self, rng: &mut impl Rng, samples: &mut [f32]) {
        if rng.random_bool(0.5) {
            let (_, clip) = self.draw_word(rng);
            let clip = self.vary(rng, clip);
            let gap = (rng.random_range(0.0..0.2) * self.geometry.rate) as usize;
            put_ending_at(samples, &clip, self.geometry.window_start.saturating_sub(gap));
        }
    }

    /// Speech that holds none of the words: another word, running speech, a piece of a word, or
    /// a word turned around.
    fn other_speech(&self, rng: &mut impl Rng, samples: &mut [f32]) {
        if !self.data.hard.is_empty() && rng.random_bool(f64::from(self.recipe.hard_share)) {
            self.hard_stretch(rng, samples);
            return;
        }
        let draw: f32 = rng.random();
        let (others, speech) = (!self.data.other_words.is_empty(), !self.data.speech.is_empty());
        if !self.data.noise.is_empty() && rng.random_bool(f64::from(self.recipe.event_share)) {
            // Barks, clicks and cries are sounds that stand out like words.
            let clip = *pick(rng, &self.data.noise);
            let clip = self.vary(rng, clip);
            self.fill(rng, samples, &clip);
        } else if draw < 0.12 {
            let (_, clip) = self.draw_word(rng);
            let mut clip = self.vary(rng, clip);
            let keep = (clip.len() as f32 * rng.random_range(0.25..0.5)) as usize;
            if rng.random_bool(0.5) {
                clip.truncate(keep);
            } else {
                clip.drain(..clip.len() - keep);
            }
            fade_edges(&mut clip, self.geometry.rate);
            self.place_word(rng, samples, &clip);
        } else if others && (draw < 0.5 || !speech) {
            let clip = *pick(rng, &self.data.other_words);
            let clip = self.vary(rng, clip);
            self.place_word(rng, samples, &clip);
        } else if speech {
            let clip = *pick(rng, &self.data.speech);
            let clip = self.vary(rng, clip);
            self.fill(rng, samples, &clip);
        } else {
            let (_, clip) = self.draw_word(rng);
            let mut clip = self.vary(rng, clip);
            clip.reverse();
            self.place_word(rng, samples, &clip);
        }
    }

    /// A stretch that fooled an earlier model, ending about where it was fooled.
    fn hard_stretch(&self, rng: &mut impl Rng, samples: &mut [f32]) {
        let &(clip, end) = pick(rng, &self.data.hard);
        let clip = self.data.corpus.clip(clip);
        let [slowest, fastest] = self.recipe.augmentation.speed;
        let speed = rng.random_range(slowest..=fastest);
        let jitter = rng.random_range(-0.15..0.25) * self.geometry.rate;
        let end = (end as f32 + jitter).clamp(1.0, clip.len() as f32) as usize;
        let from = end.saturating_sub((self.geometry.length as f32 * speed) as usize);
        let part: Vec<f32> = clip[from..end].iter().map(|&x| f32::from(x) / 32768.0).collect();
        let part = at_unit_power(change_speed(&part, speed));
        put_ending_at(samples, &part, self.geometry.length);
    }

    fn draw_word(&self, rng: &mut impl Rng) -> (usize, usize) {
        let weight = |n: usize, power: f32| (n as f32).powf(power);
        let word = weighted(
            rng,
            self.data.word_clips.iter().map(|sources| {
                weight(sources.values().map(Vec::len).sum(), self.recipe.word_balance)
            }),
        );
        let sources: Vec<&Vec<usize>> = self.data.word_clips[word].values().collect();
        let source = weighted(
            rng,
            sources.iter().map(|clips| weight(clips.len(), self.recipe.source_balance)),
        );
        (word, *pick(rng, sources[source]))
    }

    /// The clip, or a random part of it that fills an example, at another speed and with a mean
    /// square of one.
    fn vary(&self, rng: &mut impl Rng, clip: usize) -> Vec<f32> {
        let augmentation = &self.recipe.augmentation;
        let speed = rng.random_range(augmentation.speed[0]..=augmentation.speed[1]);
        let samples = self.data.corpus.clip(clip);
        let longest = (self.geometry.length as f32 * speed) as usize + 1;
        let from = rng.random_range(0..=samples.len().saturating_sub(longest));
        let part = &samples[from..samples.len().min(from + longest)];
        let part: Vec<f32> = part.iter().map(|&x| f32::from(x) / 32768.0).collect();
        at_unit_power(change_speed(&part, speed))
    }

    /// Puts a clip where the window sees all of it, with neighbours now and then.
    fn place_word(&self, rng: &mut impl Rng, samples: &mut [f32], clip: &[f32]) {
        let g = self.geometry;
        let earliest = (g.window_start + clip.len()).min(g.word_end);
        let end = rng.random_range(earliest..=g.word_end);
        put_ending_at(samples, clip, end);
        let share = f64::from(self.recipe.augmentation.neighbour_share);
        let start = end.saturating_sub(clip.len());
        if rng.random_bool(share) {
            let gap = (rng.random_range(0.02..0.4) * g.rate) as usize;
            let neighbour = self.neighbour(rng);
            put_ending_at(samples, &neighbour, start.saturating_sub(gap));
        }
        if rng.random_bool(share * 0.6) {
            let gap = (rng.random_range(0.05..0.4) * g.rate) as usize;
            let neighbour = self.neighbour(rng);
            let from = (end + gap).min(samples.len());
            add(&mut samples[from..], &neighbour);
        }
    }

    /// Running speech if there is any, else another word; louder or softer than the word.
    fn neighbour(&self, rng: &mut impl Rng) -> Vec<f32> {
        let pool = if self.data.speech.is_empty() || rng.random_bool(0.3) {
            &self.data.other_words
        } else {
            &self.data.speech
        };
        if pool.is_empty() {
            return Vec::new();
        }
        let clip = *pick(rng, pool);
        let mut clip = self.vary(rng, clip);
        let length = (rng.random_range(0.2..1.5) * self.geometry.rate) as usize;
        if clip.len() > length {
            let from = rng.random_range(0..=clip.len() - length);
            clip = clip[from..from + length].to_vec();
        }
        fade_edges(&mut clip, self.geometry.rate);
        let gain = 10f32.powf(rng.random_range(-6.0..4.0) / 20.0);
        clip.iter_mut().for_each(|x| *x *= gain);
        clip
    }

    /// Fills the example with a random stretch of a long clip, beginning anywhere.
    fn fill(&self, rng: &mut impl Rng, samples: &mut [f32], clip: &[f32]) {
        if clip.len() > samples.len() {
            let from = rng.random_range(0..=clip.len() - samples.len());
            add(samples, &clip[from..]);
        } else {
            // A short one must at least reach half a second into the window.
            let reach = self.geometry.window_start + self.geometry.rate as usize / 2;
            let lowest = reach.saturating_sub(clip.len());
            let from = rng.random_range(lowest.min(reach)..=reach).min(samples.len());
            add(&mut samples[from..], clip);
        }
    }

    /// Room, noise, band limit and level.
    fn surroundings(&self, rng: &mut impl Rng, samples: &mut [f32]) {
        let a = &self.recipe.augmentation;
        put_in_room(rng, &self.data.rooms, a.room_share, samples);
        let draw: f32 = rng.random();
        if draw < a.noise_share {
            let SpotData { corpus, noise, .. } = self.data;
            let noise = some_noise(rng, corpus, noise, 0.25, samples.len());
            add_at_snr(samples, &noise, 1.0, rng.random_range(a.snr[0]..=a.snr[1]));
        } else if draw < 1.0 - a.clean_share {
            let color = rng.random();
            let noise = colored_noise(rng, samples.len(), color);
            add_at_snr(samples, &noise, 1.0, rng.random_range(30.0..55.0));
        }
        if rng.random_bool(f64::from(a.edge_share)) {
            // The stream begins here: nothing but zeros before.
            let begin = rng.random_range(0..=self.geometry.window_start);
            samples[..begin].fill(0.0);
        }
        if rng.random_bool(f64::from(a.edge_share)) {
            // The stream ends here, at the latest moment at which a word may end.
            samples[self.geometry.word_end..].fill(0.0);
        }
        if rng.random_bool(f64::from(a.band_share)) {
            limit_band(rng, samples, self.geometry.rate as u32);
        }
        let level = 10f32.powf(rng.random_range(a.level[0]..=a.level[1]) / 20.0);
        // What a converter would do to the loudest peaks.
        samples.iter_mut().for_each(|x| *x = (*x * level).clamp(-1.0, 1.0));
    }
}

fn at_unit_power(mut samples: Vec<f32>) -> Vec<f32> {
    let level = power(&samples).sqrt().max(1e-6);
    samples.iter_mut().for_each(|x| *x /= level);
    samples
}

fn weighted(rng: &mut impl Rng, weights: impl Iterator<Item = f32> + Clone) -> usize {
    let total: f32 = weights.clone().sum();
    let mut draw = rng.random::<f32>() * total;
    let mut last = 0;
    for (index, weight) in weights.enumerate() {
        last = index;
        draw -= weight;
        if draw < 0.0 {
            break;
        }
    }
    last
}

fn add(target: &mut [f32], source: &[f32]) {
    for (t, s) in target.iter_mut().zip(source) {
        *t += s;
    }
}

/// Adds `clip` so that it ends before sample `end`; what would begin before the start is cut.
fn put_ending_at(target: &mut [f32], clip: &[f32], end: usize) {
    let end = end.min(target.len());
    let start = end.saturating_sub(clip.len());
    add(&mut target[start..end], &clip[clip.len() - (end - start)..]);
}

/// Takes the click out of a cut: 5 ms of fading at both ends.
fn fade_edges(clip: &mut [f32], rate: f32) {
    let length = ((0.005 * rate) as usize).min(clip.len() / 2);
    let last = clip.len().saturating_sub(1);
    for i in 0..length {
        let gain = i as f32 / length as f32;
        clip[i] *= gain;
        clip[last - i] *= gain;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn clips_are_cut_at_the_start_not_the_end() {
        let mut target = [0.0; 5];
        put_ending_at(&mut target, &[1.0, 2.0, 3.0], 2);
        assert_eq!(target, [2.0, 3.0, 0.0, 0.0, 0.0]);
        put_ending_at(&mut target, &[1.0], 9);
        assert_eq!(target[4], 1.0);
    }

    #[test]
    fn weights_are_followed() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[weighted(&mut rng, [1.0, 0.0, 3.0].into_iter())] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
    }
}
