//! `formant train tokenizer`: tokens for the spectrograms of sounds of one's own.

use std::path::PathBuf;

use clap::Args;
use formant_models::DeviceChoice;
use formant_models::arch::specvqgan::SpecVqgan;
use formant_models::model::Model;
use formant_training::generate::{
    SoundData, SoundSources, TokenizerFigures, TokenizerRecipe, train_tokenizer,
};
use serde_json::json;

use super::{Network, TrainingArgs, names};
use crate::commands::Work;
use crate::failure::Failure;
use crate::settings::Settings;

/// What `formant train tokenizer` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train tokenizer --data sounds.tsv --out tokenizer.safetensors\n\n\
    A stopped training resumes when the same command is run again."
)]
pub(super) struct TrainTokenizerArgs {
    /// Sounds: a table with the columns path and label (and split), or a folder that holds one folder a
    /// word; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The training on spectrograms.
const TOKENS: Network<
    SoundSources,
    TokenizerRecipe,
    SoundData,
    Model<SpecVqgan>,
    TokenizerFigures,
> = Network {
    start: |source| Model::load(source, DeviceChoice::Cpu.resolve()?),
    provenance: |start| &start.card.provenance,
    names: |sources| vec![("data", json!(names(&sources.recordings)))],
    load: |sources, _, cache, progress| SoundData::load(sources, cache, progress),
    describe,
    train: train_tokenizer,
    figures: |figures| {
        let TokenizerFigures { dev_distance, dev_codes } = figures;
        format!("distance {dev_distance:.4}, {dev_codes} codes used")
    },
    starting_from: None,
    mine: None,
    details: |_| json!({}),
};

/// How many sounds there are.
pub(super) fn describe(data: &SoundData) -> String {
    let [train, dev] = data.counts();
    format!(
        "{train} recordings of {} words and {dev} to validate on, {:.1} h of audio in all",
        data.words.len(),
        data.corpus.seconds() / 3600.0,
    )
}

pub(super) fn resolve(typed: TrainTokenizerArgs, settings: &Settings) -> Result<Work, Failure> {
    let sources = SoundSources { recordings: typed.data };
    TOKENS.resolve(typed.training, sources, settings, |_| {})
}
