//! Recordings of sounds, each with a word for what it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::held_out::{hold_out, speaker};
use crate::manifest::{self, Row};
use crate::progress::Progress;
use crate::recording::Recording;

/// What separates the word of a sound from its descriptions in a label.
const END_OF_WORD: char = '|';
/// Rate of the spectrograms, Hz.
const RATE: u32 = 22_050;
/// One in so many recordings is kept for validation where the data say nothing.
const HOLD_OUT: usize = 10;

/// Where the recordings come from; every path is a manifest or a folder that holds a folder a word.
#[derive(Debug, Clone, Default)]
pub struct SoundSources {
    /// Sounds.
    pub recordings: Vec<PathBuf>,
}

/// All recordings, sorted by use.
#[derive(Debug)]
pub struct SoundData {
    /// Decoded recordings, mono, 22.05 kHz.
    pub corpus: Corpus,
    /// The words, in alphabetic order.
    pub words: Vec<String>,
    pub(super) train: Vec<Sound>,
    pub(super) dev: Vec<Sound>,
}

/// A recording.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sound {
    /// Its place in the corpus.
    pub(super) clip: usize,
    /// Its word.
    pub(super) word: usize,
}

impl SoundData {
    /// Lists and decodes everything. Rows of the split `dev` are validated on; where there are none,
    /// one in ten sources, as the column `speaker` names them, is kept for it.
    ///
    /// # Errors
    /// What reading manifests says; [`Error::Data`] when there is nothing to train or validate on, and
    /// when a recording has no word.
    pub fn load(
        sources: &SoundSources,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut rows: Vec<(bool, Row)> = Vec::new();
        for path in &sources.recordings {
            rows.extend(manifest::read(path)?.into_iter().map(|row| (true, row)));
        }
        rows.retain(|(_, row)| row.split != "test");
        // Of few sources there is one, too.
        let sources = rows.iter().map(|(_, row)| speaker(row)).collect::<BTreeSet<_>>().len();
        hold_out(&mut rows, sources.clamp(2, HOLD_OUT));
        if let Some((_, row)) = rows.iter().find(|(_, row)| word(row).is_empty()) {
            return Err(Error::Data(format!(
                "{}: no word for what this is; give a column `label`, or a folder a word",
                row.path.display()
            )));
        }
        let learnt = rows.iter().filter(|(_, row)| row.split != "dev");
        let mut words: Vec<String> = learnt.map(|(_, row)| word(row).to_owned()).collect();
        words.sort_unstable();
        words.dedup();
        let files: Vec<Recording> = rows.iter().map(|(_, row)| row.recording()).collect();
        let corpus = Corpus::load(&files, RATE, cache, progress)?;
        let (mut train, mut dev) = (Vec::new(), Vec::new());
        for (clip, (_, row)) in rows.iter().enumerate() {
            // A word of validation alone can't be asked for.
            let Ok(word) = words.binary_search_by(|known| known.as_str().cmp(word(row))) else {
                continue;
            };
            if corpus.clip(clip).is_empty() {
                continue;
            }
            if row.split == "dev" { &mut dev } else { &mut train }.push(Sound { clip, word });
        }
        if train.is_empty() || dev.is_empty() {
            return Err(Error::Data(
                "too little to train and to validate on: several recordings of every word are needed"
                    .to_owned(),
            ));
        }
        Ok(Self { corpus, words, train, dev })
    }

    /// Recordings to learn from, and to validate on.
    #[must_use]
    pub fn counts(&self) -> [usize; 2] {
        [self.train.len(), self.dev.len()]
    }
}

/// The word of a sound, in lower case.
fn word(row: &Row) -> &str {
    row.label.split(END_OF_WORD).next().unwrap_or_default().trim()
}
