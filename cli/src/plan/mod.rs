//! What the options of the command line mean that several commands share: inputs found, outputs
//! named, conflicts and contradictions reported, before any work starts.

pub(crate) mod audio;
pub(crate) mod separation;

use std::path::Path;

use formant_audio_core::decode::{BlockReader, DecodeOptions, Strictness};
use formant_audio_core::text;
use formant_models::DeviceChoice;

use crate::args::{AudioArgs, GlobalArgs, InputArgs, Precision};
use crate::failure::Failure;
use crate::inputs::{Input, InputList};
use crate::{batch, inputs};

pub(crate) use audio::{InfoDepth, InfoPlan, TranscodePlan};
pub(crate) use separation::{EnhancePlan, SeparatePlan, VOICE, load_options};

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
    /// Resolves the general options. `--device` of `listen` names a microphone; the device of its
    /// networks has an option of its own.
    pub(crate) fn of(typed: &GlobalArgs, names_microphone: bool) -> Result<Self, Failure> {
        let device = if names_microphone { DeviceChoice::Auto } else { typed.device.parse()? };
        Ok(Self {
            device,
            precision: typed.precision,
            threads: typed.threads.map(usize::from),
            jobs: typed.jobs.map(usize::from),
            seed: typed.seed,
            json: typed.json,
        })
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

/// Inputs and how they are read.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) list: InputList,
    pub(crate) decode: DecodeOptions,
}

impl Sources {
    pub(crate) fn of(typed: &InputArgs, audio: &AudioArgs) -> Result<Self, Failure> {
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

pub(crate) fn decode_options(typed: &AudioArgs) -> DecodeOptions {
    let strict = if typed.strict { Strictness::Strict } else { Strictness::Lenient };
    DecodeOptions { raw: typed.raw, strict }
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
    let text = text::read(path, text::MAX_TEXT)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(path.display().to_string(), format!("not the JSON that is needed: {error}"))
    })
}
