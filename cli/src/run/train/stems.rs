//! `formant train stems`: learns voices in music, with bars on the way and figures at the end.

use formant_models::DeviceChoice;
use formant_models::tasks::stems::StemsModel;
use formant_training::stems::{StemsData, train};
use serde_json::json;

use super::{Shown, names, tell};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::interrupt;
use crate::messages::Messages;
use crate::outputs::{Target, begin};
use crate::plan::{Settings, TrainStemsPlan};
use crate::run::use_threads;

pub(in crate::run) fn run(
    plan: TrainStemsPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    let _underway = begin(&Target::File(plan.paths.output.clone()))?;
    let progress = Shown::new(messages, settings.json);
    let recipe = &plan.recipe;
    let data = StemsData::load(&plan.sources, recipe, plan.cache.as_deref(), &progress)?;
    progress.clear();
    messages.note(&format!(
        "{} voices, {} accompaniments, {} songs, {:.1} min of audio, {} songs to validate on",
        data.vocals.len(),
        data.accompaniments.len(),
        data.songs.len(),
        data.corpus.seconds() / 60.0,
        data.dev.len()
    ));
    let start = match &plan.start {
        Some(source) => Some(StemsModel::load(source, DeviceChoice::Cpu.resolve()?)?),
        None => None,
    };
    let provenance = json!({
        "program": concat!("formant ", env!("CARGO_PKG_VERSION")),
        "data": names(&plan.sources.songs),
        "speech": names(&plan.sources.speech),
        "noise": names(&plan.sources.noise),
        "start": start.as_ref().map(|start| &start.card().provenance),
    });
    let outcome = train(&data, recipe, &plan.paths, start.as_ref(), provenance, &progress)?;
    progress.clear();
    let (sdr, of_mix) = (outcome.dev_sdr, outcome.dev_sdr_of_mix);
    let result = json!({ "outcome": outcome });
    let facts = (outcome.parameters, [outcome.best_epoch, recipe.epochs], outcome.seconds);
    tell(
        settings.json,
        &plan.paths,
        result,
        &format!("SDR of the voice {sdr:.2} dB, of the mix {of_mix:.2} dB"),
        facts,
    )?;
    Ok(Outcome::done())
}
