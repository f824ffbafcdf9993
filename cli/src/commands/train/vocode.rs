//! `formant train vocode`: a vocoder for speech of one's own.

use std::path::PathBuf;

use clap::Args;
use formant_models::DeviceChoice;
use formant_models::arch::periodwave::PeriodWaveModel;
use formant_training::vocode::{VocodeData, VocodeFigures, VocodeRecipe, VocodeSources, train};
use serde_json::json;

use super::{Network, TrainingArgs, names};
use crate::commands::Work;
use crate::failure::Failure;
use crate::settings::Settings;

/// What `formant train vocode` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train vocode --data speech.tsv --out vocode.safetensors\n\n\
    A stopped training resumes when the same command is run again."
)]
pub(super) struct TrainVocodeArgs {
    /// Recordings: a table with the columns path and speaker (and split), or a folder that holds one
    /// folder a speaker; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The training on recordings.
const WAVES: Network<VocodeSources, VocodeRecipe, VocodeData, PeriodWaveModel, VocodeFigures> =
    Network {
        start: |source| PeriodWaveModel::load(source, DeviceChoice::Cpu.resolve()?),
        provenance: |start| &start.card.provenance,
        names: |sources| vec![("data", json!(names(&sources.recordings)))],
        load: VocodeData::load,
        describe: |data| {
            let [train, dev] = data.counts();
            format!(
                "{train} recordings and {dev} to validate on, {:.1} h of audio in all",
                data.corpus.seconds() / 3600.0,
            )
        },
        train,
        figures: |figures| {
            let VocodeFigures { dev_mel_distance, dev_mel_distance_of_griffin_lim } = figures;
            format!(
                "log-mel distance {dev_mel_distance:.3}, of Griffin-Lim \
             {dev_mel_distance_of_griffin_lim:.3}"
            )
        },
        starting_from: None,
        mine: None,
        details: |_| json!({}),
    };

pub(super) fn resolve(typed: TrainVocodeArgs, settings: &Settings) -> Result<Work, Failure> {
    let sources = VocodeSources { recordings: typed.data };
    WAVES.resolve(typed.training, sources, settings, |_| {})
}
