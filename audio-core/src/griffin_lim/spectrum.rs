//! From the rows of a front end back to magnitudes of its transform.

use crate::error::{Error, Result};
use crate::features::{FeatureConfig, Log, LogBase, Normalization, PreEmphasis, Spectrum};
use crate::mel::MelPlan;

/// Steps of the multiplicative updates; more of them change little.
const UPDATES: usize = 40;

/// A value this much above the floor of the logarithm is taken for silence: what a file in half
/// precision loses.
const NEAR_FLOOR: f32 = 1.002;

/// Undoes logarithm and filter bank.
#[derive(Debug, Clone)]
pub(super) struct Magnitudes {
    log: Option<Log>,
    mel: Option<MelPlan>,
    /// The filter bank by bins: for every bin its bands and their weights.
    bands_of: Vec<Vec<(usize, f32)>>,
    power: bool,
    scale: f32,
    bins: usize,
}

impl Magnitudes {
    /// For rows of this front end.
    ///
    /// # Errors
    /// [`Error::Config`] with the first step of the front end that can't be undone.
    pub(super) fn new(config: &FeatureConfig) -> Result<Self> {
        refuse_lost(config)?;
        let bins = config.n_fft / 2 + 1;
        let mel = config.mel.as_ref();
        let mel = mel.map(|mel| MelPlan::new(mel, config.sample_rate, config.n_fft)).transpose()?;
        let mut bands_of = vec![Vec::new(); if mel.is_some() { bins } else { 0 }];
        if let Some(mel) = &mel {
            let matrix = mel.to_matrix();
            for ((band, bin), &weight) in matrix.indexed_iter().filter(|(_, weight)| **weight > 0.0)
            {
                bands_of[bin].push((band, weight));
            }
        }
        let power = config.spectrum == Spectrum::Power;
        Ok(Self { log: config.log, mel, bands_of, power, scale: config.input_scale, bins })
    }

    /// Values of a row.
    pub(super) fn width(&self) -> usize {
        self.mel.as_ref().map_or(self.bins, MelPlan::n_mels)
    }

    /// Magnitudes of the transform whose row this is, nearly.
    pub(super) fn of_row(&self, row: &[f32]) -> Vec<f32> {
        let linear: Vec<f32> = row.iter().map(|&value| self.linear(value)).collect();
        let mut spectrum = match &self.mel {
            Some(mel) => self.nonnegative(mel, &linear),
            None => linear,
        };
        for value in &mut spectrum {
            *value = if self.power { value.sqrt() } else { *value } / self.scale;
        }
        spectrum
    }

    fn linear(&self, value: f32) -> f32 {
        let Some(Log { base, factor, floor, offset }) = self.log else { return value.max(0.0) };
        let exponent = value / factor;
        let value = match base {
            LogBase::E => exponent.exp(),
            LogBase::Ten => 10f32.powf(exponent),
        } - offset;
        if value <= floor * NEAR_FLOOR { 0.0 } else { value }
    }

    /// A spectrum without negative bins whose bands are nearly `bands`, quiet ones as well as loud
    /// ones: the divergence is lessened (Lee and Seung, 2001) by steps that multiply.
    fn nonnegative(&self, mel: &MelPlan, bands: &[f32]) -> Vec<f32> {
        let back = |values: &[f32]| -> Vec<f32> {
            let bin = |of: &Vec<(usize, f32)>| of.iter().map(|&(band, w)| w * values[band]).sum();
            self.bands_of.iter().map(bin).collect()
        };
        let weights = back(&vec![1.0; bands.len()]);
        let mut spectrum = back(bands);
        let mut ratios = vec![0.0; bands.len()];
        for _ in 0..UPDATES {
            mel.apply(&spectrum, &mut ratios);
            for (ratio, wanted) in ratios.iter_mut().zip(bands) {
                *ratio = if *ratio > 0.0 { wanted / *ratio } else { 0.0 };
            }
            for ((value, ratio), weight) in spectrum.iter_mut().zip(back(&ratios)).zip(&weights) {
                *value = if *weight > 0.0 { *value * ratio / weight } else { 0.0 };
            }
        }
        spectrum
    }
}

/// Steps after which the spectrum can't be found again.
pub(crate) fn refuse_lost(config: &FeatureConfig) -> Result<()> {
    let lost = [
        ("pre-emphasis", config.pre_emphasis != PreEmphasis::None),
        ("the removal of each frame's mean", config.remove_dc),
        ("the map after the logarithm", config.affine.is_some()),
        ("the energy column", config.energy.is_some()),
        ("the cosine transform", config.cepstrum.is_some()),
        ("deltas", config.deltas.is_some()),
        ("a fixed number of frames", config.target_frames.is_some()),
        ("normalisation", config.normalization != Normalization::None),
    ];
    match lost.iter().find(|(_, is_on)| *is_on) {
        None => Ok(()),
        Some((step, _)) => Err(Error::config(
            "features",
            format!("no sound can be made of features with {step}; use those of a vocoder"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{FeaturePlan, presets};

    #[test]
    fn bands_are_met_and_silence_is_silence() {
        let config = presets::vocoder(24_000, 100, 12_000.0);
        let plan = FeaturePlan::new(&config).expect("valid");
        let magnitudes = Magnitudes::new(&config).expect("nothing is lost");
        let wave: Vec<f32> =
            (0..24_000).map(|n| ((n * n / 900) as f32 * 0.01).sin() * 0.3).collect();
        let features = plan.compute(&wave).expect("features");
        let mut again = vec![0.0; 100];
        for row in features.rows() {
            let spectrum = magnitudes.of_row(row.as_slice().expect("a whole row"));
            assert!(spectrum.iter().all(|value| *value >= 0.0));
            plan.mel().expect("a filter bank").apply(&spectrum, &mut again);
            let loud = row.iter().zip(&again).filter(|(value, _)| **value > -6.0);
            for (value, again) in loud {
                assert!((value - again.ln()).abs() < 0.05, "{value} {}", again.ln());
            }
        }
        let floor = vec![1e-5f32.ln(); 100];
        assert!(magnitudes.of_row(&floor).iter().all(|value| *value == 0.0));
    }

    #[test]
    fn powers_decibels_and_plain_spectra_are_undone() {
        let config = FeatureConfig { dynamic_range: None, ..presets::librosa(64) };
        let magnitudes = Magnitudes::new(&config).expect("nothing is lost");
        assert_eq!((magnitudes.width(), magnitudes.of_row(&[0.0; 64]).len()), (64, 1025));
        let plain = FeatureConfig { mel: None, log: None, ..presets::librosa(64) };
        let row: Vec<f32> = (0..1025).map(|bin| bin as f32).collect();
        let found = Magnitudes::new(&plain).expect("nothing is lost").of_row(&row);
        assert!(found.iter().zip(&row).all(|(found, power)| (found * found - power).abs() < 1e-3));
    }

    #[test]
    fn what_is_lost_is_named() {
        for (preset, step) in [("nemo", "pre-emphasis"), ("whisper", "the map")] {
            let config = presets::by_name(preset).expect("a preset");
            let error = Magnitudes::new(&config).expect_err("lost").to_string();
            assert!(error.contains(step), "{error}");
        }
    }
}
