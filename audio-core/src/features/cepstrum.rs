//! Cepstral coefficients: the orthonormal cosine transform of log-mel bands, and lifters.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mel::dot;

/// Cosine transform of the bands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CepstrumConfig {
    /// Coefficients that are kept, the zeroth included.
    pub n_mfcc: usize,
    /// Weights of the coefficients.
    pub lifter: Lifter,
}

/// Weights that raise the higher coefficients.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifter {
    /// None.
    #[default]
    None,
    /// 1 + L/2 sin(pi n / L), counted from n = 0: HTK and Kaldi (L = 22).
    Htk(f32),
    /// The same curve counted from n = 1: librosa.
    Librosa(f32),
}

/// Matrix of the transform with the lifter folded in.
#[derive(Debug, Clone)]
pub(super) struct CepstrumPlan {
    bands: usize,
    matrix: Vec<f32>, // [n_mfcc, bands]
}

impl CepstrumPlan {
    pub(super) fn new(config: &CepstrumConfig, bands: usize) -> Result<Self> {
        if config.n_mfcc == 0 || config.n_mfcc > bands {
            return Err(Error::config(
                "n_mfcc",
                format!("{} is not between 1 and the number of bands, {bands}", config.n_mfcc),
            ));
        }
        let mut matrix = Vec::with_capacity(config.n_mfcc * bands);
        for k in 0..config.n_mfcc {
            let norm = if k == 0 { 1.0 } else { 2.0f64 };
            let weight = (norm / bands as f64).sqrt() * config.lifter.weight(k);
            let step = PI * k as f64 / bands as f64;
            matrix.extend((0..bands).map(|n| (weight * (step * (n as f64 + 0.5)).cos()) as f32));
        }
        Ok(Self { bands, matrix })
    }

    pub(super) fn n_mfcc(&self) -> usize {
        self.matrix.len() / self.bands
    }

    pub(super) fn apply(&self, bands: &[f32], out: &mut [f32]) {
        for (value, row) in out.iter_mut().zip(self.matrix.chunks_exact(self.bands)) {
            *value = dot(row, bands);
        }
    }
}

impl Lifter {
    fn weight(self, k: usize) -> f64 {
        let curve = |length: f32, n: usize| {
            let length = f64::from(length);
            1.0 + length / 2.0 * (PI * n as f64 / length).sin()
        };
        match self {
            Self::Htk(length) if length > 0.0 => curve(length, k),
            Self::Librosa(length) if length > 0.0 => curve(length, k + 1),
            Self::None | Self::Htk(_) | Self::Librosa(_) => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_transform_is_orthonormal() {
        let config = CepstrumConfig { n_mfcc: 8, lifter: Lifter::None };
        let plan = CepstrumPlan::new(&config, 8).expect("valid");
        for a in 0..8 {
            for b in 0..8 {
                let row = |k: usize| &plan.matrix[k * 8..(k + 1) * 8];
                let product: f32 = row(a).iter().zip(row(b)).map(|(x, y)| x * y).sum();
                let expected = if a == b { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn lifters_start_where_their_makers_count() {
        assert_eq!(Lifter::Htk(22.0).weight(0), 1.0);
        assert!((Lifter::Htk(22.0).weight(11) - 12.0).abs() < 1e-12);
        assert!((Lifter::Librosa(22.0).weight(10) - 12.0).abs() < 1e-12);
        assert_eq!(Lifter::Htk(0.0).weight(5), 1.0);
    }

    #[test]
    fn more_coefficients_than_bands_are_refused() {
        let config = CepstrumConfig { n_mfcc: 9, lifter: Lifter::None };
        assert!(CepstrumPlan::new(&config, 8).is_err());
    }
}
