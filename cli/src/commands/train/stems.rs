//! `formant train stems`: a separator of vocals and accompaniment.

use std::path::PathBuf;

use clap::Args;
use formant_models::DeviceChoice;
use formant_models::Model;
use formant_models::arch::mel_roformer::MelRoformer;
use formant_training::stems::{StemsData, StemsFigures, StemsRecipe, StemsSources, train};
use serde_json::json;

use super::{Network, TrainingArgs, names};
use crate::commands::Work;
use crate::failure::Failure;
use crate::settings::Settings;

/// What `formant train stems` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train stems --data songs.tsv --out vocals.safetensors\n\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(super) struct TrainStemsArgs {
    /// Recordings of vocals and accompaniment: a table with the columns path and label
    /// (vocals or accompaniment; also split, speaker), or a folder with a folder of each; may be
    /// repeated. Songs whose files are called NAME_vocals and NAME_accompaniment are used for validation.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    data: Vec<PathBuf>,
    /// Speech in place of singing: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    speech: Vec<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The training on songs.
const SONGS: Network<StemsSources, StemsRecipe, StemsData, Model<MelRoformer>, StemsFigures> =
    Network {
        start: |source| Model::load(source, DeviceChoice::Cpu.resolve()?),
        provenance: |start| &start.card.provenance,
        names: |sources| {
            vec![
                ("data", json!(names(&sources.songs))),
                ("speech", json!(names(&sources.speech))),
                ("noise", json!(names(&sources.noise))),
            ]
        },
        load: StemsData::load,
        describe: |data| {
            format!(
                "{} voices, {} accompaniments, {} songs, {:.1} min of audio, {} songs to validate on",
                data.vocals.len(),
                data.accompaniments.len(),
                data.songs.len(),
                data.corpus.seconds() / 60.0,
                data.dev.len()
            )
        },
        train,
        figures: |figures| {
            let StemsFigures { dev_sdr: sdr, dev_sdr_of_mix: of_mix } = figures;
            format!("SDR of the voice {sdr:.2} dB, of the mix {of_mix:.2} dB")
        },
        starting_from: None,
        mine: None,
        details: |_| json!({}),
    };

pub(super) fn resolve(typed: TrainStemsArgs, settings: &Settings) -> Result<Work, Failure> {
    let sources = StemsSources {
        songs: typed.data,
        speech: typed.speech,
        noise: typed.training.noise.clone(),
    };
    SONGS.resolve(typed.training, sources, settings, |_| {})
}
