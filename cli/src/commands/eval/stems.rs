//! `formant eval stems`: signal-to-distortion ratio of each stem on songs with known stems.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use formant_models::tasks::stems::{StemSeparator, StemsOptions};
use formant_training::manifest;
use formant_training::stems::{SongFiles, SongScore, score_song, songs_of};
use serde_json::{Map, json};

use super::{Evaluation, Summary, Tally, beside, evaluate, mean, of_split, write};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::Target;
use crate::settings::Settings;
use crate::tasks::stems::{DemixArgs, DemixPlan};
use crate::tasks::use_threads;
use crate::{json as lines, table};

/// What `formant eval stems` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant eval stems --manifest songs.tsv --split test --json")]
pub(super) struct EvalStemsArgs {
    /// Table with the columns path and label (and split); of a song the rows are labelled vocals
    /// and accompaniment, and the files called NAME_vocals and NAME_accompaniment.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Use rows of this split only.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    #[command(flatten)]
    demix: DemixArgs,
    /// Write the scores of each song to this file, as comma-separated values.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Replace that file.
    #[arg(long)]
    overwrite: bool,
}

/// A stem separator to be measured.
#[derive(Debug)]
pub(super) struct EvalStemsPlan {
    demix: DemixPlan,
    manifest: PathBuf,
    split: Option<String>,
    csv: Option<Target>,
}

pub(super) fn resolve(
    typed: &EvalStemsArgs,
    settings: &Settings,
) -> Result<EvalStemsPlan, Failure> {
    Ok(EvalStemsPlan {
        csv: beside(typed.csv.as_ref(), typed.overwrite)?,
        demix: typed.demix.resolve(settings)?,
        manifest: typed.manifest.clone(),
        split: typed.split.clone(),
    })
}

pub(super) fn run(
    plan: EvalStemsPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_threads(settings);
    let rows = manifest::read_whole(&plan.manifest)?;
    let songs = songs_of(&of_split(rows, &plan.manifest, plan.split.as_deref())?);
    if songs.is_empty() {
        let why = "no song to measure: the table needs rows labelled `vocals` and `accompaniment` \
                   whose files are called NAME_vocals and NAME_accompaniment";
        return Err(Failure::new(Kind::Input, plan.manifest.display().to_string(), why));
    }
    let separator = plan.demix.load()?;
    plan.demix.tell_default(messages);
    let options = plan.demix.options(&separator)?;
    let task = Songs { separator, options, csv: plan.csv.as_ref(), scores: Vec::new() };
    evaluate(task, &songs, settings, messages)
}

/// A separator, and the scores of all songs.
struct Songs<'a> {
    separator: StemSeparator,
    options: StemsOptions,
    csv: Option<&'a Target>,
    scores: Vec<SongScore>,
}

impl Evaluation for Songs<'_> {
    type Item = SongFiles;
    const UNIT: &'static str = "songs";

    fn name(&self, song: &SongFiles) -> String {
        song.name.clone()
    }

    fn measure(&mut self, song: &SongFiles) -> Result<Option<String>, Failure> {
        let score = score_song(&self.separator, song, &self.options)?;
        let line = lines::line("song", &score);
        self.scores.push(score);
        Ok(Some(line))
    }

    fn finish(self, _: &mut Tally) -> Result<Summary, Failure> {
        write(self.csv, || score_table(&self.scores))?;
        let sdr = means(&self.scores, |score| &score.sdr);
        let of_mix = means(&self.scores, |score| &score.sdr_of_mix);
        let mut figures = Map::new();
        figures.insert("sdr".to_owned(), mean(sdr.values().copied().map(Some)).into());
        figures.insert("sdr_by_stem".to_owned(), json!(sdr));
        figures.insert("sdr_of_mix".to_owned(), json!(of_mix));
        let text = text(&self.scores, &sdr, &of_mix);
        Ok(Summary { details: String::new(), figures, text })
    }
}

/// Mean of each stem over the songs.
fn means<'a>(
    scores: &'a [SongScore],
    pick: impl Fn(&'a SongScore) -> &'a BTreeMap<String, f64>,
) -> BTreeMap<&'a str, f64> {
    let names: BTreeSet<&str> =
        scores.iter().flat_map(|score| pick(score).keys()).map(String::as_str).collect();
    let of_stem = |name| mean(scores.iter().map(|score| pick(score).get(name).copied()));
    names.into_iter().filter_map(|name| Some((name, of_stem(name)?))).collect()
}

fn text(scores: &[SongScore], sdr: &BTreeMap<&str, f64>, of_mix: &BTreeMap<&str, f64>) -> String {
    let line = |name: &str, cell: &dyn Fn(&str) -> String| {
        let cells: String = sdr.keys().map(|stem| format!("  {:>14}", cell(stem))).collect();
        format!("{name:<24}{cells}\n")
    };
    let decibel = |db: Option<&f64>| db.map_or_else(String::new, |db| format!("{db:.2} dB"));
    let songs = scores.iter().map(|song| line(&song.song, &|stem| decibel(song.sdr.get(stem))));
    line("song", &str::to_owned)
        + &songs.collect::<String>()
        + &line("mean", &|stem| decibel(sdr.get(stem)))
        + &line("mix instead", &|stem| decibel(of_mix.get(stem)))
}

fn score_table(scores: &[SongScore]) -> Result<Vec<u8>, Failure> {
    let rows = scores.iter().flat_map(|song| {
        song.sdr.iter().map(|(stem, db)| {
            let of_mix = song.sdr_of_mix.get(stem).copied().unwrap_or(f64::NAN);
            let seconds = format!("{:.3}", song.seconds);
            [song.song.clone(), seconds, stem.clone(), format!("{db:.4}"), format!("{of_mix:.4}")]
        })
    });
    table::with_header(b',', ["song", "seconds", "stem", "sdr_db", "sdr_of_mix_db"], rows)
}
