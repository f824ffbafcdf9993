//! The clips of a keyword training: words, other speech, noise, rooms.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formant_audio_core::AudioView;
use formant_models::tasks::Task;
use formant_models::tasks::spot::{SpotOptions, Spotter};

use super::recipe::SpotRecipe;
use crate::augment::Room;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::manifest::{self, BACKGROUND_FOLDER, Row};
use crate::progress::{Event, Progress};
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
        let mut rows = Vec::new();
        for (kind, paths) in [
            (Use::Word, &sources.words),
            (Use::Speech, &sources.speech),
            (Use::Noise, &sources.noise),
            (Use::Room, &sources.rooms),
        ] {
            for path in paths {
                let mut listed = manifest::read(path)?;
                manifest::assign_splits(&mut listed);
                rows.extend(listed.into_iter().map(|row| (kind, row)));
            }
        }
        for (kind, row) in &mut rows {
            if *kind == Use::Word && row.label == BACKGROUND_FOLDER {
                *kind = Use::Noise;
                row.split = "train".to_owned();
            }
        }
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
        };
        for (index, (kind, row)) in rows.into_iter().enumerate() {
            data.file(index, kind, row, recipe.samples());
        }
        data.check()?;
        Ok(data)
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
            progress.event(&Event::Mining {
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
            _ => {}
        }
    }

    fn check(&self) -> Result<()> {
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
            let text =
                "no clips to validate on: mark some rows `dev`, or add recordings of more speakers";
            return Err(Error::Data(text.to_owned()));
        }
        Ok(())
    }
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
    let text = row.label.to_lowercase();
    let says = |word: &String| text.split(|c: char| !c.is_alphanumeric()).any(|said| said == word);
    words.contains(&text) || !words.iter().any(says)
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
