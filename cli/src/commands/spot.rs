//! `formant spot`: words in recordings of any length, as they are found.

use clap::{Args, ValueEnum};
use formant_models::tasks::Task;
use formant_models::tasks::spot::{Detection, SpotOptions, Spotter};
use serde_json::json;

use super::{Work, work};
use crate::batch::{self, Done, Lane};
use crate::escape::one_line;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::{Input, InputArgs};
use crate::messages::Messages;
use crate::outputs::{Existing, OutputArgs, Target};
use crate::reading::{AudioArgs, ClockArgs, Sources};
use crate::settings::Settings;
use crate::tasks::spot::{SpotModel, SpotTuning};
use crate::tasks::use_few_threads;
use crate::times::to_millis;
use crate::{interrupt, json as lines, stdout, table};

/// Kinds of text for detections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SpotFormat {
    /// Columns for people: start, end, score, word.
    Text,
    /// A JSON object a line; the same as --json.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
}

/// What `formant spot` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant spot recording.opus --threshold 0.7 --threshold no=0.9")]
pub(crate) struct SpotArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    clock: ClockArgs,
    /// A bundled model's name, or a file that `formant train spot` wrote, or a checkpoint.
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// Labels of a checkpoint that has none: a text file, one a line, or a list
    /// separated by commas.
    #[arg(long, value_name = "FILE|LIST")]
    labels: Option<String>,
    /// List the words that the model knows and exit.
    #[arg(long)]
    list_words: bool,
    #[command(flatten)]
    tuning: SpotTuning,
    /// Output format.
    #[arg(long, value_enum, default_value = "text", value_name = "KIND")]
    format: SpotFormat,
    #[command(flatten)]
    output: OutputArgs,
}

impl SpotArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(&self, settings)?;
        Ok(work(plan, run))
    }
}

/// What `spot` does.
#[derive(Debug)]
enum SpotTask {
    ListWords(SpotModel),
    Find(Box<SpotPlan>),
}

/// Words to be found.
#[derive(Debug)]
struct SpotPlan {
    model: SpotModel,
    sources: Sources,
    clock: ClockArgs,
    options: SpotOptions,
    format: SpotFormat,
    /// Where all detections go.
    target: Target,
    existing: Existing,
}

fn plan(typed: &SpotArgs, settings: &Settings) -> Result<SpotTask, Failure> {
    let model = SpotModel::of(typed.model.as_deref(), typed.labels.as_deref(), settings)?;
    if typed.list_words {
        return Ok(SpotTask::ListWords(model));
    }
    let format = if settings.json { SpotFormat::Jsonl } else { typed.format };
    Ok(SpotTask::Find(Box::new(SpotPlan {
        model,
        sources: Sources::of(&typed.input, &typed.audio)?,
        clock: typed.clock,
        options: typed.tuning.options()?,
        format,
        target: Target::of(typed.output.output.as_deref()),
        existing: Existing::of(&typed.output),
    })))
}

fn run(task: SpotTask, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    use_few_threads(settings);
    match task {
        SpotTask::ListWords(model) => list_words(&model, settings),
        SpotTask::Find(plan) => find(*plan, settings, messages),
    }
}

fn list_words(model: &SpotModel, settings: &Settings) -> Result<Outcome, Failure> {
    let spotter = model.load()?;
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
    let place = batch::Place {
        target: &plan.target,
        existing: plan.existing,
        heading: match plan.format {
            SpotFormat::Csv => "input,start,end,score,word\n",
            SpotFormat::Text | SpotFormat::Jsonl => "",
        },
    };
    let worker = || {
        let spotter = plan.model.load()?;
        // A wrong word or number is one error, not one an input.
        spotter.start(&plan.options)?;
        Ok(spotter)
    };
    let work =
        |spotter: &mut Spotter, input: &Input, lane: &Lane<'_>| spot(&plan, spotter, input, lane);
    // `--format jsonl` says the same as `--json`, failures included.
    let json = plan.format == SpotFormat::Jsonl;
    let options = batch::Options { json, ..settings.batch_of_networks() };
    batch::gather(place, &plan.sources.list, options, messages, worker, work)
}

fn spot(
    plan: &SpotPlan,
    spotter: &Spotter,
    input: &Input,
    lane: &Lane<'_>,
) -> Result<Done, Failure> {
    let mut reader = plan.sources.open(input)?;
    let several = !plan.sources.list.single;
    let offset = plan.clock.offset(&mut reader);
    let mut count = 0;
    let heard = spotter.process_reader(&mut reader, &plan.options, |detections| {
        interrupt::check()?;
        count += detections.len();
        detections.into_iter().try_for_each(|found| {
            let [start, end, decided] = [found.start, found.end, found.decided].map(|t| t + offset);
            let detection = Detection { start, end, decided, ..found };
            lane.print(&line(plan.format, several, &lane.name, &detection)?)
        })
    })?;
    let info = reader.info();
    let warnings = [info.warnings.as_slice(), &heard.warnings].concat();
    lane.warn(&warnings);
    if plan.format == SpotFormat::Jsonl {
        let end = json!({
            "input": lane.name,
            "detections": count,
            "duration": info.found_frames as f64 / f64::from(info.rate.max(1)),
            "warnings": lines::warnings(&warnings),
        });
        lane.print(&lines::line("spot", &end))?;
    }
    if count == 0 {
        lane.messages.detail(&format!("{}: no words", lane.name));
    }
    Ok(Done::Worked)
}

fn line(
    format: SpotFormat,
    several: bool,
    name: &str,
    found: &Detection,
) -> Result<String, Failure> {
    let Detection { label, start, end, score, .. } = found;
    Ok(match format {
        SpotFormat::Text => {
            let prefix = if several { format!("{}: ", one_line(name)) } else { String::new() };
            format!("{prefix}{start:8.2} {end:8.2}  {score:.3}  {}\n", one_line(label))
        }
        SpotFormat::Csv => {
            let [start, end] = [start, end].map(|seconds| format!("{seconds:.3}"));
            table::row(&[name, &start, &end, &format!("{score:.4}"), label])?
        }
        SpotFormat::Jsonl => lines::line(
            "detection",
            &json!({
                "input": name,
                "word": label,
                "start": to_millis(*start),
                "end": to_millis(*end),
                "score": (f64::from(*score) * 1e4).round() / 1e4,
                "decided": to_millis(found.decided),
            }),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detections_as_text() {
        let found =
            Detection { label: "yes".into(), start: 1.0, end: 1.5, score: 0.9321, decided: 1.9 };
        let text = |format, several| line(format, several, "a,b.wav", &found).expect("text");
        assert_eq!(text(SpotFormat::Text, false), "    1.00     1.50  0.932  yes\n");
        assert!(text(SpotFormat::Text, true).starts_with("a,b.wav: "));
        assert_eq!(text(SpotFormat::Csv, true), "\"a,b.wav\",1.000,1.500,0.9321,yes\n");
        let parsed: serde_json::Value =
            serde_json::from_str(&text(SpotFormat::Jsonl, true)).expect("JSON");
        assert_eq!((&parsed["type"], &parsed["word"]), (&json!("detection"), &json!("yes")));
        assert_eq!(parsed["score"], json!(0.9321));
    }
}
