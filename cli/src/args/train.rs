//! `train`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{TrainSpeakerArgs, TrainStemsArgs};

/// What `formant train` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant train spot --data my-words/ --out my-words.safetensors")]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    pub(crate) command: TrainCommand,
}

/// Tasks that can be trained.
#[derive(Debug, Subcommand)]
pub(crate) enum TrainCommand {
    /// Teach words to a keyword spotter.
    Spot(TrainSpotArgs),
    /// Teach a speaker embedder to tell voices apart.
    Speaker(TrainSpeakerArgs),
    /// Teach a network to tell voices from what accompanies them.
    Stems(TrainStemsArgs),
}

/// What `formant train spot` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train spot --data my-words/ --out my-words.safetensors\n\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(crate) struct TrainSpotArgs {
    /// Clips of words: a table with the columns path and label (and split, speaker), or a folder
    /// that holds one folder a word; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    pub(crate) data: Vec<PathBuf>,
    /// The model file to write.
    #[arg(long, short = 'o', visible_alias = "output", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Words to learn, separated by commas [default: every label of the data].
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub(crate) words: Vec<String>,
    /// Speech without the words: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) speech: Vec<PathBuf>,
    /// Noise: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) noise: Vec<PathBuf>,
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rooms: Vec<PathBuf>,
    /// Begin with the weights of this model, a bundled one's name or a file, and dwell on the
    /// stretches of speech and noise that fool it.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) start: Option<String>,
    /// A recipe as JSON; what it leaves out has its usual value.
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,
    /// Passes, instead of the recipe's.
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,
    /// Batches in a pass, instead of the recipe's.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Clips in a batch, instead of the recipe's.
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Keep the decoded clips in this file, so that the next training starts at once.
    #[arg(long, value_name = "FILE")]
    pub(crate) cache: Option<PathBuf>,
    /// Replace a model file that exists.
    #[arg(long)]
    pub(crate) overwrite: bool,
}
