//! `formant train spot`: teaches words, with bars on the way and a table at the end.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use formant_models::LoadOptions;
use formant_models::tasks::spot::Spotter;
use formant_training::progress::{Event, Progress};
use formant_training::spot::{SpotData, SpotReport, train};
use indicatif::ProgressBar;
use serde_json::json;

use super::use_threads;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::outputs::{Target, begin};
use crate::plan::{Settings, TrainSpotPlan};
use crate::{interrupt, json as lines, stdout};

pub(super) fn run(
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
    let output = plan.paths.output.display().to_string();
    if settings.json {
        let result = json!({ "output": output, "words": data.words, "outcome": outcome });
        stdout::print(&lines::line("trained", &result))?;
    } else {
        stdout::print(&format!(
            "{}\n{output}: {} parameters, epoch {} of {}, {:.0} s\n",
            table(&outcome.dev),
            outcome.parameters,
            outcome.best_epoch,
            recipe.epochs,
            outcome.seconds
        ))?;
    }
    Ok(Outcome::done())
}

pub(super) fn names(paths: &[impl AsRef<Path>]) -> Vec<String> {
    paths.iter().map(|path| path.as_ref().display().to_string()).collect()
}

/// Accuracy of every word, what was mistaken for what, and the sums.
pub(super) fn table(report: &SpotReport) -> String {
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

/// Events as bars and notes, and as JSON lines when they were asked for.
pub(super) struct Shown<'a> {
    messages: &'a Messages,
    json: bool,
    bar: Mutex<Option<(String, ProgressBar)>>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(messages: &'a Messages, json: bool) -> Self {
        Self { messages, json, bar: Mutex::new(None) }
    }

    /// Moves the bar called `name`; another name begins another bar.
    fn show(&self, name: &str, done: usize, total: usize, text: String) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if bar.as_ref().is_none_or(|(shown, _)| shown != name) {
            if let Some((_, old)) = bar.take() {
                old.finish_and_clear();
            }
            *bar = Some((name.to_owned(), self.messages.bar(total as u64, name)));
        }
        if let Some((_, bar)) = bar.as_ref() {
            bar.set_position(done as u64);
            bar.set_message(text);
        }
    }

    pub(super) fn clear(&self) {
        if let Some((_, bar)) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Shown<'_> {
    fn event(&self, event: &Event) {
        match event {
            Event::Decoding { done, total } => self.show("files", *done, *total, String::new()),
            Event::Mining { done, total, found } => {
                self.show("clips", *done, *total, format!("{found} stretches"));
            }
            Event::Note { text } => self.messages.note(text),
            Event::Step { epoch, step, steps, loss } => {
                self.show("steps", *step, *steps, format!("epoch {epoch}, loss {loss:.3}"));
            }
            Event::Epoch { epoch, epochs, loss, best, seconds, detail, .. } => {
                self.clear();
                let mark = if *best { " *" } else { "" };
                self.messages.note(&format!(
                    "epoch {epoch} of {epochs}: loss {loss:.3}, {detail}, {seconds:.0} s{mark}"
                ));
            }
            _ => {}
        }
        let worth = matches!(event, Event::Epoch { .. } | Event::Note { .. });
        if self.json && worth {
            // A closed pipe shows again when the result is printed; training goes on until then.
            let _ = stdout::print(&lines::line("progress", event));
        }
    }

    fn cancelled(&self) -> bool {
        interrupt::requested()
    }
}
