//! Mean and variance normalisation of a feature matrix.
//!
//! Fixed statistics work row by row, so streams apply them; the others need the whole utterance.

use std::collections::VecDeque;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Divisor of a fixed normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divisor {
    /// The standard deviation.
    #[default]
    Std,
    /// Twice the standard deviation (AST and LMUFormer).
    TwiceStd,
}

/// Window of a sliding normalisation, as in Kaldi's `apply-cmvn-sliding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlidingWindow {
    /// Frames in the window.
    pub frames: usize,
    /// Least frames at the start of an utterance, when the window ends at the current frame.
    pub min_frames: usize,
    /// Where the window lies.
    pub placement: SlidingPlacement,
    /// Whether the variance is normalised too.
    pub variance: SlidingVariance,
}

/// Where a sliding window lies relative to the frame that it normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlidingPlacement {
    /// The frame is in its middle.
    Centered,
    /// The frame is its last.
    Trailing,
}

/// What a sliding window normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlidingVariance {
    /// The mean only.
    Keep,
    /// Mean and variance.
    Normalize,
}

/// How features are normalised.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Not at all.
    #[default]
    None,
    /// One mean and one deviation for all bins, known beforehand.
    Fixed {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        std: f32,
        /// What to divide by.
        divisor: Divisor,
    },
    /// A mean and an inverse deviation a bin, known beforehand (WeNet's `global_cmvn`).
    PerBin {
        /// Means.
        mean: Vec<f32>,
        /// Inverse standard deviations.
        inverse_std: Vec<f32>,
    },
    /// Subtract each bin's mean over the utterance.
    UtteranceMean,
    /// Subtract each bin's mean and divide by its unbiased deviation plus `epsilon` (NeMo).
    PerFeature {
        /// Added to the deviation.
        epsilon: f32,
    },
    /// Subtract the mean, and perhaps divide by the deviation, over a sliding window.
    Sliding(SlidingWindow),
}

impl Normalization {
    /// Whether each row is normalised without knowing the others.
    #[must_use]
    pub fn is_rowwise(&self) -> bool {
        matches!(self, Self::None | Self::Fixed { .. } | Self::PerBin { .. })
    }

    /// Check the statistics against the number of bins.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are not `bins` of them, [`Error::Config`] when a deviation is
    /// zero or not finite, or a window is empty.
    pub fn check(&self, bins: usize) -> Result<()> {
        match self {
            Self::Fixed { mean, std, .. } => {
                if !(mean.is_finite() && std.is_finite() && *std > 0.0) {
                    return Err(Error::config(
                        "normalization",
                        format!("mean {mean} and std {std} must be finite and std above zero"),
                    ));
                }
            }
            Self::PerBin { mean, inverse_std } => {
                if mean.len() != bins || inverse_std.len() != bins {
                    return Err(Error::Shape {
                        what: "normalisation statistics",
                        expected: format!("{bins} bins"),
                        found: format!("{} means, {} deviations", mean.len(), inverse_std.len()),
                    });
                }
            }
            Self::Sliding(window) if window.frames == 0 => {
                return Err(Error::config("normalization", "a sliding window needs frames"));
            }
            Self::None | Self::UtteranceMean | Self::PerFeature { .. } | Self::Sliding(_) => {}
        }
        Ok(())
    }

    /// Normalise one row with fixed statistics; the other kinds leave it alone.
    pub fn apply_row(&self, row: &mut [f32]) {
        match self {
            Self::Fixed { mean, std, divisor } => {
                let divisor = match divisor {
                    Divisor::Std => *std,
                    Divisor::TwiceStd => 2.0 * std,
                };
                for value in row {
                    *value = (*value - mean) / divisor;
                }
            }
            Self::PerBin { mean, inverse_std } => {
                for ((value, mean), inverse) in row.iter_mut().zip(mean).zip(inverse_std) {
                    *value = (*value - mean) * inverse;
                }
            }
            Self::None | Self::UtteranceMean | Self::PerFeature { .. } | Self::Sliding(_) => {}
        }
    }

    /// Normalise a matrix `[frames, bins]`. No frames stay no frames.
    pub fn apply(&self, features: &mut Array2<f32>) {
        if features.is_empty() {
            return;
        }
        match self {
            Self::None => {}
            Self::Fixed { .. } | Self::PerBin { .. } => {
                for mut row in features.rows_mut() {
                    if let Some(row) = row.as_slice_mut() {
                        self.apply_row(row);
                    }
                }
            }
            Self::UtteranceMean | Self::PerFeature { .. } | Self::Sliding(_) => {
                let (frames, bins) = features.dim();
                let sums = features.rows().into_iter().fold(vec![0.0; bins], |mut sums, row| {
                    sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
                    sums
                });
                let rows = || features.rows().into_iter().map(|row| row.to_vec());
                let each = |take: &mut dyn FnMut(&[f32])| {
                    rows().for_each(|row| take(&row));
                    Ok::<_, std::convert::Infallible>(())
                };
                let Ok(mut normalizer) = Normalizer::new(self, frames, sums, each);
                let mut out = Vec::with_capacity(features.len());
                rows().for_each(|mut row| normalizer.push(&mut row, &mut out));
                *features = Array2::from_shape_vec((frames, bins), out)
                    .expect("as many rows come out as went in");
            }
        }
    }
}

/// A normalization whose statistics are known, for rows that come one by one.
pub(super) enum Normalizer {
    /// Rows need no others.
    Rowwise(Normalization),
    /// Means to subtract.
    Means(Vec<f32>),
    /// Means to subtract, and divisors.
    Scaled(Vec<(f64, f64)>),
    /// Statistics of the frames around.
    Sliding(Sliding),
}

impl Normalizer {
    /// The normalization of `frames` rows whose columns have these sums; `each` shows all rows once more.
    pub(super) fn new<E>(
        normalization: &Normalization,
        frames: usize,
        sums: Vec<f64>,
        each: impl FnOnce(&mut dyn FnMut(&[f32])) -> std::result::Result<(), E>,
    ) -> std::result::Result<Self, E> {
        let mean = |sum: &f64| sum / frames as f64;
        Ok(match normalization {
            Normalization::None | Normalization::Fixed { .. } | Normalization::PerBin { .. } => {
                Self::Rowwise(normalization.clone())
            }
            Normalization::UtteranceMean => {
                Self::Means(sums.iter().map(|sum| mean(sum) as f32).collect())
            }
            Normalization::PerFeature { epsilon } => {
                let means: Vec<f64> = sums.iter().map(mean).collect();
                let mut squares = vec![0.0; means.len()];
                each(&mut |row| {
                    for ((sum, &value), mean) in squares.iter_mut().zip(row).zip(&means) {
                        *sum += (f64::from(value) - mean).powi(2);
                    }
                })?;
                // One frame has no unbiased deviation; it counts as zero then.
                let degrees = (frames.max(2) - 1) as f64;
                let divisor = |sum: f64| (sum / degrees).sqrt() + f64::from(*epsilon);
                Self::Scaled(means.into_iter().zip(squares.into_iter().map(divisor)).collect())
            }
            Normalization::Sliding(window) => {
                Self::Sliding(Sliding::new(*window, frames, sums.len()))
            }
        })
    }

    /// Takes the next row, and appends those that are known by then to `out`.
    pub(super) fn push(&mut self, row: &mut [f32], out: &mut Vec<f32>) {
        match self {
            Self::Rowwise(normalization) => {
                normalization.apply_row(row);
                out.extend_from_slice(row);
            }
            Self::Means(means) => {
                out.extend(row.iter().zip(means).map(|(value, mean)| value - *mean))
            }
            Self::Scaled(bins) => {
                out.extend(row.iter().zip(bins).map(|(&value, (mean, divisor))| {
                    ((f64::from(value) - *mean) / *divisor) as f32
                }))
            }
            Self::Sliding(sliding) => sliding.push(row, out),
        }
    }
}

/// Kaldi's window rule: centred windows are shifted inwards at the ends, trailing ones grow from
/// `min_frames`.
fn sliding_range(at: usize, frames: usize, window: SlidingWindow) -> (usize, usize) {
    let (at, frames, size) = (at as i64, frames as i64, window.frames as i64);
    let (mut start, mut end) = match window.placement {
        SlidingPlacement::Centered => (at - size / 2, at - size / 2 + size),
        SlidingPlacement::Trailing => (at - size, at + 1),
    };
    if start < 0 {
        end -= start;
        start = 0;
    }
    if window.placement == SlidingPlacement::Trailing {
        end = (at + 1).max(window.min_frames as i64);
    }
    if end > frames {
        start = (start - (end - frames)).max(0);
        end = frames;
    }
    (start as usize, end as usize)
}

/// Statistics of a window of rows.
pub(super) struct Sliding {
    window: SlidingWindow,
    frames: usize,
    sums: Vec<f64>,
    squares: Vec<f64>,
    /// Rows that the sums are of.
    range: (usize, usize),
    /// The row that is normalized next.
    at: usize,
    /// Rows that are still needed, from `base` on.
    rows: VecDeque<Vec<f32>>,
    base: usize,
}

impl Sliding {
    fn new(window: SlidingWindow, frames: usize, bins: usize) -> Self {
        let (sums, squares) = (vec![0.0; bins], vec![0.0; bins]);
        let rows = VecDeque::new();
        Self { window, frames, sums, squares, range: (0, 0), at: 0, rows, base: 0 }
    }

    fn push(&mut self, row: &[f32], out: &mut Vec<f32>) {
        self.rows.push_back(row.to_vec());
        while self.at < self.base + self.rows.len() {
            let (start, end) = sliding_range(self.at, self.frames, self.window);
            if end > self.base + self.rows.len() {
                return;
            }
            self.move_to(start, end);
            self.normalize(out);
            self.at += 1;
            while self.base < start.min(self.at) {
                self.rows.pop_front();
                self.base += 1;
            }
        }
    }

    fn move_to(&mut self, start: usize, end: usize) {
        while self.range.1 < end {
            self.shift(self.range.1, 1.0);
            self.range.1 += 1;
        }
        while self.range.0 < start {
            self.shift(self.range.0, -1.0);
            self.range.0 += 1;
        }
        while self.range.1 > end {
            self.range.1 -= 1;
            self.shift(self.range.1, -1.0);
        }
    }

    /// Takes a row into the sums, or out of them.
    fn shift(&mut self, row: usize, sign: f64) {
        for (bin, &value) in self.rows[row - self.base].iter().enumerate() {
            self.sums[bin] += sign * f64::from(value);
            self.squares[bin] += sign * f64::from(value).powi(2);
        }
    }

    fn normalize(&self, out: &mut Vec<f32>) {
        let count = (self.range.1 - self.range.0) as f64;
        out.extend(self.rows[self.at - self.base].iter().enumerate().map(|(bin, &value)| {
            let mean = self.sums[bin] / count;
            let mut centred = f64::from(value) - mean;
            if self.window.variance == SlidingVariance::Normalize {
                let variance = (self.squares[bin] / count - mean * mean).max(1e-10);
                centred = if count > 1.0 { centred / variance.sqrt() } else { 0.0 };
            }
            centred as f32
        }));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn fixed_with_twice_the_deviation() {
        let lmuformer =
            Normalization::Fixed { mean: -6.845_978, std: 5.565_452_6, divisor: Divisor::TwiceStd };
        let mut zeros = Array2::zeros((2, 3));
        lmuformer.apply(&mut zeros);
        assert!(zeros.iter().all(|value| (value - 0.615_04).abs() < 1e-5), "{zeros}");
    }

    #[test]
    fn per_feature_is_unbiased() {
        let mut features = array![[1.0, 5.0], [3.0, 5.0]];
        Normalization::PerFeature { epsilon: 1e-5 }.apply(&mut features);
        let expected = 1.0 / (2.0f32.sqrt() + 1e-5);
        assert!((features[[1, 0]] - expected).abs() < 1e-6);
        assert_eq!(features.column(1).to_vec(), [0.0, 0.0]);
        let mut single = array![[7.0f32]];
        Normalization::PerFeature { epsilon: 1e-5 }.apply(&mut single);
        assert_eq!(single[[0, 0]], 0.0);
    }

    #[test]
    fn sliding_mean_by_hand() {
        let column = [1.0f32, 2.0, 4.0, 8.0, 16.0];
        let window = SlidingWindow {
            frames: 3,
            min_frames: 2,
            placement: SlidingPlacement::Centered,
            variance: SlidingVariance::Keep,
        };
        let normalise = |window| {
            let mut features = Array2::from_shape_vec((5, 1), column.to_vec()).expect("5 by 1");
            Normalization::Sliding(window).apply(&mut features);
            features.into_raw_vec_and_offset().0
        };
        let expected = [1.0 - 7.0 / 3.0, 2.0 - 7.0 / 3.0, 4.0 - 14.0 / 3.0, 8.0 - 28.0 / 3.0];
        for (found, expected) in normalise(window).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
        let trailing = SlidingWindow { placement: SlidingPlacement::Trailing, ..window };
        let found = normalise(trailing);
        assert!((found[0] + 0.5).abs() < 1e-6, "two frames at the start: {found:?}");
        assert!((found[4] - (16.0 - 7.5)).abs() < 1e-6, "current and three before: {found:?}");
    }

    #[test]
    fn statistics_are_checked() {
        let per_bin = Normalization::PerBin { mean: vec![0.0; 3], inverse_std: vec![1.0; 2] };
        assert!(per_bin.check(3).is_err());
        let fixed = Normalization::Fixed { mean: 0.0, std: 0.0, divisor: Divisor::Std };
        assert!(fixed.check(3).is_err());
    }
}
