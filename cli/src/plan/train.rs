//! `train`: recipes with what the command line changes, and where everything lies.

use std::path::{Path, PathBuf};

use formant_models::ModelSource;
use formant_training::TrainPaths;
use formant_training::asr::{AsrRecipe, AsrSources};
use formant_training::separation::{SeparationRecipe, SeparationSources};
use formant_training::speaker::{SpeakerRecipe, SpeakerSources};
use formant_training::spot::{SpotRecipe, SpotSources};
use formant_training::stems::{StemsRecipe, StemsSources};
use serde::de::DeserializeOwned;

use super::spot::model_source;
use super::{Settings, read_json};
use crate::args::{
    TrainAsrArgs, TrainLmArgs, TrainSeparateArgs, TrainSpeakerArgs, TrainSpotArgs, TrainStemsArgs,
    TrainingArgs,
};
use crate::failure::Failure;
use crate::outputs::{Existing, Target};

/// A training: where its data are, by which recipe it is done, and what holds for all of them.
#[derive(Debug)]
pub(crate) struct TrainPlan<S, R> {
    pub(crate) sources: S,
    pub(crate) recipe: R,
    pub(crate) paths: TrainPaths,
    pub(crate) cache: Option<PathBuf>,
    /// The model to begin with.
    pub(crate) start: Option<ModelSource>,
}

/// A training of words.
pub(crate) type TrainSpotPlan = TrainPlan<SpotSources, SpotRecipe>;
/// A training of voices.
pub(crate) type TrainSpeakerPlan = TrainPlan<SpeakerSources, SpeakerRecipe>;
/// A training of speech.
pub(crate) type TrainAsrPlan = TrainPlan<AsrSources, AsrRecipe>;

/// A training of voices apart, or of speech from noise.
pub(crate) type TrainSeparatePlan = TrainPlan<SeparationSources, SeparationRecipe>;

/// A training of voices in music.
pub(crate) type TrainStemsPlan = TrainPlan<StemsSources, StemsRecipe>;

/// A language model to be counted.
#[derive(Debug)]
pub(crate) struct TrainLmPlan {
    pub(crate) texts: Vec<PathBuf>,
    pub(crate) source: Option<String>,
    pub(crate) order: usize,
    pub(crate) output: PathBuf,
}

pub(super) fn spot(typed: &TrainSpotArgs, settings: &Settings) -> Result<TrainSpotPlan, Failure> {
    let training = &typed.training;
    let mut recipe: SpotRecipe = recipe(training)?;
    if !typed.words.is_empty() {
        recipe.words.clone_from(&typed.words);
    }
    change(training, settings, &mut recipe.epochs, &mut recipe.steps_per_epoch, &mut recipe.seed);
    recipe.batch = training.batch.unwrap_or(recipe.batch);
    recipe.validate()?;
    let sources = SpotSources {
        words: typed.data.clone(),
        speech: typed.speech.clone(),
        noise: training.noise.clone(),
        rooms: typed.rooms.clone(),
    };
    Ok(plan(training, sources, recipe))
}

pub(super) fn speaker(
    typed: &TrainSpeakerArgs,
    settings: &Settings,
) -> Result<TrainSpeakerPlan, Failure> {
    let training = &typed.training;
    let mut recipe: SpeakerRecipe = recipe(training)?;
    change(training, settings, &mut recipe.epochs, &mut recipe.steps_per_epoch, &mut recipe.seed);
    recipe.batch = training.batch.unwrap_or(recipe.batch);
    recipe.validate()?;
    let sources = SpeakerSources {
        voices: typed.data.clone(),
        noise: training.noise.clone(),
        rooms: typed.rooms.clone(),
        trials: typed.trials.clone(),
    };
    Ok(plan(training, sources, recipe))
}

pub(super) fn asr(typed: &TrainAsrArgs, settings: &Settings) -> Result<TrainAsrPlan, Failure> {
    let training = &typed.training;
    let mut recipe: AsrRecipe = recipe(training)?;
    change(training, settings, &mut recipe.epochs, &mut recipe.steps_per_epoch, &mut recipe.seed);
    recipe.batch_seconds = training.batch.map_or(recipe.batch_seconds, |seconds| seconds as f64);
    recipe.validate()?;
    let sources = AsrSources {
        speech: typed.data.clone(),
        words: typed.words.clone(),
        noise: training.noise.clone(),
        rooms: typed.rooms.clone(),
    };
    Ok(plan(training, sources, recipe))
}

pub(super) fn separate(
    typed: &TrainSeparateArgs,
    settings: &Settings,
) -> Result<TrainSeparatePlan, Failure> {
    let training = &typed.training;
    let mut recipe: SeparationRecipe = recipe(training)?;
    change(training, settings, &mut recipe.epochs, &mut recipe.steps_per_epoch, &mut recipe.seed);
    recipe.batch = training.batch.unwrap_or(recipe.batch);
    recipe.validate()?;
    let sources = SeparationSources {
        voices: typed.data.clone(),
        noise: training.noise.clone(),
        rooms: typed.rooms.clone(),
        dev: typed.dev.clone(),
    };
    Ok(plan(training, sources, recipe))
}

pub(super) fn stems(
    typed: &TrainStemsArgs,
    settings: &Settings,
) -> Result<TrainStemsPlan, Failure> {
    let training = &typed.training;
    let mut recipe: StemsRecipe = recipe(training)?;
    change(training, settings, &mut recipe.epochs, &mut recipe.steps_per_epoch, &mut recipe.seed);
    recipe.batch = training.batch.unwrap_or(recipe.batch);
    recipe.validate()?;
    let sources = StemsSources {
        songs: typed.data.clone(),
        speech: typed.speech.clone(),
        noise: training.noise.clone(),
    };
    Ok(plan(training, sources, recipe))
}

pub(super) fn lm(typed: &TrainLmArgs) -> Result<TrainLmPlan, Failure> {
    admit(&typed.out, typed.overwrite)?;
    Ok(TrainLmPlan {
        texts: typed.text.clone(),
        source: typed.source.clone(),
        order: typed.order.into(),
        output: typed.out.clone(),
    })
}

fn admit(output: &Path, overwrite: bool) -> Result<bool, Failure> {
    let existing = if overwrite { Existing::Overwrite } else { Existing::Refuse };
    existing.admits(&Target::File(output.to_owned()))
}

/// The recipe that was named, once it is clear that its model may be written.
fn recipe<R: Default + DeserializeOwned>(typed: &TrainingArgs) -> Result<R, Failure> {
    admit(&typed.out, typed.overwrite)?;
    typed.recipe.as_deref().map_or_else(|| Ok(R::default()), read_json)
}

/// Puts the numbers that were typed into a recipe.
fn change(
    typed: &TrainingArgs,
    settings: &Settings,
    epochs: &mut usize,
    steps: &mut usize,
    seed: &mut u64,
) {
    *epochs = typed.epochs.unwrap_or(*epochs);
    *steps = typed.steps.unwrap_or(*steps);
    *seed = settings.seed.unwrap_or(*seed);
}

fn plan<S, R>(typed: &TrainingArgs, sources: S, recipe: R) -> TrainPlan<S, R> {
    TrainPlan {
        sources,
        recipe,
        paths: TrainPaths::of(&typed.out),
        cache: typed.cache.clone(),
        start: typed.start.as_deref().map(model_source),
    }
}
