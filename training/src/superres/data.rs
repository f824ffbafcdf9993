//! The recordings of a super-resolution training: those that have the band that is to be learnt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formant_models::tasks::superres::measured_band;

use super::recipe::SuperresRecipe;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::held_out::{hold_out, speaker};
use crate::manifest::{self, Row};
use crate::progress::{Progress, TrainingEvent};
use crate::recording::Recording;

/// Where the recordings come from; every path is a manifest or a folder.
#[derive(Debug, Clone, Default)]
pub struct SuperresSources {
    /// Speech and singing, with a full band.
    pub recordings: Vec<PathBuf>,
    /// Anything else with a full band.
    pub noise: Vec<PathBuf>,
}

/// A recording with a wide band.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wide {
    pub(super) clip: usize,
    /// Hz up to which it has sound.
    pub(super) band: f64,
}

/// All recordings, sorted by use.
#[derive(Debug)]
pub struct SuperresData {
    /// Decoded recordings, mono.
    pub corpus: Corpus,
    /// By speaker.
    pub(super) speech: Vec<Vec<Wide>>,
    pub(super) noise: Vec<Wide>,
    pub(super) dev: Vec<Wide>,
}

impl SuperresData {
    /// Lists and decodes everything, and leaves out what has no wide band. Speech of the split `dev`
    /// is validated on; where there is none, one in [`SuperresRecipe::hold_out`] speakers is kept for
    /// it.
    ///
    /// # Errors
    /// What reading manifests says; [`Error::Data`] when there is nothing to train or validate on.
    pub fn load(
        sources: &SuperresSources,
        recipe: &SuperresRecipe,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut rows: Vec<(bool, Row)> = Vec::new();
        for (is_speech, paths) in [(true, &sources.recordings), (false, &sources.noise)] {
            for path in paths {
                let listed = manifest::read_voices(path)?.into_iter();
                rows.extend(listed.map(|row| (is_speech, row)));
            }
        }
        rows.retain(|(is_speech, row)| row.split != "test" && (*is_speech || row.split != "dev"));
        hold_out(&mut rows, recipe.hold_out);
        let files: Vec<Recording> = rows.iter().map(|(_, row)| row.recording()).collect();
        let card = recipe.card()?;
        let corpus = Corpus::load(&files, card.sample_rate(), cache, progress)?;
        let [_, slice] = recipe.frames(&card);
        let least = slice * card.frontend.hop_length;
        let mut data = Self { corpus, speech: Vec::new(), noise: Vec::new(), dev: Vec::new() };
        let mut left_out = 0;
        let mut speakers: BTreeMap<String, Vec<Wide>> = BTreeMap::new();
        for (clip, (is_speech, row)) in rows.iter().enumerate() {
            if data.corpus.clip(clip).len() < least {
                left_out += 1;
                continue;
            }
            let band = measured_band(&data.corpus.clip_f32(clip), data.corpus.rate())?;
            if band < recipe.least_band_hz {
                left_out += 1;
                continue;
            }
            let list = match (is_speech, row.split.as_str()) {
                (false, _) => &mut data.noise,
                (true, "dev") => &mut data.dev,
                (true, _) => speakers.entry(speaker(row)).or_default(),
            };
            list.push(Wide { clip, band });
        }
        data.speech = speakers.into_values().collect();
        if left_out > 0 {
            let text = format!(
                "{left_out} recordings are left out: shorter than {:.1} s, or nothing above {:.0} Hz",
                recipe.slice_seconds, recipe.least_band_hz
            );
            progress.event(&TrainingEvent::Note { text });
        }
        if data.speech.is_empty() || data.dev.is_empty() {
            let text = format!(
                "too little to train and to validate on: several speakers are needed whose \
                 recordings have sound up to {:.0} Hz",
                recipe.least_band_hz
            );
            return Err(Error::Data(text));
        }
        Ok(data)
    }

    /// Recordings to learn from, and to validate on.
    #[must_use]
    pub fn counts(&self) -> [usize; 2] {
        let speech: usize = self.speech.iter().map(Vec::len).sum();
        [speech + self.noise.len(), self.dev.len()]
    }
}
