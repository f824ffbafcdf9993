//! `formant train superres`: a network that widens the band of recordings.

use std::path::PathBuf;

use clap::Args;
use formant_models::DeviceChoice;
use formant_models::arch::hifi_sr::HifiSrModel;
use formant_training::superres::{
    SuperresData, SuperresFigures, SuperresRecipe, SuperresSources, train,
};
use serde_json::json;

use super::{Network, TrainingArgs, names};
use crate::commands::Work;
use crate::failure::Failure;
use crate::settings::Settings;

/// What `formant train superres` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train superres --data wide.tsv --out superres.safetensors\n\n\
    Recordings whose band ends below 15 kHz are left out.\n\
    A stopped training resumes when the same command is run again."
)]
pub(super) struct TrainSuperresArgs {
    /// Recordings with a full band: a table with the columns path and speaker (and split), or a folder
    /// that holds one folder a speaker; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The training on recordings with a full band.
const BANDS: Network<SuperresSources, SuperresRecipe, SuperresData, HifiSrModel, SuperresFigures> =
    Network {
        start: |source| HifiSrModel::load(source, DeviceChoice::Cpu.resolve()?),
        provenance: |start| &start.card.provenance,
        names: |sources| {
            vec![
                ("data", json!(names(&sources.recordings))),
                ("noise", json!(names(&sources.noise))),
            ]
        },
        load: SuperresData::load,
        describe: |data| {
            let [train, dev] = data.counts();
            format!(
                "{train} recordings with a full band and {dev} to validate on, {:.1} h of audio in all",
                data.corpus.seconds() / 3600.0,
            )
        },
        train,
        figures: |figures| {
            let SuperresFigures { dev_lsd, dev_lsd_resampled } = figures;
            format!(
                "log-spectral distance {dev_lsd:.3}, of plain resampling {dev_lsd_resampled:.3}"
            )
        },
        starting_from: None,
        mine: None,
        details: |_| json!({}),
    };

pub(super) fn resolve(typed: TrainSuperresArgs, settings: &Settings) -> Result<Work, Failure> {
    let sources = SuperresSources { recordings: typed.data, noise: typed.training.noise.clone() };
    BANDS.resolve(typed.training, sources, settings, |_| {})
}
