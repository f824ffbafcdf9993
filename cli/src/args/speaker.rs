//! `speaker`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{AudioArgs, InputArgs, OutputArgs};

/// What `formant speaker` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker verify call.wav reference.wav")]
pub(crate) struct SpeakerArgs {
    #[command(subcommand)]
    pub(crate) command: SpeakerCommand,
}

/// What can be done with voices.
#[derive(Debug, Subcommand)]
pub(crate) enum SpeakerCommand {
    /// Turn recordings into vectors that stand for the voice.
    Embed(EmbedArgs),
    /// Say whether one person speaks in two recordings, or in each pair of a list.
    Verify(VerifyArgs),
    /// Compare each recording with each other.
    Compare(CompareArgs),
    /// Teach the names of voices; list, remove and export them.
    Enroll(EnrollArgs),
    /// Say whose voice is in a recording.
    Identify(IdentifyArgs),
}

/// Which model, and what it hears.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model options")]
pub(crate) struct SpeakerModelArgs {
    /// A bundled model's name, a file, or a published checkpoint's file or folder.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    /// Use everything in a recording, pauses and noise too.
    #[arg(long)]
    pub(crate) no_vad: bool,
}

/// How voices are compared.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Decision options")]
pub(crate) struct DecisionArgs {
    /// Score above which two voices are one person's [default: the model's].
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(crate) threshold: Option<f64>,
    /// Recordings of other people, by which scores are normalised: files, folders or tables; scores
    /// then count standard deviations, and the threshold is 3 unless given.
    #[arg(long, value_name = "PATH")]
    pub(crate) cohort: Vec<PathBuf>,
    /// Closest voices of the cohort that count.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "cohort")]
    pub(crate) cohort_top: usize,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VectorFormat {
    /// A NumPy file for each recording.
    Npy,
    /// A JSON object a line for each recording, to standard output or one file.
    Json,
}

/// What `formant speaker embed` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker embed talks/ -o vectors/")]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    /// Kind of output.
    #[arg(long, value_enum, default_value = "npy", value_name = "KIND")]
    pub(crate) format: VectorFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What `formant speaker verify` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker verify call.wav reference.wav\n\n\
    Silence and snippets get no score but the answer that there is no speech, or too little.")]
pub(crate) struct VerifyArgs {
    /// Two recordings.
    #[arg(
        value_name = "RECORDING",
        num_args = 2,
        required_unless_present = "trials",
        conflicts_with = "trials"
    )]
    pub(crate) pair: Vec<PathBuf>,
    /// A list of pairs: a table with the columns path1 and path2 (and target), or lines of two
    /// names, with or without an answer before or after them.
    #[arg(long, value_name = "FILE")]
    pub(crate) trials: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
}

/// What `formant speaker compare` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker compare voices/*.wav")]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
}

/// What `formant speaker enroll` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant speaker enroll --voices team.json --name Ada ada1.wav ada2.wav"
)]
pub(crate) struct EnrollArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// The file of known voices; made where there is none.
    #[arg(long, value_name = "FILE", env = "FORMANT_VOICES")]
    pub(crate) voices: PathBuf,
    /// Whose voice it is; a name that is known gets more recordings.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list", "remove", "export"])]
    pub(crate) name: Option<String>,
    /// List the known voices.
    #[arg(long, conflicts_with_all = ["name", "remove", "export"])]
    pub(crate) list: bool,
    /// Forget a voice.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "export"])]
    pub(crate) remove: Option<String>,
    /// Write a voice's vector, as NumPy when the output ends in .npy, else as JSON.
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    pub(crate) export: Option<String>,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What `formant speaker identify` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant speaker identify --voices team.json meeting/*.wav")]
pub(crate) struct IdentifyArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// The file of known voices.
    #[arg(long, value_name = "FILE", env = "FORMANT_VOICES")]
    pub(crate) voices: PathBuf,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) model: SpeakerModelArgs,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
}
