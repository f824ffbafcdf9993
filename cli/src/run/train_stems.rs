//! `formant train stems`: learns voices in music, with bars on the way and figures at the end.

use formant_training::stems::{StemsData, train};
use serde_json::json;

use super::train::{Shown, names};
use super::use_threads;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::outputs::{Target, begin};
use crate::plan::{Settings, TrainStemsPlan};
use crate::{interrupt, json as lines, stdout};

pub(super) fn run(
    plan: &TrainStemsPlan,
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
    let provenance = json!({
        "program": concat!("formant ", env!("CARGO_PKG_VERSION")),
        "data": names(&plan.sources.songs),
        "speech": names(&plan.sources.speech),
        "noise": names(&plan.sources.noise),
    });
    let outcome = train(&data, recipe, &plan.paths, provenance, &progress)?;
    progress.clear();
    let output = plan.paths.output.display().to_string();
    if settings.json {
        let result = json!({ "output": output, "outcome": outcome });
        stdout::print(&lines::line("trained", &result))?;
    } else {
        stdout::print(&format!(
            "SDR of the voice {:.2} dB, of the mix {:.2} dB\n{output}: {} parameters, epoch {} of \
             {}, {:.0} s\n",
            outcome.dev_sdr,
            outcome.dev_sdr_of_mix,
            outcome.parameters,
            outcome.best_epoch,
            recipe.epochs,
            outcome.seconds
        ))?;
    }
    Ok(Outcome::done())
}
