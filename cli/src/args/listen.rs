//! `listen`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use formant_models::DeviceChoice;

use super::{CleaningArgs, SpotTuning};

/// What happens when the microphone is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLossArg {
    /// End with status 5.
    Stop,
    /// Wait until it is back.
    Wait,
    /// Go on with the default one, also when another becomes it.
    Follow,
}

/// What `formant listen` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant listen --spot --record take.wav\n\n\
    Ctrl-C ends it: what was heard is still told, and the take is complete. docs/streaming.md says\n\
    how time, gaps and delays are counted.")]
pub(crate) struct ListenArgs {
    /// `-` for standard input instead of the microphone.
    #[arg(value_name = "INPUT")]
    pub(crate) input: Option<PathBuf>,
    /// A file instead of the microphone, as fast as it is heard.
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub(crate) file: Option<PathBuf>,
    /// The file goes at its own pace, as a microphone would give it.
    #[arg(long)]
    pub(crate) realtime: bool,
    /// Standard input or file are samples without a header, such as s16le:16000:1 (kind, rate,
    /// channels).
    #[arg(long, value_name = "KIND:RATE:CHANNELS")]
    pub(crate) raw: Option<String>,

    /// Find spoken words.
    #[arg(long, help_heading = "What listens")]
    pub(crate) spot: bool,
    /// Write down what is said.
    #[arg(long, help_heading = "What listens")]
    pub(crate) transcribe: bool,
    /// Say who of the known voices speaks.
    #[arg(long, help_heading = "What listens", requires = "voices")]
    pub(crate) speaker: bool,
    /// Take the noise out of speech, into --enhanced, --play or both.
    #[arg(long, help_heading = "What listens")]
    pub(crate) enhance: bool,
    /// Keep the take in a WAV file, which is whole at every moment.
    #[arg(long, value_name = "FILE", help_heading = "What listens")]
    pub(crate) record: Option<PathBuf>,
    /// Replace a take or an enhanced file that exists.
    #[arg(long, help_heading = "What listens")]
    pub(crate) overwrite: bool,
    /// Show how loud it is.
    #[arg(long, help_heading = "What listens")]
    pub(crate) level: bool,
    /// Measure delays, work and losses, and print them at the end.
    #[arg(long, help_heading = "What listens")]
    pub(crate) stats: bool,
    /// Stop after this much audio.
    #[arg(long = "for", value_name = "SECONDS", help_heading = "What listens")]
    pub(crate) seconds: Option<f64>,

    /// Speech without its noise goes into this WAV file: mono, at the source's rate, whole at every
    /// moment.
    #[arg(long, value_name = "FILE", help_heading = "Enhancement", requires = "enhance")]
    pub(crate) enhanced: Option<PathBuf>,
    /// It is played: on the default output, or one of --devices by its name or a part of it.
    #[arg(
        long,
        value_name = "DEVICE",
        num_args = 0..=1,
        require_equals = true,
        help_heading = "Enhancement",
        requires = "enhance"
    )]
    pub(crate) play: Option<Option<String>>,
    /// Seconds by which it is late at most, work and devices apart: a shorter time is more work.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, help_heading = "Enhancement")]
    pub(crate) latency: f64,
    /// Seconds of the past that the network hears again with every step.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, help_heading = "Enhancement")]
    pub(crate) context: f64,
    #[command(flatten, next_help_heading = "Enhancement")]
    pub(crate) cleaning: CleaningArgs,

    /// List the microphones and output devices and stop.
    #[arg(long, help_heading = "Microphone")]
    pub(crate) devices: bool,
    /// The microphone: its name in --devices, or a part of it that no other has.
    #[arg(long, value_name = "NAME", help_heading = "Microphone")]
    pub(crate) device: Option<String>,
    /// Channels to open; they are mixed for what listens, and kept in the take.
    #[arg(long, value_name = "N", help_heading = "Microphone", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) channels: Option<u16>,
    /// Rate to open it with, in Hz.
    #[arg(long, value_name = "HZ", help_heading = "Microphone", value_parser = clap::value_parser!(u32).range(1..=1_536_000))]
    pub(crate) rate: Option<u32>,
    /// Frames that it hands over at once [default: 10 ms].
    #[arg(long, value_name = "FRAMES", help_heading = "Microphone", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) buffer: Option<u32>,
    /// What happens when it is lost.
    #[arg(
        long,
        value_enum,
        default_value = "stop",
        value_name = "POLICY",
        help_heading = "Microphone"
    )]
    pub(crate) on_loss: OnLossArg,

    /// Keyword model.
    #[arg(long, value_name = "NAME|FILE", help_heading = "Models")]
    pub(crate) spot_model: Option<String>,
    /// Recogniser.
    #[arg(long, value_name = "NAME|PATH", help_heading = "Models")]
    pub(crate) transcribe_model: Option<String>,
    /// Language model of the recogniser: an ARPA file; none leaves out that of the model.
    #[arg(long, value_name = "FILE|none", help_heading = "Models")]
    pub(crate) lm: Option<PathBuf>,
    /// Words and phrases to expect: a text file, one a line, or a list separated by commas.
    #[arg(long, value_name = "FILE|LIST", help_heading = "Models")]
    pub(crate) hotwords: Option<String>,
    /// Enhancer.
    #[arg(long, value_name = "NAME|PATH", help_heading = "Models")]
    pub(crate) enhance_model: Option<String>,
    /// Speaker model.
    #[arg(long, value_name = "NAME|PATH", help_heading = "Models")]
    pub(crate) speaker_model: Option<String>,
    /// The file of known voices, as `formant speaker enroll` makes it.
    #[arg(long, value_name = "FILE", env = "FORMANT_VOICES", help_heading = "Models")]
    pub(crate) voices: Option<PathBuf>,
    /// Where networks run: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto", help_heading = "Models")]
    pub(crate) run_on: DeviceChoice,
    /// Audio that may wait for one task before it skips to the newest second.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, help_heading = "Models")]
    pub(crate) longest_lag: f64,

    #[command(flatten)]
    pub(crate) tuning: SpotTuning,
}
