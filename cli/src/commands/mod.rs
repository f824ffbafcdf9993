//! The commands of `formant`, one module each: its arguments, their meaning, and its run.

mod bench;
mod completions;
mod convert;
mod doctor;
mod enhance;
mod eval;
mod features;
mod formats;
mod generate;
mod info;
mod listen;
mod models;
mod plot;
mod resample;
mod separate;
mod speaker;
mod spot;
mod stems;
mod superres;
mod train;
mod transcribe;
mod vad;
mod vocode;

use clap::{Parser, Subcommand};

use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::settings::{GlobalArgs, Settings};

/// The work of a command, once its arguments are resolved and free of usage errors.
pub(crate) type Work = Box<dyn FnOnce(&Settings, &Messages) -> Result<Outcome, Failure>>;

/// The work that a plan stands for.
pub(crate) fn work<P: 'static>(
    plan: P,
    run: fn(P, &Settings, &Messages) -> Result<Outcome, Failure>,
) -> Work {
    Box::new(move |settings, messages| run(plan, settings, messages))
}

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

/// Makes the grammar and the dispatch of the listed commands. The arguments of each command have a
/// method `resolve`, which reports all usage errors and returns the work.
macro_rules! commands {
    ($($(#[$about:meta])* $name:ident($arguments:ty),)*) => {
        /// The commands, in the order of the help.
        #[derive(Debug, Subcommand)]
        pub(crate) enum Command {
            $($(#[$about])* $name($arguments),)*
        }

        impl Command {
            /// Resolves the arguments of the command.
            pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
                match self {
                    $(Self::$name(typed) => typed.resolve(settings),)*
                }
            }
        }
    };
}

commands! {
    /// Describe a file: codec, rate, channels, length, tags, repairs, levels.
    Info(info::InfoArgs),
    /// Decode any input and write WAV, FLAC or raw samples.
    Convert(convert::ConvertArgs),
    /// Change the sample rate, with exact length.
    Resample(resample::ResampleArgs),
    /// Compute log-mel, filter-bank or cepstral features.
    Features(features::FeaturesArgs),
    /// Draw waveform and spectrogram.
    Plot(plot::PlotArgs),
    /// Transcribe speech, with times.
    Transcribe(Box<transcribe::TranscribeArgs>),
    /// Find where somebody speaks.
    Vad(vad::VadArgs),
    /// Find spoken words.
    Spot(spot::SpotArgs),
    /// Separate vocals from accompaniment.
    Stems(Box<stems::StemsArgs>),
    /// Compare and recognize voices.
    Speaker(speaker::SpeakerArgs),
    /// Separate overlapping speakers.
    Separate(Box<separate::SeparateArgs>),
    /// Remove noise from speech.
    Enhance(Box<enhance::EnhanceArgs>),
    /// Widen the band of speech to 48 kHz.
    Superres(Box<superres::SuperresArgs>),
    /// Make waveforms of spectrograms.
    Vocode(Box<vocode::VocodeArgs>),
    /// Make sounds of words; widen, fill or continue recordings.
    Generate(Box<generate::GenerateArgs>),
    /// Process a microphone live: words, captions, voices, a recording.
    Listen(Box<listen::ListenArgs>),
    /// Train a model on your own recordings.
    Train(train::TrainArgs),
    /// Measure a model on labelled recordings.
    Eval(eval::EvalArgs),
    /// Measure speed and memory, one JSON line a job.
    Bench(bench::BenchArgs),
    /// List, describe, download and convert models.
    Models(models::ModelsArgs),
    /// Report what was found on this machine, and how to add what is missing.
    Doctor(doctor::DoctorArgs),
    /// List the audio formats.
    Formats(formats::FormatsArgs),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArgs),
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
