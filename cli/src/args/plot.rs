//! `plot`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use formant_audio_core::decode::ChannelSelect;

use super::{AudioArgs, InputArgs, OutputArgs};

/// Spacing of frequencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScaleArg {
    /// Evenly.
    Linear,
    /// By octaves.
    Log,
    /// By the mel scale.
    Mel,
}

/// What `formant plot` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant plot before.wav after.wav -o both.png\n\n\
    Several inputs and a PNG file after -o make one picture; otherwise each input has its own.")]
pub(crate) struct PlotArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Draw two files and what differs between them.
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["inputs", "files_from", "shard"])]
    pub(crate) compare: Vec<PathBuf>,
    /// Channels: mix, left, right, or each [default: each, in one picture].
    #[arg(long, value_name = "WHICH")]
    pub(crate) channels: Option<ChannelSelect>,
    /// Width in pixels.
    #[arg(long, default_value_t = 1200, value_name = "PIXELS")]
    pub(crate) width: u32,
    /// Inputs beside each other.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) columns: usize,
    /// Spacing of frequencies.
    #[arg(long, value_enum, default_value = "linear", value_name = "SCALE")]
    pub(crate) scale: ScaleArg,
    /// Lowest frequency in Hz.
    #[arg(long, value_name = "HZ")]
    pub(crate) f_min: Option<f64>,
    /// Highest frequency in Hz.
    #[arg(long, value_name = "HZ")]
    pub(crate) f_max: Option<f64>,
    /// Decibels from the brightest colour to the darkest.
    #[arg(long, default_value_t = 80.0, value_name = "DB")]
    pub(crate) range: f64,
    /// Window length in samples, even [default: about 40 ms].
    #[arg(long, value_name = "N")]
    pub(crate) n_fft: Option<usize>,
    /// Leave the waveform out.
    #[arg(long)]
    pub(crate) no_waveform: bool,
    /// Leave the spectrogram out.
    #[arg(long, conflicts_with = "no_waveform")]
    pub(crate) no_spectrogram: bool,
}
