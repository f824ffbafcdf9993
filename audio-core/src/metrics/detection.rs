//! Scores of detectors and verifiers: DET curve, equal error rate, detection cost.
//!
//! A trial is accepted when its score is at or above the threshold.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// One threshold with the errors that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Accept scores at or above this.
    pub threshold: f64,
    /// Share of target trials that are rejected.
    pub miss_rate: f64,
    /// Share of the other trials that are accepted.
    pub false_alarm_rate: f64,
}

/// Prices of errors and how often targets are expected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DetectionCost {
    /// Share of target trials, between 0 and 1.
    pub p_target: f64,
    /// Price of a miss.
    pub c_miss: f64,
    /// Price of a false alarm.
    pub c_false_alarm: f64,
}

impl Default for DetectionCost {
    /// One target in a hundred, equal prices.
    fn default() -> Self {
        Self { p_target: 0.01, c_miss: 1.0, c_false_alarm: 1.0 }
    }
}

/// The errors of every threshold, from the strictest to the laxest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetCurve {
    points: Vec<OperatingPoint>,
}

impl DetCurve {
    /// The curve of the scores of target trials and of all others.
    ///
    /// # Errors
    /// [`Error::Empty`] when there are no trials of a kind, [`Error::Config`] for scores that are
    /// not finite.
    pub fn new(targets: &[f64], others: &[f64]) -> Result<Self> {
        if targets.is_empty() || others.is_empty() {
            return Err(Error::Empty);
        }
        if targets.iter().chain(others).any(|score| !score.is_finite()) {
            return Err(Error::config("scores", "NaN or infinite; drop or fix those trials"));
        }
        let mut trials: Vec<(f64, bool)> = Vec::with_capacity(targets.len() + others.len());
        trials.extend(targets.iter().map(|&score| (score, true)));
        trials.extend(others.iter().map(|&score| (score, false)));
        trials.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut accepted_targets, mut accepted_others) = (0usize, 0usize);
        // Above the highest score nothing is accepted.
        let strictest = trials[0].0 + trials[0].0.abs().max(1.0);
        let mut points =
            vec![OperatingPoint { threshold: strictest, miss_rate: 1.0, false_alarm_rate: 0.0 }];
        for group in trials.chunk_by(|a, b| a.0 == b.0) {
            let hits = group.iter().filter(|trial| trial.1).count();
            accepted_targets += hits;
            accepted_others += group.len() - hits;
            points.push(OperatingPoint {
                threshold: group[0].0,
                miss_rate: 1.0 - accepted_targets as f64 / targets.len() as f64,
                false_alarm_rate: accepted_others as f64 / others.len() as f64,
            });
        }
        Ok(Self { points })
    }

    /// All operating points, false alarms ascending.
    #[must_use]
    pub fn points(&self) -> &[OperatingPoint] {
        &self.points
    }

    /// The point at which misses and false alarms are equally frequent, interpolated between the
    /// two thresholds around it; both of its rates are the equal error rate.
    #[must_use]
    pub fn equal_error(&self) -> OperatingPoint {
        let excess = |point: &OperatingPoint| point.miss_rate - point.false_alarm_rate;
        for pair in self.points.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            if excess(after) <= 0.0 {
                let share = excess(before) / (excess(before) - excess(after));
                let between = |a: f64, b: f64| a + share * (b - a);
                let rate = between(before.false_alarm_rate, after.false_alarm_rate);
                return OperatingPoint {
                    threshold: between(before.threshold, after.threshold),
                    miss_rate: rate,
                    false_alarm_rate: rate,
                };
            }
        }
        // The last point accepts everything, so the loop has returned.
        OperatingPoint { threshold: 0.0, miss_rate: 1.0, false_alarm_rate: 1.0 }
    }

    /// The smallest detection cost over all thresholds, divided by that of the better of always
    /// accepting and always rejecting, and where it is reached.
    ///
    /// # Errors
    /// [`Error::Config`] when `p_target` is not between 0 and 1 or a price is not positive.
    pub fn min_cost(&self, cost: &DetectionCost) -> Result<(f64, OperatingPoint)> {
        let DetectionCost { p_target, c_miss, c_false_alarm } = *cost;
        if !(p_target > 0.0 && p_target < 1.0) {
            return Err(Error::config("p_target", format!("{p_target} is not between 0 and 1")));
        }
        if !(c_miss > 0.0 && c_miss.is_finite() && c_false_alarm > 0.0 && c_false_alarm.is_finite())
        {
            return Err(Error::config("prices of errors", "they must be positive and finite"));
        }
        let (miss, false_alarm) = (c_miss * p_target, c_false_alarm * (1.0 - p_target));
        let price = |p: &OperatingPoint| miss * p.miss_rate + false_alarm * p.false_alarm_rate;
        let first = self.points[0];
        let best =
            self.points.iter().fold(first, |a, &b| if price(&b) < price(&a) { b } else { a });
        Ok((price(&best) / miss.min(false_alarm), best))
    }
}

#[cfg(test)]
mod tests {
    use super::super::signals::noise;
    use super::*;

    fn curve() -> DetCurve {
        let targets: Vec<f64> = noise(7, 200).iter().map(|v| 0.5 + 0.4 * v).collect();
        let others: Vec<f64> = noise(8, 1000).iter().map(|v| v * 0.7 - 0.1).collect();
        DetCurve::new(&targets, &others).expect("finite scores")
    }

    /// scikit-learn 1.9.1 roc_curve with scipy 1.17.1 brentq on its linear interpolation.
    #[test]
    fn equals_scikit_learn() {
        let curve = curve();
        let equal = curve.equal_error();
        assert!((equal.miss_rate - 0.244).abs() < 1e-9, "{equal:?}");
        let cost = |p_target, c_miss| {
            let cost = DetectionCost { p_target, c_miss, c_false_alarm: 1.0 };
            curve.min_cost(&cost).expect("valid").0
        };
        assert!((cost(0.01, 1.0) - 0.64).abs() < 1e-9);
        assert!((cost(0.05, 1.0) - 0.64).abs() < 1e-9);
        assert!((cost(0.5, 10.0) - 0.355).abs() < 1e-9);
    }

    #[test]
    fn extremes() {
        let perfect = DetCurve::new(&[2.0, 3.0], &[0.0, 1.0]).expect("finite");
        assert_eq!(perfect.equal_error().miss_rate, 0.0);
        assert_eq!(perfect.min_cost(&DetectionCost::default()).expect("valid").0, 0.0);
        let inverted = DetCurve::new(&[0.0], &[1.0]).expect("finite");
        assert_eq!(inverted.equal_error().miss_rate, 1.0);
        let useless = DetCurve::new(&[0.5], &[0.5]).expect("finite");
        assert_eq!(useless.equal_error().miss_rate, 0.5);
        assert!(DetCurve::new(&[], &[1.0]).is_err());
        assert!(DetCurve::new(&[f64::NAN], &[1.0]).is_err());
        let bad = DetectionCost { p_target: 1.0, ..DetectionCost::default() };
        assert!(useless.min_cost(&bad).is_err());
    }
}
