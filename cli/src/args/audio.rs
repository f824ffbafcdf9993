//! `info`, `convert`, `resample`, and how audio is read and written.

use clap::{Args, ValueEnum};
use formant_audio_core::decode::{ChannelSelect, RawFormat};

use crate::args::{InputArgs, OutputArgs};

/// How audio is read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reading options")]
pub(crate) struct AudioArgs {
    /// Take inputs for samples without a header, such as 16000,s16le,1 (rate, kind, channels).
    #[arg(long, value_name = "FORMAT")]
    pub(crate) raw: Option<RawFormat>,
    /// Make an error of what is odd about an input, such as a file that is cut short.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// What `formant info` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant info --levels talk.mp3")]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    /// Measure peaks, RMS, loudness and clipping too.
    #[arg(long)]
    pub(crate) levels: bool,
    /// Read headers only: fast, but lengths are what the file promises.
    #[arg(long, conflicts_with = "levels")]
    pub(crate) header_only: bool,
}

/// Kinds of audio files that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// RIFF WAVE; RF64 beyond 4 GiB.
    Wav,
    /// RF64 from the start.
    Rf64,
    /// FLAC, lossless compression, up to 24 bits.
    Flac,
    /// Little-endian samples without a header.
    Raw,
}

/// Kinds of samples that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SampleArg {
    /// 16-bit integers.
    S16,
    /// 24-bit integers.
    S24,
    /// 32-bit integers.
    S32,
    /// 32-bit floating point, which never clips.
    F32,
}

/// What happens to samples beyond full scale in integer files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClipPolicyArg {
    /// Cut them off and count them.
    Clip,
    /// Make the whole file quieter by one gain.
    Scale,
    /// Turn loud passages down.
    Limit,
}

/// How audio is written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Writing options")]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Kind of file [default: by the output's extension, else wav].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) format: Option<FormatArg>,
    /// Kind of sample [default: f32, for flac s24].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) bits: Option<SampleArg>,
    /// Channels: mix (to one), left, right, or each (a file a channel) [default: as they are].
    #[arg(long, value_name = "WHICH")]
    pub(crate) channels: Option<ChannelSelect>,
    /// What happens to samples beyond full scale in integer files.
    #[arg(long, value_enum, default_value = "clip", value_name = "POLICY")]
    pub(crate) clip_policy: ClipPolicyArg,
    /// Add triangular dither, drawn from --seed, to 16-bit files.
    #[arg(long)]
    pub(crate) dither: bool,
}

/// Qualities of rate conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QualityArg {
    /// Stop-band 90 dB down.
    Fast,
    /// Stop-band 120 dB down.
    High,
    /// Stop-band 150 dB down.
    Best,
}

/// What `formant convert` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant convert talk.mp3 --bits s16 -o talk.wav")]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    /// Sample rate of the result in Hz [default: as it is].
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=1_536_000))]
    pub(crate) rate: Option<u32>,
}

/// What `formant resample` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant resample recordings/ --rate 16000 -o recordings-16k/")]
pub(crate) struct ResampleArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    /// Sample rate of the result in Hz.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=1_536_000))]
    pub(crate) rate: u32,
    /// How sharp the filter is.
    #[arg(long, value_enum, default_value = "high", value_name = "QUALITY")]
    pub(crate) quality: QualityArg,
}
