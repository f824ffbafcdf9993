//! What the command line means: inputs found, outputs named, conflicts and contradictions
//! reported, before any work starts. [`crate::run`] sees nothing else.

mod audio;
mod features;
mod listen;
mod models;
mod plot;
mod separation;
mod speaker;
mod spot;
mod stems;
mod train;
mod transcribe;

use std::path::Path;

use clap_complete::Shell;
use formant_audio_core::decode::{BlockReader, DecodeOptions, Strictness};
use formant_models::DeviceChoice;

use crate::args::{
    AudioArgs, Cli, Command, EvalCommand, GlobalArgs, InputArgs, Precision, TrainCommand,
};
use crate::batch;
use crate::failure::Failure;
use crate::inputs::{self, Input, InputList};

pub(crate) use audio::{InfoDepth, InfoPlan, TranscodePlan};
pub(crate) use features::{FeaturesPlan, FeaturesTask};
pub(crate) use listen::{ListenEnhancement, ListenPlan, ListenSource, ListenTask, Play};
pub(crate) use models::{BenchPlan, ModelsPlan};
pub(crate) use plot::{PlotPlan, PlotTask};
pub(crate) use separation::{
    EnhancePlan, EvalSeparationPlan, Measured, SeparatePlan, VOICE, load_options,
};
pub(crate) use speaker::{
    DecisionPlan, EnrollTask, EvalSpeakerPlan, SpeakerModel, SpeakerPlan, SpeakerTask, VectorTarget,
};
pub(crate) use spot::{EvalSpotPlan, SpotModel, SpotPlan, SpotTask};
pub(crate) use stems::{EvalStemsPlan, SeparationPlan, StemsPlan};
pub(crate) use train::{
    TrainAsrPlan, TrainLmPlan, TrainSeparatePlan, TrainSpeakerPlan, TrainSpotPlan, TrainStemsPlan,
};
pub(crate) use transcribe::{
    EvalAsrPlan, LanguageModel, Output, RecognizerPlan, SubtitleLayout, TranscribePlan,
};

/// Everything that is to be done.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) action: Action,
}

/// What holds for all commands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) device: DeviceChoice,
    pub(crate) precision: Precision,
    pub(crate) threads: Option<usize>,
    pub(crate) jobs: Option<usize>,
    pub(crate) seed: Option<u64>,
    pub(crate) json: bool,
}

impl Settings {
    fn of(typed: &GlobalArgs) -> Self {
        Self {
            device: DeviceChoice::Auto,
            precision: typed.precision,
            threads: typed.threads.map(usize::from),
            jobs: typed.jobs.map(usize::from),
            seed: typed.seed,
            json: typed.json,
        }
    }

    /// A batch of work that takes one core an input.
    pub(crate) fn batch(&self) -> batch::Options {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        batch::Options { jobs: self.jobs.unwrap_or(cores), json: self.json }
    }

    /// A batch of work that takes `threads` cores an input, by `--threads` or else one.
    pub(crate) fn batch_of_networks(&self) -> batch::Options {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.unwrap_or(cores / self.threads.unwrap_or(1).max(1));
        batch::Options { jobs, json: self.json }
    }
}

/// The command.
#[derive(Debug)]
pub(crate) enum Action {
    Info(InfoPlan),
    Transcode(TranscodePlan),
    Features(FeaturesTask),
    Plot(PlotPlan),
    Transcribe(Box<TranscribePlan>),
    Separate(Box<SeparatePlan>),
    Enhance(Box<EnhancePlan>),
    EvalSeparation(Box<EvalSeparationPlan>),
    Spot(SpotTask),
    Stems(Box<StemsPlan>),
    EvalStems(Box<EvalStemsPlan>),
    TrainStems(Box<TrainStemsPlan>),
    Speaker(Box<SpeakerPlan>),
    Listen(ListenTask),
    EvalSpeaker(Box<EvalSpeakerPlan>),
    TrainSpot(Box<TrainSpotPlan>),
    TrainSpeaker(Box<TrainSpeakerPlan>),
    TrainAsr(Box<TrainAsrPlan>),
    TrainLm(TrainLmPlan),
    TrainSeparate(Box<TrainSeparatePlan>),
    EvalSpot(EvalSpotPlan),
    EvalAsr(Box<EvalAsrPlan>),
    Bench(BenchPlan),
    Models(ModelsPlan),
    Doctor,
    Formats,
    Completions(Shell),
}

/// Inputs and how they are read.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) list: InputList,
    pub(crate) decode: DecodeOptions,
}

impl Sources {
    fn of(typed: &InputArgs, audio: &AudioArgs) -> Result<Self, Failure> {
        Ok(Self { list: inputs::expand(typed)?, decode: decode_options(audio) })
    }

    /// Opens one of them.
    pub(crate) fn open(&self, input: &Input) -> Result<BlockReader, Failure> {
        Ok(match &input.path {
            Some(path) => BlockReader::open(path, &self.decode)?,
            None => BlockReader::from_stream(Box::new(std::io::stdin()), "-", &self.decode)?,
        })
    }
}

fn decode_options(typed: &AudioArgs) -> DecodeOptions {
    let strict = if typed.strict { Strictness::Strict } else { Strictness::Lenient };
    DecodeOptions { raw: typed.raw, strict }
}

/// Finds out what was meant.
pub(crate) fn resolve(typed: Cli) -> Result<Plan, Failure> {
    let mut settings = Settings::of(&typed.global);
    // There it is the microphone, and the networks' place has an option of its own.
    if !matches!(typed.command, Command::Listen(_)) {
        settings.device = typed.global.device.parse()?;
    }
    let action = match typed.command {
        Command::Info(typed) => Action::Info(audio::info(&typed)?),
        Command::Convert(typed) => Action::Transcode(audio::convert(&typed, &settings)?),
        Command::Resample(typed) => Action::Transcode(audio::resample(&typed, &settings)?),
        Command::Features(typed) => Action::Features(features::resolve(&typed, &settings)?),
        Command::Plot(typed) => Action::Plot(plot::resolve(&typed, &settings)?),
        Command::Transcribe(typed) => {
            Action::Transcribe(Box::new(transcribe::transcribe(&typed, &settings)?))
        }
        Command::Separate(typed) => {
            Action::Separate(Box::new(separation::separate(&typed, &settings)?))
        }
        Command::Enhance(typed) => {
            Action::Enhance(Box::new(separation::enhance(&typed, &settings)?))
        }
        Command::Spot(typed) => Action::Spot(spot::spot(&typed, &settings)?),
        Command::Stems(typed) => Action::Stems(Box::new(stems::stems(&typed, &settings)?)),
        Command::Speaker(typed) => {
            Action::Speaker(Box::new(speaker::resolve(typed.command, &settings)?))
        }
        Command::Listen(typed) => Action::Listen(listen::resolve(*typed, &settings)?),
        Command::Train(typed) => training(typed.command, &settings)?,
        Command::Eval(typed) => evaluation(typed.command, &settings)?,
        Command::Bench(typed) => Action::Bench(models::bench(&typed)?),
        Command::Models(typed) => Action::Models(models::models(typed.command, &settings)?),
        Command::Doctor => Action::Doctor,
        Command::Formats => Action::Formats,
        Command::Completions(typed) => Action::Completions(typed.shell),
    };
    Ok(Plan { settings, action })
}

fn training(typed: TrainCommand, settings: &Settings) -> Result<Action, Failure> {
    Ok(match typed {
        TrainCommand::Spot(typed) => Action::TrainSpot(Box::new(train::spot(&typed, settings)?)),
        TrainCommand::Speaker(typed) => {
            Action::TrainSpeaker(Box::new(train::speaker(&typed, settings)?))
        }
        TrainCommand::Asr(typed) => Action::TrainAsr(Box::new(train::asr(&typed, settings)?)),
        TrainCommand::Lm(typed) => Action::TrainLm(train::lm(&typed)?),
        TrainCommand::Stems(typed) => Action::TrainStems(Box::new(train::stems(&typed, settings)?)),
        TrainCommand::Separate(typed) => {
            Action::TrainSeparate(Box::new(train::separate(&typed, settings)?))
        }
    })
}

fn evaluation(typed: EvalCommand, settings: &Settings) -> Result<Action, Failure> {
    let separation = |typed, measured| -> Result<Action, Failure> {
        Ok(Action::EvalSeparation(Box::new(separation::eval(typed, measured, settings)?)))
    };
    Ok(match typed {
        EvalCommand::Spot(typed) => Action::EvalSpot(spot::eval(&typed, settings)?),
        EvalCommand::Speaker(typed) => {
            Action::EvalSpeaker(Box::new(speaker::eval(&typed, settings)?))
        }
        EvalCommand::Separation(typed) => separation(&typed, Measured::Separation)?,
        EvalCommand::Enhance(typed) => separation(&typed, Measured::Enhancement)?,
        EvalCommand::Stems(typed) => Action::EvalStems(Box::new(stems::eval(&typed, settings)?)),
        EvalCommand::Asr(typed) => Action::EvalAsr(Box::new(transcribe::eval(&typed, settings)?)),
    })
}

/// Refuses results and JSON lines on the same standard output.
fn check_stdout(
    targets: &[Option<crate::outputs::Target>],
    settings: &Settings,
) -> Result<(), Failure> {
    let to_stdout =
        targets.iter().flatten().any(|target| *target == crate::outputs::Target::Stdout);
    if to_stdout && settings.json {
        return Err(Failure::usage("--json", "the result itself goes to standard output")
            .help("name a file with -o"));
    }
    Ok(())
}

/// Parses a JSON file that an option names.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::input(path, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(path.display().to_string(), format!("not the JSON that is needed: {error}"))
    })
}
