//! `formant speaker`: vectors of voices, comparison, and known voices.

mod compare;
mod embed;
mod verify;
mod voices;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_models::tasks::Task;
use formant_models::tasks::speaker::{Embedding, SpeakerEmbedder, Unusable, Verification};
use serde_json::{Map, Value, json};

use super::{Work, work};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::inputs::InputArgs;
use crate::interrupt;
use crate::messages::Messages;
use crate::outputs::{Existing, Naming, OutputArgs, SuffixWhen, Target, assign, kind_of_ending};
use crate::reading::{AudioArgs, Sources};
use crate::settings::Settings;
use crate::tasks::speaker::{DecisionArgs, DecisionPlan, SpeakerModel, SpeakerModelArgs};
use crate::tasks::use_few_threads;

/// What `formant speaker` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker verify call.wav reference.wav")]
pub(crate) struct SpeakerArgs {
    #[command(subcommand)]
    command: SpeakerCommand,
}

/// What can be done with voices.
#[derive(Debug, Subcommand)]
enum SpeakerCommand {
    /// Compute a speaker embedding for each recording.
    Embed(EmbedArgs),
    /// Decide whether two recordings, or each pair of a list, have the same speaker.
    Verify(VerifyArgs),
    /// Compare all pairs of recordings.
    Compare(CompareArgs),
    /// Add named voices to a file; list, remove and export them.
    Enroll(EnrollArgs),
    /// Identify the speaker of a recording among known voices.
    Identify(IdentifyArgs),
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VectorFormat {
    /// A NumPy file for each recording.
    Npy,
    /// A JSON object a line for each recording, to standard output or one file.
    Json,
}

/// What `formant speaker embed` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker embed talks/ -o vectors/")]
struct EmbedArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    model: SpeakerModelArgs,
    /// Kind of output [default: by the output's extension, otherwise npy].
    #[arg(long, value_enum, value_name = "KIND")]
    format: Option<VectorFormat>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What `formant speaker verify` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker verify call.wav reference.wav\n\n\
    Silence and snippets get no score but the answer that there is no speech, or too little.")]
struct VerifyArgs {
    /// Two recordings.
    #[arg(
        value_name = "RECORDING",
        num_args = 2,
        required_unless_present = "trials",
        conflicts_with = "trials"
    )]
    pair: Vec<PathBuf>,
    /// A list of pairs: a table with the columns path1 and path2 (and target), or lines of two
    /// names, with or without a label before or after them.
    #[arg(long, value_name = "FILE")]
    trials: Option<PathBuf>,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    model: SpeakerModelArgs,
    #[command(flatten)]
    decision: DecisionArgs,
}

/// What `formant speaker compare` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker compare voices/*.wav")]
struct CompareArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    model: SpeakerModelArgs,
    #[command(flatten)]
    decision: DecisionArgs,
}

/// What `formant speaker enroll` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant speaker enroll --voices team.json --name Ada ada1.wav ada2.wav"
)]
struct EnrollArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The file of known voices; created if missing.
    #[arg(long, value_name = "FILE", env = "FORMANT_VOICES")]
    voices: PathBuf,
    /// Name of the voice; a known name gets more recordings.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list", "remove", "export"])]
    name: Option<String>,
    /// List the known voices.
    #[arg(long, conflicts_with_all = ["name", "remove", "export"])]
    list: bool,
    /// Remove a voice.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "export"])]
    remove: Option<String>,
    /// Write a voice's embedding, as NumPy when the output ends in .npy, otherwise as JSON.
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    export: Option<String>,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    model: SpeakerModelArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What `formant speaker identify` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker identify --voices team.json meeting/*.wav")]
struct IdentifyArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The file of known voices.
    #[arg(long, value_name = "FILE", env = "FORMANT_VOICES")]
    voices: PathBuf,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    model: SpeakerModelArgs,
    #[command(flatten)]
    decision: DecisionArgs,
}

impl SpeakerArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(self.command, settings)?;
        Ok(work(plan, run))
    }
}

/// What `speaker` does.
#[derive(Debug)]
struct SpeakerPlan {
    model: SpeakerModel,
    task: SpeakerTask,
}

/// One of its commands.
#[derive(Debug)]
enum SpeakerTask {
    Embed { sources: Sources, target: VectorTarget, existing: Existing },
    Verify { pair: [PathBuf; 2], decode: DecodeOptions, decision: DecisionPlan },
    Trials { list: PathBuf, decode: DecodeOptions, decision: DecisionPlan },
    Compare { sources: Sources, decision: DecisionPlan },
    Enroll { voices: PathBuf, task: EnrollTask },
    Identify { sources: Sources, voices: PathBuf, decision: DecisionPlan },
}

/// Where vectors go.
#[derive(Debug)]
enum VectorTarget {
    /// A NumPy file for each input.
    Npy(Vec<Option<Target>>),
    /// Lines of JSON.
    Json(Target),
}

/// What is done to a file of known voices.
#[derive(Debug)]
enum EnrollTask {
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
    let mut sources = Sources::of(&typed.input, &typed.audio)?;
    let known =
        [("npy", VectorFormat::Npy), ("json", VectorFormat::Json), ("jsonl", VectorFormat::Json)];
    let format = match typed.format {
        Some(format) => format,
        None => kind_of_ending(&typed.output, true, &known)?.unwrap_or(VectorFormat::Npy),
    };
    let target = match format {
        VectorFormat::Npy => {
            let naming =
                Naming { suffix: "_voice", suffix_when: SuffixWhen::Always, extension: "npy" };
            let targets = assign(&typed.output, &mut sources.list, naming, settings)?;
            VectorTarget::Npy(targets)
        }
        VectorFormat::Json => VectorTarget::Json(Target::of(typed.output.output.as_deref())),
    };
    let existing = Existing::of(&typed.output);
    let task = SpeakerTask::Embed { sources, target, existing };
    Ok(SpeakerPlan { model: typed.model.resolve(settings)?, task })
}

fn verify(typed: VerifyArgs, settings: &Settings) -> Result<SpeakerPlan, Failure> {
    typed.audio.refuse_each()?;
    let (decode, decision) = (typed.audio.decode_options(), typed.decision.resolve()?);
    let model = typed.model.resolve(settings)?;
    let task = match (<[PathBuf; 2]>::try_from(typed.pair), typed.trials) {
        (_, Some(list)) => SpeakerTask::Trials { list, decode, decision },
        (Ok(pair), None) => SpeakerTask::Verify { pair, decode, decision },
        (Err(_), None) => return Err(Failure::usage("recordings", "give two, or --trials")),
    };
    Ok(SpeakerPlan { model, task })
}

fn compare(typed: &CompareArgs, settings: &Settings) -> Result<SpeakerPlan, Failure> {
    let sources = Sources::of(&typed.input, &typed.audio)?;
    let task = SpeakerTask::Compare { sources, decision: typed.decision.resolve()? };
    Ok(SpeakerPlan { model: typed.model.resolve(settings)?, task })
}

fn enroll(typed: EnrollArgs, settings: &Settings) -> Result<SpeakerPlan, Failure> {
    let model = typed.model.resolve(settings)?;
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
            target: Target::of(typed.output.output.as_deref()),
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
        decision: typed.decision.resolve()?,
    };
    Ok(SpeakerPlan { model: typed.model.resolve(settings)?, task })
}

fn run(plan: SpeakerPlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
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

/// What was heard in a recording, and what was odd about it.
struct Heard {
    embedding: Result<Embedding, Unusable>,
    warnings: Vec<formant_audio_core::Warning>,
}

/// Listens to a whole recording.
fn listen(
    embedder: &SpeakerEmbedder,
    model: &SpeakerModel,
    reader: &mut BlockReader,
) -> Result<Heard, Failure> {
    let mut embedding = Err(Unusable::NoSpeech);
    let heard = embedder.process_reader(reader, &model.embed, |part| {
        if let Some(found) = part {
            embedding = found;
        }
        interrupt::check()
    })?;
    let warnings = [reader.info().warnings.as_slice(), &heard.warnings].concat();
    Ok(Heard { embedding, warnings })
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
