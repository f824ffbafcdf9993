//! Differences along time: the regression that Kaldi, HTK and torchaudio share, with the first
//! and last frames repeated beyond the ends.
//!
//! One stage looks at the newest part of each row and appends its delta; deltas of deltas are two
//! stages in a row. The whole-matrix form is the streaming form, flushed.

use std::collections::VecDeque;

use ndarray::Array2;

use super::config::DeltaConfig;

/// Append deltas up to `config.order` to every row of `features` `[frames, bins]`; the result has
/// `bins * (order + 1)` columns.
#[must_use]
pub fn append_deltas(features: &Array2<f32>, config: DeltaConfig) -> Array2<f32> {
    let mut chain = DeltaChain::new(config, features.ncols());
    let mut out = Vec::with_capacity(features.len() * (config.order + 1));
    for row in features.rows() {
        chain.push(&row.to_vec(), &mut |row| out.extend_from_slice(row));
    }
    chain.finish(&mut |row| out.extend_from_slice(row));
    Array2::from_shape_vec((features.nrows(), features.ncols() * (config.order + 1)), out)
        .expect("the chain returns as many rows as it took")
}

/// Stages one after the other.
#[derive(Debug, Clone)]
pub(super) struct DeltaChain {
    stages: Vec<DeltaStage>,
}

impl DeltaChain {
    pub(super) fn new(config: DeltaConfig, bins: usize) -> Self {
        let stages = (1..=config.order)
            .map(|order| DeltaStage::new(config.reach, bins * order, bins))
            .collect();
        Self { stages }
    }

    pub(super) fn push(&mut self, row: &[f32], emit: &mut dyn FnMut(&[f32])) {
        push_through(&mut self.stages, row, emit);
    }

    /// Flush stage by stage and be ready for the next signal.
    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(&[f32])) {
        for first in 0..self.stages.len() {
            let (stage, rest) = self.stages[first..].split_first_mut().expect("first is in range");
            stage.finish(&mut |row| push_through(rest, row, emit));
        }
    }
}

fn push_through(stages: &mut [DeltaStage], row: &[f32], emit: &mut dyn FnMut(&[f32])) {
    match stages.split_first_mut() {
        None => emit(row),
        Some((stage, rest)) => stage.push(row, &mut |row| push_through(rest, row, emit)),
    }
}

/// One application of the operator, late by `reach` frames.
#[derive(Debug, Clone)]
struct DeltaStage {
    reach: usize,
    bins: usize,
    divisor: f32,
    rows: VecDeque<Vec<f32>>, // at most 2 reach + 1, the middle one is next
    out: Vec<f32>,
}

impl DeltaStage {
    fn new(reach: usize, width: usize, bins: usize) -> Self {
        let squares: usize = (1..=reach).map(|n| n * n).sum();
        Self {
            reach,
            bins,
            divisor: (2 * squares).max(1) as f32,
            rows: VecDeque::with_capacity(2 * reach + 1),
            out: vec![0.0; width + bins],
        }
    }

    fn push(&mut self, row: &[f32], emit: &mut dyn FnMut(&[f32])) {
        if self.rows.is_empty() {
            self.rows.extend((0..self.reach).map(|_| row.to_vec()));
        }
        self.advance(row, emit);
    }

    fn advance(&mut self, row: &[f32], emit: &mut dyn FnMut(&[f32])) {
        let full = 2 * self.reach + 1;
        let mut newest = if self.rows.len() == full {
            self.rows.pop_front().unwrap_or_default()
        } else {
            Vec::new()
        };
        newest.clear();
        newest.extend_from_slice(row);
        self.rows.push_back(newest);
        if self.rows.len() < full {
            return;
        }
        let center = &self.rows[self.reach];
        let (copied, delta) = self.out.split_at_mut(center.len());
        copied.copy_from_slice(center);
        let first = center.len() - self.bins;
        for (bin, value) in delta.iter_mut().enumerate() {
            let column = first + bin;
            let sum: f32 = (1..=self.reach)
                .map(|n| {
                    let (after, before) = (&self.rows[self.reach + n], &self.rows[self.reach - n]);
                    n as f32 * (after[column] - before[column])
                })
                .sum();
            *value = sum / self.divisor;
        }
        emit(&self.out);
    }

    fn finish(&mut self, emit: &mut dyn FnMut(&[f32])) {
        if let Some(last) = self.rows.back().cloned() {
            for _ in 0..self.reach {
                self.advance(&last, emit);
            }
        }
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_ramp_has_slope_one_inside() {
        let ramp = Array2::from_shape_fn((8, 2), |(t, bin)| (t * (bin + 1)) as f32);
        let out = append_deltas(&ramp, DeltaConfig { order: 2, reach: 2 });
        assert_eq!(out.dim(), (8, 6));
        assert_eq!((out[[4, 2]], out[[4, 3]]), (1.0, 2.0));
        assert_eq!(out[[0, 2]], 0.5, "(1 + 2 * 2) / 10 at the repeated edge");
        assert!((out[[0, 4]] - 0.13).abs() < 1e-6, "deltas .5 .8 1: (.3 + 2 * .5) / 10");
    }

    #[test]
    fn one_frame_and_none() {
        let config = DeltaConfig { order: 1, reach: 2 };
        assert_eq!(append_deltas(&array![[3.0]], config), array![[3.0, 0.0]]);
        assert_eq!(append_deltas(&Array2::zeros((0, 4)), config).dim(), (0, 8));
    }
}
