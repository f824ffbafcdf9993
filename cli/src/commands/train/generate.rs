//! `formant train generate`: sounds of words of one's own.

use std::path::PathBuf;

use clap::Args;
use formant_models::arch::specmaskgit::SpecMaskGit;
use formant_models::model::Model;
use formant_models::{DeviceChoice, ModelSource};
use formant_training::generate::{
    GenerateFigures, GenerateRecipe, SoundData, SoundSources, Tokenizer, train,
};
use serde_json::json;

use super::{Network, TrainingArgs, names, tokenizer};
use crate::commands::Work;
use crate::failure::Failure;
use crate::settings::Settings;

/// What `formant train generate` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant train generate --data sounds.tsv --tokenizer tokenizer.safetensors \
    --out sounds.safetensors\n\n\
    A stopped training resumes when the same command is run again."
)]
pub(super) struct TrainGenerateArgs {
    /// Sounds: a table with the columns path and label (and split), or a folder that holds one folder a
    /// word; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    data: Vec<PathBuf>,
    /// The tokenizer of their spectrograms, as `formant train tokenizer` makes it, or a published one.
    #[arg(long, value_name = "NAME|FILE")]
    tokenizer: String,
    #[command(flatten)]
    training: TrainingArgs,
}

type Sources = (SoundSources, ModelSource);
type Data = (SoundData, Tokenizer);

/// The training on grids of tokens.
const GRIDS: Network<Sources, GenerateRecipe, Data, Model<SpecMaskGit>, GenerateFigures> =
    Network {
        start: |source| Model::load(source, DeviceChoice::Cpu.resolve()?),
        provenance: |start| &start.card.provenance,
        names: |(sounds, _)| vec![("data", json!(names(&sounds.recordings)))],
        load: |(sounds, source), _, cache, progress| {
            let tokenizer = Tokenizer::load(source, DeviceChoice::Cpu.resolve()?)?;
            Ok((SoundData::load(sounds, cache, progress)?, tokenizer))
        },
        describe: |(sounds, _)| tokenizer::describe(sounds),
        train,
        figures: |figures| format!("loss {:.3} on dev", figures.dev_loss),
        starting_from: None,
        mine: None,
        details: |(sounds, _)| json!({ "words": sounds.words }),
    };

pub(super) fn resolve(typed: TrainGenerateArgs, settings: &Settings) -> Result<Work, Failure> {
    let sounds = SoundSources { recordings: typed.data };
    let sources = (sounds, ModelSource::named(&typed.tokenizer));
    GRIDS.resolve(typed.training, sources, settings, |_| {})
}
