//! `formant eval spot`: accuracy on clips of words, false alarms on recordings without them.

use std::path::{Path, PathBuf};

use clap::Args;
use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_models::tasks::Task;
use formant_models::tasks::spot::{Detection, SpotOptions, Spotter};
use formant_training::Recording;
use formant_training::manifest::{self, Row};
use formant_training::spot::{Answers, Splits, SpotReport, answer};
use serde_json::json;

use super::{Evaluation, Summary, Tally, evaluate, figures, of_split};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::recordings;
use crate::json as lines;
use crate::messages::Messages;
use crate::settings::Settings;
use crate::tasks::spot::{SpotModel, SpotTuning, accuracy_table};
use crate::tasks::use_few_threads;

/// Rows without a word that are longer than this are recordings, not clips, in seconds.
const LONGEST_CLIP: f64 = 3.0;

/// What `formant eval spot` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant eval spot --manifest words.tsv --split test --json")]
pub(super) struct EvalSpotArgs {
    /// Table with the columns path and label (and split), or a folder that holds one folder a word.
    /// Rows of over 3 seconds that are not labelled with a word of the model count as recordings
    /// without the words.
    #[arg(long, value_name = "FILE|FOLDER", required_unless_present = "negatives")]
    manifest: Option<PathBuf>,
    /// Use rows of this split only. Clips without a split have the one that the training of the model
    /// gave them.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Recordings without the words, for false alarms per hour: files, folders or manifests.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    negatives: Vec<PathBuf>,
    /// A bundled model's name, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// Labels of a checkpoint that has none: a text file or a list.
    #[arg(long, value_name = "FILE|LIST")]
    labels: Option<String>,
    #[command(flatten)]
    tuning: SpotTuning,
}

/// A keyword model to be measured.
#[derive(Debug)]
pub(super) struct EvalSpotPlan {
    model: SpotModel,
    manifest: Option<PathBuf>,
    split: Option<String>,
    negatives: Vec<PathBuf>,
    options: SpotOptions,
}

pub(super) fn resolve(typed: &EvalSpotArgs, settings: &Settings) -> Result<EvalSpotPlan, Failure> {
    Ok(EvalSpotPlan {
        model: SpotModel::of(typed.model.as_deref(), typed.labels.as_deref(), settings)?,
        manifest: typed.manifest.clone(),
        split: typed.split.clone(),
        negatives: typed.negatives.clone(),
        options: typed.tuning.options()?,
    })
}

pub(super) fn run(
    plan: EvalSpotPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_few_threads(settings);
    let split = plan.split.as_deref();
    let listed = plan.manifest.as_ref().map(|path| manifest::read(path)).transpose()?;
    let negatives = recordings(&plan.negatives, |table| rows(table, split))?;
    let spotter = plan.model.load()?;
    let labelled = match (&plan.manifest, listed) {
        (Some(path), Some(mut rows)) => {
            // The clips that the training of this model kept out, where the table does not say.
            if let Some(splits) = Splits::of(&spotter.card().provenance) {
                splits.apply(&mut rows, path);
            }
            of_split(rows, path, split)?
        }
        _ => Vec::new(),
    };
    // A wrong word is one error and not one a file.
    spotter.start(&plan.options)?;
    let (clips, recordings): (Vec<Row>, Vec<Row>) =
        labelled.into_iter().partition(|row| is_clip(&spotter, row));
    let recordings = negatives.into_iter().chain(recordings.iter().map(Row::recording));
    let items: Vec<Item> =
        clips.into_iter().map(Item::Clip).chain(recordings.map(Item::Recording)).collect();
    let task = Words { spotter: &spotter, options: &plan.options, answers: None, alarms: None };
    evaluate(task, &items, settings, messages)
}

/// What is heard.
enum Item {
    /// A clip with its label.
    Clip(Row),
    /// A recording without the words, in which every detection is a false alarm.
    Recording(Recording),
}

/// False alarms on audio without the words.
#[derive(Default)]
struct FalseAlarms {
    hours: f64,
    /// Each of them with its file.
    detections: Vec<(String, Detection)>,
}

impl FalseAlarms {
    fn per_hour(&self) -> f64 {
        if self.hours > 0.0 { self.detections.len() as f64 / self.hours } else { 0.0 }
    }
}

/// A model, and its answers on clips and recordings, where there are such.
struct Words<'a> {
    spotter: &'a Spotter,
    options: &'a SpotOptions,
    answers: Option<Answers>,
    alarms: Option<FalseAlarms>,
}

impl Evaluation for Words<'_> {
    type Item = Item;
    const UNIT: &'static str = "recordings";

    fn name(&self, item: &Item) -> String {
        match item {
            Item::Clip(row) => row.recording().to_string(),
            Item::Recording(recording) => recording.to_string(),
        }
    }

    fn measure(&mut self, item: &Item) -> Result<Option<String>, Failure> {
        match item {
            Item::Clip(row) => {
                let answers = self.answers.get_or_insert_default();
                answers.add(self.spotter, &row.label, &answer(self.spotter, &row.recording())?);
            }
            Item::Recording(recording) => {
                let alarms = self.alarms.get_or_insert_default();
                let mut reader = recording.open()?;
                let (found, heard) = self.spotter.process_to_end(&mut reader, self.options)?;
                alarms.hours += heard.seconds / 3600.0;
                let name = recording.to_string();
                alarms.detections.extend(found.into_iter().map(|found| (name.clone(), found)));
            }
        }
        Ok(None)
    }

    fn finish(self, tally: &mut Tally) -> Result<Summary, Failure> {
        let report = self.answers.map(|answers| answers.report(Vec::new()));
        let alarms = self.alarms;
        let figures = figures([
            ("accuracy", report.as_ref().and_then(|report| report.accuracy)),
            ("rejection", report.as_ref().and_then(|report| report.rejection)),
            ("false_alarms_per_hour", alarms.as_ref().map(FalseAlarms::per_hour)),
            ("negative_hours", alarms.as_ref().map(|alarms| alarms.hours)),
        ]);
        let (report, alarms) = (report.as_ref(), alarms.as_ref());
        let counts = format!("{}, {} failed\n", tally.recordings(), tally.failed.len());
        let text = text(report, alarms) + &counts;
        Ok(Summary { details: details(report, alarms), figures, text })
    }
}

/// Rows of a table or folder, of one split if it is named.
fn rows(path: &Path, split: Option<&str>) -> Result<Vec<Row>, Failure> {
    of_split(manifest::read(path)?, path, split)
}

/// Whether a row is a clip: labelled with one of the model's words, or labelled and short. All others
/// are recordings without the words.
fn is_clip(spotter: &Spotter, row: &Row) -> bool {
    let is_word = spotter.words().any(|word| word == row.label);
    is_word || (!row.label.is_empty() && seconds(row).is_none_or(|s| s <= LONGEST_CLIP))
}

/// Length of what a row is about, from the manifest or else from the file's header.
fn seconds(row: &Row) -> Option<f64> {
    row.stretch.seconds.or(row.seconds).or_else(|| {
        let mut reader = BlockReader::open(&row.path, &DecodeOptions::default()).ok()?;
        let frames = reader.declared_frames()?;
        Some(frames as f64 / f64::from(reader.spec().rate) - row.stretch.start)
    })
}

fn text(report: Option<&SpotReport>, alarms: Option<&FalseAlarms>) -> String {
    let mut text =
        report.map_or_else(String::new, |report| format!("{}\n", accuracy_table(report)));
    if let Some(alarms) = alarms {
        for (file, found) in alarms.detections.iter().take(20) {
            text += &format!(
                "false alarm: {file} at {:.2} s: {} ({:.3})\n",
                found.start, found.label, found.score
            );
        }
        text += &format!(
            "{} false alarms in {:.2} h: {:.2} an hour\n",
            alarms.detections.len(),
            alarms.hours,
            alarms.per_hour()
        );
    }
    text
}

fn details(report: Option<&SpotReport>, alarms: Option<&FalseAlarms>) -> String {
    let words = report.into_iter().flat_map(|report| &report.words);
    let confusions = report.into_iter().flat_map(|report| &report.confusions);
    let alarms = alarms.into_iter().flat_map(|alarms| &alarms.detections);
    let alarm = |(file, found): &(String, Detection)| {
        lines::line("false_alarm", &json!({"input": file, "detection": found}))
    };
    words
        .map(|word| lines::line("word", word))
        .chain(confusions.map(|confusion| lines::line("confusion", confusion)))
        .chain(alarms.map(alarm))
        .collect()
}
