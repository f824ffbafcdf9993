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
mod transcribe;

use std::path::Path;

use clap_complete::Shell;
use formant_audio_core::decode::{BlockReader, DecodeOptions, Strictness};
use formant_models::DeviceChoice;

use crate::args::{AudioArgs, Cli, Command, GlobalArgs, InputArgs, Precision};
use crate::batch;
use crate::failure::Failure;
use crate::inputs::{self, Input, InputList};

pub(crate) use audio::{InfoDepth, InfoPlan, TranscodePlan};
pub(crate) use features::{FeaturesPlan, FeaturesTask};
pub(crate) use listen::{ListenEnhancement, ListenPlan, ListenSource, ListenTask, Play};
pub(crate) use models::ModelsPlan;
pub(crate) use plot::{PlotPlan, PlotTask};
pub(crate) use separation::{EnhancePlan, SeparatePlan, VOICE, load_options, model as bundled_or};
pub(crate) use speaker::{
    DecisionPlan, EnrollTask, SpeakerModel, SpeakerPlan, SpeakerTask, VectorTarget, decision,
    model as speaker_model,
};
pub(crate) use spot::{SpotModel, SpotPlan, SpotTask, model as spot_model, tuning as spot_tuning};
pub(crate) use stems::{SeparationPlan, StemsPlan, separation as stem_separation};
pub(crate) use transcribe::{
    LanguageModel, Output, RecognizerPlan, SubtitleLayout, TranscribePlan, recognizer,
};

/// Everything that is to be done.
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
pub(crate) enum Action {
    Info(InfoPlan),
    Transcode(TranscodePlan),
    Features(FeaturesTask),
    Plot(PlotPlan),
    Transcribe(Box<TranscribePlan>),
    Separate(Box<SeparatePlan>),
    Enhance(Box<EnhancePlan>),
    Spot(SpotTask),
    Stems(Box<StemsPlan>),
    Speaker(Box<SpeakerPlan>),
    Listen(ListenTask),
    Work(crate::commands::Work),
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
        Command::Train(typed) => Action::Work(typed.resolve(&settings)?),
        Command::Eval(typed) => Action::Work(typed.resolve(&settings)?),
        Command::Bench(typed) => Action::Work(typed.resolve(&settings)?),
        Command::Models(typed) => Action::Models(models::models(typed.command, &settings)?),
        Command::Doctor => Action::Doctor,
        Command::Formats => Action::Formats,
        Command::Completions(typed) => Action::Completions(typed.shell),
    };
    Ok(Plan { settings, action })
}

/// Refuses results and JSON lines on the same standard output.
pub(crate) fn check_stdout(
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
