//! `formant train speaker`: a speaker embedder.

use std::path::PathBuf;

use clap::Args;
use formant_models::LoadOptions;
use formant_models::tasks::Task;
use formant_models::tasks::speaker::SpeakerEmbedder;
use formant_training::speaker::{
    SpeakerData, SpeakerFigures, SpeakerRecipe, SpeakerSources, train,
};
use serde_json::json;

use super::{Network, TrainingArgs, names};
use crate::commands::Work;
use crate::failure::Failure;
use crate::settings::Settings;

/// What `formant train speaker` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train speaker --data voices.tsv --trials trials.tsv --out voices.safetensors\n\n\
    A training that was stopped goes on where it was when the same command is run again."
)]
pub(super) struct TrainSpeakerArgs {
    /// Recordings of speakers: a table with the columns path and speaker, or a folder that holds one
    /// folder a speaker; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    data: Vec<PathBuf>,
    /// Pairs to validate on, of speakers who are not in the data: a table with the columns target
    /// (1 or 0), path1 and path2 [default: some speakers are held out].
    #[arg(long, value_name = "FILE")]
    trials: Option<PathBuf>,
    /// Room responses: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    rooms: Vec<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The training of voices.
const VOICES: Network<SpeakerSources, SpeakerRecipe, SpeakerData, SpeakerEmbedder, SpeakerFigures> =
    Network {
        start: |source| SpeakerEmbedder::load(source, &LoadOptions::default()),
        provenance: |start| &start.card().provenance,
        names: |sources| {
            let trials = sources.trials.as_ref().map(|path| path.display().to_string());
            vec![
                ("data", json!(names(&sources.voices))),
                ("noise", json!(names(&sources.noise))),
                ("rooms", json!(names(&sources.rooms))),
                ("trials", json!(trials)),
            ]
        },
        load: SpeakerData::load,
        describe: |data| {
            format!(
                "{} speakers, {:.1} h of audio in {} recordings, {} pairs to validate on",
                data.voices.speakers.len(),
                data.voices.corpus.seconds() / 3600.0,
                data.voices.corpus.len(),
                data.dev.len()
            )
        },
        train,
        figures: |figures| figures.dev.one_line(),
        starting_from: None,
        mine: None,
        details: |_| json!({}),
    };

pub(super) fn resolve(typed: TrainSpeakerArgs, settings: &Settings) -> Result<Work, Failure> {
    let sources = SpeakerSources {
        voices: typed.data,
        noise: typed.training.noise.clone(),
        rooms: typed.rooms,
        trials: typed.trials,
    };
    VOICES.resolve(typed.training, sources, settings, |_| {})
}
