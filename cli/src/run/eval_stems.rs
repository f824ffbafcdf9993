//! `formant eval stems`: signal-to-distortion ratio of each stem on songs whose stems are known.

use std::collections::BTreeMap;

use formant_training::manifest;
use formant_training::progress::{Event, Progress};
use formant_training::stems::{StemsReport, evaluate, songs_of};
use serde_json::{Map, Value, json};

use super::eval::of_split;
use super::{stems, use_threads};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::outputs::{self, begin};
use crate::plan::{EvalStemsPlan, Settings};
use crate::{interrupt, json as lines, stdout};

/// Asks whether to stop, and shows nothing.
struct Stop;

impl Progress for Stop {
    fn event(&self, _event: &Event) {}

    fn cancelled(&self) -> bool {
        interrupt::requested()
    }
}

pub(super) fn run(
    plan: &EvalStemsPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    let rows = manifest::read(&plan.manifest)?;
    let songs = songs_of(&of_split(rows, &plan.manifest, plan.split.as_deref())?);
    let separator = stems::load(&plan.separation)?;
    stems::tell_default(&plan.separation, messages);
    let options = stems::options(&plan.separation, &separator)?;
    let report = evaluate(&separator, &songs, &options, &Stop)?;
    if let Some(target) = &plan.csv {
        let _underway = begin(target)?;
        outputs::write(target, csv(&report).as_bytes())?;
    }
    stdout::print(&match settings.json {
        true => json_lines(&report),
        false => text(&report),
    })?;
    Ok(Outcome::done())
}

/// Mean over the stems.
fn mean(figures: &BTreeMap<String, f64>) -> Option<f64> {
    let count = figures.len();
    (count > 0).then(|| figures.values().sum::<f64>() / count as f64)
}

fn text(report: &StemsReport) -> String {
    let mut text = format!("{:<24}", "song");
    for stem in report.sdr.keys() {
        text += &format!("  {stem:>14}");
    }
    text += "\n";
    for song in &report.songs {
        text += &format!("{:<24}", song.song);
        for stem in report.sdr.keys() {
            text += &song.sdr.get(stem).map_or(" ".repeat(16), |db| format!("  {db:>11.2} dB"));
        }
        text += "\n";
    }
    for (name, figures) in [("mean", &report.sdr), ("mix instead", &report.sdr_of_mix)] {
        text += &format!("{name:<24}");
        for db in figures.values() {
            text += &format!("  {db:>11.2} dB");
        }
        text += "\n";
    }
    text
}

fn csv(report: &StemsReport) -> String {
    let mut text = "song,seconds,stem,sdr_db,sdr_of_mix_db\n".to_owned();
    for song in &report.songs {
        for (stem, db) in &song.sdr {
            let of_mix = song.sdr_of_mix.get(stem).copied().unwrap_or(f64::NAN);
            // Names with commas or quotes are quoted.
            let name = format!("\"{}\"", song.song.replace('"', "\"\""));
            text += &format!("{name},{:.3},{stem},{db:.4},{of_mix:.4}\n", song.seconds);
        }
    }
    text
}

/// Songs first; the last line is the summary.
fn json_lines(report: &StemsReport) -> String {
    let mut text: String = report.songs.iter().map(|song| lines::line("song", song)).collect();
    let mut summary: Map<String, Value> = Map::new();
    summary.insert("items".to_owned(), report.items.into());
    summary.insert("failed".to_owned(), 0.into());
    summary.insert("sdr".to_owned(), mean(&report.sdr).into());
    summary.insert("sdr_by_stem".to_owned(), json!(report.sdr));
    summary.insert("sdr_of_mix".to_owned(), json!(report.sdr_of_mix));
    text += &lines::line("summary", &summary);
    text
}
