//! `formant train separate`: a separator of overlapping speakers, or an enhancer.

use std::path::PathBuf;

use clap::Args;
use formant_models::DeviceChoice;
use formant_models::arch::mossformer::MossformerModel;
use formant_training::separation::{
    SeparationData, SeparationFigures, SeparationRecipe, SeparationSources, train,
};
use serde_json::json;

use super::{Network, TrainingArgs, names};
use crate::commands::Work;
use crate::failure::Failure;
use crate::settings::Settings;

/// What `formant train separate` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train separate --data voices.tsv --recipe recipe.json --out voices-8k.safetensors\n\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(super) struct TrainSeparateArgs {
    /// Recordings of speakers: a table with the columns path and speaker, or a folder that holds one
    /// folder a speaker; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    data: Vec<PathBuf>,
    /// Mixtures to validate on: a table of rendered ones (path, label: mix, s1, s2) or of pairs to
    /// mix (path1, path2, level_db_of_1_over_2); may be repeated [default: mixtures of held-out
    /// speakers].
    #[arg(long, value_name = "FILE")]
    dev: Vec<PathBuf>,
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    rooms: Vec<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The training on mixtures.
const MIXTURES: Network<
    SeparationSources,
    SeparationRecipe,
    SeparationData,
    MossformerModel,
    SeparationFigures,
> = Network {
    start: |source| MossformerModel::load(source, DeviceChoice::Cpu.resolve()?),
    provenance: |start| &start.card.provenance,
    names: |sources| {
        vec![
            ("data", json!(names(&sources.voices))),
            ("noise", json!(names(&sources.noise))),
            ("rooms", json!(names(&sources.rooms))),
            ("dev", json!(names(&sources.dev))),
        ]
    },
    load: SeparationData::load,
    describe: |data| {
        format!(
            "{} speakers, {:.1} h of audio in {} recordings, {} mixtures to validate on",
            data.voices.speakers.len(),
            data.voices.corpus.seconds() / 3600.0,
            data.voices.corpus.len(),
            data.dev.len()
        )
    },
    train,
    figures: |figures| format!("SI-SDRi {:.2} dB", figures.si_sdri),
    starting_from: None,
    mine: None,
    details: |_| json!({}),
};

pub(super) fn resolve(typed: TrainSeparateArgs, settings: &Settings) -> Result<Work, Failure> {
    let sources = SeparationSources {
        voices: typed.data,
        noise: typed.training.noise.clone(),
        rooms: typed.rooms,
        dev: typed.dev,
    };
    MIXTURES.resolve(typed.training, sources, settings, |_| {})
}
