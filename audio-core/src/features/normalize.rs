//! Mean and variance normalisation of a feature matrix.
//!
//! Fixed statistics work row by row, so streams apply them; the others need the whole utterance.

use ndarray::{Array1, Array2, Axis};
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
            Self::UtteranceMean => {
                let mean = bin_means(features).mapv(|m| m as f32);
                *features -= &mean;
            }
            Self::PerFeature { epsilon } => per_feature(features, *epsilon),
            Self::Sliding(window) => sliding(features, *window),
        }
    }
}

fn bin_means(features: &Array2<f32>) -> Array1<f64> {
    let mut sum = Array1::<f64>::zeros(features.ncols());
    for row in features.rows() {
        sum.zip_mut_with(&row, |sum, &value| *sum += f64::from(value));
    }
    sum / features.nrows() as f64
}

/// One frame has no unbiased deviation; it counts as zero then.
fn per_feature(features: &mut Array2<f32>, epsilon: f32) {
    let mean = bin_means(features);
    let mut squares = Array1::<f64>::zeros(features.ncols());
    for row in features.rows() {
        for ((sum, &value), mean) in squares.iter_mut().zip(row).zip(&mean) {
            *sum += (f64::from(value) - mean).powi(2);
        }
    }
    let degrees = (features.nrows().max(2) - 1) as f64;
    for (bin, mut column) in features.axis_iter_mut(Axis(1)).enumerate() {
        let divisor = (squares[bin] / degrees).sqrt() + f64::from(epsilon);
        column.mapv_inplace(|value| ((f64::from(value) - mean[bin]) / divisor) as f32);
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

fn sliding(features: &mut Array2<f32>, window: SlidingWindow) {
    let (frames, bins) = features.dim();
    let source = features.clone();
    let (mut sum, mut squares) = (vec![0.0f64; bins], vec![0.0f64; bins]);
    let (mut start, mut end) = (0, 0);
    let shift = |row: usize, sign: f64, sum: &mut [f64], squares: &mut [f64]| {
        for (bin, &value) in source.row(row).iter().enumerate() {
            sum[bin] += sign * f64::from(value);
            squares[bin] += sign * f64::from(value).powi(2);
        }
    };
    for at in 0..frames {
        let (new_start, new_end) = sliding_range(at, frames, window);
        while end < new_end {
            shift(end, 1.0, &mut sum, &mut squares);
            end += 1;
        }
        while start < new_start {
            shift(start, -1.0, &mut sum, &mut squares);
            start += 1;
        }
        while end > new_end {
            end -= 1;
            shift(end, -1.0, &mut sum, &mut squares);
        }
        let count = (end - start) as f64;
        for (bin, value) in features.row_mut(at).iter_mut().enumerate() {
            let mean = sum[bin] / count;
            let mut centred = f64::from(*value) - mean;
            if window.variance == SlidingVariance::Normalize {
                let variance = (squares[bin] / count - mean * mean).max(1e-10);
                centred = if count > 1.0 { centred / variance.sqrt() } else { 0.0 };
            }
            *value = centred as f32;
        }
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
