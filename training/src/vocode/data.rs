//! The recordings of a vocoder training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formant_audio_core::features::FeaturePlan;
use formant_models::arch::periodwave::Energy;
use rayon::prelude::*;

use super::recipe::VocodeRecipe;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::held_out::{hold_out, speaker};
use crate::manifest::{self, Row};
use crate::progress::Progress;
use crate::recording::Recording;

/// Where the recordings come from; every path is a manifest or a folder.
#[derive(Debug, Clone, Default)]
pub struct VocodeSources {
    /// Speech, singing, or whatever else is to be vocoded.
    pub recordings: Vec<PathBuf>,
}

/// All recordings, sorted by use.
#[derive(Debug)]
pub struct VocodeData {
    /// Decoded recordings, mono.
    pub corpus: Corpus,
    /// Clips by speaker.
    pub(super) speech: Vec<Vec<usize>>,
    pub(super) dev: Vec<usize>,
    /// Of the frames to learn from.
    pub(super) energy: Energy,
}

impl VocodeData {
    /// Lists and decodes everything. Rows of the split `dev` are validated on; where there are none,
    /// one in [`VocodeRecipe::hold_out`] speakers is kept for it.
    ///
    /// # Errors
    /// What reading manifests says; [`Error::Data`] when there is nothing to train or validate on.
    pub fn load(
        sources: &VocodeSources,
        recipe: &VocodeRecipe,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut rows: Vec<(bool, Row)> = Vec::new();
        for path in &sources.recordings {
            rows.extend(manifest::read_voices(path)?.into_iter().map(|row| (true, row)));
        }
        rows.retain(|(_, row)| row.split != "test");
        hold_out(&mut rows, recipe.hold_out);
        let card = recipe.card(Energy::LIBRITTS)?;
        let files: Vec<Recording> = rows.iter().map(|(_, row)| row.recording()).collect();
        let corpus = Corpus::load(&files, card.sample_rate(), cache, progress)?;
        let least = recipe.frames(&card) * recipe.network.hop() as usize;
        let (mut speakers, mut dev) = (BTreeMap::<String, Vec<usize>>::new(), Vec::new());
        for (clip, (_, row)) in rows.iter().enumerate() {
            if corpus.clip(clip).len() < least {
                continue;
            }
            match row.split.as_str() {
                "dev" => dev.push(clip),
                _ => speakers.entry(speaker(row)).or_default().push(clip),
            }
        }
        let speech: Vec<Vec<usize>> = speakers.into_values().collect();
        if speech.is_empty() || dev.is_empty() {
            return Err(Error::Data(format!(
                "too little to train and to validate on: several speakers are needed, with recordings \
                 of {:.1} s and more",
                recipe.crop_seconds
            )));
        }
        let frontend = card.frontend.as_ref().expect("a card of spectrograms has a front end");
        let plan = FeaturePlan::new(&frontend.streamable())?;
        let energy = energy(&corpus, &speech, &plan)?;
        Ok(Self { corpus, speech, dev, energy })
    }

    /// Recordings to learn from, and to validate on.
    #[must_use]
    pub fn counts(&self) -> [usize; 2] {
        [self.speech.iter().map(Vec::len).sum(), self.dev.len()]
    }
}

/// Energies of the quietest and the loudest frame: of silence, and of the recordings.
fn energy(corpus: &Corpus, speech: &[Vec<usize>], plan: &FeaturePlan) -> Result<Energy> {
    let of_row = |row: &[f32]| row.iter().map(|value| f64::from(*value).exp()).sum::<f64>().sqrt();
    let loudest = |clip: &usize| -> Result<f64> {
        let rows = plan.compute(&corpus.clip_f32(*clip))?;
        Ok(rows.rows().into_iter().map(|row| of_row(&row.to_vec())).fold(0.0, f64::max))
    };
    let clips: Vec<&usize> = speech.iter().flatten().collect();
    let each: Vec<f64> = clips.into_par_iter().map(loudest).collect::<Result<_>>()?;
    let silence = plan.compute(&vec![0.0; 4 * plan.config().n_fft])?;
    let min = silence.rows().into_iter().map(|row| of_row(&row.to_vec())).fold(0.0, f64::max);
    // Recordings of silence have no loudest frame.
    Ok(Energy { min, max: each.into_iter().fold(2.0 * min, f64::max) })
}
