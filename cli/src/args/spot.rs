//! `spot`.

use clap::{Args, ValueEnum};

use super::{AudioArgs, InputArgs, OutputArgs};

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
