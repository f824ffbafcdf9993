//! The recordings of a speaker training: voices by speaker, noise, rooms, pairs to validate on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::recipe::SpeakerRecipe;
use super::trials::read_trials;
use crate::augment::Room;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::manifest::{self, train_rows};
use crate::progress::Progress;

/// Of this many speakers one is kept for validation when no trials are given, and how many at most.
const HELD_OUT_EVERY: usize = 10;
const HELD_OUT_MOST: usize = 100;
/// Pairs of a kind that a held-out speaker gives.
const PAIRS_EACH: usize = 6;

/// Where the recordings come from; every path is a manifest or a folder.
#[derive(Debug, Clone, Default)]
pub struct SpeakerSources {
    /// Voices: tables with the columns path and speaker, or folders that hold one folder a speaker.
    pub voices: Vec<PathBuf>,
    /// Noise.
    pub noise: Vec<PathBuf>,
    /// Room responses.
    pub rooms: Vec<PathBuf>,
    /// Pairs to validate on, of speakers that are not among the voices; without them some of the
    /// speakers are kept aside.
    pub trials: Option<PathBuf>,
}

/// One speaker's recordings.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// Name in the data.
    pub name: String,
    /// Clips of the corpus.
    pub clips: Vec<usize>,
    /// Seconds of all of them.
    pub seconds: f64,
}

/// All recordings, sorted by use.
#[derive(Debug)]
pub struct SpeakerData {
    /// Decoded recordings.
    pub corpus: Corpus,
    /// Speakers to learn from.
    pub speakers: Vec<Speaker>,
    /// Clips of noise.
    pub noise: Vec<usize>,
    /// Room responses.
    pub rooms: Vec<Room>,
    /// Pairs of clips to validate on, and whether they are of one speaker.
    pub dev: Vec<(usize, usize, bool)>,
}

enum Use {
    Voice(String),
    Noise,
    Room,
    Dev,
}

impl SpeakerData {
    /// Lists and decodes everything, at the rate of the recipe's front end.
    ///
    /// # Errors
    /// What reading manifests says; [`Error::Data`] when there are fewer than two speakers or
    /// nothing to validate on.
    pub fn load(
        sources: &SpeakerSources,
        recipe: &SpeakerRecipe,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut files: Vec<(PathBuf, Use)> = Vec::new();
        for path in &sources.voices {
            let labelled_by_folder = path.is_dir();
            for row in manifest::read(path)? {
                let name = if labelled_by_folder { row.label } else { row.speaker };
                if name.is_empty() {
                    let text = format!("{}: no speaker for {}", path.display(), row.path.display());
                    return Err(Error::Data(format!("{text}; add a column `speaker`")));
                }
                if row.split.is_empty() || row.split == "train" {
                    files.push((row.path, Use::Voice(name)));
                }
            }
        }
        for path in &sources.noise {
            files.extend(train_rows(path)?.map(|path| (path, Use::Noise)));
        }
        for path in &sources.rooms {
            files.extend(train_rows(path)?.map(|path| (path, Use::Room)));
        }
        let trials = match &sources.trials {
            Some(path) => read_trials(path, None)?,
            None => Vec::new(),
        };
        let dev_files: BTreeSet<&PathBuf> =
            trials.iter().flat_map(|trial| [&trial.first, &trial.second]).collect();
        files.extend(dev_files.into_iter().map(|path| (path.clone(), Use::Dev)));
        let paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
        let corpus = Corpus::load(&paths, recipe.frontend.sample_rate, cache, progress)?;
        let mut data = Self {
            corpus,
            speakers: Vec::new(),
            noise: Vec::new(),
            rooms: Vec::new(),
            dev: Vec::new(),
        };
        let mut voices: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut dev: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (index, (path, usage)) in files.into_iter().enumerate() {
            if data.corpus.clip(index).is_empty() {
                continue;
            }
            match usage {
                Use::Voice(name) => voices.entry(name).or_default().push(index),
                Use::Noise => data.noise.push(index),
                Use::Room => {
                    let response = data.corpus.clip_f32(index);
                    data.rooms.extend(Room::new(&response, recipe.longest()));
                }
                Use::Dev => {
                    dev.insert(path, index);
                }
            }
        }
        let rate = f64::from(data.corpus.rate());
        data.speakers = voices
            .into_iter()
            .map(|(name, clips)| {
                let samples: usize = clips.iter().map(|&clip| data.corpus.clip(clip).len()).sum();
                Speaker { name, clips, seconds: samples as f64 / rate }
            })
            .collect();
        data.dev = trials
            .iter()
            .filter_map(|t| Some((*dev.get(&t.first)?, *dev.get(&t.second)?, t.target?)))
            .collect();
        if sources.trials.is_none() {
            data.hold_out();
        }
        data.check()?;
        Ok(data)
    }

    /// Takes some speakers out of the training and makes trials of them.
    fn hold_out(&mut self) {
        let several = |speaker: &Speaker| speaker.clips.len() >= 2;
        let mut held: Vec<Speaker> = Vec::new();
        let mut kept: Vec<Speaker> = Vec::new();
        for (at, speaker) in std::mem::take(&mut self.speakers).into_iter().enumerate() {
            let chosen = at % HELD_OUT_EVERY == HELD_OUT_EVERY / 2 && held.len() < HELD_OUT_MOST;
            let into = if chosen && several(&speaker) { &mut held } else { &mut kept };
            into.push(speaker);
        }
        for (at, speaker) in held.iter().enumerate() {
            let pairs = (0..speaker.clips.len())
                .flat_map(|i| (i + 1..speaker.clips.len()).map(move |j| (i, j)));
            self.dev.extend(
                pairs.take(PAIRS_EACH).map(|(i, j)| (speaker.clips[i], speaker.clips[j], true)),
            );
            for step in 1..=PAIRS_EACH.min(held.len().saturating_sub(1)) {
                let other = &held[(at + step) % held.len()];
                let clip = |of: &Speaker| of.clips[step % of.clips.len()];
                self.dev.push((clip(speaker), clip(other), false));
            }
        }
        self.speakers = kept;
    }

    fn check(&self) -> Result<()> {
        if self.speakers.len() < 2 {
            let text =
                "fewer than two speakers to learn from; more are needed, hundreds to be useful";
            return Err(Error::Data(text.to_owned()));
        }
        let both = [true, false].map(|kind| self.dev.iter().any(|trial| trial.2 == kind));
        if both != [true, true] {
            let text = "nothing to validate on: give --trials with pairs of both kinds, or at \
                        least 20 speakers with two recordings each";
            return Err(Error::Data(text.to_owned()));
        }
        Ok(())
    }
}
