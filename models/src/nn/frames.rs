//! Batches of features, and which frames of a padded one belong to an utterance.

use ndarray::Array2;
use tch::{Device, Kind, Tensor};

/// The features of several utterances as one batch `[utterances, longest, bins]`, with zeros behind
/// the ends of the shorter ones.
pub fn batch(features: &[Array2<f32>]) -> Tensor {
    let longest = features.iter().map(Array2::nrows).max().unwrap_or(0);
    let bins = features.first().map_or(0, Array2::ncols);
    let mut values = vec![0.0f32; features.len() * longest * bins];
    for (rows, place) in features.iter().zip(values.chunks_exact_mut((longest * bins).max(1))) {
        place.iter_mut().zip(rows).for_each(|(place, value)| *place = *value);
    }
    Tensor::from_slice(&values).view([features.len() as i64, longest as i64, bins as i64])
}

/// Valid frames of every row of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    lengths: Vec<i64>,
    total: i64,
}

impl Frames {
    /// `lengths` of the rows of a batch of `total` frames; longer ones are cut.
    #[must_use]
    pub fn new(lengths: &[i64], total: i64) -> Self {
        Self { lengths: lengths.iter().map(|&n| n.clamp(0, total)).collect(), total }
    }

    /// Valid frames, a number a row.
    #[must_use]
    pub fn lengths(&self) -> &[i64] {
        &self.lengths
    }

    /// Frames of the batch.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.total
    }

    /// Lengths and total after a step that changes both alike.
    #[must_use]
    pub fn map(&self, change: impl Fn(i64) -> i64) -> Self {
        let total = change(self.total);
        Self { lengths: self.lengths.iter().map(|&n| change(n).clamp(0, total)).collect(), total }
    }

    /// Whether every frame is valid.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lengths.iter().all(|&n| n == self.total)
    }

    /// `[batch, frames]`, true where valid.
    pub fn mask(&self, device: Device) -> Tensor {
        let lengths = Tensor::from_slice(&self.lengths).to_device(device);
        Tensor::arange(self.total, (Kind::Int64, device))
            .unsqueeze(0)
            .lt_tensor(&lengths.unsqueeze(1))
    }

    /// `x [batch, frames, ...]` with zeros in all frames that are not valid.
    pub fn zero_padding(&self, x: &Tensor) -> Tensor {
        if self.is_full() {
            return x.shallow_clone();
        }
        let mut shape = vec![1; x.dim()];
        shape[0] = self.lengths.len() as i64;
        shape[1] = self.total;
        x.masked_fill(&self.mask(x.device()).logical_not().view(shape.as_slice()), 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_rows_of_a_batch_end_in_zeros() {
        let rows = |count: usize| Array2::from_elem((count, 2), count as f32);
        let batch = batch(&[rows(3), rows(1)]);
        assert_eq!(batch.size(), [2, 3, 2]);
        let values = Vec::<f32>::try_from(batch.view([-1])).expect("floats");
        assert_eq!(values, [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn only_padding_becomes_zero() {
        let frames = Frames::new(&[3, 0, 9], 4);
        assert_eq!(frames.lengths(), [3, 0, 4]);
        let kept = frames.zero_padding(&Tensor::ones([3, 4, 2], tch::kind::FLOAT_CPU));
        assert_eq!(kept.sum(Kind::Float).double_value(&[]), 14.0);
        assert!(!frames.is_full() && Frames::new(&[4], 4).is_full());
        assert_eq!(frames.map(|n| (n + 1) / 2).lengths(), [2, 0, 2]);
    }
}
