//! `separate` and `enhance`.

use clap::{Args, ValueEnum};

use crate::args::{AudioArgs, InputArgs, WriteArgs};

/// What the levels of voices are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelsArg {
    /// Voices add up to the recording, where the network masks it.
    Mixture,
    /// As the network gives them.
    Network,
}

/// What `formant separate` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant separate meeting.wav -o voices/")]
pub(crate) struct SeparateArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    /// A bundled or published model's name, or a file or folder.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    /// Seconds of a window.
    #[arg(long, default_value_t = 8.0, value_name = "SECONDS")]
    pub(crate) window: f64,
    /// Seconds that neighbouring windows share.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    pub(crate) overlap: f64,
    /// Levels of the voices.
    #[arg(long, value_enum, default_value = "mixture", value_name = "WHICH")]
    pub(crate) levels: LevelsArg,
    /// Bring every voice to this peak, which loses their relative levels [default when given: 0.5].
    #[arg(long, value_name = "PEAK", num_args = 0..=1, default_missing_value = "0.5")]
    pub(crate) peak_normalize: Option<f32>,
}

/// How noise is taken away, in recordings and live.
#[derive(Debug, Args)]
pub(crate) struct CleaningArgs {
    /// Turn noise down by this many dB at most [default: as far as the model does].
    #[arg(long, value_name = "DB")]
    pub(crate) attenuation_limit: Option<f32>,
    /// Share of the cleaned signal in the output, from 0 to 1.
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    pub(crate) mix: f32,
    /// Noise that the front end hears besides the recording, at 16-bit scale, drawn from --seed; 0
    /// for none.
    #[arg(long, default_value_t = 1.0, value_name = "AMOUNT")]
    pub(crate) front_end_dither: f32,
}

/// What `formant enhance` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant enhance noisy.wav --attenuation-limit 20 -o clean.wav")]
pub(crate) struct EnhanceArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    /// A bundled or published model's name, or a file or folder.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) cleaning: CleaningArgs,
    /// Seconds of a window; shorter recordings are one.
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    pub(crate) window: f64,
    /// Seconds that neighbouring windows share.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    pub(crate) overlap: f64,
}
