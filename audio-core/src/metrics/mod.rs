//! Numbers for quality: how close a result is to what it should be.
//!
//! Signals are compared in [`separation`], [`spectral`], [`multi_resolution`], [`voice`] and [`stoi`], texts in [`text`], and scores
//! of detectors and verifiers in [`detection`]. Everything is computed in `f64`; a figure that the
//! data do not define (a silent reference, no target) is `None`, JSON `null`.

pub mod detection;
pub mod multi_resolution;
pub mod separation;
pub mod spectral;
pub mod stoi;
pub mod text;
pub mod voice;

mod filtered;
mod permutation;
#[cfg(test)]
mod signals;

use crate::error::{Error, Result};

/// Ratios are limited to this many decibels either way, so that equal signals have a number.
pub const LIMIT_DB: f64 = 200.0;

/// `10 log10(signal / noise)` within [`LIMIT_DB`]; nothing over nothing is the worst.
fn ratio_db(signal: f64, noise: f64) -> f64 {
    if signal <= 0.0 || !signal.is_finite() {
        return -LIMIT_DB;
    }
    (10.0 * (signal / noise.max(0.0)).log10()).clamp(-LIMIT_DB, LIMIT_DB)
}

/// Both signals must have the same length and finite samples, and there must be some.
fn check_pair(reference: &[f32], estimate: &[f32]) -> Result<()> {
    if reference.len() != estimate.len() {
        return Err(Error::Shape {
            what: "estimate to compare with its reference",
            expected: format!("{} samples", reference.len()),
            found: format!("{} samples", estimate.len()),
        });
    }
    if reference.is_empty() {
        return Err(Error::Empty);
    }
    if reference.iter().chain(estimate).any(|s| !s.is_finite()) {
        return Err(Error::config(
            "samples",
            "NaN or infinite; sanitise the audio before comparing",
        ));
    }
    Ok(())
}

fn energy(samples: impl IntoIterator<Item = f64>) -> f64 {
    samples.into_iter().map(|s| s * s).sum()
}

/// Median; of an even count the mean of the middle two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((values[values.len() / 2 - 1] + upper) / 2.0)
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let count = values.clone().count();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}
