//! `features`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use formant_audio_core::decode::ChannelSelect;

use super::{AudioArgs, InputArgs, OutputArgs};

/// Kinds of files for features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FeatureFormat {
    /// NumPy array of float32, frames by bins.
    Npy,
    /// NumPy archive with `features`, `sample_rate` and `hop_length`.
    Npz,
    /// A picture.
    Png,
    /// Text: a line a frame.
    Csv,
}

/// What `formant features` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant features talk.wav --preset whisper -o talk.npy")]
pub(crate) struct FeaturesArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Front end by the name of who uses it; --list-presets shows them.
    #[arg(long, default_value = "librosa", value_name = "NAME")]
    pub(crate) preset: String,
    /// Show the presets and stop.
    #[arg(long)]
    pub(crate) list_presets: bool,
    /// Take the front end from a JSON file, as --print-config writes it.
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    pub(crate) config: Option<PathBuf>,
    /// Show every parameter of the front end as JSON and stop.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Kind of file [default: by the output's extension, else npy].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) format: Option<FeatureFormat>,
    /// Channels: mix, left, right, or each (a file a channel).
    #[arg(long, default_value = "mix", value_name = "WHICH")]
    pub(crate) channels: ChannelSelect,
    /// Sample rate in Hz to which inputs are taken, instead of the preset's.
    #[arg(long, value_name = "HZ", help_heading = "Instead of the preset's")]
    pub(crate) rate: Option<u32>,
    /// Transform length in samples.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    pub(crate) n_fft: Option<usize>,
    /// Window length in samples.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    pub(crate) win_length: Option<usize>,
    /// Samples from frame to frame.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    pub(crate) hop_length: Option<usize>,
    /// Mel bands.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    pub(crate) n_mels: Option<usize>,
    /// Lowest frequency of the mel bands in Hz.
    #[arg(long, value_name = "HZ", help_heading = "Instead of the preset's")]
    pub(crate) f_min: Option<f64>,
    /// Highest frequency of the mel bands in Hz.
    #[arg(long, value_name = "HZ", help_heading = "Instead of the preset's")]
    pub(crate) f_max: Option<f64>,
    /// Cepstral coefficients.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    pub(crate) n_mfcc: Option<usize>,
    /// Dither of this amount on the preset's sample scale, drawn from --seed.
    #[arg(long, value_name = "AMOUNT", help_heading = "Instead of the preset's")]
    pub(crate) dither: Option<f32>,
}
