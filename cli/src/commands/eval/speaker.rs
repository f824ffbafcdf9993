//! `formant eval speaker`: equal error rate and detection cost, and a plot of the trade-off.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use formant_audio_core::metrics::detection::DetCurve;
use formant_audio_core::plot::det_chart;
use formant_models::tasks::speaker::{EmbedOptions, Scorer, SpeakerEmbedder};
use formant_training::speaker::{
    Embeddings, SpeakerReport, Trial, embed_file, evaluate as score, read_trials,
};
use serde_json::{Map, Value};

use super::{Evaluation, Summary, Tally, beside, evaluate, figures, write};
use crate::draft::write_image;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::Target;
use crate::settings::Settings;
use crate::table;
use crate::tasks::speaker::{DecisionArgs, DecisionPlan, SpeakerModel, SpeakerModelArgs};
use crate::tasks::use_few_threads;

/// What `formant eval speaker` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant eval speaker --trials trials.tsv --plot det.png --json")]
pub(super) struct EvalSpeakerArgs {
    /// Labelled pairs: a table with the columns target (1 or 0), path1 and path2, or lines of
    /// an answer and two names. Names are relative to the list.
    #[arg(long, value_name = "FILE", required = true)]
    trials: PathBuf,
    /// Folder that the names in the list are relative to, instead of the list's own.
    #[arg(long, value_name = "FOLDER")]
    base: Option<PathBuf>,
    #[command(flatten)]
    model: SpeakerModelArgs,
    #[command(flatten)]
    decision: DecisionArgs,
    /// Plot miss rate over false-alarm rate as PNG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write the scores as a table.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Replace existing outputs.
    #[arg(long)]
    overwrite: bool,
}

/// A speaker model to be measured.
#[derive(Debug)]
pub(super) struct EvalSpeakerPlan {
    model: SpeakerModel,
    trials: PathBuf,
    base: Option<PathBuf>,
    decision: DecisionPlan,
    plot: Option<Target>,
    scores: Option<Target>,
}

pub(super) fn resolve(
    typed: &EvalSpeakerArgs,
    settings: &Settings,
) -> Result<EvalSpeakerPlan, Failure> {
    Ok(EvalSpeakerPlan {
        model: typed.model.resolve(settings)?,
        trials: typed.trials.clone(),
        base: typed.base.clone(),
        decision: typed.decision.resolve()?,
        plot: beside(typed.plot.as_ref(), typed.overwrite)?,
        scores: beside(typed.scores.as_ref(), typed.overwrite)?,
    })
}

pub(super) fn run(
    plan: EvalSpeakerPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_few_threads(settings);
    let trials = read_trials(&plan.trials, plan.base.as_deref())?;
    if trials.iter().any(|trial| trial.target.is_none()) {
        let why = "some pairs have no answer";
        return Err(Failure::new(Kind::Input, plan.trials.display().to_string(), why)
            .help("add a column `target` with 1 or 0"));
    }
    let embedder = plan.model.load()?;
    let scorer = plan.decision.scorer(&embedder, &plan.model)?;
    let files: BTreeSet<&PathBuf> =
        trials.iter().flat_map(|trial| [&trial.first, &trial.second]).collect();
    let files: Vec<PathBuf> = files.into_iter().cloned().collect();
    let task = Pairs {
        embedder,
        embed: plan.model.embed,
        scorer,
        trials,
        embeddings: Embeddings::new(),
        plot: plan.plot,
        scores: plan.scores,
    };
    evaluate(task, &files, settings, messages)
}

/// A model, the pairs, and the embeddings of their recordings. Recordings are the items, and pairs the
/// results.
struct Pairs {
    embedder: SpeakerEmbedder,
    embed: EmbedOptions,
    scorer: Scorer,
    trials: Vec<Trial>,
    embeddings: Embeddings,
    plot: Option<Target>,
    scores: Option<Target>,
}

impl Evaluation for Pairs {
    type Item = PathBuf;
    const UNIT: &'static str = "files";

    fn name(&self, path: &PathBuf) -> String {
        path.display().to_string()
    }

    fn measure(&mut self, path: &PathBuf) -> Result<Option<String>, Failure> {
        let found = embed_file(&self.embedder, path, &self.embed);
        let failure = found.as_ref().err().map(|why| Failure::new(Kind::Input, "", why.as_str()));
        self.embeddings.insert(path.clone(), found);
        failure.map_or(Ok(None), Err)
    }

    fn finish(mut self, tally: &mut Tally) -> Result<Summary, Failure> {
        // After an interrupt, pairs of recordings that were not reached are left out.
        let embeddings = &self.embeddings;
        self.trials.retain(|trial| {
            [&trial.first, &trial.second].into_iter().all(|path| embeddings.contains_key(path))
        });
        let report = score(&self.trials, embeddings, &self.scorer)?;
        *tally = Tally { done: report.items, failed: vec![Kind::Input; report.failed] };
        write(self.scores.as_ref(), || score_table(&report))?;
        if let Some(target) = &self.plot {
            draw(&report, target)?;
        }
        Ok(Summary { details: String::new(), figures: summary(&report), text: text(&report) })
    }
}

fn summary(report: &SpeakerReport) -> Map<String, Value> {
    let Some(found) = &report.figures else { return Map::new() };
    let at = &found.at_threshold;
    let mut summary = figures([
        ("eer", Some(found.eer)),
        ("min_dcf", Some(found.min_dcf)),
        ("min_dcf_05", Some(found.min_dcf_05)),
        ("eer_threshold", Some(found.eer_threshold)),
        ("threshold", Some(at.threshold)),
        ("miss_rate", Some(at.miss_rate)),
        ("false_alarm_rate", Some(at.false_alarm_rate)),
    ]);
    summary.insert("targets".to_owned(), found.targets.into());
    summary.insert("others".to_owned(), found.others.into());
    summary
}

fn text(report: &SpeakerReport) -> String {
    let mut text = format!("{} pairs scored, {} without a score\n", report.items, report.failed);
    match &report.figures {
        None => text += "no figures: pairs of both kinds are needed\n",
        Some(figures) => {
            let at = &figures.at_threshold;
            text += &format!(
                "{} of one speaker, {} of two\n{}\nat the threshold {:.3}: {:.2} % missed, \
                 {:.2} % falsely accepted\n",
                figures.targets,
                figures.others,
                figures.one_line(),
                at.threshold,
                100.0 * at.miss_rate,
                100.0 * at.false_alarm_rate
            );
        }
    }
    text
}

fn score_table(report: &SpeakerReport) -> Result<Vec<u8>, Failure> {
    let rows = report.trials.iter().map(|trial| {
        let target = trial.target.map_or("-", |target| if target { "1" } else { "0" });
        let [first, second] = [&trial.first, &trial.second].map(|path| path.display().to_string());
        [target.to_owned(), format!("{:.6}", trial.score), first, second]
    });
    table::with_header(b'\t', ["target", "score", "path1", "path2"], rows)
}

fn draw(report: &SpeakerReport, target: &Target) -> Result<(), Failure> {
    let of_kind = |kind: bool| -> Vec<f64> {
        let trials = report.trials.iter().filter(|trial| trial.target == Some(kind));
        trials.map(|trial| trial.score).collect()
    };
    let curve = DetCurve::new(&of_kind(true), &of_kind(false))?;
    let image = det_chart("Speaker verification", &[("this model", &curve)]).render()?;
    write_image(&image, target)
}
