//! `train`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What `formant train` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant train spot --data my-words/ --out my-words.safetensors")]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    pub(crate) command: TrainCommand,
}

/// What can be trained.
#[derive(Debug, Subcommand)]
pub(crate) enum TrainCommand {
    /// Teach words to a keyword spotter.
    Spot(TrainSpotArgs),
    /// Teach a speaker embedder to tell voices apart.
    Speaker(TrainSpeakerArgs),
    /// Teach a recogniser to write down speech.
    Asr(TrainAsrArgs),
    /// Count a language model for a recogniser.
    Lm(TrainLmArgs),
    /// Teach a separator to part voices, or speech from noise.
    Separate(TrainSeparateArgs),
    /// Teach a network to tell voices from what accompanies them.
    Stems(TrainStemsArgs),
}

/// What the trainings of all networks take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training options")]
pub(crate) struct TrainingArgs {
    /// The model file to write.
    #[arg(long, short = 'o', visible_alias = "output", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Noise: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) noise: Vec<PathBuf>,
    /// Begin with the weights of this model, a bundled one's name or a file.
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
    /// Size of a batch, instead of the recipe's: examples, or seconds of speech for `asr`.
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Keep the decoded recordings in this file, so that the next training starts at once.
    #[arg(long, value_name = "FILE")]
    pub(crate) cache: Option<PathBuf>,
    /// Replace a model file that exists.
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// What `formant train spot` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train spot --data my-words/ --out my-words.safetensors\n\n\
    With --start, the training dwells on the stretches of speech and noise that fool that model.\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(crate) struct TrainSpotArgs {
    /// Clips of words: a table with the columns path and label (and split, speaker), or a folder
    /// that holds one folder a word; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    pub(crate) data: Vec<PathBuf>,
    /// Words to learn, separated by commas [default: every label of the data].
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub(crate) words: Vec<String>,
    /// Speech without the words: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) speech: Vec<PathBuf>,
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rooms: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
}

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
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rooms: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
}

/// What `formant train asr` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train asr --data transcripts.tsv --start asr-an4 --out mine.safetensors\n\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(crate) struct TrainAsrArgs {
    /// Utterances: a table with the columns path and text (and split, speaker, source), or a folder
    /// with transcripts.tsv, and manifest.tsv for the rest; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    pub(crate) data: Vec<PathBuf>,
    /// Clips of single words, of which sequences are made: a table with the columns path and label,
    /// or a folder that holds one folder a word; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) words: Vec<PathBuf>,
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rooms: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
}

/// What `formant train lm` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant train lm --text sentences.txt --out words.arpa")]
pub(crate) struct TrainLmArgs {
    /// Sentences: a text file with one a line, or a table (.tsv, .csv) with the columns text and
    /// split, or a folder with transcripts.tsv; may be repeated. Rows of the split dev measure.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    pub(crate) text: Vec<PathBuf>,
    /// Rows with this in the column source only.
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Words of the longest sequences that are counted.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub(crate) order: u16,
    /// The ARPA file to write, for `formant transcribe --lm`.
    #[arg(long, short = 'o', visible_alias = "output", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace a file that exists.
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// What `formant train separate` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train separate --data voices.tsv --recipe recipe.json --out voices-8k.safetensors\n\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(crate) struct TrainSeparateArgs {
    /// Recordings of voices: a table with the columns path and speaker, or a folder that holds one
    /// folder a speaker; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    pub(crate) data: Vec<PathBuf>,
    /// Mixtures to validate on: a table of rendered ones (path, label: mix, s1, s2) or of pairs to
    /// mix (path1, path2, level_db_of_1_over_2); may be repeated [default: mixtures of speakers who
    /// are kept aside].
    #[arg(long, value_name = "FILE")]
    pub(crate) dev: Vec<PathBuf>,
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rooms: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
}

/// What `formant train stems` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train stems --data songs.tsv --out vocals.safetensors\n\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(crate) struct TrainStemsArgs {
    /// Recordings of voices and of what accompanies them: a table with the columns path and label
    /// (vocals or accompaniment; also split, speaker), or a folder with a folder of each; may be
    /// repeated. Songs whose files are called NAME_vocals and NAME_accompaniment are validated on.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    pub(crate) data: Vec<PathBuf>,
    /// Speech, for want of singers: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) speech: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
}
