//! `formant train asr`: learns to write down speech, with bars on the way and error rates at the end.

use formant_models::arch::squeezeformer::{CtcModel, NemoRelease};
use formant_training::asr::{AsrData, Role, train};
use serde_json::json;
use tch::Device;

use super::{Shown, tell};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::interrupt;
use crate::messages::Messages;
use crate::outputs::{Target, begin};
use crate::plan::{Settings, TrainAsrPlan};
use crate::run::use_threads;

pub(in crate::run) fn run(
    plan: TrainAsrPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    let _underway = begin(&Target::File(plan.paths.output.clone()))?;
    let progress = Shown::new(messages, settings.json);
    let start = match &plan.start {
        Some(source) => Some(CtcModel::load(source, NemoRelease::default(), Device::Cpu)?),
        None => None,
    };
    // The rate that recordings are decoded at is the model's.
    let recipe = match &start {
        Some(start) => plan.recipe.going_on_from(&start.card)?,
        None => plan.recipe,
    };
    let data = AsrData::load(&plan.sources, &recipe, plan.cache.as_deref(), &progress)?;
    progress.clear();
    let speech = data.tables.iter().filter(|table| table.role == Role::Speech);
    messages.note(&format!(
        "{} utterances, {} to validate on, {:.1} h of audio in all",
        speech.map(|table| table.train).sum::<usize>(),
        data.dev.len(),
        data.corpus.seconds() / 3600.0
    ));
    let provenance = json!({
        "program": concat!("formant ", env!("CARGO_PKG_VERSION")),
        "start": start.as_ref().map(|start| &start.card.provenance),
    });
    let outcome = train(&data, &recipe, &plan.paths, start.as_ref(), provenance, &progress)?;
    progress.clear();
    let result = json!({ "outcome": outcome });
    let facts = (outcome.parameters, [outcome.best_epoch, recipe.epochs], outcome.seconds);
    tell(settings.json, &plan.paths, result, &outcome.dev.one_line(), facts)?;
    Ok(Outcome::done())
}
