//! One frame: from samples to (log) bands.
//!
//! Each frame is computed on its own, so that the result does not depend on its neighbours or on
//! how a stream was split.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::config::{EnergyPoint, FeatureConfig, Log, LogBase, PreEmphasis, Spectrum};
use crate::chunk::{FrameGrid, Known};
use crate::error::{Error, Result};
use crate::mel::MelPlan;

/// Everything that is computed once for a front end's frames.
pub(super) struct FrameAnalyzer {
    config: FeatureConfig,
    grid: FrameGrid,
    window: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    mel: Option<MelPlan>,
}

/// Buffers of one frame in work.
pub(super) struct Scratch {
    input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    power: Vec<f32>,
    work: Vec<Complex<f32>>,
}

impl FrameAnalyzer {
    pub(super) fn new(config: &FeatureConfig) -> Result<Self> {
        if config.n_fft < 2 || config.n_fft > 1 << 20 {
            return Err(Error::config("n_fft", format!("{} is not in 2..=2^20", config.n_fft)));
        }
        let grid =
            FrameGrid::new(config.win_length, config.n_fft, config.hop_length, config.edges)?;
        let mel = config
            .mel
            .as_ref()
            .map(|mel| MelPlan::new(mel, config.sample_rate, config.n_fft))
            .transpose()?;
        Ok(Self {
            window: config.window.samples(config.win_length, config.symmetry),
            fft: RealFftPlanner::new().plan_fft_forward(config.n_fft),
            grid,
            mel,
            config: config.clone(),
        })
    }

    pub(super) fn grid(&self) -> &FrameGrid {
        &self.grid
    }

    pub(super) fn window(&self) -> &[f32] {
        &self.window
    }

    pub(super) fn mel(&self) -> Option<&MelPlan> {
        self.mel.as_ref()
    }

    /// Bands, or bins without a filter bank.
    pub(super) fn bands(&self) -> usize {
        self.mel.as_ref().map_or(self.config.n_fft / 2 + 1, MelPlan::n_mels)
    }

    pub(super) fn scratch(&self) -> Scratch {
        Scratch {
            input: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            power: vec![0.0; self.config.n_fft / 2 + 1],
            work: self.fft.make_scratch_vec(),
        }
    }

    /// Compute frame number `frame` into `bands`; returns its log energy if one is wanted.
    pub(super) fn analyze(
        &self,
        frame: usize,
        known: Known<'_>,
        scratch: &mut Scratch,
        bands: &mut [f32],
    ) -> f32 {
        let inset = self.grid.inset();
        let end = inset + self.grid.frame_length();
        scratch.input[..inset].fill(0.0);
        scratch.input[end..].fill(0.0);
        let samples = &mut scratch.input[inset..end];
        self.grid.read(frame, known, samples);
        let energy = self.prepare(frame, samples);
        self.fft
            .process_with_scratch(&mut scratch.input, &mut scratch.spectrum, &mut scratch.work)
            .expect("buffers come from `scratch`, which made them for this transform");
        let power = scratch.power.iter_mut().zip(&scratch.spectrum);
        match self.config.spectrum {
            Spectrum::Power => power.for_each(|(p, bin)| *p = bin.norm_sqr()),
            Spectrum::Magnitude { epsilon } => {
                power.for_each(|(p, bin)| *p = (bin.norm_sqr() + epsilon).sqrt());
            }
        }
        match &self.mel {
            Some(mel) => mel.apply(&scratch.power, bands),
            None => bands.copy_from_slice(&scratch.power),
        }
        if let Some(log) = &self.config.log {
            log.apply(bands);
        }
        energy
    }

    /// Kaldi's order: scale, dither, mean, raw energy, pre-emphasis, window.
    fn prepare(&self, frame: usize, samples: &mut [f32]) -> f32 {
        let config = &self.config;
        if config.input_scale != 1.0 {
            samples.iter_mut().for_each(|sample| *sample *= config.input_scale);
        }
        if let Some(dither) = &config.dither {
            dither.add(frame, samples);
        }
        if config.remove_dc {
            let sum: f64 = samples.iter().map(|&sample| f64::from(sample)).sum();
            let mean = (sum / samples.len() as f64) as f32;
            samples.iter_mut().for_each(|sample| *sample -= mean);
        }
        let mut energy = 0.0;
        let wanted = |point| config.energy.filter(|energy| energy.point == point);
        if let Some(wanted) = wanted(EnergyPoint::Raw) {
            energy = log_energy(samples, wanted.floor);
        }
        if let PreEmphasis::Frame(coefficient) = config.pre_emphasis {
            let mut previous = samples[0];
            for sample in samples.iter_mut() {
                let current = *sample;
                *sample = current - coefficient * previous;
                previous = current;
            }
        }
        for (sample, weight) in samples.iter_mut().zip(&self.window) {
            *sample *= weight;
        }
        if let Some(wanted) = wanted(EnergyPoint::Windowed) {
            energy = log_energy(samples, wanted.floor);
        }
        energy
    }
}

fn log_energy(samples: &[f32], floor: f32) -> f32 {
    let energy: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    (energy as f32).max(f32::EPSILON).max(floor).ln()
}

impl Log {
    /// Replace every value by its logarithm.
    pub(super) fn apply(&self, values: &mut [f32]) {
        let factor = match self.base {
            LogBase::E => self.factor,
            LogBase::Ten => self.factor * std::f32::consts::LOG10_E,
        };
        for value in values {
            *value = factor * (value.max(self.floor) + self.offset).ln();
        }
    }
}
