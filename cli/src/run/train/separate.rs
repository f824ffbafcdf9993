//! `formant train separate`: learns to part voices, with bars on the way and a figure at the end.

use formant_models::DeviceChoice;
use formant_models::arch::mossformer::MossformerModel;
use formant_training::separation::{SeparationData, train};
use serde_json::json;

use super::{Shown, finished, names};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::outputs::{Target, begin};
use crate::plan::{Settings, TrainSeparatePlan};
use crate::run::use_threads;
use crate::{interrupt, json as lines, stdout};

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
    if settings.json {
        let output = plan.paths.output.display().to_string();
        let result = json!({ "output": output, "outcome": outcome });
        stdout::print(&lines::line("trained", &result))?;
    } else {
        let epochs = [outcome.best_epoch, recipe.epochs];
        let last = finished(&plan.paths, outcome.parameters, epochs, outcome.seconds);
        stdout::print(&format!("SI-SDRi {:.2} dB\n{last}", outcome.si_sdri))?;
    }
    Ok(Outcome::done())
}
