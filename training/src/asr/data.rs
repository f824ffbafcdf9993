//! The clips of a recogniser's training: utterances with their texts, single words, noise, rooms.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::pieces::plain_text;
use super::recipe::AsrRecipe;
use crate::augment::Room;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::manifest::{self, Row};
use crate::progress::Progress;

/// Where the clips come from; every path is a manifest or a folder.
#[derive(Debug, Clone, Default)]
pub struct AsrSources {
    /// Utterances, labelled with their text.
    pub speech: Vec<PathBuf>,
    /// Clips of single words, of which sequences are made.
    pub words: Vec<PathBuf>,
    /// Noise.
    pub noise: Vec<PathBuf>,
    /// Room responses.
    pub rooms: Vec<PathBuf>,
}

/// An utterance or a word.
#[derive(Debug, Clone)]
pub struct Utterance {
    /// Index of the clip in the corpus.
    pub clip: usize,
    /// What is said, as it is learnt.
    pub text: String,
    /// Where it comes from.
    pub source: String,
}

/// All clips, sorted by use.
#[derive(Debug)]
pub struct AsrData {
    /// Decoded clips.
    pub corpus: Corpus,
    /// Training utterances by source.
    pub train: BTreeMap<String, Vec<Utterance>>,
    /// Training clips of single words by word.
    pub words: BTreeMap<String, Vec<Utterance>>,
    /// Training clips of noise.
    pub noise: Vec<usize>,
    /// Room responses.
    pub rooms: Vec<Room>,
    /// Utterances of the `dev` split, for choosing the best epoch.
    pub dev: Vec<Utterance>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Speech,
    Word,
    Noise,
    Room,
}

/// Speed changes and silence make an utterance longer by no more than this.
const STRETCH: f64 = 2.5;

impl AsrData {
    /// Lists and decodes everything, at the rate of the recipe's front end.
    ///
    /// # Errors
    /// What reading manifests says; [`Error::Data`] when there is nothing to train or validate on.
    pub fn load(
        sources: &AsrSources,
        recipe: &AsrRecipe,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut rows = Vec::new();
        for (kind, paths) in [
            (Use::Speech, &sources.speech),
            (Use::Word, &sources.words),
            (Use::Noise, &sources.noise),
            (Use::Room, &sources.rooms),
        ] {
            for path in paths {
                let mut listed = manifest::read(path)?;
                manifest::assign_splits(&mut listed);
                rows.extend(listed.into_iter().map(|row| (kind, row)));
            }
        }
        rows.retain(|(kind, row)| {
            let texts = matches!(kind, Use::Speech | Use::Word);
            row.split != "test" && (!texts || plain_text(&row.label).is_some())
        });
        let paths: Vec<PathBuf> = rows.iter().map(|(_, row)| row.path.clone()).collect();
        let corpus = Corpus::load(&paths, recipe.frontend.sample_rate, cache, progress)?;
        let mut data = Self {
            corpus,
            train: BTreeMap::new(),
            words: BTreeMap::new(),
            noise: Vec::new(),
            rooms: Vec::new(),
            dev: Vec::new(),
        };
        for (clip, (kind, row)) in rows.into_iter().enumerate() {
            data.file(clip, kind, row, recipe);
        }
        if data.train.is_empty() || data.dev.is_empty() {
            let text = "no utterances to train or to validate on: the table needs texts as labels, \
                        and rows (or speakers) for the splits `train` and `dev`";
            return Err(Error::Data(text.to_owned()));
        }
        Ok(data)
    }

    fn file(&mut self, clip: usize, kind: Use, row: Row, recipe: &AsrRecipe) {
        let rate = f64::from(self.corpus.rate());
        let seconds = self.corpus.clip(clip).len() as f64 / rate;
        if seconds <= 0.0 {
            return;
        }
        let train = row.split == "train";
        match kind {
            Use::Room if train => {
                let longest = (recipe.longest * STRETCH * rate) as usize;
                self.rooms.extend(Room::new(&self.corpus.clip_f32(clip), longest));
            }
            Use::Noise if train => self.noise.push(clip),
            Use::Speech | Use::Word => {
                let Some(text) = plain_text(&row.label) else { return };
                let utterance = Utterance { clip, text, source: row.source };
                match kind {
                    _ if !train && kind == Use::Speech => self.dev.push(utterance),
                    Use::Word if train => {
                        self.words.entry(utterance.text.clone()).or_default().push(utterance);
                    }
                    Use::Speech if seconds <= recipe.longest => {
                        self.train.entry(utterance.source.clone()).or_default().push(utterance);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// The texts of the training utterances, and how much each counts.
    pub fn texts<'a>(&'a self, recipe: &'a AsrRecipe) -> impl Iterator<Item = (&'a str, f64)> {
        self.train.iter().flat_map(|(source, utterances)| {
            let weight = recipe.weight(source);
            utterances.iter().map(move |utterance| (utterance.text.as_str(), weight))
        })
    }
}
