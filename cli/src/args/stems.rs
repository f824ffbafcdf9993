//! `stems`.

use clap::{Args, ValueEnum};

use super::{AudioArgs, ClipPolicyArg, FormatArg, InputArgs, OutputArgs, SampleArg};

/// Whose rule at the ends of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndsArg {
    /// That of the Music-Source-Separation-Training programs.
    TrainingKit,
    /// That of the vocal model's own program.
    VocalModel,
}

/// Which model, and how it works on a mix.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Separation options")]
pub(crate) struct SeparationArgs {
    /// A name from `formant models list`, a checkpoint with its .yaml beside it, or a file that
    /// `formant train stems` wrote.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    /// Average with this model too; may be repeated.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) ensemble: Vec<String>,
    /// Stems wanted, separated by commas [default: all there are].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) stems: Vec<String>,
    /// Seconds of the chunks that the network hears [default: as the model was trained].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) chunk: Option<f64>,
    /// How many chunks hear each moment; more is smoother and slower [default: the model's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) overlap: Option<u8>,
    /// Chunks that the network hears side by side. It changes the ends of the result a little.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) batch_size: Option<u16>,
    /// Average over runs whose chunks begin at that many other places.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) shifts: u8,
    /// Average over the mix, its mirror image and its negative: three times the work.
    #[arg(long)]
    pub(crate) augment: bool,
    /// How chunks at the ends are faded.
    #[arg(long, value_enum, default_value = "training-kit", value_name = "RULE")]
    pub(crate) ends: EndsArg,
    /// Keep what lies at 0 Hz in the stems, as the vocal model's own program does.
    #[arg(long)]
    pub(crate) keep_dc: bool,
}

/// What `formant stems` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant stems song.flac --stems vocals,instrumental -o stems/")]
pub(crate) struct StemsArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) separation: SeparationArgs,
    /// Name of each file, from {name} of the input and {stem}; a slash makes a folder
    /// [default: {name}_{stem}].
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) template: Option<String>,
    /// Print peaks, clipping, loudness of each stem, and what is left of the mix when all stems
    /// are taken from it.
    #[arg(long)]
    pub(crate) report: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Kind of file [default: by the output's extension, else wav].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) format: Option<FormatArg>,
    /// Kind of sample [default: f32, for flac s24].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) bits: Option<SampleArg>,
    /// What happens to samples beyond full scale in integer files; scale uses one gain for all
    /// stems.
    #[arg(long, value_enum, default_value = "clip", value_name = "POLICY")]
    pub(crate) clip_policy: ClipPolicyArg,
    /// Add triangular dither, drawn from --seed, to 16-bit files.
    #[arg(long)]
    pub(crate) dither: bool,
}
