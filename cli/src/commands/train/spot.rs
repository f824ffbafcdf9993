//! `formant train spot`: a keyword spotter.

use std::path::PathBuf;

use clap::Args;
use formant_models::tasks::Task;
use formant_models::tasks::spot::Spotter;
use formant_models::{LoadOptions, registry};
use formant_training::Dev;
use formant_training::spot::{SpotData, SpotRecipe, SpotReport, SpotSources, train};
use serde_json::{Value, json};

use super::{Network, TrainingArgs, names};
use crate::commands::Work;
use crate::failure::Failure;
use crate::json as lines;
use crate::settings::Settings;
use crate::tasks::spot::accuracy_table;

/// What `formant train spot` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train spot --data my-words/ --out my-words.safetensors\n\n\
    The training starts from the bundled model spot-commands, whose body it keeps: minutes.\n\
    With --from-scratch, or a recipe that names a network or a front end, it starts from random weights.\n\
    Where the words are those of the model to start from, the training dwells on the stretches of\n\
    speech and noise that fool it.\n\
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
    /// Start from random weights instead of the bundled model: an hour or more, for large data.
    #[arg(long, conflicts_with = "start")]
    from_scratch: bool,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The model to start from where none is named.
const START: &str = "spot-commands";

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
        if !data.shares_words(start) {
            return Ok("other words than those of the model to start from: a new head".to_owned());
        }
        data.mine(start, progress)?;
        let stretches = data.hard.len();
        Ok(format!("{stretches} stretches without words fool the model to begin with"))
    }),
    details: |data| json!({ "words": data.words }),
    starting_from: Some(|recipe, start| Ok(recipe.starting_from(start.card()))),
};

pub(super) fn resolve(mut typed: TrainSpotArgs, settings: &Settings) -> Result<Work, Failure> {
    let written = typed.training.recipe.as_deref().map(lines::read_file::<Value>).transpose()?;
    let names = |field: &str| written.as_ref().is_some_and(|recipe| recipe.get(field).is_some());
    let own = typed.from_scratch || names("network") || names("frontend");
    // A build without weights has no model to start from.
    let there = || registry::bundled(START).is_ok_and(|model| model.bytes().is_ok());
    if typed.training.start.is_none() && !own && there() {
        typed.training.start = Some(START.to_owned());
    }
    let sources = SpotSources {
        words: typed.data,
        speech: typed.speech,
        noise: typed.training.noise.clone(),
        rooms: typed.rooms,
    };
    let quick = typed.training.start.is_some() && written.is_none();
    WORDS.resolve(typed.training, sources, settings, |recipe| {
        if quick {
            *recipe = SpotRecipe::quick();
        }
        if !typed.words.is_empty() {
            recipe.words = typed.words;
        }
    })
}
