//! `formant train spot`: a keyword spotter.

use std::path::PathBuf;

use clap::Args;
use formant_models::LoadOptions;
use formant_models::tasks::Task;
use formant_models::tasks::spot::Spotter;
use formant_training::Dev;
use formant_training::spot::{SpotData, SpotRecipe, SpotReport, SpotSources, train};
use serde_json::json;

use super::{Network, TrainingArgs, names};
use crate::commands::Work;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::tasks::spot::accuracy_table;

/// What `formant train spot` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train spot --data my-words/ --out my-words.safetensors\n\n\
    With --start, the training dwells on the stretches of speech and noise that fool that model.\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(super) struct TrainSpotArgs {
    /// Clips of words: a table with the columns path and label (and split, speaker), or a folder
    /// that holds one folder a word; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    data: Vec<PathBuf>,
    /// Words to learn, separated by commas [default: every label of the data].
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    words: Vec<String>,
    /// Speech without the words: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    speech: Vec<PathBuf>,
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    rooms: Vec<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The training of words.
const WORDS: Network<SpotSources, SpotRecipe, SpotData, Spotter, Dev<SpotReport>> = Network {
    start: |source| Spotter::load(source, &LoadOptions::default()),
    provenance: |start| &start.card().provenance,
    names: |sources| {
        vec![
            ("data", json!(names(&sources.words))),
            ("speech", json!(names(&sources.speech))),
            ("noise", json!(names(&sources.noise))),
            ("rooms", json!(names(&sources.rooms))),
        ]
    },
    load: SpotData::load,
    describe: |data| {
        format!(
            "{} words, {:.1} h of audio in {} clips: {}",
            data.words.len(),
            data.corpus.seconds() / 3600.0,
            data.corpus.len(),
            data.words.join(", ")
        )
    },
    train,
    figures: |figures| accuracy_table(&figures.dev),
    mine: Some(|data, start, progress| {
        data.mine(start, progress)?;
        let stretches = data.hard.len();
        Ok(format!("{stretches} stretches without words fool the model to begin with"))
    }),
    details: |data| json!({ "words": data.words }),
    starting_from: None,
};

pub(super) fn resolve(typed: TrainSpotArgs, settings: &Settings) -> Result<Work, Failure> {
    let sources = SpotSources {
        words: typed.data,
        speech: typed.speech,
        noise: typed.training.noise.clone(),
        rooms: typed.rooms,
    };
    WORDS.resolve(typed.training, sources, settings, |recipe| {
        if !typed.words.is_empty() {
            recipe.words = typed.words;
        }
    })
}
