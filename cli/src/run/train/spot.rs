//! `formant train spot`: teaches words, with bars on the way and a table at the end.

use formant_models::LoadOptions;
use formant_models::tasks::spot::Spotter;
use formant_training::spot::{SpotData, SpotReport, train};
use serde_json::json;

use super::{Shown, names, tell};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::interrupt;
use crate::messages::Messages;
use crate::outputs::{Target, begin};
use crate::plan::{Settings, TrainSpotPlan};
use crate::run::use_threads;

pub(in crate::run) fn run(
    plan: TrainSpotPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    let _underway = begin(&Target::File(plan.paths.output.clone()))?;
    let progress = Shown::new(messages, settings.json);
    let recipe = &plan.recipe;
    let mut data = SpotData::load(&plan.sources, recipe, plan.cache.as_deref(), &progress)?;
    progress.clear();
    messages.note(&format!(
        "{} words, {:.1} h of audio in {} clips: {}",
        data.words.len(),
        data.corpus.seconds() / 3600.0,
        data.corpus.len(),
        data.words.join(", ")
    ));
    let start = match &plan.start {
        Some(source) => Some(Spotter::load(source, &LoadOptions::default())?),
        None => None,
    };
    if let Some(start) = &start {
        data.mine(start, &progress)?;
        progress.clear();
        let stretches = data.hard.len();
        messages.note(&format!("{stretches} stretches without words fool the model to begin with"));
    }
    let provenance = json!({
        "program": concat!("formant ", env!("CARGO_PKG_VERSION")),
        "data": names(&plan.sources.words),
        "speech": names(&plan.sources.speech),
        "noise": names(&plan.sources.noise),
        "rooms": names(&plan.sources.rooms),
        "start": start.as_ref().map(|start| &start.card().provenance),
    });
    let outcome = train(&data, recipe, &plan.paths, start.as_ref(), provenance, &progress)?;
    progress.clear();
    let result = json!({ "words": data.words, "outcome": outcome });
    let facts = (outcome.parameters, [outcome.best_epoch, recipe.epochs], outcome.seconds);
    tell(settings.json, &plan.paths, result, &table(&outcome.dev), facts)?;
    Ok(Outcome::done())
}

/// Accuracy of every word, what was mistaken for what, and the sums.
pub(in crate::run) fn table(report: &SpotReport) -> String {
    let width =
        report.words.iter().map(|word| word.label.chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!("{:<width$}  clips  correct\n", "word");
    for word in &report.words {
        let share = 100.0 * word.correct as f64 / word.clips.max(1) as f64;
        text += &format!("{:<width$}  {:>5}  {share:>5.1} %\n", word.label, word.clips);
    }
    let shown = report.confusions.iter().take(10);
    for confusion in shown {
        let answered = match confusion.answered.as_str() {
            "" => "no word",
            word => word,
        };
        text += &format!("{} x {} taken for {answered}\n", confusion.clips, confusion.said);
    }
    text + &report.one_line()
}
