//! `formant train speaker`: learns voices, with bars on the way and figures at the end.

use formant_models::LoadOptions;
use formant_models::tasks::speaker::SpeakerEmbedder;
use formant_training::speaker::{SpeakerData, train};
use serde_json::json;

use super::{Shown, names, tell};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::interrupt;
use crate::messages::Messages;
use crate::outputs::{Target, begin};
use crate::plan::{Settings, TrainSpeakerPlan};
use crate::run::use_threads;

pub(in crate::run) fn run(
    plan: TrainSpeakerPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    let _underway = begin(&Target::File(plan.paths.output.clone()))?;
    let progress = Shown::new(messages, settings.json);
    let recipe = &plan.recipe;
    let data = SpeakerData::load(&plan.sources, recipe, plan.cache.as_deref(), &progress)?;
    progress.clear();
    messages.note(&format!(
        "{} speakers, {:.1} h of audio in {} recordings, {} pairs to validate on",
        data.speakers.len(),
        data.corpus.seconds() / 3600.0,
        data.corpus.len(),
        data.dev.len()
    ));
    let start = match &plan.start {
        Some(source) => Some(SpeakerEmbedder::load(source, &LoadOptions::default())?),
        None => None,
    };
    let provenance = json!({
        "program": concat!("formant ", env!("CARGO_PKG_VERSION")),
        "data": names(&plan.sources.voices),
        "noise": names(&plan.sources.noise),
        "rooms": names(&plan.sources.rooms),
        "trials": plan.sources.trials.as_ref().map(|path| path.display().to_string()),
        "start": start.as_ref().map(|start| &start.card().provenance),
    });
    let outcome = train(&data, recipe, &plan.paths, start.as_ref(), provenance, &progress)?;
    progress.clear();
    let result = json!({ "outcome": outcome });
    let facts = (outcome.parameters, [outcome.best_epoch, recipe.epochs], outcome.seconds);
    tell(settings.json, &plan.paths, result, &outcome.dev.one_line(), facts)?;
    Ok(Outcome::done())
}
