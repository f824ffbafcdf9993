//! What was typed: the grammar of the command line, one file a command.
//!
//! Only [`crate::plan`] reads these structs.

mod audio;
mod common;
mod features;
mod listen;
mod models;
mod plot;
mod separation;
mod speaker;
mod spot;
mod stems;
mod system;
mod transcribe;

use clap::{Parser, Subcommand};

pub(crate) use audio::{
    AudioArgs, ClipPolicyArg, ConvertArgs, FormatArg, InfoArgs, QualityArg, ResampleArgs,
    SampleArg, WriteArgs,
};
pub(crate) use common::{GlobalArgs, InputArgs, OutputArgs, Precision};
pub(crate) use features::{FeatureFormat, FeaturesArgs};
pub(crate) use listen::{ListenArgs, OnLossArg};
pub(crate) use models::{CacheArgs, ModelsArgs, ModelsCommand, WeightNormArg};
pub(crate) use plot::{PlotArgs, ScaleArg};
pub(crate) use separation::{CleaningArgs, EnhanceArgs, LevelsArg, SeparateArgs};
pub(crate) use speaker::{
    CompareArgs, DecisionArgs, EmbedArgs, EnrollArgs, IdentifyArgs, SpeakerArgs, SpeakerCommand,
    SpeakerModelArgs, VectorFormat, VerifyArgs,
};
pub(crate) use spot::{SpotArgs, SpotFormat, SpotTuning};
pub(crate) use stems::{EndsArg, SeparationArgs, StemsArgs};
pub(crate) use system::CompletionsArgs;
pub(crate) use transcribe::{CutArg, NemoArg, RecognizerArgs, TranscribeArgs, TranscriptFormat};

/// Audio and speech toolkit: decode, features, and neural models for speech and music, offline.
///
/// Inputs are files, folders (with everything in them), patterns such as "*.mp3", or `-` for
/// standard input. Results go to standard output; progress, warnings and errors to standard error.
#[derive(Debug, Parser)]
#[command(
    name = "formant",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Example: formant info talk.mp3\n\n\
        Exit status: 0 done, 1 some inputs failed, 2 wrong usage or output, 3 input unreadable,\n\
        4 model, 5 device, 70 internal fault, 130 interrupted. `formant COMMAND --help` has more."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, in the order in which one meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what a file holds: codec, rate, channels, length, tags, repairs, levels.
    Info(InfoArgs),
    /// Decode any input and write WAV, FLAC or raw samples.
    Convert(ConvertArgs),
    /// Change the sample rate, with exact length.
    Resample(ResampleArgs),
    /// Compute log-mel, filter-bank or cepstral features.
    Features(FeaturesArgs),
    /// Draw waveform and spectrogram.
    Plot(PlotArgs),
    /// Write down what is said, with times.
    Transcribe(Box<TranscribeArgs>),
    /// Find spoken words.
    Spot(SpotArgs),
    /// Part music into vocals and what accompanies them.
    Stems(Box<StemsArgs>),
    /// Compare and recognise voices.
    Speaker(SpeakerArgs),
    /// Part the voices of people who speak at the same time.
    Separate(Box<SeparateArgs>),
    /// Take noise away from speech.
    Enhance(Box<EnhanceArgs>),
    /// Listen to the microphone, live: words, captions, voices, a recording.
    Listen(Box<ListenArgs>),
    /// Train a model on your own recordings.
    Train(crate::commands::train::TrainArgs),
    /// Measure a model on labelled recordings.
    Eval(crate::commands::eval::EvalArgs),
    /// Measure speed and memory; a JSON line a job.
    Bench(crate::commands::bench::BenchArgs),
    /// List, describe, fetch and convert models.
    Models(ModelsArgs),
    /// Say what was found on this machine, and what to do about what was not.
    #[command(after_help = "Example: formant doctor")]
    Doctor,
    /// List the audio formats.
    #[command(after_help = "Example: formant formats")]
    Formats,
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_an_example() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example: formant"), "{name} has no example");
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
