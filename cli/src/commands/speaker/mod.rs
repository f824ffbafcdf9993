//! `formant speaker`: vectors of voices, comparison, and known voices.

mod compare;
mod embed;
mod verify;
mod voices;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_models::tasks::speaker::{
    Cohort, EmbedOptions, Embedding, Scorer, SpeakerEmbedder, SpeechOnly, Unusable, Verification,
};
use formant_models::{LoadOptions, ModelSource};
use formant_training::manifest;
use formant_training::speaker::embed_files;
use serde_json::{Map, Value, json};

use crate::args::{AudioArgs, InputArgs, OutputArgs, Precision};
use crate::commands::spot::model_source;
use crate::commands::{Work, work};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::inputs::recordings;
use crate::messages::Messages;
use crate::outputs::{Existing, Naming, SuffixWhen, Target};
use crate::plan::{Settings, Sources, check_stdout, decode_options};
use crate::run::use_few_threads;
use crate::{interrupt, outputs};

/// What `formant speaker` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker verify call.wav reference.wav")]
pub(crate) struct SpeakerArgs {
    #[command(subcommand)]
    pub(crate) command: SpeakerCommand,
}

/// What can be done with voices.
#[derive(Debug, Subcommand)]
pub(crate) enum SpeakerCommand {
    /// Turn recordings into vectors that stand for the voice.
    Embed(EmbedArgs),
    /// Say whether one person speaks in two recordings, or in each pair of a list.
    Verify(VerifyArgs),
    /// Compare each recording with each other.
    Compare(CompareArgs),
    /// Teach the names of voices; list, remove and export them.
    Enroll(EnrollArgs),
    /// Say whose voice is in a recording.
    Identify(IdentifyArgs),
}

/// Which model, and what it hears.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model options")]
pub(crate) struct SpeakerModelArgs {
    /// A bundled model's name, a file, or a published checkpoint's file or folder.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    /// Use everything in a recording, pauses and noise too.
    #[arg(long)]
    pub(crate) no_vad: bool,
}

/// How voices are compared.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Decision options")]
pub(crate) struct DecisionArgs {
    /// Score above which two voices are one person's [default: the model's].
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(crate) threshold: Option<f64>,
    /// Recordings of other people, by which scores are normalised: files, folders or tables; scores
    /// then count standard deviations, and the threshold is 3 unless given.
    #[arg(long, value_name = "PATH")]
    pub(crate) cohort: Vec<PathBuf>,
    /// Closest voices of the cohort that count.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "cohort")]
    pub(crate) cohort_top: usize,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VectorFormat {
    /// A NumPy file for each recording.
    Npy,
    /// A JSON object a line for each recording, to standard output or one file.
    Json,
}

/// What `formant speaker embed` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker embed talks/ -o vectors/")]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    /// Kind of output.
    #[arg(long, value_enum, default_value = "npy", value_name = "KIND")]
    pub(crate) format: VectorFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What `formant speaker verify` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker verify call.wav reference.wav\n\n\
    Silence and snippets get no score but the answer that there is no speech, or too little.")]
pub(crate) struct VerifyArgs {
    /// Two recordings.
    #[arg(
        value_name = "RECORDING",
        num_args = 2,
        required_unless_present = "trials",
        conflicts_with = "trials"
    )]
    pub(crate) pair: Vec<PathBuf>,
    /// A list of pairs: a table with the columns path1 and path2 (and target), or lines of two
    /// names, with or without an answer before or after them.
    #[arg(long, value_name = "FILE")]
    pub(crate) trials: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
}

/// What `formant speaker compare` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker compare voices/*.wav")]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
}

/// What `formant speaker enroll` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant speaker enroll --voices team.json --name Ada ada1.wav ada2.wav"
)]
pub(crate) struct EnrollArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// The file of known voices; made where there is none.
    #[arg(long, value_name = "FILE", env = "FORMANT_VOICES")]
    pub(crate) voices: PathBuf,
    /// Whose voice it is; a name that is known gets more recordings.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list", "remove", "export"])]
    pub(crate) name: Option<String>,
    /// List the known voices.
    #[arg(long, conflicts_with_all = ["name", "remove", "export"])]
    pub(crate) list: bool,
    /// Forget a voice.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "export"])]
    pub(crate) remove: Option<String>,
    /// Write a voice's vector, as NumPy when the output ends in .npy, else as JSON.
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    pub(crate) export: Option<String>,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What `formant speaker identify` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker identify --voices team.json meeting/*.wav")]
pub(crate) struct IdentifyArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// The file of known voices.
    #[arg(long, value_name = "FILE", env = "FORMANT_VOICES")]
    pub(crate) voices: PathBuf,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
}

impl SpeakerArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(self.command, settings)?;
        Ok(work(plan, run))
    }
}

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

fn plan(typed: SpeakerCommand, settings: &Settings) -> Result<SpeakerPlan, Failure> {
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
    let files = recordings(&typed.cohort, |table| Ok(manifest::read_whole(table)?))?;
    let files = files.into_iter().map(|file| file.path).collect();
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

pub(crate) fn run(
    plan: SpeakerPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_few_threads(settings);
    let model = &plan.model;
    match plan.task {
        SpeakerTask::Embed { sources, target, existing } => {
            embed::run(model, &sources, &target, existing, settings, messages)
        }
        SpeakerTask::Verify { pair, decode, decision } => {
            verify::pair(model, &pair, &decode, &decision, settings, messages)
        }
        SpeakerTask::Trials { list, decode, decision } => {
            verify::trials(model, &list, &decode, &decision, settings, messages)
        }
        SpeakerTask::Compare { sources, decision } => {
            compare::run(model, &sources, &decision, settings, messages)
        }
        SpeakerTask::Enroll { voices, task } => {
            voices::enroll(model, &voices, task, settings, messages)
        }
        SpeakerTask::Identify { sources, voices, decision } => {
            voices::identify(model, &sources, &voices, &decision, settings, messages)
        }
    }
}

/// Loads the model that was asked for, or the default one.
pub(crate) fn load(model: &SpeakerModel) -> Result<SpeakerEmbedder, Failure> {
    let source = ModelSource::or_default(model.source.clone(), "speaker")?;
    Ok(SpeakerEmbedder::load(&source, &model.load)?)
}

/// What compares voices: the model's own way, or what the command line changes about it.
pub(crate) fn scorer(
    embedder: &SpeakerEmbedder,
    model: &SpeakerModel,
    decision: &DecisionPlan,
) -> Result<Scorer, Failure> {
    let scorer = embedder.scorer();
    if let Some(plan) = &decision.cohort {
        let found = embed_files(embedder, &plan.files, &model.embed, || !interrupt::requested())?;
        let values: Vec<f32> =
            found.into_values().flatten().flat_map(|embedding| embedding.values).collect();
        let width = embedder.network().config().lin_neurons as usize;
        return Ok(scorer.with_cohort(Cohort::new(values, width)?, plan.top, plan.threshold));
    }
    Ok(match decision.threshold {
        Some(threshold) => scorer.with_threshold(threshold),
        None => scorer,
    })
}

/// What was heard in a recording, and what was odd about it.
pub(crate) struct Heard {
    pub(crate) embedding: Result<Embedding, Unusable>,
    pub(crate) warnings: Vec<formant_audio_core::Warning>,
}

/// Listens to a whole recording.
fn listen(
    embedder: &SpeakerEmbedder,
    model: &SpeakerModel,
    reader: &mut BlockReader,
) -> Result<Heard, Failure> {
    let mut session = embedder.start(&model.embed)?;
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        session.push(&block.view())?;
    }
    let embedding = session.finish()?;
    Ok(Heard { embedding, warnings: reader.info().warnings.clone() })
}

fn listen_to_file(
    embedder: &SpeakerEmbedder,
    model: &SpeakerModel,
    path: &Path,
    decode: &DecodeOptions,
) -> Result<Heard, Failure> {
    let mut reader = match path.as_os_str() == "-" {
        true => BlockReader::from_stream(Box::new(std::io::stdin()), "-", decode)?,
        false => BlockReader::open(path, decode)?,
    };
    let heard = listen(embedder, model, &mut reader);
    heard.map_err(|failure| failure.of_input(&path.display().to_string()))
}

/// A recording without an embedding, as a failure.
fn unusable(name: &str, why: Unusable) -> Failure {
    let remedy = match why {
        Unusable::NoSpeech => "check that somebody speaks in it, or use all of it with --no-vad",
        Unusable::TooShort { .. } => "give a longer recording",
    };
    Failure::new(Kind::Input, name, why.to_string()).help(remedy)
}

/// The fields of a decision.
fn fields(found: &Verification) -> Map<String, Value> {
    let round = |x: f64| (x * 1e5).round() / 1e5;
    let mut fields = Map::new();
    fields.insert("score".to_owned(), round(found.score).into());
    fields.insert("threshold".to_owned(), round(found.threshold).into());
    fields.insert("same_speaker".to_owned(), found.same_speaker.into());
    fields.insert("probability".to_owned(), json!(found.probability.map(round)));
    fields
}

/// A decision in words.
fn words(found: &Verification) -> String {
    let answer = if found.same_speaker { "same speaker" } else { "different speakers" };
    let mut text = format!("{answer}  score {:.3}  threshold {:.3}", found.score, found.threshold);
    if let Some(probability) = found.probability {
        text += &format!("  probability {:.1} %", 100.0 * probability);
    }
    text
}
