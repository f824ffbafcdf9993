//! `formant eval speaker`: equal error rate and detection cost, and a picture of the trade-off.

use formant_audio_core::metrics::detection::DetCurve;
use formant_audio_core::plot::det_chart;
use formant_training::speaker::{SpeakerReport, embed_files, evaluate, read_trials};
use serde_json::Map;

use super::speaker::{load, scorer};
use super::use_few_threads;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::{self, Target, begin};
use crate::plan::{EvalSpeakerPlan, Settings};
use crate::{interrupt, json as lines, stdout};

pub(super) fn run(
    plan: &EvalSpeakerPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_few_threads(settings);
    let trials = read_trials(&plan.trials, plan.base.as_deref())?;
    if trials.iter().any(|trial| trial.target.is_none()) {
        let why = "some pairs have no answer";
        return Err(Failure::new(Kind::Input, plan.trials.display().to_string(), why)
            .help("add a column `target` with 1 or 0"));
    }
    let embedder = load(&plan.model)?;
    let scorer = scorer(&embedder, &plan.model, &plan.decision)?;
    let files: std::collections::BTreeSet<_> =
        trials.iter().flat_map(|trial| [&trial.first, &trial.second]).collect();
    let bar = messages.bar(files.len() as u64, "files");
    let embeddings = embed_files(&embedder, files, &plan.model.embed, || {
        bar.inc(1);
        !interrupt::requested()
    })?;
    bar.finish_and_clear();
    let report = evaluate(&trials, &embeddings, &scorer)?;
    for (path, why) in &report.unusable {
        messages.failure(&Failure::new(Kind::Input, path.as_str(), why.as_str()));
    }
    if let Some(target) = &plan.scores {
        let _underway = begin(target)?;
        outputs::write(target, table(&report).as_bytes())?;
    }
    if let Some(target) = &plan.plot {
        draw(&report, target)?;
    }
    stdout::print(&match settings.json {
        true => lines::line("summary", &summary(&report)),
        false => text(&report),
    })?;
    Ok(Outcome::Worked {
        done: report.items,
        failed: vec![Kind::Input; report.failed],
        interrupted: interrupt::requested(),
    })
}

fn summary(report: &SpeakerReport) -> Map<String, serde_json::Value> {
    let mut summary = Map::new();
    summary.insert("items".to_owned(), report.items.into());
    summary.insert("failed".to_owned(), report.failed.into());
    if let Some(figures) = &report.figures {
        let at = &figures.at_threshold;
        for (name, value) in [
            ("eer", figures.eer),
            ("min_dcf", figures.min_dcf),
            ("min_dcf_05", figures.min_dcf_05),
            ("eer_threshold", figures.eer_threshold),
            ("threshold", at.threshold),
            ("miss_rate", at.miss_rate),
            ("false_alarm_rate", at.false_alarm_rate),
        ] {
            summary.insert(name.to_owned(), value.into());
        }
        summary.insert("targets".to_owned(), figures.targets.into());
        summary.insert("others".to_owned(), figures.others.into());
    }
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

fn table(report: &SpeakerReport) -> String {
    let mut text = "target\tscore\tpath1\tpath2\n".to_owned();
    for trial in &report.trials {
        let target = trial.target.map_or("-", |target| if target { "1" } else { "0" });
        let paths = [&trial.first, &trial.second].map(|path| path.display().to_string());
        text += &format!("{target}\t{:.6}\t{}\t{}\n", trial.score, paths[0], paths[1]);
    }
    text
}

fn draw(report: &SpeakerReport, target: &Target) -> Result<(), Failure> {
    let of_kind = |kind: bool| -> Vec<f64> {
        let trials = report.trials.iter().filter(|trial| trial.target == Some(kind));
        trials.map(|trial| trial.score).collect()
    };
    let curve = DetCurve::new(&of_kind(true), &of_kind(false))?;
    let image = det_chart("Speaker verification", &[("this model", &curve)]).render()?;
    let _underway = begin(target)?;
    super::plot::save(&image, target)
}
