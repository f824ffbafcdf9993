//! How good a speaker model is: equal error rate and detection cost over trials.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_audio_core::metrics::detection::{DetCurve, DetectionCost, OperatingPoint};
use formant_models::tasks::Task;
use formant_models::tasks::speaker::{
    Calibration, EmbedOptions, Embedding, Scorer, SpeakerEmbedder,
};
use serde::Serialize;

use super::trials::Trial;
use crate::error::{Error, Result};

/// One trial with its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredTrial {
    /// Whether it is the same speaker, where the list says.
    pub target: Option<bool>,
    /// One recording.
    pub first: PathBuf,
    /// The other.
    pub second: PathBuf,
    /// How alike they are.
    pub score: f64,
}

/// Figures of a list of scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Trials of one speaker.
    pub targets: usize,
    /// Trials of two speakers.
    pub others: usize,
    /// Equal error rate, 0 to 1.
    pub eer: f64,
    /// Smallest detection cost with one target in a hundred, relative to the better of always
    /// accepting and always rejecting.
    pub min_dcf: f64,
    /// The same with one target in twenty.
    pub min_dcf_05: f64,
    /// Threshold of the equal error rate.
    pub eer_threshold: f64,
    /// Errors at the threshold that the model decides by.
    pub at_threshold: OperatingPoint,
}

/// Figures over all trials of a list.
#[derive(Debug, Clone, Serialize)]
pub struct SpeakerReport {
    /// Trials with a score.
    pub items: usize,
    /// Trials without one, because a recording could not be used.
    pub failed: usize,
    /// Recordings that could not be used, and why.
    pub unusable: BTreeMap<String, String>,
    /// The figures; `None` when not both kinds of trials have a score.
    pub figures: Option<Figures>,
    /// All scores.
    #[serde(skip)]
    pub trials: Vec<ScoredTrial>,
}

impl Figures {
    /// Of scores of target trials and of all others.
    ///
    /// # Errors
    /// When a kind is missing or a score is not finite.
    pub fn new(targets: &[f64], others: &[f64], threshold: f64) -> Result<Self> {
        let curve = DetCurve::new(targets, others)?;
        let equal = curve.equal_error();
        let share = |scores: &[f64], wrong: fn(f64, f64) -> bool| {
            let count = scores.iter().filter(|&&score| wrong(score, threshold)).count();
            count as f64 / scores.len() as f64
        };
        Ok(Self {
            targets: targets.len(),
            others: others.len(),
            eer: equal.miss_rate,
            min_dcf: curve.min_cost(&DetectionCost::default())?.0,
            min_dcf_05: curve
                .min_cost(&DetectionCost { p_target: 0.05, ..DetectionCost::default() })?
                .0,
            eer_threshold: equal.threshold,
            at_threshold: OperatingPoint {
                threshold,
                miss_rate: share(targets, |score, threshold| score <= threshold),
                false_alarm_rate: share(others, |score, threshold| score > threshold),
            },
        })
    }

    /// The main figures in one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        format!(
            "EER {:.2} %, minDCF(0.01) {:.3}, minDCF(0.05) {:.3}",
            100.0 * self.eer,
            self.min_dcf,
            self.min_dcf_05
        )
    }
}

/// Embeddings of files, or why there is none.
pub type Embeddings = BTreeMap<PathBuf, std::result::Result<Embedding, String>>;

/// Embeddings of files. `done` is called after each file and may stop the
/// work by returning `false`.
///
/// # Errors
/// [`Error::Interrupted`] when `done` asks for it, and what the model says; trouble with one file
/// is its entry.
pub fn embed_files<'a>(
    embedder: &SpeakerEmbedder,
    files: impl IntoIterator<Item = &'a PathBuf>,
    options: &EmbedOptions,
    mut done: impl FnMut() -> bool,
) -> Result<Embeddings> {
    let distinct: BTreeSet<&PathBuf> = files.into_iter().collect();
    let mut found = BTreeMap::new();
    for path in distinct {
        let embedding = embed_file(embedder, path, options);
        found.insert(path.clone(), embedding);
        if !done() {
            return Err(Error::Interrupted);
        }
    }
    Ok(found)
}

/// The embedding of a file, or why there is none.
///
/// # Errors
/// The reason as text: a file that cannot be read, or too little speech.
pub fn embed_file(
    embedder: &SpeakerEmbedder,
    path: &Path,
    options: &EmbedOptions,
) -> std::result::Result<Embedding, String> {
    let work = || -> Result<std::result::Result<Embedding, String>> {
        let mut reader = BlockReader::open(path, &DecodeOptions::default())?;
        let (embedding, _) = embedder.process_to_end(&mut reader, options)?;
        Ok(embedding.map_err(|why| why.to_string()))
    };
    work().unwrap_or_else(|error| Err(error.to_string()))
}

/// Scores every trial with the embeddings of its recordings and compares with the answers.
///
/// # Errors
/// When a score is not finite; recordings that cannot be used are listed in the report instead.
pub fn evaluate(
    trials: &[Trial],
    embeddings: &Embeddings,
    scorer: &Scorer,
) -> Result<SpeakerReport> {
    let mut report = SpeakerReport {
        items: 0,
        failed: 0,
        unusable: embeddings
            .iter()
            .filter_map(|(path, found)| {
                Some((path.display().to_string(), found.as_ref().err()?.clone()))
            })
            .collect(),
        figures: None,
        trials: Vec::with_capacity(trials.len()),
    };
    for trial in trials {
        let (Some(Ok(a)), Some(Ok(b))) =
            (embeddings.get(&trial.first), embeddings.get(&trial.second))
        else {
            report.failed += 1;
            continue;
        };
        report.items += 1;
        report.trials.push(ScoredTrial {
            target: trial.target,
            first: trial.first.clone(),
            second: trial.second.clone(),
            score: scorer.score(&a.values, &b.values),
        });
    }
    let of_kind = |kind: bool| -> Vec<f64> {
        let trials = report.trials.iter().filter(|trial| trial.target == Some(kind));
        trials.map(|trial| trial.score).collect()
    };
    let (targets, others) = (of_kind(true), of_kind(false));
    if !targets.is_empty() && !others.is_empty() {
        report.figures = Some(Figures::new(&targets, &others, scorer.threshold())?);
    }
    Ok(report)
}

/// Fits a logistic regression from scores to the probability of one speaker, with both kinds of
/// trials given the same weight. `None` when it can't be fitted, such as on one kind alone.
#[must_use]
pub fn fit_calibration(targets: &[f64], others: &[f64]) -> Option<Calibration> {
    if targets.is_empty() || others.is_empty() {
        return None;
    }
    let all = || targets.iter().chain(others);
    let count = (targets.len() + others.len()) as f64;
    let mean = all().sum::<f64>() / count;
    let deviation = (all().map(|s| (s - mean).powi(2)).sum::<f64>() / count).sqrt();
    if !(deviation > 0.0 && deviation.is_finite()) {
        return None;
    }
    // Newton's method on standardised scores; a little weight decay keeps parted classes finite.
    const DECAY: f64 = 1e-3;
    let (mut scale, mut offset) = (1.0, 0.0);
    for _ in 0..50 {
        let (mut g, mut h) = ([DECAY * scale, 0.0], [DECAY, 0.0, 0.0]);
        for (scores, answer) in [(targets, 1.0), (others, 0.0)] {
            let weight = 0.5 / scores.len() as f64;
            for score in scores {
                let x = (score - mean) / deviation;
                let p = 1.0 / (1.0 + (-(scale * x + offset)).exp());
                let (error, curvature) = (weight * (p - answer), weight * p * (1.0 - p));
                g = [g[0] + error * x, g[1] + error];
                h = [h[0] + curvature * x * x, h[1] + curvature * x, h[2] + curvature];
            }
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        if determinant.abs() < 1e-12 {
            break;
        }
        let step =
            [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant];
        // Damped where the start is far away.
        let damping = (4.0 / step[0].hypot(step[1]).max(1e-12)).min(1.0);
        scale -= damping * step[0];
        offset -= damping * step[1];
    }
    let calibration =
        Calibration { scale: scale / deviation, offset: offset - scale * mean / deviation };
    (calibration.scale > 0.0 && calibration.offset.is_finite()).then_some(calibration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_finds_the_odds() {
        // Scores of two normal distributions of deviation 1 at 3 and 1: log-odds 2 s - 4.
        let quantiles: Vec<f64> = (1..2000).map(|i| probit(i as f64 / 2000.0)).collect();
        let targets: Vec<f64> = quantiles.iter().map(|z| z + 3.0).collect();
        let others: Vec<f64> = quantiles.iter().map(|z| z + 1.0).collect();
        let found = fit_calibration(&targets, &others).expect("fits");
        assert!((found.scale - 2.0).abs() < 0.05 && (found.offset + 4.0).abs() < 0.1, "{found:?}");
        assert!((found.even_score() - 2.0).abs() < 0.02);
        assert!((found.probability(2.0) - 0.5).abs() < 0.01);
        assert!(fit_calibration(&[1.0], &[]).is_none());
        assert!(fit_calibration(&[1.0, 2.0], &[-1.0, -2.0]).expect("parted").scale.is_finite());
    }

    /// Bisection is slow and simple.
    fn probit(p: f64) -> f64 {
        let below = |z: f64| 1.0 / (1.0 + (-1.5976 * z - 0.070_566 * z.powi(3)).exp());
        let (mut low, mut high) = (-6.0, 6.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if below(middle) < p { low = middle } else { high = middle }
        }
        low
    }
}
