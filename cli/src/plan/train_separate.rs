//! `train separate`: the recipe with what the command line changes, and where everything lies.

use std::path::PathBuf;

use formant_models::ModelSource;
use formant_training::separation::{SeparationPaths, SeparationRecipe, SeparationSources};

use super::spot::model_source;
use super::{Settings, read_json};
use crate::args::TrainSeparateArgs;
use crate::failure::Failure;
use crate::outputs::{Existing, Target};

/// A training.
#[derive(Debug)]
pub(crate) struct TrainSeparatePlan {
    pub(crate) sources: SeparationSources,
    pub(crate) recipe: SeparationRecipe,
    pub(crate) paths: SeparationPaths,
    pub(crate) cache: Option<PathBuf>,
    /// The model to begin with.
    pub(crate) start: Option<ModelSource>,
}

pub(super) fn resolve(
    typed: &TrainSeparateArgs,
    settings: &Settings,
) -> Result<TrainSeparatePlan, Failure> {
    let existing = if typed.overwrite { Existing::Overwrite } else { Existing::Refuse };
    existing.admits(&Target::File(typed.out.clone()))?;
    let mut recipe = match &typed.recipe {
        Some(path) => read_json(path)?,
        None => SeparationRecipe::default(),
    };
    recipe.epochs = typed.epochs.unwrap_or(recipe.epochs);
    recipe.steps_per_epoch = typed.steps.unwrap_or(recipe.steps_per_epoch);
    recipe.batch = typed.batch.unwrap_or(recipe.batch);
    recipe.seed = settings.seed.unwrap_or(recipe.seed);
    recipe.validate()?;
    let mut state = typed.out.file_name().unwrap_or_default().to_owned();
    state.push(".state");
    Ok(TrainSeparatePlan {
        sources: SeparationSources {
            voices: typed.data.clone(),
            noise: typed.noise.clone(),
            rooms: typed.rooms.clone(),
            dev: typed.dev.clone(),
        },
        recipe,
        paths: SeparationPaths {
            output: typed.out.clone(),
            state: typed.out.with_file_name(state),
        },
        cache: typed.cache.clone(),
        start: typed.start.as_deref().map(model_source),
    })
}
