//! `formant train separate`: learns to part voices, with bars on the way and a figure at the end.

use formant_models::DeviceChoice;
use formant_models::arch::mossformer::MossformerModel;
use formant_training::separation::{SeparationData, train};
use serde_json::json;

use super::{Shown, names, tell};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::interrupt;
use crate::messages::Messages;
use crate::outputs::{Target, begin};
use crate::plan::{Settings, TrainSeparatePlan};
use crate::run::use_threads;

pub(in crate::run) fn run(
    plan: TrainSeparatePlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    let _underway = begin(&Target::File(plan.paths.output.clone()))?;
    let progress = Shown::new(messages, settings.json);
    let recipe = &plan.recipe;
    let data = SeparationData::load(&plan.sources, recipe, plan.cache.as_deref(), &progress)?;
    progress.clear();
    messages.note(&format!(
        "{} speakers, {:.1} h of audio in {} recordings, {} mixtures to validate on",
        data.speakers.len(),
        data.corpus.seconds() / 3600.0,
        data.corpus.len(),
        data.dev.len()
    ));
    let start = match &plan.start {
        Some(source) => Some(MossformerModel::load(source, None, DeviceChoice::Cpu.resolve()?)?),
        None => None,
    };
    let provenance = json!({
        "program": concat!("formant ", env!("CARGO_PKG_VERSION")),
        "data": names(&plan.sources.voices),
        "noise": names(&plan.sources.noise),
        "rooms": names(&plan.sources.rooms),
        "dev": names(&plan.sources.dev),
        "start": start.as_ref().map(|start| &start.card.provenance),
    });
    let outcome = train(&data, recipe, &plan.paths, start.as_ref(), provenance, &progress)?;
    progress.clear();
    let result = json!({ "outcome": outcome });
    let facts = (outcome.parameters, [outcome.best_epoch, recipe.epochs], outcome.seconds);
    tell(settings.json, &plan.paths, result, &format!("SI-SDRi {:.2} dB", outcome.si_sdri), facts)?;
    Ok(Outcome::done())
}
