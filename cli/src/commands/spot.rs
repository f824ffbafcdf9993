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
use crate::marks::{Mark, MarkFormat};
use crate::messages::Messages;
use crate::outputs::{Existing, Naming, OutputArgs, Results, SuffixWhen, assign_shared};
use crate::reading::{AudioArgs, ClockArgs, Sources};
use crate::settings::Settings;
use crate::spans::{SpanFormat, Style};
use crate::tasks::spot::{SpotModel, SpotTuning};
use crate::tasks::use_few_threads;
use crate::times::to_millis;
use crate::{draft, interrupt, json as lines, stdout, table};

/// Kinds of text for detections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SpotFormat {
    /// Columns for people: start, end, score, word.
    Text,
    /// A JSON object a line; the same as --json.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// A label track of Audacity.
    Labels,
    /// Praat's annotation.
    #[value(name = "textgrid", alias = "TextGrid")]
    TextGrid,
}

impl SpanFormat for SpotFormat {
    const TEXT: Self = Self::Text;
    const JSONL: Self = Self::Jsonl;
    const ENDINGS: &'static [(&'static str, Self)] = &[
        ("txt", Self::Text),
        ("csv", Self::Csv),
        ("jsonl", Self::Jsonl),
        ("json", Self::Jsonl),
        ("srt", Self::Srt),
        ("vtt", Self::Vtt),
        ("TextGrid", Self::TextGrid),
    ];

    fn marks(self) -> Option<MarkFormat> {
        match self {
            Self::Text | Self::Jsonl | Self::Csv => None,
            Self::Srt => Some(MarkFormat::Srt),
            Self::Vtt => Some(MarkFormat::Vtt),
            Self::Labels => Some(MarkFormat::Labels),
            Self::TextGrid => Some(MarkFormat::TextGrid),
        }
    }

    fn heading(self) -> &'static str {
        if self == Self::Csv { "input,start,end,score,word\n" } else { "" }
    }
}

/// What `formant spot` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant spot recording.opus --threshold 0.7 --threshold no=0.9\n\n\
    -o FILE takes the words of all inputs as txt, csv or jsonl, by its extension; srt, vtt, TextGrid \
    and labels are a file an input."
)]
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
    /// Output format [default: by the output's extension, otherwise text].
    #[arg(long, value_enum, value_name = "KIND")]
    format: Option<SpotFormat>,
    /// Write times as h:mm:ss.mmm instead of seconds, in text and csv.
    #[arg(long)]
    timecode: bool,
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
    style: Style<SpotFormat>,
    output: Results,
    existing: Existing,
}

fn plan(typed: &SpotArgs, settings: &Settings) -> Result<SpotTask, Failure> {
    let model = SpotModel::of(typed.model.as_deref(), typed.labels.as_deref(), settings)?;
    if typed.list_words {
        return Ok(SpotTask::ListWords(model));
    }
    let format = SpanFormat::of(typed.format, &typed.output, settings)?;
    let mut sources = Sources::of(&typed.input, &typed.audio)?;
    let naming = Naming {
        suffix: "_words",
        suffix_when: SuffixWhen::SameExtension,
        extension: format.extension(),
    };
    let list = &mut sources.list;
    let output = assign_shared(&typed.output, list, naming, format.shares(), settings)?;
    let several = !sources.list.single && matches!(output, Results::Gathered(_));
    Ok(SpotTask::Find(Box::new(SpotPlan {
        model,
        sources,
        clock: typed.clock,
        options: typed.tuning.options()?,
        style: Style { format, timecode: typed.timecode, several },
        output,
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
    let worker = || {
        let spotter = plan.model.load()?;
        // A wrong word or number is one error, not one an input.
        spotter.start(&plan.options)?;
        Ok(spotter)
    };
    let work =
        |spotter: &mut Spotter, input: &Input, lane: &Lane<'_>| spot(&plan, spotter, input, lane);
    let options = settings.batch_of_networks();
    let list = &plan.sources.list;
    let format = plan.style.format;
    let json = format == SpotFormat::Jsonl;
    let heading = format.heading();
    let gathering = batch::Gathering { existing: plan.existing, heading, json };
    batch::run_to(&plan.output, gathering, list, options, messages, worker, work)
}

fn spot(
    plan: &SpotPlan,
    spotter: &Spotter,
    input: &Input,
    lane: &Lane<'_>,
) -> Result<Done, Failure> {
    let target = plan.output.own(lane.index)?;
    if let Some(target) = target
        && !plan.existing.admits(target)?
    {
        return Ok(Done::Skipped);
    }
    let mut reader = lane.open(&plan.sources, input)?;
    let offset = plan.clock.offset(&mut reader);
    let mut all = Vec::new();
    let mut count = 0;
    let heard = spotter.process_reader(&mut reader, &plan.options, |detections| {
        interrupt::check()?;
        count += detections.len();
        detections.into_iter().try_for_each(|found| {
            let [start, end, decided] = [found.start, found.end, found.decided].map(|t| t + offset);
            let detection = Detection { start, end, decided, ..found };
            match target {
                None => lane.print(&line(plan.style, &lane.name, &detection)?),
                Some(_) => {
                    all.push(detection);
                    Ok(())
                }
            }
        })
    })?;
    let info = reader.info();
    let warnings = [info.warnings.as_slice(), &heard.warnings].concat();
    lane.warn(&warnings);
    let duration = info.found_frames as f64 / f64::from(info.rate.max(1));
    let mut end = json!({
        "input": lane.name,
        "detections": count,
        "duration": duration,
        "warnings": lines::warnings(&warnings),
    });
    if let Some(target) = target {
        draft::write(target, file(plan.style, &lane.name, all, duration + offset)?.as_bytes())?;
        end["output"] = target.name().into();
        if lane.json {
            lane.tell(&lines::line("spot", &end))?;
        }
        lane.note(&format!("{} -> {} ({count} words)", lane.name, target.name()))?;
    } else if plan.style.format == SpotFormat::Jsonl {
        lane.print(&lines::line("spot", &end))?;
    }
    if count == 0 {
        lane.messages.detail(&format!("{}: no words", lane.name));
    }
    Ok(Done::Worked)
}

/// The detections in a recording, as a file of its own.
fn file(
    style: Style<SpotFormat>,
    name: &str,
    mut found: Vec<Detection>,
    duration: f64,
) -> Result<String, Failure> {
    if style.format.marks().is_some() {
        found.sort_by(|a, b| a.start.total_cmp(&b.start));
    }
    let mark =
        |found: &Detection| Mark { start: found.start, end: found.end, text: found.label.clone() };
    let marks = || found.iter().map(mark).collect();
    style.file(marks, "words", duration, found.iter().map(|found| line(style, name, found)))
}

fn line(style: Style<SpotFormat>, name: &str, found: &Detection) -> Result<String, Failure> {
    let Detection { label, start, end, score, .. } = found;
    Ok(match style.format {
        SpotFormat::Csv => {
            let [start, end] = [*start, *end].map(|time| style.cell(time));
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
        // Files of marks have no lines.
        _ => format!("{}  {score:.3}  {}\n", style.columns(name, *start, *end), one_line(label)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Detection {
        Detection { label: "yes".into(), start: 1.0, end: 1.5, score: 0.9321, decided: 1.9 }
    }

    #[test]
    fn detections_as_text() {
        let text = |format, several, timecode| {
            line(Style { format, several, timecode }, "a,b.wav", &found()).expect("text")
        };
        assert_eq!(text(SpotFormat::Text, false, false), "    1.00     1.50  0.932  yes\n");
        assert!(text(SpotFormat::Text, true, false).starts_with("a,b.wav: "));
        let timed = "    0:01.000     0:01.500  0.932  yes\n";
        assert_eq!(text(SpotFormat::Text, false, true), timed);
        assert_eq!(text(SpotFormat::Csv, true, false), "\"a,b.wav\",1.000,1.500,0.9321,yes\n");
        assert!(text(SpotFormat::Csv, true, true).contains(",0:01.000,0:01.500,"));
        let parsed: serde_json::Value =
            serde_json::from_str(&text(SpotFormat::Jsonl, true, false)).expect("JSON");
        assert_eq!((&parsed["type"], &parsed["word"]), (&json!("detection"), &json!("yes")));
        assert_eq!(parsed["score"], json!(0.9321));
    }

    #[test]
    fn detections_as_files() {
        let text = |format| {
            let style = Style { format, several: false, timecode: false };
            let late = Detection { start: 0.5, end: 0.9, label: "no".into(), ..found() };
            file(style, "a.wav", vec![found(), late], 2.0).expect("text")
        };
        assert!(text(SpotFormat::Csv).starts_with("input,start,"));
        assert_eq!(text(SpotFormat::Labels), "0.500000\t0.900000\tno\n1.000000\t1.500000\tyes\n");
        assert!(text(SpotFormat::Srt).starts_with("1\n00:00:00,500 --> 00:00:00,900\nno\n"));
    }
}
