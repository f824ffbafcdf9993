//! `speaker`, `eval speaker` and `train speaker`.

use std::path::PathBuf;

use clap::Args;

/// What `formant train speaker` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train speaker --data voices.tsv --trials trials.tsv --out voices.safetensors\n\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(crate) struct TrainSpeakerArgs {
    /// Recordings of voices: a table with the columns path and speaker, or a folder that holds one
    /// folder a speaker; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    pub(crate) data: Vec<PathBuf>,
    /// Pairs to validate on, of speakers who are not in the data: a table with the columns target
    /// (1 or 0), path1 and path2 [default: some speakers are kept aside].
    #[arg(long, value_name = "FILE")]
    pub(crate) trials: Option<PathBuf>,
    /// The model file to write.
    #[arg(long, short = 'o', visible_alias = "output", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Noise: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) noise: Vec<PathBuf>,
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rooms: Vec<PathBuf>,
    /// A recipe as JSON; what it leaves out has its usual value.
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,
    /// Passes, instead of the recipe's.
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,
    /// Batches in a pass, instead of the recipe's.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Examples in a batch, instead of the recipe's.
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Keep the decoded recordings in this file, so that the next training starts at once.
    #[arg(long, value_name = "FILE")]
    pub(crate) cache: Option<PathBuf>,
    /// Replace a model file that exists.
    #[arg(long)]
    pub(crate) overwrite: bool,
}
