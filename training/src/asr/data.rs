//! The clips of a recogniser's training: utterances with their texts, single words, noise, rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pieces::{Pieces, plain_text};
use super::recipe::AsrRecipe;
use crate::augment::Room;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::manifest::{self, Row};
use crate::progress::{Event, Progress};
use crate::recording::Recording;

/// Where the clips come from; every path is a manifest or a folder.
#[derive(Debug, Clone, Default)]
pub struct AsrSources {
    /// Utterances with their texts, as [`manifest::read_utterances`] takes them.
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
    /// What each table gave, in the order of the sources.
    pub tables: Vec<TableCount>,
}

/// What a table or folder gave to a training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCount {
    /// Its name, as it was given.
    pub table: String,
    /// What its clips are for.
    pub role: Role,
    /// Clips that train.
    pub train: usize,
    /// Clips that validate.
    pub dev: usize,
}

/// What clips are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Utterances.
    Speech,
    /// Single words, of which sequences are made.
    Word,
    /// Noise.
    Noise,
    /// Room responses.
    Room,
}

/// Speed changes and silence make an utterance longer by no more than this.
const STRETCH: f64 = 2.5;

/// Leaves out the rows whose texts can't be learnt, and tells how many these are.
fn leave_out_unreadable(rows: &mut Vec<(usize, Role, Row)>, progress: &dyn Progress) {
    let (mut count, mut first) = (0usize, None);
    rows.retain(|(_, role, row)| {
        let has_text = matches!(role, Role::Speech | Role::Word);
        let learnt = !has_text || plain_text(&row.label).is_some();
        if !learnt {
            count += 1;
            first.get_or_insert_with(|| row.label.clone());
        }
        learnt
    });
    if let Some(first) = first {
        let text = format!(
            "{count} clips were left out: their texts are empty or hold digits or signs, which are \
             read in many ways, as in `{first}`; write out what is said"
        );
        progress.event(&Event::Note { text });
    }
}

impl AsrData {
    /// Lists and decodes everything, at the rate of the recipe's front end. Notes tell of files
    /// and of texts that were left out.
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
        let mut tables = Vec::new();
        for (role, paths) in [
            (Role::Speech, &sources.speech),
            (Role::Word, &sources.words),
            (Role::Noise, &sources.noise),
            (Role::Room, &sources.rooms),
        ] {
            for path in paths {
                let mut listed = match role {
                    Role::Speech => manifest::read_utterances(path)?,
                    Role::Word | Role::Noise | Role::Room => manifest::read(path)?,
                };
                manifest::assign_splits(&mut listed);
                rows.extend(listed.into_iter().map(|row| (tables.len(), role, row)));
                let table = path.display().to_string();
                tables.push(TableCount { table, role, train: 0, dev: 0 });
            }
        }
        rows.retain(|(_, _, row)| row.split != "test");
        leave_out_unreadable(&mut rows, progress);
        let files: Vec<Recording> = rows.iter().map(|(_, _, row)| row.recording()).collect();
        let corpus = Corpus::load(&files, recipe.frontend.sample_rate, cache, progress)?;
        let mut data = Self {
            corpus,
            train: BTreeMap::new(),
            words: BTreeMap::new(),
            noise: Vec::new(),
            rooms: Vec::new(),
            dev: Vec::new(),
            tables,
        };
        for (clip, (table, role, row)) in rows.into_iter().enumerate() {
            let train = row.split == "train";
            if data.file(clip, role, row, recipe) {
                let count = &mut data.tables[table];
                *(if train { &mut count.train } else { &mut count.dev }) += 1;
            }
        }
        if data.train.is_empty() || data.dev.is_empty() {
            let which = if data.train.is_empty() { "train" } else { "validate" };
            return Err(Error::Data(format!(
                "no utterances to {which} on: a table of transcripts needs the columns path and \
                 text, recordings of at most {} s, and rows (or speakers) for the splits `train` \
                 and `dev`",
                recipe.longest
            )));
        }
        Ok(data)
    }

    /// Puts a clip where it belongs; whether it is of use.
    fn file(&mut self, clip: usize, role: Role, row: Row, recipe: &AsrRecipe) -> bool {
        let rate = f64::from(self.corpus.rate());
        let seconds = self.corpus.clip(clip).len() as f64 / rate;
        if seconds <= 0.0 {
            return false;
        }
        let train = row.split == "train";
        let utterance = |text| Utterance { clip, text, source: row.source.clone() };
        match (role, plain_text(&row.label)) {
            (Role::Room, _) if train => {
                let longest = (recipe.longest * STRETCH * rate) as usize;
                let room = Room::new(&self.corpus.clip_f32(clip), longest);
                let is_one = room.is_some();
                self.rooms.extend(room);
                return is_one;
            }
            (Role::Noise, _) if train => self.noise.push(clip),
            (Role::Word, Some(text)) if train => {
                self.words.entry(text.clone()).or_default().push(utterance(text));
            }
            (Role::Speech, Some(text)) if !train => self.dev.push(utterance(text)),
            (Role::Speech, Some(text)) if seconds <= recipe.longest => {
                self.train.entry(row.source.clone()).or_default().push(utterance(text));
            }
            _ => return false,
        }
        true
    }

    /// Refuses training texts with letters that `pieces` can't spell.
    pub(super) fn check_letters(&self, pieces: &Pieces) -> Result<()> {
        let mut unknown = BTreeSet::new();
        let mut example = None;
        let utterances = self.train.values().chain(self.words.values()).flatten();
        for utterance in utterances {
            let before = unknown.len();
            unknown.extend(utterance.text.chars().filter(|&c| c != ' ' && !pieces.spells(c)));
            if unknown.len() > before {
                example.get_or_insert(&utterance.text);
            }
        }
        let Some(example) = example else { return Ok(()) };
        let letters: Vec<String> = unknown.iter().map(char::to_string).collect();
        Err(Error::Data(format!(
            "the model to start from can't spell {}, as in `{example}`; write such texts with \
             other letters, leave them out, or start without a model",
            letters.join(" ")
        )))
    }

    /// The texts of the training utterances, and how much each counts.
    pub fn texts<'a>(&'a self, recipe: &'a AsrRecipe) -> impl Iterator<Item = (&'a str, f64)> {
        self.train.iter().flat_map(|(source, utterances)| {
            let weight = recipe.weight(source);
            utterances.iter().map(move |utterance| (utterance.text.as_str(), weight))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn texts_that_cannot_be_learnt_are_left_out() {
        let row = |label: &str| Row {
            label: label.to_owned(),
            split: "train".to_owned(),
            ..Row::default()
        };
        let mut rows = vec![
            (0, Role::Speech, row("Room one")),
            (0, Role::Speech, row("room 101")),
            (0, Role::Word, row("")),
            (1, Role::Noise, row("")),
        ];
        leave_out_unreadable(&mut rows, &Silent);
        let left: Vec<Role> = rows.iter().map(|(_, role, _)| *role).collect();
        assert_eq!(left, [Role::Speech, Role::Noise]);
    }
}
