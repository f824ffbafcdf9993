//! Mel scales and triangular filter banks in every convention that is in use.
//!
//! A [`MelPlan`] keeps only the non-zero stretch of each triangle; logarithms are taken in
//! [`crate::features`].

mod bands;

use std::ops::Range;

pub use bands::BandLayout;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How frequencies map to mel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelScale {
    /// 2595 log10(1 + f / 700): HTK, torchaudio, SpeechBrain.
    Htk,
    /// Linear up to 1 kHz, logarithmic above: Slaney's toolbox, librosa, NeMo, Whisper.
    #[default]
    Slaney,
    /// 1127 ln(1 + f / 700): Kaldi. The HTK curve, but with a rounded constant.
    Kaldi,
}

/// Slaney's scale: 200/3 Hz a mel below the break, a factor of 6.4 in 27 mels above it.
const SLANEY_HZ_PER_MEL: f64 = 200.0 / 3.0;
const SLANEY_BREAK_HZ: f64 = 1000.0;
const SLANEY_BREAK_MEL: f64 = SLANEY_BREAK_HZ / SLANEY_HZ_PER_MEL;

fn slaney_log_step() -> f64 {
    6.4f64.ln() / 27.0
}

impl MelScale {
    /// Mel value of a frequency in Hz.
    #[must_use]
    pub fn to_mel(self, hz: f64) -> f64 {
        match self {
            Self::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
            Self::Kaldi => 1127.0 * (1.0 + hz / 700.0).ln(),
            Self::Slaney if hz >= SLANEY_BREAK_HZ => {
                SLANEY_BREAK_MEL + (hz / SLANEY_BREAK_HZ).ln() / slaney_log_step()
            }
            Self::Slaney => hz / SLANEY_HZ_PER_MEL,
        }
    }

    /// Frequency in Hz of a mel value.
    #[must_use]
    pub fn to_hz(self, mel: f64) -> f64 {
        match self {
            Self::Htk => 700.0 * (10.0f64.powf(mel / 2595.0) - 1.0),
            Self::Kaldi => 700.0 * ((mel / 1127.0).exp() - 1.0),
            Self::Slaney if mel >= SLANEY_BREAK_MEL => {
                SLANEY_BREAK_HZ * ((mel - SLANEY_BREAK_MEL) * slaney_log_step()).exp()
            }
            Self::Slaney => mel * SLANEY_HZ_PER_MEL,
        }
    }
}

/// How the triangles are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelNorm {
    /// Peak one.
    None,
    /// Area one in Hz: each triangle is multiplied by 2 / (its width in Hz).
    #[default]
    Slaney,
}

/// The axis on which the triangles' sides are straight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Triangles {
    /// Straight in Hz (librosa, torchaudio).
    #[default]
    Hz,
    /// Straight in mel (Kaldi).
    Mel,
    /// Straight in Hz and as wide above the centre as below it (SpeechBrain).
    SymmetricHz,
}

/// A mel filter bank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MelConfig {
    /// Number of bands.
    pub n_mels: usize,
    /// Lower edge of the first band in Hz.
    pub f_min: f64,
    /// Upper edge of the last band in Hz; zero or less counts down from half the sample rate.
    pub f_max: f64,
    /// Mel scale.
    pub scale: MelScale,
    /// Scaling of the triangles.
    pub norm: MelNorm,
    /// Shape of the triangles.
    pub triangles: Triangles,
}

impl Default for MelConfig {
    fn default() -> Self {
        Self {
            n_mels: 80,
            f_min: 0.0,
            f_max: 0.0,
            scale: MelScale::Slaney,
            norm: MelNorm::Slaney,
            triangles: Triangles::Hz,
        }
    }
}

impl MelConfig {
    /// The frequency at the peak of each band in Hz, for a sample rate.
    #[must_use]
    pub fn centres(&self, sample_rate: u32) -> Vec<f64> {
        let nyquist = f64::from(sample_rate) / 2.0;
        let f_max = if self.f_max > 0.0 { self.f_max } else { nyquist + self.f_max };
        let (low, high) = (self.scale.to_mel(self.f_min), self.scale.to_mel(f_max));
        let step = (high - low) / (self.n_mels + 1) as f64;
        (1..=self.n_mels).map(|band| self.scale.to_hz(low + band as f64 * step)).collect()
    }
}

/// One band's non-zero weights.
#[derive(Debug, Clone, PartialEq)]
struct Band {
    first_bin: usize,
    first_weight: usize,
    length: usize,
}

/// A filter bank for one sample rate and transform length, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct MelPlan {
    bins: usize,
    bands: Vec<Band>,
    weights: Vec<f32>,
}

impl MelPlan {
    /// Build the filters for `n_fft / 2 + 1` bins.
    ///
    /// # Errors
    /// [`Error::Config`] when there are no bands or the edges are not 0 <= f_min < f_max <=
    /// `sample_rate` / 2.
    pub fn new(config: &MelConfig, sample_rate: u32, n_fft: usize) -> Result<Self> {
        let nyquist = f64::from(sample_rate) / 2.0;
        let f_max = if config.f_max > 0.0 { config.f_max } else { nyquist + config.f_max };
        if config.n_mels == 0 || config.n_mels > 4096 {
            return Err(Error::config("n_mels", format!("{} is not in 1..=4096", config.n_mels)));
        }
        let in_order = config.f_min >= 0.0 && config.f_min < f_max && f_max <= nyquist;
        if !in_order || n_fft < 2 {
            return Err(Error::config(
                "f_min, f_max",
                format!(
                    "need 0 <= f_min < f_max <= {nyquist} Hz (half the sample rate) and n_fft >= 2, \
                     have {}..{f_max} Hz and n_fft {n_fft}",
                    config.f_min
                ),
            ));
        }
        let edges = MelEdges::new(config, f_max);
        let bins = n_fft / 2 + 1;
        let mut plan = Self { bins, bands: Vec::with_capacity(config.n_mels), weights: vec![] };
        for band in 0..config.n_mels {
            let dense: Vec<f32> = (0..bins)
                .map(|bin| edges.weight(band, bin as f64 * f64::from(sample_rate) / n_fft as f64))
                .map(|weight| weight as f32)
                .collect();
            plan.push_band(&dense);
        }
        Ok(plan)
    }

    /// A plan from an explicit matrix `[n_mels, bins]`, such as one stored in a checkpoint.
    #[must_use]
    pub fn from_matrix(matrix: &Array2<f32>) -> Self {
        let mut plan = Self { bins: matrix.ncols(), bands: vec![], weights: vec![] };
        for row in matrix.rows() {
            plan.push_band(&row.to_vec());
        }
        plan
    }

    fn push_band(&mut self, dense: &[f32]) {
        let first_bin = dense.iter().position(|&w| w != 0.0).unwrap_or(0);
        let end = dense.iter().rposition(|&w| w != 0.0).map_or(first_bin, |last| last + 1);
        let first_weight = self.weights.len();
        self.weights.extend_from_slice(&dense[first_bin..end]);
        self.bands.push(Band { first_bin, first_weight, length: end - first_bin });
    }

    /// Number of bands.
    #[must_use]
    pub fn n_mels(&self) -> usize {
        self.bands.len()
    }

    /// Number of spectrum bins that go in.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The bins with a non-zero weight in `band`.
    ///
    /// # Panics
    /// When `band` is not below [`MelPlan::n_mels`].
    #[must_use]
    pub fn band_range(&self, band: usize) -> Range<usize> {
        let Band { first_bin, length, .. } = self.bands[band];
        first_bin..first_bin + length
    }

    /// The dense matrix `[n_mels, bins]`.
    #[must_use]
    pub fn to_matrix(&self) -> Array2<f32> {
        let mut matrix = Array2::zeros((self.bands.len(), self.bins));
        for (mut row, band) in matrix.rows_mut().into_iter().zip(&self.bands) {
            for (offset, &weight) in self.band_weights(band).iter().enumerate() {
                row[band.first_bin + offset] = weight;
            }
        }
        matrix
    }

    fn band_weights(&self, band: &Band) -> &[f32] {
        &self.weights[band.first_weight..band.first_weight + band.length]
    }

    /// Weighted sums of one spectrum, one a band.
    ///
    /// # Panics
    /// When `spectrum` is shorter than [`MelPlan::bins`].
    pub fn apply(&self, spectrum: &[f32], out: &mut [f32]) {
        for (sum, band) in out.iter_mut().zip(&self.bands) {
            let bins = &spectrum[band.first_bin..band.first_bin + band.length];
            *sum = dot(bins, self.band_weights(band));
        }
    }
}

/// Sum of products in eight interleaved partial sums, which the compiler turns into vectors.
#[inline]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail = a_blocks
        .remainder()
        .iter()
        .zip(b_blocks.remainder())
        .fold(0.0f32, |sum, (x, y)| sum + x * y);
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + tail
}

/// Band edges on the axes that the triangles need.
struct MelEdges {
    low: f64,
    step: f64,
    config: MelConfig,
    mel: Vec<f64>,
    hz: Vec<f64>,
}

impl MelEdges {
    fn new(config: &MelConfig, f_max: f64) -> Self {
        let (low, high) = (config.scale.to_mel(config.f_min), config.scale.to_mel(f_max));
        let step = (high - low) / (config.n_mels + 1) as f64;
        let mel: Vec<f64> = (0..config.n_mels + 2).map(|k| low + k as f64 * step).collect();
        let mut hz: Vec<f64> = mel.iter().map(|&m| config.scale.to_hz(m)).collect();
        // The ends are given, so rounding through the scale must not move them.
        hz[0] = config.f_min;
        hz[config.n_mels + 1] = f_max;
        Self { low, step, config: *config, mel, hz }
    }

    fn weight(&self, band: usize, hz: f64) -> f64 {
        if self.config.triangles == Triangles::Mel && self.config.scale == MelScale::Kaldi {
            return f64::from(self.kaldi_weight(band, hz as f32));
        }
        let (axis, x) = match self.config.triangles {
            Triangles::Mel => (&self.mel, self.config.scale.to_mel(hz)),
            Triangles::Hz | Triangles::SymmetricHz => (&self.hz, hz),
        };
        let (low, center, high) = (axis[band], axis[band + 1], axis[band + 2]);
        let up = (x - low) / (center - low);
        let down = match self.config.triangles {
            Triangles::SymmetricHz => 1.0 - (x - center) / (center - low),
            Triangles::Hz | Triangles::Mel => (high - x) / (high - center),
        };
        let peak = match self.config.norm {
            MelNorm::None => 1.0,
            MelNorm::Slaney => 2.0 / (self.hz[band + 2] - self.hz[band]),
        };
        up.min(down).max(0.0) * peak
    }

    /// Kaldi's triangles in single precision, as Kaldi and torchaudio compute them. A narrow
    /// filter whose only bin lies near its foot has a weight that consists of rounding to a good
    /// part, so that the order of these operations is seen in the features.
    fn kaldi_weight(&self, band: usize, hz: f32) -> f32 {
        let edge = |k: usize| self.low as f32 + k as f32 * self.step as f32;
        let mel = 1127.0 * (1.0 + hz / 700.0).ln();
        let (low, center, high) = (edge(band), edge(band + 1), edge(band + 2));
        let up = (mel - low) / (center - low);
        let down = (high - mel) / (high - center);
        let peak = match self.config.norm {
            MelNorm::None => 1.0,
            MelNorm::Slaney => (2.0 / (self.hz[band + 2] - self.hz[band])) as f32,
        };
        up.min(down).max(0.0) * peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_invert_and_know_their_anchors() {
        for scale in [MelScale::Htk, MelScale::Slaney, MelScale::Kaldi] {
            for hz in [0.0, 20.0, 999.0, 1000.0, 1001.0, 7999.0, 22_050.0] {
                assert!((scale.to_hz(scale.to_mel(hz)) - hz).abs() < 1e-8, "{scale:?} {hz}");
            }
        }
        assert!((MelScale::Slaney.to_mel(1000.0) - 15.0).abs() < 1e-12);
        assert!((MelScale::Slaney.to_mel(6400.0) - 42.0).abs() < 1e-12);
        assert!((MelScale::Htk.to_mel(1000.0) - 999.985_537).abs() < 1e-6);
    }

    #[test]
    fn sparse_equals_dense() {
        let config = MelConfig { n_mels: 40, ..MelConfig::default() };
        let plan = MelPlan::new(&config, 16_000, 400).expect("valid");
        let spectrum: Vec<f32> = (0..201).map(|k| ((k * 37) % 101) as f32 / 10.0).collect();
        let mut sums = vec![0.0; 40];
        plan.apply(&spectrum, &mut sums);
        for (row, &sum) in plan.to_matrix().rows().into_iter().zip(&sums) {
            let dense: f32 = row.iter().zip(&spectrum).map(|(w, x)| w * x).sum();
            assert!((dense - sum).abs() <= 1e-5 * dense.abs());
        }
        assert_eq!(MelPlan::from_matrix(&plan.to_matrix()), plan);
    }

    #[test]
    fn slaney_triangles_have_unit_area() {
        let plan = MelPlan::new(&MelConfig::default(), 16_000, 8192).expect("valid");
        let bin_width = 16_000.0 / 8192.0;
        for row in plan.to_matrix().rows() {
            assert!((row.sum() * bin_width - 1.0).abs() < 0.02);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let wrong = |config: MelConfig| MelPlan::new(&config, 16_000, 400).is_err();
        assert!(wrong(MelConfig { n_mels: 0, ..MelConfig::default() }));
        assert!(wrong(MelConfig { f_max: 9000.0, ..MelConfig::default() }));
        assert!(wrong(MelConfig { f_min: 5000.0, f_max: 4000.0, ..MelConfig::default() }));
        assert!(wrong(MelConfig { f_min: f64::NAN, ..MelConfig::default() }));
    }
}
