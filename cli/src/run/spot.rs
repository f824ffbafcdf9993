//! `formant spot`: words in recordings of any length, as they are found.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use formant_models::registry;
use formant_models::tasks::spot::{Detection, Spotter};
use serde_json::json;

use super::{use_few_threads, warn};
use crate::args::SpotFormat;
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Draft, Target, Underway, begin};
use crate::plan::{Settings, SpotModel, SpotPlan, SpotTask};
use crate::{interrupt, json as lines, stdout};

pub(super) fn run(
    task: SpotTask,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_few_threads(settings);
    match task {
        SpotTask::ListWords(model) => list_words(&model, settings),
        SpotTask::Find(plan) => find(*plan, settings, messages),
    }
}

/// Loads the model that was asked for, or the default one.
pub(crate) fn load(model: &SpotModel) -> Result<Spotter, Failure> {
    let source = match &model.source {
        Some(source) => source.clone(),
        None => registry::default_for("spot")?.source(),
    };
    Ok(Spotter::load_with_labels(&source, model.labels.clone(), &model.load)?)
}

fn list_words(model: &SpotModel, settings: &Settings) -> Result<Outcome, Failure> {
    let spotter = load(model)?;
    for word in spotter.words() {
        let text = match settings.json {
            true => lines::line("word", &json!({"word": word})),
            false => format!("{word}\n"),
        };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}

fn find(plan: SpotPlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    if !plan.existing.admits(&plan.target)? {
        messages.note("the output is there already");
        return Ok(Outcome::done());
    }
    let first = load(&plan.model)?;
    // A wrong word or number is one error, not one an input.
    first.start(&plan.options)?;
    let first = Mutex::new(Some(first));
    let worker = || {
        let ready = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready.map_or_else(|| load(&plan.model), Ok)
    };
    let sink = Sink::new(&plan.target)?;
    if plan.format == SpotFormat::Csv {
        sink.print("input,start,end,score,word\n")?;
    }
    let work =
        |spotter: &mut Spotter, input: &Input, lane: &Lane<'_>| spot(&plan, spotter, input, lane);
    let entries = &plan.sources.list.entries;
    // `--format jsonl` says the same as `--json`, failures included.
    let json = plan.format == SpotFormat::Jsonl;
    let options = batch::Options { json, ..settings.batch_of_networks() };
    let print = |text: &str| sink.print(text);
    let outcome = batch::run_into(&print, entries, options, messages, worker, work)?;
    if let Outcome::Worked { done: 1.., interrupted: false, .. } = outcome {
        sink.commit()?;
    }
    Ok(outcome)
}

fn spot(
    plan: &SpotPlan,
    spotter: &Spotter,
    input: &Input,
    lane: &Lane<'_>,
) -> Result<Done, Failure> {
    let mut reader = plan.sources.open(input)?;
    let mut session = spotter.start(&plan.options)?;
    let several = !plan.sources.list.single;
    let mut count = 0;
    let mut tell = |detections: Vec<Detection>| {
        count += detections.len();
        detections.iter().try_for_each(|detection| {
            lane.print(&line(plan.format, several, &lane.name, detection))
        })
    };
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        tell(session.push(&block.view())?)?;
    }
    tell(session.finish()?)?;
    let info = reader.info();
    warn(lane, &info.warnings);
    if plan.format == SpotFormat::Jsonl {
        let end = json!({
            "input": lane.name,
            "detections": count,
            "duration": info.found_frames as f64 / f64::from(info.rate.max(1)),
            "warnings": lines::warnings(&info.warnings),
        });
        lane.print(&lines::line("spot", &end))?;
    }
    if count == 0 {
        lane.messages.detail(&format!("{}: no words", lane.name));
    }
    Ok(Done::Worked)
}

fn line(format: SpotFormat, several: bool, name: &str, found: &Detection) -> String {
    let Detection { label, start, end, score, .. } = found;
    match format {
        SpotFormat::Text => {
            let prefix = if several { format!("{name}: ") } else { String::new() };
            format!("{prefix}{start:8.2} {end:8.2}  {score:.3}  {label}\n")
        }
        SpotFormat::Csv => {
            let cell = |text: &str| match text.contains([',', '"', '\n', '\r']) {
                true => format!("\"{}\"", text.replace('"', "\"\"")),
                false => text.to_owned(),
            };
            format!("{},{start:.3},{end:.3},{score:.4},{}\n", cell(name), cell(label))
        }
        SpotFormat::Jsonl => lines::line(
            "detection",
            &json!({
                "input": name,
                "word": label,
                "start": round(*start),
                "end": round(*end),
                "score": (f64::from(*score) * 1e4).round() / 1e4,
                "decided": round(found.decided),
            }),
        ),
    }
}

/// Milliseconds are more than the network knows.
pub(crate) fn round(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

/// Where detections go: to standard output, or to a file that appears when all is done.
pub(super) struct Sink {
    draft: Option<Mutex<Draft>>,
    target: Target,
    _underway: Underway,
}

impl Sink {
    pub(super) fn new(target: &Target) -> Result<Self, Failure> {
        let underway = begin(target)?;
        let draft = match target {
            Target::Stdout => None,
            Target::File(_) => Some(Mutex::new(Draft::new(target)?)),
        };
        Ok(Self { draft, target: target.clone(), _underway: underway })
    }

    pub(super) fn print(&self, text: &str) -> Result<(), Failure> {
        let Some(draft) = &self.draft else { return stdout::print(text) };
        let mut draft = draft.lock().unwrap_or_else(PoisonError::into_inner);
        let written = draft.file().write_all(text.as_bytes());
        written.map_err(|error| Draft::failure(&self.target, &error))
    }

    pub(super) fn commit(self) -> Result<(), Failure> {
        let draft = self.draft.map(|draft| draft.into_inner());
        draft.map_or(Ok(()), |draft| draft.unwrap_or_else(PoisonError::into_inner).commit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detections_as_text() {
        let found =
            Detection { label: "yes".into(), start: 1.0, end: 1.5, score: 0.9321, decided: 1.9 };
        let text = |format, several| line(format, several, "a,b.wav", &found);
        assert_eq!(text(SpotFormat::Text, false), "    1.00     1.50  0.932  yes\n");
        assert!(text(SpotFormat::Text, true).starts_with("a,b.wav: "));
        assert_eq!(text(SpotFormat::Csv, true), "\"a,b.wav\",1.000,1.500,0.9321,yes\n");
        let parsed: serde_json::Value =
            serde_json::from_str(&text(SpotFormat::Jsonl, true)).expect("JSON");
        assert_eq!((&parsed["type"], &parsed["word"]), (&json!("detection"), &json!("yes")));
        assert_eq!(parsed["score"], json!(0.9321));
    }
}
