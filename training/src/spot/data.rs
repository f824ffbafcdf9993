//! The clips of a keyword training: words, other speech, noise, rooms.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formant_audio_core::AudioView;
use formant_models::tasks::Task;
use formant_models::tasks::spot::{SpotOptions, Spotter};

use super::negatives;
use super::recipe::SpotRecipe;
use super::remarks;
use super::split::{self, Splits};
use crate::augment::Room;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::manifest::{self, BACKGROUND_FOLDER, Row};
use crate::progress::{Progress, TrainingEvent};
use crate::recording::Recording;

/// A stretch without words whose score reaches this is worth training on.
const MINED_SCORE: f32 = 0.25;

/// Where the clips come from; every path is a manifest or a folder.
#[derive(Debug, Clone, Default)]
pub struct SpotSources {
    /// Clips of words, labelled with the word.
    pub words: Vec<PathBuf>,
    /// Speech without the words. A row whose label text contains one of the words is left out;
    /// one that is nothing but a word counts as a clip of it.
    pub speech: Vec<PathBuf>,
    /// Noise.
    pub noise: Vec<PathBuf>,
    /// Room responses.
    pub rooms: Vec<PathBuf>,
}

/// All clips, sorted by use.
#[derive(Debug)]
pub struct SpotData {
    /// The words, in the order of the answers.
    pub words: Vec<String>,
    /// Decoded clips.
    pub corpus: Corpus,
    /// For each word the training clips by source.
    pub word_clips: Vec<BTreeMap<String, Vec<usize>>>,
    /// Training clips of other words.
    pub other_words: Vec<usize>,
    /// Training clips of running speech without the words.
    pub speech: Vec<usize>,
    /// Training clips of noise.
    pub noise: Vec<usize>,
    /// Clips without words, and samples in them, at which an earlier model heard a word: see
    /// [`SpotData::mine`].
    pub hard: Vec<(usize, usize)>,
    /// Room responses.
    pub rooms: Vec<Room>,
    /// Clips and labels of the `dev` split, for choosing the best epoch.
    pub dev: Vec<(usize, String)>,
    /// Clips without the words by which the threshold is chosen: speech of the `dev` split.
    pub quiet: Vec<usize>,
    /// The splits that were made for clips that had none.
    pub splits: Splits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Word,
    Speech,
    Noise,
    Room,
}

impl SpotData {
    /// Lists and decodes everything, at the rate of the recipe's front end, and prepares rooms for
    /// examples of the recipe's length.
    ///
    /// # Errors
    /// What reading manifests says; [`Error::Data`] when a word has no training clip.
    pub fn load(
        sources: &SpotSources,
        recipe: &SpotRecipe,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut named = Vec::new();
        for (kind, paths) in [
            (Use::Word, &sources.words),
            (Use::Speech, &sources.speech),
            (Use::Noise, &sources.noise),
            (Use::Room, &sources.rooms),
        ] {
            for path in paths {
                let listed = manifest::read(path)?.into_iter();
                named.extend(listed.map(|row| (kind, split::name(&row.path, path), row)));
            }
        }
        for (kind, _, row) in &mut named {
            if *kind == Use::Word && row.label == BACKGROUND_FOLDER {
                *kind = Use::Noise;
                row.split = "train".to_owned();
            }
        }
        let splits = assign_splits(&mut named);
        let mut rows: Vec<(Use, Row)> =
            named.into_iter().map(|(kind, _, row)| (kind, row)).collect();
        let words = choose_words(&recipe.words, &rows);
        rows.retain(|(kind, row)| {
            row.split != "test" && (*kind != Use::Speech || usable(row, &words))
        });
        let files: Vec<Recording> = rows.iter().map(|(_, row)| row.recording()).collect();
        let corpus = Corpus::load(&files, recipe.frontend.sample_rate, cache, progress)?;
        let mut data = Self {
            word_clips: vec![BTreeMap::new(); words.len()],
            words,
            corpus,
            other_words: Vec::new(),
            speech: Vec::new(),
            noise: Vec::new(),
            hard: Vec::new(),
            rooms: Vec::new(),
            dev: Vec::new(),
            quiet: Vec::new(),
            splits,
        };
        data.remark(sources, &rows, progress);
        for (index, (kind, row)) in rows.into_iter().enumerate() {
            data.file(index, kind, row, recipe.samples());
        }
        data.check(progress)?;
        if data.other_words.is_empty() && data.speech.is_empty() {
            for samples in negatives::sentences(&data.words, data.corpus.rate())? {
                let clip = data.corpus.push(&samples);
                data.speech.push(clip);
            }
        }
        Ok(data)
    }

    /// Tells what makes a model worse than it looks.
    fn remark(&self, sources: &SpotSources, rows: &[(Use, Row)], progress: &dyn Progress) {
        let clips = rows.iter().enumerate().filter(|(_, (kind, _))| *kind == Use::Word);
        let clips: Vec<(usize, &Row)> = clips.map(|(index, (_, row))| (index, row)).collect();
        let folders = sources.words.iter().filter(|path| path.is_dir());
        let mut remarks: Vec<String> =
            folders.filter_map(|folder| remarks::of_folder(folder)).collect();
        remarks.extend(remarks::of_clips(&self.words, &clips, &self.corpus));
        let others = clips.iter().any(|(_, row)| !self.words.contains(&row.label));
        if !others && sources.speech.is_empty() {
            remarks.push(
                "no other speech: the model learns from 81 seconds that come with the program what \
                 is none of the words; recordings of talk with --speech make fewer false alarms"
                    .to_owned(),
            );
        }
        for text in remarks {
            progress.event(&TrainingEvent::Note { text });
        }
    }

    /// Whether the words have one in common with those of a model.
    #[must_use]
    pub fn shares_words(&self, spotter: &Spotter) -> bool {
        spotter.words().any(|known| self.words.iter().any(|word| word == known))
    }

    /// Looks for stretches of the training clips without words that fool `spotter`, so that
    /// training can dwell on them.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and what the model says.
    pub fn mine(&mut self, spotter: &Spotter, progress: &dyn Progress) -> Result<()> {
        let options = SpotOptions {
            threshold: Some(MINED_SCORE),
            refractory: Some(0.5),
            ..SpotOptions::default()
        };
        let rate = self.corpus.rate();
        let pool: Vec<usize> =
            [&self.speech, &self.noise, &self.other_words].into_iter().flatten().copied().collect();
        self.hard.clear();
        for (done, &clip) in pool.iter().enumerate() {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            let samples = self.corpus.clip_f32(clip);
            let (found, _) = spotter.process(&AudioView::from_mono(rate, &samples), &options)?;
            for detection in found {
                let end = (detection.decided * f64::from(rate)) as usize;
                self.hard.push((clip, end.min(samples.len())));
            }
            progress.event(&TrainingEvent::Mining {
                done: done + 1,
                total: pool.len(),
                found: self.hard.len(),
            });
        }
        Ok(())
    }

    fn file(&mut self, index: usize, kind: Use, row: Row, longest: usize) {
        if self.corpus.clip(index).is_empty() {
            return;
        }
        let word = self.words.iter().position(|word| *word == row.label);
        let train = row.split == "train";
        match (kind, word) {
            (Use::Room, _) if train => {
                self.rooms.extend(Room::new(&self.corpus.clip_f32(index), longest));
            }
            (Use::Noise, _) if train => self.noise.push(index),
            (Use::Word | Use::Speech, Some(word)) if train => {
                self.word_clips[word].entry(row.source).or_default().push(index);
            }
            (Use::Word, None) if train => self.other_words.push(index),
            (Use::Speech, None) if train => self.speech.push(index),
            (Use::Word, _) if row.split == "dev" => self.dev.push((index, row.label)),
            (Use::Speech, None) if row.split == "dev" => self.quiet.push(index),
            _ => {}
        }
    }

    fn check(&mut self, progress: &dyn Progress) -> Result<()> {
        if self.words.is_empty() {
            return Err(Error::Data("no words: the data has no labelled clips".to_owned()));
        }
        for (word, clips) in self.words.iter().zip(&self.word_clips) {
            if clips.is_empty() {
                let text = "has no training clip; add recordings of it or leave it out";
                return Err(Error::Data(format!("the word `{word}` {text}")));
            }
        }
        if self.dev.is_empty() {
            let text = "no clip can be spared to validate on: the figures are of the training clips \
                        and say little; add recordings, or mark some rows `dev`";
            progress.event(&TrainingEvent::Note { text: text.to_owned() });
            let clips = self.words.iter().zip(&self.word_clips).flat_map(|(word, sources)| {
                sources.values().flatten().map(|&clip| (clip, word.clone()))
            });
            self.dev = clips.collect();
        }
        Ok(())
    }
}

/// One recording of speech in this many is kept for the threshold, where none is marked `dev`.
const QUIET_SHARE: u64 = 8;

/// Gives all clips without a split one: words by [`split::assign`], speech by its names, and all noise
/// and rooms train.
fn assign_splits(named: &mut [(Use, String, Row)]) -> Splits {
    let speech = named.iter().filter(|(kind, ..)| *kind == Use::Speech);
    let marked = speech.clone().any(|(.., row)| row.split == "dev");
    let enough = !marked && speech.count() as u64 >= QUIET_SHARE;
    let others = named.iter_mut().filter(|(kind, ..)| *kind != Use::Word);
    for (kind, name, row) in others.filter(|(.., row)| row.split.is_empty()) {
        let quiet = *kind == Use::Speech && enough && split::hash(name).is_multiple_of(QUIET_SHARE);
        row.split = if quiet { "dev" } else { "train" }.to_owned();
    }
    let words = named.iter_mut().filter(|(kind, ..)| *kind == Use::Word);
    split::assign(&mut words.map(|(_, name, row)| (name.clone(), row)).collect::<Vec<_>>())
}

/// The wanted words, or all labels of the word clips in alphabetical order. A label in
/// underscores or named `unknown` or `silence` is never a word.
fn choose_words(wanted: &[String], rows: &[(Use, Row)]) -> Vec<String> {
    if !wanted.is_empty() {
        return wanted.to_vec();
    }
    let labels: std::collections::BTreeSet<&str> = rows
        .iter()
        .filter(|(kind, row)| *kind == Use::Word && !row.label.is_empty())
        .map(|(_, row)| row.label.as_str())
        .filter(|label| !label.starts_with('_') && !matches!(*label, "unknown" | "silence"))
        .collect();
    labels.into_iter().map(str::to_owned).collect()
}

/// Whether running speech may serve: its text holds none of the words, or is one of them alone.
fn usable(row: &Row, words: &[String]) -> bool {
    words.contains(&row.label.to_lowercase()) || says_none(&row.label, words)
}

/// Whether a text holds none of the words.
pub(super) fn says_none(text: &str, words: &[String]) -> bool {
    let text = text.to_lowercase();
    let says = |word: &String| text.split(|c: char| !c.is_alphanumeric()).any(|said| said == word);
    !words.iter().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_that_says_a_word_is_left_out() {
        let words = ["no".to_owned(), "seven".to_owned()];
        let row = |label: &str| Row { label: label.to_owned(), ..Row::default() };
        assert!(usable(&row("now and another"), &words));
        assert!(usable(&row("no"), &words));
        assert!(!usable(&row("say no, please"), &words));
        assert!(!usable(&row("SEVEN o'clock"), &words));
    }
}
