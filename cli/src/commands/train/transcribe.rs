//! `formant train transcribe`: a speech recognizer.

use std::path::PathBuf;

use clap::Args;
use formant_models::arch::squeezeformer::CtcModel;
use formant_training::Dev;
use formant_training::asr::{AsrData, AsrRecipe, AsrReport, AsrSources, Role, train};
use serde_json::json;
use tch::Device;

use super::{Network, TrainingArgs};
use crate::commands::Work;
use crate::failure::Failure;
use crate::settings::Settings;

/// What `formant train transcribe` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train transcribe --data transcripts.tsv --start asr-an4 --out mine.safetensors\n\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(super) struct TrainTranscribeArgs {
    /// Utterances: a table with the columns path and text (and split, speaker, source), or a folder
    /// with transcripts.tsv, and manifest.tsv for the rest; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    data: Vec<PathBuf>,
    /// Clips of single words, of which sequences are made: a table with the columns path and label,
    /// or a folder that holds one folder a word; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    words: Vec<PathBuf>,
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    rooms: Vec<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The training on transcribed speech.
const SPEECH: Network<AsrSources, AsrRecipe, AsrData, CtcModel, Dev<AsrReport>> = Network {
    start: |source| CtcModel::load(source, Device::Cpu),
    provenance: |start| &start.card.provenance,
    // The training itself tells the tables, with their roles and counts.
    names: |_| Vec::new(),
    load: AsrData::load,
    describe: |data| {
        let speech = data.tables.iter().filter(|table| table.role == Role::Speech);
        format!(
            "{} utterances, {} to validate on, {:.1} h of audio in all",
            speech.map(|table| table.train).sum::<usize>(),
            data.dev.len(),
            data.corpus.seconds() / 3600.0
        )
    },
    train,
    figures: |figures| figures.dev.one_line(),
    // The rate that recordings are decoded at is the model's.
    starting_from: Some(|recipe, start| recipe.going_on_from(&start.card)),
    mine: None,
    details: |_| json!({}),
};

pub(super) fn resolve(typed: TrainTranscribeArgs, settings: &Settings) -> Result<Work, Failure> {
    let sources = AsrSources {
        speech: typed.data,
        words: typed.words,
        noise: typed.training.noise.clone(),
        rooms: typed.rooms,
    };
    SPEECH.resolve(typed.training, sources, settings, |_| {})
}
