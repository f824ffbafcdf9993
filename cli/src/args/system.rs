//! `bench` and `completions`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

/// What can be timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchJob {
    /// Decoding of the input, or of a generated WAV file.
    Decode,
    /// 44.1 kHz to 16 kHz.
    Resample,
    /// A feature preset.
    Features,
    /// Keyword spotting.
    Spot,
    /// Speaker embedding.
    Speaker,
    /// Speech recognition: features and network, without the search for words.
    Transcribe,
    /// Voices apart, in one window.
    Separate,
    /// Speech from noise, in one window.
    Enhance,
    /// Stems of music, in stereo where the network has it.
    Stems,
}

/// What `formant bench` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant bench spot --threads 1")]
pub(crate) struct BenchArgs {
    /// Jobs to time [default: all].
    #[arg(value_enum, value_name = "JOB")]
    pub(crate) which: Vec<BenchJob>,
    /// Seconds of audio.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub(crate) seconds: f64,
    /// Runs, of which the median counts.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) repeat: u16,
    /// Count the first run too, instead of one that warms up before it: for runs of minutes.
    #[arg(long)]
    pub(crate) cold: bool,
    /// A recording, instead of generated audio.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Feature preset.
    #[arg(long, default_value = "whisper", value_name = "NAME")]
    pub(crate) preset: String,
    /// A bundled model's name, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,
    /// Random weights for a network of the sizes in this JSON file, instead of a model.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub(crate) config: Option<PathBuf>,
}

/// What `formant completions` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant completions bash > ~/.local/share/bash-completion/completions/formant"
)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}
