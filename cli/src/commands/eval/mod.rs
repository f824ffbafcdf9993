//! `formant eval`: measures a model on labelled recordings.
//!
//! One loop for all tasks is here; a file a task says what its items are, how one is measured, and what
//! all come to.

mod mixtures;
mod speaker;
mod spot;
mod stems;
mod superres;
mod transcribe;
mod vocode;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use formant_training::manifest::Row;
use serde_json::{Map, Value};

use self::mixtures::{MixturesArgs, MixturesPlan};
use super::Work;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::{Existing, Target};
use crate::settings::Settings;
use crate::{draft, interrupt, json as lines, stdout};

/// What `formant eval` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant eval spot --manifest words.tsv --split test")]
pub(crate) struct EvalArgs {
    #[command(subcommand)]
    command: EvalCommand,
}

/// Tasks that can be measured, by the names of their commands.
#[derive(Debug, Subcommand)]
enum EvalCommand {
    /// Measure accuracy on clips of words, rejection of other clips, false alarms on long audio.
    Spot(spot::EvalSpotArgs),
    /// Measure equal error rate and detection cost on pairs of recordings.
    Speaker(speaker::EvalSpeakerArgs),
    /// Measure the signal-to-distortion ratio of stems on songs with known stems.
    Stems(Box<stems::EvalStemsArgs>),
    /// Measure word and character error rates of a recognizer.
    #[command(alias = "asr")]
    Transcribe(Box<transcribe::EvalTranscribeArgs>),
    /// Measure the SI-SDR improvement of a separator, speakers in the order that fits best.
    #[command(
        alias = "separation",
        after_help = "Example: formant eval separate --manifest mixtures.tsv --split test --csv scores.csv"
    )]
    Separate(MixturesArgs),
    /// Measure the SI-SDR improvement of an enhancer; `s1` is the speech.
    #[command(
        after_help = "Example: formant eval enhance --manifest mixtures.tsv --split test --csv scores.csv"
    )]
    Enhance(MixturesArgs),
    /// Measure the log-spectral distance of widened recordings to their originals.
    Superres(superres::EvalSuperresArgs),
    /// Measure how far recordings change on the way through their spectrograms.
    Vocode(vocode::EvalVocodeArgs),
}

impl EvalArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        Ok(match self.command {
            EvalCommand::Spot(typed) => measuring(spot::resolve(&typed, settings)?, spot::run),
            EvalCommand::Speaker(typed) => {
                measuring(speaker::resolve(&typed, settings)?, speaker::run)
            }
            EvalCommand::Stems(typed) => measuring(stems::resolve(&typed, settings)?, stems::run),
            EvalCommand::Transcribe(typed) => {
                measuring(transcribe::resolve(&typed, settings)?, transcribe::run)
            }
            EvalCommand::Separate(typed) => {
                measuring(MixturesPlan::of(&typed, "separate", settings)?, mixtures::separate)
            }
            EvalCommand::Enhance(typed) => {
                measuring(MixturesPlan::of(&typed, "enhance", settings)?, mixtures::enhance)
            }
            EvalCommand::Superres(typed) => {
                measuring(superres::resolve(&typed, settings)?, superres::run)
            }
            EvalCommand::Vocode(typed) => {
                measuring(vocode::resolve(&typed, settings)?, vocode::run)
            }
        })
    }
}

/// The work of a plan, which an interrupt ends between recordings.
fn measuring<P: 'static>(
    plan: P,
    run: fn(P, &Settings, &Messages) -> Result<Outcome, Failure>,
) -> Work {
    Box::new(move |settings, messages| {
        interrupt::install()?;
        run(plan, settings, messages)
    })
}

/// What differs from task to task.
trait Evaluation {
    /// A labelled recording, or several that belong together.
    type Item;

    /// What the items are, for the progress bar.
    const UNIT: &'static str;

    /// The name of an item in messages.
    fn name(&self, item: &Self::Item) -> String;

    /// Measures one item and counts it; its JSON line, where it has one.
    fn measure(&mut self, item: &Self::Item) -> Result<Option<String>, Failure>;

    /// Writes the files beside the summary, and sums up. A task whose results are not its items
    /// corrects the `tally`.
    fn finish(self, tally: &mut Tally) -> Result<Summary, Failure>;
}

/// How many results there are, and why the others failed.
struct Tally {
    done: usize,
    failed: Vec<Kind>,
}

impl Tally {
    /// How many recordings were measured.
    fn recordings(&self) -> String {
        format!("{} recording{}", self.done, if self.done == 1 { "" } else { "s" })
    }
}

/// What all items come to.
struct Summary {
    /// JSON lines before the summary.
    details: String,
    /// The figures of the summary.
    figures: Map<String, Value>,
    /// The same for people.
    text: String,
}

/// Measures every item: a failure is reported and does not stop the others, an interrupt leaves what was
/// measured so far. The last JSON line is the summary, with `items` and `failed` first.
fn evaluate<E: Evaluation>(
    mut task: E,
    items: &[E::Item],
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let bar = messages.bar(items.len() as u64, E::UNIT);
    let mut tally = Tally { done: 0, failed: Vec::new() };
    let print = |line: &str| match settings.json {
        true => messages.aside(|| stdout::print(line)),
        false => Ok(()),
    };
    for item in items {
        if interrupt::requested() {
            break;
        }
        match task.measure(item) {
            Ok(line) => {
                tally.done += 1;
                line.map_or(Ok(()), |line| print(&line))?;
            }
            Err(failure) if failure.kind == Kind::Interrupted => break,
            Err(failure) => {
                let name = task.name(item);
                let failure = failure.of_input(&name);
                messages.failure(&failure);
                print(&lines::failure(&name, &failure))?;
                tally.failed.push(failure.kind);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let Summary { details, figures, text } = task.finish(&mut tally)?;
    stdout::print(&match settings.json {
        true => {
            let mut summary = Map::new();
            summary.insert("items".to_owned(), tally.done.into());
            summary.insert("failed".to_owned(), tally.failed.len().into());
            summary.extend(figures);
            details + &lines::line("summary", &summary)
        }
        false => text,
    })?;
    Ok(Outcome::Worked {
        done: tally.done,
        failed: tally.failed,
        interrupted: interrupt::requested(),
    })
}

/// Figures that are there, by name.
fn figures<const N: usize>(list: [(&str, Option<f64>); N]) -> Map<String, Value> {
    let there = |(name, value): (&str, Option<f64>)| Some((name.to_owned(), value?.into()));
    list.into_iter().filter_map(there).collect()
}

/// The mean of the values that are there.
fn mean(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = values.into_iter().flatten().fold((0.0, 0), |(sum, n), x| (sum + x, n + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Rows of the manifest at `path` that belong to a split, or all of them.
fn of_split(rows: Vec<Row>, path: &Path, split: Option<&str>) -> Result<Vec<Row>, Failure> {
    let Some(split) = split else { return Ok(rows) };
    let (chosen, others): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| row.split == split);
    if chosen.is_empty() {
        let mut splits: Vec<&str> = others.iter().map(|row| row.split.as_str()).collect();
        splits.sort_unstable();
        splits.dedup();
        let why = format!("no row has the split `{split}`");
        return Err(Failure::usage(path.display().to_string(), why)
            .help(format!("splits that are there: {}", splits.join(", "))));
    }
    Ok(chosen)
}

/// A file to write beside the summary, once it is clear that it may be written.
fn beside(path: Option<&PathBuf>, overwrite: bool) -> Result<Option<Target>, Failure> {
    let existing = Existing::overwrite(overwrite);
    let target = path.cloned().map(Target::File);
    target.iter().try_for_each(|target| existing.admits(target).map(drop))?;
    Ok(target)
}

/// Writes such a file, where one is wanted.
fn write(
    target: Option<&Target>,
    bytes: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<(), Failure> {
    target.map_or(Ok(()), |target| draft::write(target, &bytes()?))
}
