//! `formant eval spot`: how often a keyword model is right, and how often it cries for nothing.

use std::path::{Path, PathBuf};

use formant_training::manifest::{self, Row};
use formant_training::spot::{FalseAlarms, SpotReport, evaluate, false_alarms, split_recordings};
use serde_json::json;

use super::spot::load;
use super::train::spot::table;
use super::use_few_threads;
use crate::args::InputArgs;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::plan::{EvalSpotPlan, Settings};
use crate::{inputs, interrupt, json as lines, stdout};

pub(super) fn run(
    plan: EvalSpotPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_few_threads(settings);
    let split = plan.split.as_deref();
    let clips = match &plan.manifest {
        Some(path) => rows(path, split)?,
        None => Vec::new(),
    };
    let mut negatives = negatives(&plan.negatives, split)?;
    let spotter = load(&plan.model)?;
    let (clips, recordings) = split_recordings(&spotter, clips);
    negatives.extend(recordings.into_iter().map(|row| row.path));
    let report = match clips.is_empty() {
        true => None,
        false => Some(evaluate(&spotter, &clips)?),
    };
    let alarms = match negatives.is_empty() {
        true => None,
        false => Some(false_alarms(&spotter, &negatives, &plan.options)?),
    };
    for failed in failures(report.as_ref(), alarms.as_ref()) {
        messages.failure(&Failure::new(Kind::Input, failed.as_str(), ""));
    }
    let failed = failures(report.as_ref(), alarms.as_ref()).count();
    let items = report.as_ref().map_or(0, |report| report.items) + negatives.len()
        - alarms.as_ref().map_or(0, |alarms| alarms.failed.len());
    let text = match settings.json {
        true => json_lines(report.as_ref(), alarms.as_ref(), items, failed),
        false => text(report.as_ref(), alarms.as_ref()),
    };
    stdout::print(&text)?;
    Ok(Outcome::Worked {
        done: items,
        failed: vec![Kind::Input; failed],
        interrupted: interrupt::requested(),
    })
}

/// Rows of a table or folder, of one split if it is named.
fn rows(path: &Path, split: Option<&str>) -> Result<Vec<Row>, Failure> {
    of_split(manifest::read(path)?, path, split)
}

/// Those rows of the manifest at `path` that belong to a split, or all of them.
pub(super) fn of_split(
    rows: Vec<Row>,
    path: &Path,
    split: Option<&str>,
) -> Result<Vec<Row>, Failure> {
    let Some(split) = split else { return Ok(rows) };
    let chosen: Vec<Row> = rows.iter().filter(|row| row.split == split).cloned().collect();
    if chosen.is_empty() {
        let mut splits: Vec<&str> = rows.iter().map(|row| row.split.as_str()).collect();
        splits.sort_unstable();
        splits.dedup();
        let why = format!("no row has the split `{split}`");
        return Err(Failure::usage(path.display().to_string(), why)
            .help(format!("splits that are there: {}", splits.join(", "))));
    }
    Ok(chosen)
}

/// Files, folders and tables of recordings without the words.
fn negatives(paths: &[PathBuf], split: Option<&str>) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let is_table = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("tsv") || e.eq_ignore_ascii_case("csv"));
        if is_table {
            files.extend(rows(path, split)?.into_iter().map(|row| row.path));
            continue;
        }
        let named = InputArgs { inputs: vec![path.clone()], ..InputArgs::default() };
        for entry in inputs::expand(&named)?.entries {
            match entry {
                Ok(input) => files.extend(input.path),
                Err((_, failure)) => return Err(failure),
            }
        }
    }
    Ok(files)
}

fn failures<'a>(
    report: Option<&'a SpotReport>,
    alarms: Option<&'a FalseAlarms>,
) -> impl Iterator<Item = &'a String> {
    let clips = report.into_iter().flat_map(|report| &report.failed);
    clips.chain(alarms.into_iter().flat_map(|alarms| &alarms.failed))
}

fn text(report: Option<&SpotReport>, alarms: Option<&FalseAlarms>) -> String {
    let mut text = String::new();
    if let Some(report) = report {
        text += &format!("{}\n", table(report));
    }
    if let Some(alarms) = alarms {
        for (file, found) in alarms.detections.iter().take(20) {
            text += &format!(
                "false alarm: {file} at {:.2} s: {} ({:.3})\n",
                found.start, found.label, found.score
            );
        }
        text += &format!(
            "{} false alarms in {:.2} h: {:.2} an hour\n",
            alarms.count, alarms.hours, alarms.per_hour
        );
    }
    text
}

/// Details first; the last line is the summary.
fn json_lines(
    report: Option<&SpotReport>,
    alarms: Option<&FalseAlarms>,
    items: usize,
    failed: usize,
) -> String {
    let mut text = String::new();
    for word in report.into_iter().flat_map(|report| &report.words) {
        text += &lines::line("word", word);
    }
    for confusion in report.into_iter().flat_map(|report| &report.confusions) {
        text += &lines::line("confusion", confusion);
    }
    for (file, found) in alarms.into_iter().flat_map(|alarms| &alarms.detections) {
        text += &lines::line("false_alarm", &json!({"input": file, "detection": found}));
    }
    let mut summary = serde_json::Map::new();
    summary.insert("items".to_owned(), items.into());
    summary.insert("failed".to_owned(), failed.into());
    let figures = [
        ("accuracy", report.and_then(|report| report.accuracy)),
        ("rejection", report.and_then(|report| report.rejection)),
        ("false_alarms_per_hour", alarms.map(|alarms| alarms.per_hour)),
        ("negative_hours", alarms.map(|alarms| alarms.hours)),
    ];
    for (name, figure) in figures {
        if let Some(figure) = figure {
            summary.insert(name.to_owned(), figure.into());
        }
    }
    text + &lines::line("summary", &summary)
}
