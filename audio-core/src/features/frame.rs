//! One frame: from samples to (log) bands.
//!
//! Each frame is computed on its own, so that the result does not depend on its neighbours or on
//! how a stream was split.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::config::{
    Dither, EnergyConfig, EnergyPoint, FeatureConfig, Log, LogBase, PreEmphasis, Spectrum,
};
use crate::chunk::{FrameGrid, Known};
use crate::error::{Error, Result};
use crate::mel::MelPlan;

/// Everything that is computed once for a front end's frames.
#[derive(Clone)]
pub(super) struct FrameAnalyzer {
    config: FeatureConfig,
    grid: FrameGrid,
    window: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    mel: Option<MelPlan>,
}

/// Buffers of one frame in work.
pub(super) struct Scratch {
    samples: Vec<f32>,
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

    /// With other noise.
    pub(super) fn with_dither(&self, dither: Option<Dither>) -> Self {
        let mut other = self.clone();
        other.config.dither = dither;
        other
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
            samples: vec![0.0; self.config.win_length],
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
        self.grid.read(frame, known, &mut scratch.samples);
        let inset = self.grid.inset();
        let end = inset + self.grid.frame_length();
        scratch.input[..inset].fill(0.0);
        scratch.input[end..].fill(0.0);
        let energy = self.prepare(frame, &mut scratch.samples, &mut scratch.input[inset..end]);
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

    /// Kaldi's order: scale, dither, mean, raw energy, pre-emphasis, window. The result goes to
    /// `out`; returns the log energy if one is wanted.
    fn prepare(&self, frame: usize, samples: &mut [f32], out: &mut [f32]) -> f32 {
        let config = &self.config;
        if config.input_scale != 1.0 {
            samples.iter_mut().for_each(|sample| *sample *= config.input_scale);
        }
        if let Some(dither) = &config.dither {
            dither.add(frame, samples);
        }
        if config.remove_dc {
            let mean = (sum(samples) / samples.len() as f64) as f32;
            samples.iter_mut().for_each(|sample| *sample -= mean);
        }
        if let PreEmphasis::Frame(coefficient) = config.pre_emphasis {
            out[0] = (samples[0] - coefficient * samples[0]) * self.window[0];
            let neighbours = samples[1..].iter().zip(&samples[..samples.len() - 1]);
            let weighted = out[1..].iter_mut().zip(&self.window[1..]);
            for ((out, weight), (sample, previous)) in weighted.zip(neighbours) {
                *out = (sample - coefficient * previous) * weight;
            }
        } else {
            for ((out, weight), sample) in out.iter_mut().zip(&self.window).zip(&*samples) {
                *out = sample * weight;
            }
        }
        match config.energy {
            Some(EnergyConfig { point: EnergyPoint::Raw, floor, .. }) => log_energy(samples, floor),
            Some(EnergyConfig { point: EnergyPoint::Windowed, floor, .. }) => {
                log_energy(out, floor)
            }
            None => 0.0,
        }
    }
}

/// Sum in double precision and eight interleaved parts, so that it is fast and hardly rounded.
fn sum(samples: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let blocks = samples.chunks_exact(8);
    let tail: f64 = blocks.remainder().iter().map(|&sample| f64::from(sample)).sum();
    for block in blocks {
        for (lane, &sample) in lanes.iter_mut().zip(block) {
            *lane += f64::from(sample);
        }
    }
    lanes.iter().sum::<f64>() + tail
}

fn log_energy(samples: &[f32], floor: f32) -> f32 {
    let energy: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    (energy as f32).max(f32::EPSILON).max(floor).ln()
}

impl Log {
    /// Replace every value by its logarithm.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        let factor = match self.base {
            LogBase::E => self.factor,
            LogBase::Ten => self.factor * std::f32::consts::LOG10_E,
        };
        let (floor, offset) = (self.floor, self.offset);
        for value in values {
            // NaN fails the comparison and is kept, so that a broken input stays visible.
            let x = if *value < floor { floor } else { *value };
            *value = factor * ln(x + offset);
        }
    }
}

/// Natural logarithm of positive normal numbers, to one unit in the last place; without branches,
/// so that the compiler can do several at a time. Polynomial: Cephes' `logf`, S. L. Moshier.
#[inline(always)]
fn ln(x: f32) -> f32 {
    const SQRT_HALF_BITS: i32 = 0x3f35_04f3;
    let bits = x.to_bits() as i32;
    // Split into 2^exponent times a mantissa in [sqrt(1/2), sqrt(2)).
    let exponent = (bits - SQRT_HALF_BITS) >> 23;
    let m = f32::from_bits((bits - (exponent << 23)) as u32) - 1.0;
    let e = exponent as f32;
    let z = m * m;
    let mut p = 7.037_683_6e-2f32;
    p = p * m - 1.151_461e-1;
    p = p * m + 1.167_699_9e-1;
    p = p * m - 1.242_014_1e-1;
    p = p * m + 1.424_932_3e-1;
    p = p * m - 1.666_805_7e-1;
    p = p * m + 2.000_071_4e-1;
    p = p * m - 2.499_999_4e-1;
    p = p * m + 3.333_333e-1;
    let low = p * m * z - 2.121_944_4e-4 * e - 0.5 * z;
    let result = m + low + 0.693_359_4 * e;
    // Infinity and NaN come out as something finite above; a sum gives them back.
    if x < f32::INFINITY { result } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_is_right_to_the_last_place() {
        let mut x = f32::MIN_POSITIVE;
        while x < 1e38 {
            let exact = f64::from(x).ln();
            let error = (f64::from(ln(x)) - exact).abs();
            assert!(error <= 1.2e-7 * exact.abs().max(0.5), "ln {x}: {} not {exact}", ln(x));
            x *= 1.003_7;
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(f32::INFINITY), f32::INFINITY);
        assert!(ln(f32::NAN).is_nan());
    }

    #[test]
    fn sums_are_exact_for_integers() {
        let samples: Vec<f32> = (0..1003).map(|n| n as f32 * 1e4).collect();
        assert_eq!(sum(&samples), 1003.0 * 1002.0 / 2.0 * 1e4);
    }

    /// The transform and its tables are made once, whatever the noise.
    #[test]
    fn other_noise_plans_nothing_anew_and_equals_a_plan_of_its_own() {
        let plain =
            FeatureConfig { n_fft: 64, win_length: 64, hop_length: 32, ..Default::default() };
        let dither = Some(Dither { amount: 0.5, seed: 3 });
        let analyzer = FrameAnalyzer::new(&plain).expect("sound sizes");
        let noisy = analyzer.with_dither(dither);
        assert!(Arc::ptr_eq(&analyzer.fft, &noisy.fft));
        let own = FrameAnalyzer::new(&FeatureConfig { dither, ..plain }).expect("sound sizes");
        let bands = |analyzer: &FrameAnalyzer| {
            let samples: Vec<f32> = (0..64).map(|n| (n as f32 * 0.3).sin()).collect();
            let mut bands = vec![0.0; analyzer.bands()];
            analyzer.analyze(0, Known::whole(&samples), &mut analyzer.scratch(), &mut bands);
            bands
        };
        assert_eq!(bands(&noisy), bands(&own));
        assert_ne!(bands(&noisy), bands(&analyzer));
    }
}
