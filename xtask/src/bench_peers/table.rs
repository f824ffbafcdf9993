//! The table of run times, with ratios and budgets.

use super::Measured;
use super::jobs::{JOBS, Job, Program};

/// Results further apart than this come from different work.
const TOLERANCE: f64 = 0.02;

/// A table of all jobs.
pub(super) fn markdown(results: &[Vec<Option<Measured>>]) -> String {
    let mut lines = vec![
        "| job | program | median, ms | quartiles, ms | least, ms | its median / formant's \
         | its least / formant's | budget |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for (job, measured) in JOBS.iter().zip(results) {
        let mut title = job.title;
        for (at, _) in job.entries.iter().enumerate() {
            if let Some(row) = row(job, measured, at) {
                lines.push(format!("| {title} | {row} |"));
                title = "";
            }
        }
    }
    lines.join("\n")
}

/// All but the job's title; `None` when it was not measured.
fn row(job: &Job, measured: &[Option<Measured>], at: usize) -> Option<String> {
    let (entry, found) = (&job.entries[at], measured[at].as_ref()?);
    let summary = found.summary;
    let (mut ratios, mut budget) = (" | ".to_owned(), String::new());
    if entry.program != Program::Formant {
        let ours = measured[entry.against].as_ref()?.summary;
        let label = job.entries[entry.against].label;
        let which = label
            .strip_prefix("formant ")
            .map_or_else(String::new, |quality| format!(" ({quality})"));
        let times = summary.median / ours.median;
        ratios = format!("{times:.2}{which} | {:.2}", summary.least / ours.least);
        if let Some(least) = entry.budget {
            let verdict = if times >= least { "met" } else { "**missed**" };
            budget = format!("{least:.2}, {verdict}");
        }
    }
    Some(format!(
        "{} | {:.2} | {:.2} to {:.2} | {:.2} | {ratios} | {budget}",
        entry.label, summary.median, summary.first, summary.third, summary.least
    ))
}

/// Says on standard error how many runs there were, and when programs computed different things.
pub(super) fn compare_results(job: &Job, measured: &[Option<Measured>]) {
    for (entry, found) in job.entries.iter().zip(measured) {
        let Some(found) = found else { continue };
        eprintln!(
            "  {:<36} {:9.2} ms, {} runs",
            entry.label, found.summary.median, found.summary.runs
        );
        let ours = measured[entry.against].as_ref().and_then(|ours| ours.rms);
        if let Some((ours, theirs)) = ours.zip(found.rms)
            && (ours / theirs - 1.0).abs() > TOLERANCE
        {
            eprintln!("  its result has an RMS of {theirs}, formant's of {ours}: other work?");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench_peers::statistics::Summary;

    #[test]
    fn ratios_stand_beside_budgets() {
        let measured = |ms: f64| {
            Some(Measured { summary: Summary::of(vec![ms]).expect("one run"), rms: None })
        };
        let first = row(&JOBS[0], &[measured(5.0), measured(12.0), measured(15.0)], 1);
        let expected = "librosa | 12.00 | 12.00 to 12.00 | 12.00 | 2.40 | 2.40 | 2.00, met";
        assert_eq!(first.as_deref(), Some(expected));
        let second = row(&JOBS[0], &[measured(5.0), None, measured(15.0)], 2).expect("measured");
        assert!(second.ends_with("3.00 | 3.00 | 4.00, **missed**"), "{second}");
        assert_eq!(row(&JOBS[0], &[measured(5.0), None, None], 1), None);
    }
}
