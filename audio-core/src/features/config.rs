//! Every parameter of a front end, written out; no default hides in code.
//!
//! The same struct describes spectrograms, mel spectrograms, Kaldi filter banks and cepstra: they
//! differ in which of its steps are switched on, and [`super::presets`] names the usual settings.

use serde::{Deserialize, Serialize};

use super::cepstrum::CepstrumConfig;
use super::normalize::Normalization;
use super::presets::plain;
use crate::chunk::Edges;
use crate::mel::MelConfig;
use crate::window::{Symmetry, Window};

/// What happens to the whole signal before it is framed. These steps need the signal's end, so
/// streams leave them out.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leveling {
    /// Nothing.
    #[default]
    None,
    /// Subtract the signal's mean.
    SubtractMean,
    /// Scale the largest absolute sample to this value; silence stays as it is.
    Peak(f32),
}

/// First-order high-pass `y[n] = x[n] - c x[n-1]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreEmphasis {
    /// Off.
    #[default]
    None,
    /// Over the whole signal; the first sample stays as it is (NeMo).
    Signal(f32),
    /// Over the whole signal; the predecessor of the first sample is the second (TaoRuijie);
    /// streams take zero for it, as in [`PreEmphasis::Signal`].
    SignalReflect(f32),
    /// Inside each frame; the first sample is its own predecessor (Kaldi).
    Frame(f32),
}

/// Gaussian noise added to each frame, the same for the same seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dither {
    /// Standard deviation, on the scale that the samples have after `input_scale`.
    pub amount: f32,
    /// Seed of the noise.
    pub seed: u64,
}

/// The quantity that goes into the filter bank.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spectrum {
    /// |X|^2.
    #[default]
    Power,
    /// sqrt(|X|^2 + `epsilon`).
    Magnitude {
        /// Added under the root; 1e-9 in the GAN vocoders.
        epsilon: f32,
    },
}

/// Base of the logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogBase {
    /// Natural.
    #[default]
    E,
    /// Common.
    Ten,
}

/// `factor * log(max(x, floor) + offset)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Base.
    pub base: LogBase,
    /// Multiplier of the logarithm, such as 10 for decibels.
    pub factor: f32,
    /// Least value that goes into the logarithm.
    pub floor: f32,
    /// Added before the logarithm.
    pub offset: f32,
}

impl Default for Log {
    fn default() -> Self {
        Self { base: LogBase::E, factor: 1.0, floor: f32::EPSILON, offset: 0.0 }
    }
}

/// `scale * x + offset`, then limited; how some models map decibels to their input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// Multiplier.
    pub scale: f32,
    /// Added after scaling.
    pub offset: f32,
    /// Lower and upper limit, if any.
    pub limits: Option<[f32; 2]>,
}

impl Affine {
    pub(super) fn apply(&self, values: &mut [f32]) {
        for value in values {
            *value = self.scale * *value + self.offset;
            if let Some([low, high]) = self.limits {
                *value = value.max(low).min(high);
            }
        }
    }
}

/// Frame energy in front of, or instead of, a column (Kaldi's `use_energy`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EnergyConfig {
    /// Where it is measured.
    pub point: EnergyPoint,
    /// Least energy, before the logarithm; 0 leaves only float32's epsilon.
    pub floor: f32,
    /// The column that it takes.
    pub column: EnergyColumn,
}

/// Where in the processing of a frame its energy is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnergyPoint {
    /// After removal of the mean, before pre-emphasis and window (Kaldi's `raw_energy`).
    Raw,
    /// After pre-emphasis and window.
    Windowed,
}

/// The column that the energy takes. With a cepstrum it replaces the zeroth coefficient, and
/// `Last` moves it behind the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnergyColumn {
    /// The first (Kaldi).
    First,
    /// The last (HTK).
    Last,
}

/// Which of the grid's frames are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameCount {
    /// All.
    #[default]
    All,
    /// All but the last (Whisper, NeMo from 2.5 on).
    DropLast,
    /// Those of the signal cut to whole hops (PeriodWave).
    WholeHops,
}

/// Differences along time, appended to each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaConfig {
    /// How often the operator is applied: 1 for deltas, 2 for deltas and their deltas.
    pub order: usize,
    /// Frames on each side that the regression sees.
    pub reach: usize,
}

/// A front end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Rate of the signal in Hz.
    pub sample_rate: u32,
    /// Samples in [-1, 1] are multiplied by this; 32768 for Kaldi's 16-bit scale.
    pub input_scale: f32,
    /// Treatment of the whole signal.
    pub leveling: Leveling,
    /// High-pass.
    pub pre_emphasis: PreEmphasis,
    /// Noise; none unless asked for.
    pub dither: Option<Dither>,
    /// Subtract each frame's mean.
    pub remove_dc: bool,
    /// Window length in samples.
    pub win_length: usize,
    /// Samples from frame to frame.
    pub hop_length: usize,
    /// Transform length in samples.
    pub n_fft: usize,
    /// Window.
    pub window: Window,
    /// Kind of window.
    pub symmetry: Symmetry,
    /// Frames at the ends of the signal.
    pub edges: Edges,
    /// Frames that are kept.
    pub frames: FrameCount,
    /// Quantity per bin.
    pub spectrum: Spectrum,
    /// Filter bank; without one the bins themselves are the features.
    pub mel: Option<MelConfig>,
    /// Logarithm.
    pub log: Option<Log>,
    /// Values further than this below the utterance's maximum are raised to it. Needs the
    /// signal's end, so streams leave it out.
    pub dynamic_range: Option<f32>,
    /// Map after the logarithm.
    pub affine: Option<Affine>,
    /// Energy column.
    pub energy: Option<EnergyConfig>,
    /// Cosine transform.
    pub cepstrum: Option<CepstrumConfig>,
    /// Differences along time.
    pub deltas: Option<DeltaConfig>,
    /// Pad with zero rows, or cut, to this many frames before normalisation.
    pub target_frames: Option<usize>,
    /// Normalisation.
    pub normalization: Normalization,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        let (mel, log) = (Some(MelConfig::default()), Some(Log::default()));
        Self { mel, log, ..plain(16_000, 400, 160) }
    }
}
