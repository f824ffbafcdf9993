//! `speaker`: which model, which recordings, how voices are compared.

use std::path::PathBuf;

use formant_audio_core::decode::DecodeOptions;
use formant_models::tasks::speaker::{EmbedOptions, SpeechOnly};
use formant_models::{LoadOptions, ModelSource};
use formant_training::manifest;

use super::spot::model_source;
use super::{Settings, Sources, check_stdout, decode_options};
use crate::args::{
    CompareArgs, DecisionArgs, EmbedArgs, EnrollArgs, IdentifyArgs, Precision, SpeakerCommand,
    SpeakerModelArgs, VectorFormat, VerifyArgs,
};
use crate::failure::Failure;
use crate::inputs::recordings;
use crate::outputs::{self, Existing, Naming, SuffixWhen, Target};

/// Threshold of normalised scores, in standard deviations, where none is given.
const NORMALISED_THRESHOLD: f64 = 3.0;

/// A speaker model and how it hears.
#[derive(Debug)]
pub(crate) struct SpeakerModel {
    /// `None` is the default model.
    pub(crate) source: Option<ModelSource>,
    pub(crate) load: LoadOptions,
    pub(crate) embed: EmbedOptions,
}

/// Recordings by which scores are normalised.
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

/// What `speaker` does.
#[derive(Debug)]
pub(crate) struct SpeakerPlan {
    pub(crate) model: SpeakerModel,
    pub(crate) task: SpeakerTask,
}

/// One of its commands.
#[derive(Debug)]
pub(crate) enum SpeakerTask {
    Embed { sources: Sources, target: VectorTarget, existing: Existing },
    Verify { pair: [PathBuf; 2], decode: DecodeOptions, decision: DecisionPlan },
    Trials { list: PathBuf, decode: DecodeOptions, decision: DecisionPlan },
    Compare { sources: Sources, decision: DecisionPlan },
    Enroll { voices: PathBuf, task: EnrollTask },
    Identify { sources: Sources, voices: PathBuf, decision: DecisionPlan },
}

/// Where vectors go.
#[derive(Debug)]
pub(crate) enum VectorTarget {
    /// A NumPy file for each input.
    Npy(Vec<Option<Target>>),
    /// Lines of JSON.
    Json(Target),
}

/// What is done to a file of known voices.
#[derive(Debug)]
pub(crate) enum EnrollTask {
    Add { name: String, sources: Sources },
    List,
    Remove(String),
    Export { name: String, target: Target, existing: Existing },
}

pub(super) fn resolve(typed: SpeakerCommand, settings: &Settings) -> Result<SpeakerPlan, Failure> {
    match typed {
        SpeakerCommand::Embed(typed) => embed(&typed, settings),
        SpeakerCommand::Verify(typed) => verify(typed, settings),
        SpeakerCommand::Compare(typed) => compare(&typed, settings),
        SpeakerCommand::Enroll(typed) => enroll(typed, settings),
        SpeakerCommand::Identify(typed) => identify(&typed, settings),
    }
}

fn embed(typed: &EmbedArgs, settings: &Settings) -> Result<SpeakerPlan, Failure> {
    let sources = Sources::of(&typed.input, &typed.audio)?;
    let target = match typed.format {
        VectorFormat::Npy => {
            let naming = Naming {
                suffix: "_voice".to_owned(),
                suffix_when: SuffixWhen::Always,
                extension: "npy".to_owned(),
            };
            let targets = outputs::assign(&typed.output, &sources.list, &naming)?;
            check_stdout(&targets, settings)?;
            VectorTarget::Npy(targets)
        }
        VectorFormat::Json => VectorTarget::Json(one_target(typed.output.output.as_ref())),
    };
    let existing = Existing::of(&typed.output);
    let task = SpeakerTask::Embed { sources, target, existing };
    Ok(SpeakerPlan { model: model(&typed.model, settings)?, task })
}

fn verify(typed: VerifyArgs, settings: &Settings) -> Result<SpeakerPlan, Failure> {
    let (decode, decision) = (decode_options(&typed.audio), decision(&typed.decision)?);
    let model = model(&typed.model, settings)?;
    let task = match (<[PathBuf; 2]>::try_from(typed.pair), typed.trials) {
        (_, Some(list)) => SpeakerTask::Trials { list, decode, decision },
        (Ok(pair), None) => SpeakerTask::Verify { pair, decode, decision },
        (Err(_), None) => return Err(Failure::usage("recordings", "give two, or --trials")),
    };
    Ok(SpeakerPlan { model, task })
}

fn compare(typed: &CompareArgs, settings: &Settings) -> Result<SpeakerPlan, Failure> {
    let sources = Sources::of(&typed.input, &typed.audio)?;
    let task = SpeakerTask::Compare { sources, decision: decision(&typed.decision)? };
    Ok(SpeakerPlan { model: model(&typed.model, settings)?, task })
}

fn enroll(typed: EnrollArgs, settings: &Settings) -> Result<SpeakerPlan, Failure> {
    let model = model(&typed.model, settings)?;
    let adds = typed.name.is_some();
    if !adds && (!typed.input.inputs.is_empty() || typed.input.files_from.is_some()) {
        return Err(Failure::usage("inputs", "recordings are for --name only"));
    }
    let task = match (typed.name, typed.remove, typed.export) {
        (Some(name), _, _) => {
            EnrollTask::Add { name, sources: Sources::of(&typed.input, &typed.audio)? }
        }
        (None, Some(name), _) => EnrollTask::Remove(name),
        (None, None, Some(name)) => EnrollTask::Export {
            name,
            target: one_target(typed.output.output.as_ref()),
            existing: Existing::of(&typed.output),
        },
        (None, None, None) => EnrollTask::List,
    };
    Ok(SpeakerPlan { model, task: SpeakerTask::Enroll { voices: typed.voices, task } })
}

fn identify(typed: &IdentifyArgs, settings: &Settings) -> Result<SpeakerPlan, Failure> {
    let task = SpeakerTask::Identify {
        sources: Sources::of(&typed.input, &typed.audio)?,
        voices: typed.voices.clone(),
        decision: decision(&typed.decision)?,
    };
    Ok(SpeakerPlan { model: model(&typed.model, settings)?, task })
}

pub(crate) fn model(
    typed: &SpeakerModelArgs,
    settings: &Settings,
) -> Result<SpeakerModel, Failure> {
    if matches!(settings.precision, Precision::Bf16 | Precision::F16) {
        return Err(Failure::usage("--precision", "speaker models run in f32 only"));
    }
    Ok(SpeakerModel {
        source: typed.model.as_deref().map(model_source),
        load: LoadOptions { device: settings.device, ..LoadOptions::default() },
        embed: EmbedOptions {
            speech_only: if typed.no_vad { SpeechOnly::No } else { SpeechOnly::Yes },
        },
    })
}

pub(crate) fn decision(typed: &DecisionArgs) -> Result<DecisionPlan, Failure> {
    if typed.threshold.is_some_and(|threshold| !threshold.is_finite()) {
        return Err(Failure::usage("--threshold", "give a number"));
    }
    if typed.cohort.is_empty() {
        return Ok(DecisionPlan { threshold: typed.threshold, cohort: None });
    }
    if typed.cohort_top < 2 {
        return Err(Failure::usage("--cohort-top", "at least 2 voices are needed"));
    }
    let files = recordings(&typed.cohort, |table| Ok(manifest::read(table)?))?;
    let threshold = typed.threshold.unwrap_or(NORMALISED_THRESHOLD);
    let cohort = CohortPlan { files, top: typed.cohort_top, threshold };
    Ok(DecisionPlan { threshold: typed.threshold, cohort: Some(cohort) })
}

fn one_target(path: Option<&PathBuf>) -> Target {
    match path {
        Some(path) if path.as_os_str() != "-" => Target::File(path.clone()),
        _ => Target::Stdout,
    }
}
