//! `formant spot`: words in recordings of any length, as they are found.

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clap::{Args, ValueEnum};
use formant_audio_core::text;
use formant_models::tasks::spot::{Detection, SpotOptions, Spotter};
use formant_models::{LoadOptions, ModelSource};
use serde_json::json;

use crate::args::{AudioArgs, InputArgs, OutputArgs, Precision};
use crate::batch::{Done, Lane};
use crate::commands::{Work, work};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Draft, Existing, Target, Underway, begin};
use crate::plan::{Settings, Sources};
use crate::run::{use_few_threads, warn};
use crate::{batch, interrupt, json as lines, stdout};

/// Kinds of text for detections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpotFormat {
    /// Columns for people: start, end, score, word.
    Text,
    /// A JSON object a line; the same as --json.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
}

/// How detections are made.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Detection options")]
pub(crate) struct SpotTuning {
    /// Score from 0 to 1 that a word needs, for all words (0.7) or one (yes=0.8); may be repeated.
    #[arg(long, value_name = "[WORD=]SCORE")]
    pub(crate) threshold: Vec<String>,
    /// Seconds in which a word is not reported again.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) refractory: Option<f64>,
    /// Seconds over which scores are averaged.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) smoothing: Option<f64>,
    /// Words to look for, separated by commas [default: all that the model knows].
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub(crate) words: Vec<String>,
}

/// What `formant spot` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant spot recording.opus --threshold 0.7 --threshold no=0.9")]
pub(crate) struct SpotArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    /// A bundled model's name, or a file that `formant train spot` wrote, or a checkpoint.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,
    /// Names of the answers of a checkpoint without names: a text file, one a line, or a list
    /// separated by commas.
    #[arg(long, value_name = "FILE|LIST")]
    pub(crate) labels: Option<String>,
    /// Show the words that the model knows and stop.
    #[arg(long)]
    pub(crate) list_words: bool,
    #[command(flatten)]
    pub(crate) tuning: SpotTuning,
    /// Kind of text.
    #[arg(long, value_enum, default_value = "text", value_name = "KIND")]
    pub(crate) format: SpotFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl SpotArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(&self, settings)?;
        Ok(work(plan, run))
    }
}

/// A keyword model and how it runs.
#[derive(Debug)]
pub(crate) struct SpotModel {
    /// `None` is the default model.
    pub(crate) source: Option<ModelSource>,
    /// Names of the answers.
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) load: LoadOptions,
}

/// What `spot` does.
#[derive(Debug)]
pub(crate) enum SpotTask {
    ListWords(SpotModel),
    Find(Box<SpotPlan>),
}

/// Words to be found.
#[derive(Debug)]
pub(crate) struct SpotPlan {
    pub(crate) model: SpotModel,
    pub(crate) sources: Sources,
    pub(crate) options: SpotOptions,
    pub(crate) format: SpotFormat,
    /// Where all detections go.
    pub(crate) target: Target,
    pub(crate) existing: Existing,
}

fn plan(typed: &SpotArgs, settings: &Settings) -> Result<SpotTask, Failure> {
    let model = model(typed.model.as_deref(), typed.labels.as_deref(), settings)?;
    if typed.list_words {
        return Ok(SpotTask::ListWords(model));
    }
    let format = if settings.json { SpotFormat::Jsonl } else { typed.format };
    let target = match &typed.output.output {
        None => Target::Stdout,
        Some(path) if path.as_os_str() == "-" => Target::Stdout,
        Some(path) => Target::File(path.clone()),
    };
    Ok(SpotTask::Find(Box::new(SpotPlan {
        model,
        sources: Sources::of(&typed.input, &typed.audio)?,
        options: tuning(&typed.tuning)?,
        format,
        target,
        existing: Existing::of(&typed.output),
    })))
}

pub(crate) fn model(
    name: Option<&str>,
    labels: Option<&str>,
    settings: &Settings,
) -> Result<SpotModel, Failure> {
    if matches!(settings.precision, Precision::Bf16 | Precision::F16) {
        return Err(Failure::usage("--precision", "keyword models run in f32 only"));
    }
    Ok(SpotModel {
        source: name.map(model_source),
        labels: labels.map(read_labels).transpose()?,
        load: LoadOptions { device: settings.device, ..LoadOptions::default() },
    })
}

/// A path when it looks like one or exists, else the name of a bundled or published model.
pub(crate) fn model_source(name: &str) -> ModelSource {
    ModelSource::named(name)
}

/// A file with a label a line, or labels separated by commas.
fn read_labels(text: &str) -> Result<Vec<String>, Failure> {
    let path = Path::new(text);
    let labels: Vec<String> = if path.exists() && !path.is_dir() {
        let text = text::read(path, text::MAX_TEXT)?;
        text.lines().map(|line| line.trim().to_owned()).collect()
    } else {
        text.split(',').map(|label| label.trim().to_owned()).collect()
    };
    let labels: Vec<String> = labels.into_iter().filter(|label| !label.is_empty()).collect();
    if labels.len() < 2 {
        return Err(Failure::usage("--labels", format!("`{text}` is neither a file nor a list"))
            .help("give a text file with a label a line, or labels separated by commas"));
    }
    Ok(labels)
}

pub(crate) fn tuning(typed: &SpotTuning) -> Result<SpotOptions, Failure> {
    let mut options = SpotOptions {
        refractory: typed.refractory,
        smoothing: typed.smoothing,
        words: typed.words.clone(),
        ..SpotOptions::default()
    };
    for text in &typed.threshold {
        let (word, score) = match text.rsplit_once('=') {
            Some((word, score)) => (Some(word), score),
            None => (None, text.as_str()),
        };
        let score: f32 =
            score.parse().ok().filter(|score| (0.0..=1.0).contains(score)).ok_or_else(|| {
                Failure::usage("--threshold", format!("`{text}` holds no score from 0 to 1"))
                    .help("give a score such as 0.7, or a word and its score such as yes=0.7")
            })?;
        match word {
            Some(word) => {
                options.thresholds.insert(word.to_owned(), score);
            }
            None => options.threshold = Some(score),
        }
    }
    Ok(options)
}

pub(crate) fn run(
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
    let source = ModelSource::or_default(model.source.clone(), "spot")?;
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
pub(crate) struct Sink {
    draft: Option<Mutex<Draft>>,
    target: Target,
    _underway: Underway,
}

impl Sink {
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let underway = begin(target)?;
        let draft = match target {
            Target::Stdout => None,
            Target::File(_) => Some(Mutex::new(Draft::new(target)?)),
        };
        Ok(Self { draft, target: target.clone(), _underway: underway })
    }

    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let Some(draft) = &self.draft else { return stdout::print(text) };
        let mut draft = draft.lock().unwrap_or_else(PoisonError::into_inner);
        let written = draft.file().write_all(text.as_bytes());
        written.map_err(|error| Draft::failure(&self.target, &error))
    }

    pub(crate) fn commit(self) -> Result<(), Failure> {
        let draft = self.draft.map(|draft| draft.into_inner());
        draft.map_or(Ok(()), |draft| draft.unwrap_or_else(PoisonError::into_inner).commit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_for_all_or_for_one() {
        let typed = |list: &[&str]| SpotTuning {
            threshold: list.iter().map(|text| (*text).to_owned()).collect(),
            ..SpotTuning::default()
        };
        let options = tuning(&typed(&["0.6", "yes=0.9"])).expect("two scores");
        assert_eq!(options.threshold, Some(0.6));
        assert_eq!(options.thresholds.get("yes"), Some(&0.9));
        for bad in ["yes", "yes=", "1.5", "no=-1", ""] {
            assert!(tuning(&typed(&[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_paths_are_told_apart() {
        let bundled = ModelSource::Bundled("spot-commands".to_owned());
        assert_eq!(model_source("spot-commands"), bundled);
        for path in ["a/b", "mine.safetensors", "./mine"] {
            assert_eq!(model_source(path), ModelSource::Path(path.into()));
        }
    }

    #[test]
    fn labels_come_as_a_list_or_a_file() {
        assert_eq!(read_labels("yes, no").expect("a list"), ["yes", "no"]);
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "yes\nno\n\nup\n").expect("written");
        let read = read_labels(&file.path().display().to_string()).expect("a file");
        assert_eq!(read, ["yes", "no", "up"]);
        assert!(read_labels("missing.txt").is_err());
    }

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
