//! The recordings of a speaker training: voices by speaker, noise, rooms, pairs to validate on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::recipe::SpeakerRecipe;
use super::trials::{Trial, read_trials};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::voices::{Decoding, Speaker, Tables, Voices};

/// Most speakers that are kept for validation when no trials are given.
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

/// All recordings, sorted by use.
#[derive(Debug)]
pub struct SpeakerData {
    /// Speakers to learn from, noise and rooms.
    pub voices: Voices,
    /// Pairs of clips to validate on, and whether they are of one speaker.
    pub dev: Vec<(usize, usize, bool)>,
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
        let trials = match &sources.trials {
            Some(path) => read_trials(path, None)?,
            None => Vec::new(),
        };
        let files = trials.iter().flat_map(|trial| [&trial.first, &trial.second]);
        let files: BTreeSet<PathBuf> = files.cloned().collect();
        let SpeakerSources { voices, noise, rooms, .. } = sources;
        let tables = Tables { voices, noise, rooms, others: &Vec::from_iter(files) };
        let (rate, longest) = (recipe.frontend.sample_rate, recipe.longest());
        let (voices, clips) = Voices::load(tables, &Decoding { rate, longest, cache, progress })?;
        let pair = |trial: &Trial| {
            Some((*clips.get(&trial.first)?, *clips.get(&trial.second)?, trial.target?))
        };
        let mut data = Self { voices, dev: trials.iter().filter_map(pair).collect() };
        if sources.trials.is_none() {
            data.hold_out();
        }
        data.check()?;
        Ok(data)
    }

    /// Takes some speakers out of the training and makes trials of them.
    fn hold_out(&mut self) {
        let held = self.voices.hold_out(HELD_OUT_MOST, |speaker| speaker.clips.len() >= 2);
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
    }

    fn check(&self) -> Result<()> {
        if self.voices.speakers.len() < 2 {
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
