//! Speaker models: which one, what it hears, and how embeddings are compared.

use std::path::PathBuf;

use clap::Args;
use formant_models::tasks::Task;
use formant_models::tasks::speaker::{Cohort, EmbedOptions, Scorer, SpeakerEmbedder, SpeechOnly};
use formant_models::{LoadOptions, ModelSource};
use formant_training::manifest;
use formant_training::speaker::embed_files;

use crate::failure::Failure;
use crate::inputs::recordings;
use crate::interrupt;
use crate::settings::Settings;
use crate::tasks::load_options_f32;

/// Which model, and which part of a recording it uses.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model options")]
pub(crate) struct SpeakerModelArgs {
    /// A bundled model's name, a file, or a published checkpoint's file or folder.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    /// Use the whole recording, including pauses and noise.
    #[arg(long)]
    pub(crate) no_vad: bool,
}

/// How voices are compared.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Decision options")]
pub(crate) struct DecisionArgs {
    /// Score above which two recordings have the same speaker [default: the model's].
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(crate) threshold: Option<f64>,
    /// Recordings of other people for score normalization: files, folders or tables. Scores are
    /// then in standard deviations, and the threshold is 3 unless given.
    #[arg(long, value_name = "PATH")]
    pub(crate) cohort: Vec<PathBuf>,
    /// Number of closest cohort voices to normalize by.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "cohort")]
    pub(crate) cohort_top: usize,
}

/// Threshold of normalized scores, in standard deviations, where none is given.
const NORMALIZED_THRESHOLD: f64 = 3.0;

/// A speaker model and how it is used.
#[derive(Debug)]
pub(crate) struct SpeakerModel {
    /// `None` is the default model.
    pub(crate) source: Option<ModelSource>,
    pub(crate) load: LoadOptions,
    pub(crate) embed: EmbedOptions,
}

/// Recordings by which scores are normalized.
#[derive(Debug)]
pub(crate) struct CohortPlan {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) top: usize,
    pub(crate) threshold: f64,
}

/// How voices are compared.
#[derive(Debug)]
pub(crate) struct DecisionPlan {
    pub(crate) threshold: Option<f64>,
    pub(crate) cohort: Option<CohortPlan>,
}

impl SpeakerModelArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(&self, settings: &Settings) -> Result<SpeakerModel, Failure> {
        Ok(SpeakerModel {
            source: self.model.as_deref().map(ModelSource::named),
            load: load_options_f32(settings, "speaker models")?,
            embed: EmbedOptions {
                speech_only: if self.no_vad { SpeechOnly::No } else { SpeechOnly::Yes },
            },
        })
    }
}

impl SpeakerModel {
    /// Loads the model that was asked for, or the default one.
    pub(crate) fn load(&self) -> Result<SpeakerEmbedder, Failure> {
        let source = ModelSource::or_default(self.source.clone(), "speaker")?;
        Ok(SpeakerEmbedder::load(&source, &self.load)?)
    }
}

impl DecisionArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(&self) -> Result<DecisionPlan, Failure> {
        if self.threshold.is_some_and(|threshold| !threshold.is_finite()) {
            return Err(Failure::usage("--threshold", "give a number"));
        }
        if self.cohort.is_empty() {
            return Ok(DecisionPlan { threshold: self.threshold, cohort: None });
        }
        if self.cohort_top < 2 {
            return Err(Failure::usage("--cohort-top", "at least 2 voices are needed"));
        }
        let files = recordings(&self.cohort, |table| Ok(manifest::read_whole(table)?))?;
        let files = files.into_iter().map(|file| file.path).collect();
        let threshold = self.threshold.unwrap_or(NORMALIZED_THRESHOLD);
        let cohort = CohortPlan { files, top: self.cohort_top, threshold };
        Ok(DecisionPlan { threshold: self.threshold, cohort: Some(cohort) })
    }
}

impl DecisionPlan {
    /// What compares voices: the model's own way, or what the command line changes about it.
    pub(crate) fn scorer(
        &self,
        embedder: &SpeakerEmbedder,
        model: &SpeakerModel,
    ) -> Result<Scorer, Failure> {
        let scorer = embedder.scorer();
        if let Some(plan) = &self.cohort {
            let found =
                embed_files(embedder, &plan.files, &model.embed, || !interrupt::requested())?;
            let values: Vec<f32> =
                found.into_values().flatten().flat_map(|embedding| embedding.values).collect();
            let width = embedder.network().config().lin_neurons as usize;
            return Ok(scorer.with_cohort(Cohort::new(values, width)?, plan.top, plan.threshold));
        }
        Ok(match self.threshold {
            Some(threshold) => scorer.with_threshold(threshold),
            None => scorer,
        })
    }
}
