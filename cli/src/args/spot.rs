//! `spot` and `eval`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    AudioArgs, EvalAsrArgs, EvalSeparationArgs, EvalSpeakerArgs, EvalStemsArgs, InputArgs,
    OutputArgs,
};

/// Kinds of text for detections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpotFormat {
    /// Columns for people: start, end, score, word.
    Text,
    /// A JSON object a line; the same as --json.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
}

/// How detections are made.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Detection options")]
pub(crate) struct SpotTuning {
    /// Score from 0 to 1 that a word needs, for all words (0.7) or one (yes=0.8); may be repeated.
    #[arg(long, value_name = "[WORD=]SCORE")]
    pub(crate) threshold: Vec<String>,
    /// Seconds in which a word is not reported again.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) refractory: Option<f64>,
    /// Seconds over which scores are averaged.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) smoothing: Option<f64>,
    /// Words to look for, separated by commas [default: all that the model knows].
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub(crate) words: Vec<String>,
}

/// What `formant spot` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant spot recording.opus --threshold 0.7 --threshold no=0.9")]
pub(crate) struct SpotArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    /// A bundled model's name, or a file that `formant train spot` wrote, or a checkpoint.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,
    /// Names of the answers of a checkpoint without names: a text file, one a line, or a list
    /// separated by commas.
    #[arg(long, value_name = "FILE|LIST")]
    pub(crate) labels: Option<String>,
    /// Show the words that the model knows and stop.
    #[arg(long)]
    pub(crate) list_words: bool,
    #[command(flatten)]
    pub(crate) tuning: SpotTuning,
    /// Kind of text.
    #[arg(long, value_enum, default_value = "text", value_name = "KIND")]
    pub(crate) format: SpotFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What `formant eval` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant eval spot --manifest words.tsv --split test")]
pub(crate) struct EvalArgs {
    #[command(subcommand)]
    pub(crate) command: EvalCommand,
}

/// Tasks that can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum EvalCommand {
    /// Accuracy on clips of words, rejection of other clips, false alarms on long audio.
    Spot(EvalSpotArgs),
    /// Equal error rate and detection cost on pairs of recordings.
    Speaker(EvalSpeakerArgs),
    /// Signal-to-distortion ratio of stems on songs whose stems are known.
    Stems(Box<EvalStemsArgs>),
    /// Word and character error rates of a recogniser.
    Asr(Box<EvalAsrArgs>),
    /// Gain in SI-SDR of a separator, voices in the order that fits best.
    Separation(EvalSeparationArgs),
    /// Gain in SI-SDR of an enhancer, whose `s1` is the speech.
    Enhance(EvalSeparationArgs),
}

/// What `formant eval spot` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant eval spot --manifest words.tsv --split test --json")]
pub(crate) struct EvalSpotArgs {
    /// Table with the columns path and label (and split), or a folder that holds one folder a word.
    /// Rows of over 3 seconds that are not labelled with a word of the model count as recordings
    /// without the words.
    #[arg(long, value_name = "FILE|FOLDER", required_unless_present = "negatives")]
    pub(crate) manifest: Option<PathBuf>,
    /// Rows of this split only.
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// Recordings without the words, for false alarms per hour: files, folders or manifests.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) negatives: Vec<PathBuf>,
    /// A bundled model's name, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,
    /// Names of the answers of a checkpoint without names.
    #[arg(long, value_name = "FILE|LIST")]
    pub(crate) labels: Option<String>,
    #[command(flatten)]
    pub(crate) tuning: SpotTuning,
}
