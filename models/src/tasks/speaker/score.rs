//! How alike two voices are: cosine, with the mean voice removed, or normalised by a cohort.
//!
//! Source of the normalisation: Matejka et al., "Analysis of Score Normalization in Multilingual
//! Speaker Recognition" (Interspeech 2017), adaptive s-norm.

use serde::{Deserialize, Serialize};

use crate::arch::ecapa::{Calibration, Decision};
use crate::error::{Error, Result};

/// Least length of an embedding, as in libtorch's cosine similarity.
const EPSILON: f32 = 1e-6;

/// Cosine of the angle between two embeddings, -1 to 1.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b) / (dot(a, a).sqrt().max(EPSILON) * dot(b, b).sqrt().max(EPSILON))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Many other voices, against which scores are normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Cohort {
    values: Vec<f32>,
    width: usize,
}

impl Cohort {
    /// From embeddings of `width` values, one after the other.
    ///
    /// # Errors
    /// [`Error::Config`] when there are fewer than two voices or a broken one.
    pub fn new(values: Vec<f32>, width: usize) -> Result<Self> {
        if width == 0 || !values.len().is_multiple_of(width) || values.len() / width < 2 {
            let reason =
                format!("{} numbers are no voices of {width} each; at least 2", values.len());
            return Err(Error::config("cohort", reason));
        }
        if values.iter().any(|x| !x.is_finite()) {
            return Err(Error::config("cohort", "a value is NaN or infinite"));
        }
        Ok(Self { values, width })
    }

    /// All values, voice by voice.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Values of one embedding.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of voices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there are no voices; never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Mean and deviation of the `top` highest scores of `embedding` with the cohort.
    fn statistics(&self, embedding: &[f32], top: usize) -> (f32, f32) {
        let mut scores: Vec<f32> =
            self.values.chunks_exact(self.width).map(|voice| cosine(embedding, voice)).collect();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        scores.truncate(top.max(2));
        let count = scores.len() as f32;
        let mean = scores.iter().sum::<f32>() / count;
        let squares: f32 = scores.iter().map(|s| (s - mean).powi(2)).sum();
        (mean, (squares / (count - 1.0)).sqrt().max(EPSILON))
    }
}

/// The answer to "is it the same speaker".
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// How alike the voices are, higher is more.
    pub score: f64,
    /// Scores above it mean the same speaker.
    pub threshold: f64,
    /// The decision.
    pub same_speaker: bool,
    /// Probability of the same speaker, where both answers are equally likely beforehand; `None`
    /// for models and kinds of scores that were not calibrated.
    pub probability: Option<f64>,
}

/// Compares embeddings of one model.
#[derive(Debug, Clone)]
pub struct Scorer {
    centre: Option<Vec<f32>>,
    cohort: Option<Cohort>,
    top: usize,
    threshold: f64,
    calibration: Option<Calibration>,
}

impl Scorer {
    /// Plain cosines.
    #[must_use]
    pub fn cosine(threshold: f64) -> Self {
        Self { centre: None, cohort: None, top: 0, threshold, calibration: None }
    }

    /// What a model's own decision asks for.
    pub(super) fn of_model(
        decision: &Decision,
        centre: Option<&Vec<f32>>,
        cohort: Option<&Cohort>,
    ) -> Self {
        let mut scorer = Self {
            centre: centre.filter(|_| decision.centre).cloned(),
            cohort: None,
            top: decision.norm.unwrap_or(0),
            threshold: decision.threshold,
            calibration: decision.calibration,
        };
        let cohort = cohort.filter(|_| decision.norm.is_some()).cloned();
        scorer.cohort = cohort.map(|cohort| scorer.centred_cohort(cohort));
        scorer
    }

    /// The same with another threshold.
    #[must_use]
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// The same with scores that are normalised by the `top` closest voices of `cohort`; the
    /// model's calibration does not hold for them. Scores then count standard deviations, so
    /// `threshold` has to be given anew.
    #[must_use]
    pub fn with_cohort(mut self, cohort: Cohort, top: usize, threshold: f64) -> Self {
        self.cohort = Some(self.centred_cohort(cohort));
        self.top = top;
        self.threshold = threshold;
        self.calibration = None;
        self
    }

    /// Scores above it mean the same speaker.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// About one standard deviation of the scores of different speakers: 1 for scores that are
    /// normalised by a cohort, and for cosines what it usually is.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        if self.cohort.is_some() { 1.0 } else { 0.12 }
    }

    /// How alike two voices are. Both are embeddings of the scorer's model.
    #[must_use]
    pub fn score(&self, a: &[f32], b: &[f32]) -> f64 {
        let (a, b) = (self.centred(a), self.centred(b));
        let score = cosine(&a, &b);
        let Some(cohort) = &self.cohort else { return f64::from(score) };
        let normalised = |embedding: &[f32]| {
            let (mean, deviation) = cohort.statistics(embedding, self.top);
            f64::from((score - mean) / deviation)
        };
        0.5 * (normalised(&a) + normalised(&b))
    }

    /// Score and decision.
    #[must_use]
    pub fn verify(&self, a: &[f32], b: &[f32]) -> Verification {
        let score = self.score(a, b);
        Verification {
            score,
            threshold: self.threshold,
            same_speaker: score > self.threshold,
            probability: self.calibration.map(|calibration| calibration.probability(score)),
        }
    }

    fn centred(&self, embedding: &[f32]) -> Vec<f32> {
        match &self.centre {
            Some(centre) => {
                let length = dot(embedding, embedding).sqrt().max(EPSILON);
                embedding.iter().zip(centre).map(|(x, mean)| x / length - mean).collect()
            }
            None => embedding.to_vec(),
        }
    }

    fn centred_cohort(&self, cohort: Cohort) -> Cohort {
        let width = cohort.width;
        let values = cohort.values.chunks_exact(width).flat_map(|v| self.centred(v)).collect();
        Cohort { values, width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_of_simple_angles() {
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), 0.0);
        assert!((cosine(&[3.0, 3.0], &[1.0, 1.0]) - 1.0).abs() < 1e-6);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }

    #[test]
    fn broken_cohorts_are_refused() {
        assert!(Cohort::new(vec![1.0; 4], 3).is_err());
        assert!(Cohort::new(vec![1.0; 3], 3).is_err());
        assert!(Cohort::new(vec![f32::NAN; 4], 2).is_err());
        assert_eq!(Cohort::new(vec![1.0; 6], 3).expect("two voices").len(), 2);
    }

    #[test]
    fn the_decision_follows_the_threshold() {
        let scorer = Scorer::cosine(0.5);
        let same = scorer.verify(&[1.0, 0.1], &[1.0, 0.0]);
        assert!(same.same_speaker && same.score > 0.9 && same.probability.is_none());
        assert!(!scorer.verify(&[1.0, 0.0], &[0.0, 1.0]).same_speaker);
        assert!(!scorer.with_threshold(1.0).verify(&[1.0, 0.0], &[1.0, 0.0]).same_speaker);
    }
}
