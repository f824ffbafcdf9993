//! A front end ready for use, and whole signals.

use std::borrow::Cow;
use std::sync::Arc;

use ndarray::Array2;

use super::cepstrum::CepstrumPlan;
use super::config::{Dither, EnergyColumn, FeatureConfig, FrameCount, Leveling, PreEmphasis};
use super::deltas::append_deltas;
use super::frame::FrameAnalyzer;
use super::normalize::Normalization;
use super::stream::FeatureStream;
use crate::chunk::{FrameGrid, Known};
use crate::error::{Error, Result};
use crate::mel::MelPlan;

/// A front end: windows, transform and filters, planned once. Cloning shares them.
///
/// ```
/// use formant_audio_core::features::{FeaturePlan, presets};
///
/// let plan = FeaturePlan::new(&presets::by_name("kaldi")?)?;
/// let features = plan.compute(&vec![0.1; 16_000])?;
/// assert_eq!(features.dim(), (98, 23));
/// # Ok::<(), formant_audio_core::Error>(())
/// ```
#[derive(Clone)]
pub struct FeaturePlan {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: FeatureConfig,
    pub(super) analyzer: FrameAnalyzer,
    cepstrum: Option<CepstrumPlan>,
}

impl std::fmt::Debug for FeaturePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeaturePlan").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl FeaturePlan {
    /// Check `config` and plan it.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Shape`] naming the setting that is out of range or
    /// contradicts another.
    pub fn new(config: &FeatureConfig) -> Result<Self> {
        config.check()?;
        let analyzer = FrameAnalyzer::new(config)?;
        let cepstrum = config
            .cepstrum
            .as_ref()
            .map(|cepstrum| CepstrumPlan::new(cepstrum, analyzer.bands()))
            .transpose()?;
        let inner = Inner { config: config.clone(), analyzer, cepstrum };
        config.normalization.check(inner.bins())?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same front end with other noise in its frames; nothing is planned anew.
    ///
    /// # Errors
    /// [`Error::Config`] for noise that is not finite.
    pub fn with_dither(&self, dither: Option<Dither>) -> Result<Self> {
        let config = FeatureConfig { dither, ..self.inner.config.clone() };
        config.check()?;
        let (analyzer, cepstrum) =
            (self.inner.analyzer.with_dither(dither), self.inner.cepstrum.clone());
        Ok(Self { inner: Arc::new(Inner { config, analyzer, cepstrum }) })
    }

    /// The parameters.
    #[must_use]
    pub fn config(&self) -> &FeatureConfig {
        &self.inner.config
    }

    /// Rate in Hz of the signals that this front end expects.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.inner.config.sample_rate
    }

    /// Columns of the result.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.inner.bins()
    }

    /// Where the frames lie on the signal.
    #[must_use]
    pub fn grid(&self) -> &FrameGrid {
        self.inner.analyzer.grid()
    }

    /// The window's samples.
    #[must_use]
    pub fn window(&self) -> &[f32] {
        self.inner.analyzer.window()
    }

    /// The filter bank, if there is one.
    #[must_use]
    pub fn mel(&self) -> Option<&MelPlan> {
        self.inner.analyzer.mel()
    }

    /// Rows that [`FeaturePlan::compute`] returns for `samples` samples.
    #[must_use]
    pub fn num_frames(&self, samples: usize) -> usize {
        self.inner.config.target_frames.unwrap_or_else(|| self.valid_frames(samples))
    }

    /// Frames that hold signal, before padding or cutting to a target length. These are what a
    /// stream returns.
    #[must_use]
    pub fn valid_frames(&self, samples: usize) -> usize {
        self.inner.valid_frames(samples)
    }

    /// Features of a whole signal, `[frames, bins]`.
    ///
    /// # Errors
    /// None at present: every length has a defined result, down to no frames.
    pub fn compute(&self, samples: &[f32]) -> Result<Array2<f32>> {
        self.inner.compute(samples)
    }

    /// Features of a signal that arrives in pieces. Steps that need the signal's end are left
    /// out, see [`FeatureConfig::streamable`].
    #[must_use]
    pub fn stream(&self) -> FeatureStream {
        FeatureStream::new(Arc::clone(&self.inner))
    }
}

impl FeatureConfig {
    /// This front end without the steps that need the whole signal: levelling, the dynamic range
    /// below the maximum, the target length, and statistics of the utterance. A
    /// [`FeatureStream`] returns exactly what the plan of this configuration computes.
    #[must_use]
    pub fn streamable(&self) -> Self {
        let mut config = self.clone();
        config.leveling = Leveling::None;
        if let PreEmphasis::SignalReflect(coefficient) = config.pre_emphasis {
            config.pre_emphasis = PreEmphasis::Signal(coefficient);
        }
        config.dynamic_range = None;
        config.target_frames = None;
        if !config.normalization.is_rowwise() {
            config.normalization = Normalization::None;
        }
        config
    }

    fn check(&self) -> Result<()> {
        let finite = |setting, value: f32| {
            if value.is_finite() {
                Ok(())
            } else {
                Err(Error::config(setting, format!("{value} is not a finite number")))
            }
        };
        if self.sample_rate == 0 {
            return Err(Error::config("sample_rate", "must not be zero"));
        }
        finite("input_scale", self.input_scale)?;
        if let Some(dither) = &self.dither {
            finite("dither", dither.amount)?;
        }
        if let Some(log) = &self.log {
            finite("log", log.factor + log.floor + log.offset)?;
            if log.floor.max(0.0) + log.offset < f32::MIN_POSITIVE {
                return Err(Error::config("log", "floor + offset must be at least 1.2e-38"));
            }
        }
        if self.deltas.is_some_and(|deltas| deltas.order > 4 || !(1..=64).contains(&deltas.reach)) {
            return Err(Error::config("deltas", "order goes to 4, reach from 1 to 64"));
        }
        if self.target_frames.is_some_and(|frames| frames > 1 << 24) {
            return Err(Error::config("target_frames", "more than 2^24"));
        }
        Ok(())
    }
}

impl Inner {
    /// Columns before deltas.
    pub(super) fn static_bins(&self) -> usize {
        match (&self.cepstrum, self.config.energy) {
            (Some(cepstrum), _) => cepstrum.n_mfcc(),
            (None, Some(_)) => self.analyzer.bands() + 1,
            (None, None) => self.analyzer.bands(),
        }
    }

    pub(super) fn bins(&self) -> usize {
        self.static_bins() * (1 + self.config.deltas.map_or(0, |deltas| deltas.order))
    }

    /// Length of the signal as far as frames see it.
    pub(super) fn effective_length(&self, samples: usize) -> usize {
        match self.config.frames {
            FrameCount::WholeHops => samples - samples % self.config.hop_length,
            FrameCount::All | FrameCount::DropLast => samples,
        }
    }

    pub(super) fn valid_frames(&self, samples: usize) -> usize {
        let frames = self.analyzer.grid().num_frames(self.effective_length(samples));
        match self.config.frames {
            FrameCount::DropLast => frames.saturating_sub(1),
            FrameCount::All | FrameCount::WholeHops => frames,
        }
    }

    fn compute(&self, samples: &[f32]) -> Result<Array2<f32>> {
        let config = &self.config;
        let signal = self.prepare(samples);
        let mut frames = self.valid_frames(samples.len());
        if let (Some(target), None, None) =
            (config.target_frames, config.dynamic_range, config.deltas)
        {
            frames = frames.min(target);
        }
        let known =
            Known { samples: &signal, base: 0, length: self.effective_length(samples.len()) };
        let bands = self.analyzer.bands();
        let mut scratch = self.analyzer.scratch();
        let mut energies = vec![0.0; frames];
        let mut base = vec![0.0f32; frames * bands];
        for (frame, (row, energy)) in base.chunks_exact_mut(bands).zip(&mut energies).enumerate() {
            *energy = self.analyzer.analyze(frame, known, &mut scratch, row);
        }
        if let Some(range) = config.dynamic_range {
            let least = base.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x)) - range;
            base.iter_mut().for_each(|value| *value = value.max(least));
        }
        let bins = self.static_bins();
        let mut features = if self.rows_are_bands() {
            self.apply_affine(&mut base);
            base
        } else {
            let mut rows = vec![0.0f32; frames * bins];
            let sources = base.chunks_exact_mut(bands).zip(&energies);
            for (row, (bands, &energy)) in rows.chunks_exact_mut(bins).zip(sources) {
                self.finish_row(bands, energy, row);
            }
            rows
        };
        if let (Some(target), None) = (config.target_frames, config.deltas) {
            features.resize(target * bins, 0.0);
            frames = target;
        }
        let mut features = Array2::from_shape_vec((frames, bins), features)
            .expect("rows were made for this shape");
        if let Some(deltas) = config.deltas {
            features = append_deltas(&features, deltas);
            if let Some(target) = config.target_frames {
                let width = features.ncols();
                let mut rows = features.into_raw_vec_and_offset().0;
                rows.resize(target * width, 0.0);
                features = Array2::from_shape_vec((target, width), rows)
                    .expect("rows were made for this shape");
            }
        }
        config.normalization.apply(&mut features);
        Ok(features)
    }

    /// Level and pre-emphasise the whole signal.
    fn prepare<'a>(&self, samples: &'a [f32]) -> Cow<'a, [f32]> {
        let mut signal = Cow::Borrowed(samples);
        match self.config.leveling {
            Leveling::None => {}
            Leveling::SubtractMean => {
                let sum: f64 = samples.iter().map(|&sample| f64::from(sample)).sum();
                let mean = (sum / samples.len().max(1) as f64) as f32;
                signal.to_mut().iter_mut().for_each(|sample| *sample -= mean);
            }
            Leveling::Peak(level) => {
                let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
                if peak > 0.0 {
                    signal.to_mut().iter_mut().for_each(|sample| *sample = *sample / peak * level);
                }
            }
        }
        if let PreEmphasis::Signal(coefficient) | PreEmphasis::SignalReflect(coefficient) =
            self.config.pre_emphasis
        {
            let reflects = matches!(self.config.pre_emphasis, PreEmphasis::SignalReflect(_));
            let second = signal.get(1).copied().unwrap_or(0.0);
            let mut previous = if reflects { second } else { 0.0 };
            for sample in signal.to_mut() {
                let current = *sample;
                *sample = current - coefficient * previous;
                previous = current;
            }
        }
        signal
    }

    /// Whether static features are the (mapped) bands and nothing else.
    fn rows_are_bands(&self) -> bool {
        self.config.energy.is_none() && self.cepstrum.is_none()
    }

    fn apply_affine(&self, values: &mut [f32]) {
        if let Some(affine) = &self.config.affine {
            affine.apply(values);
        }
    }

    /// From (log) bands to one row of static features.
    pub(super) fn finish_row(&self, bands: &mut [f32], energy: f32, row: &mut [f32]) {
        self.apply_affine(bands);
        let column = self.config.energy.map(|energy| energy.column);
        match (&self.cepstrum, column) {
            (None, None) => row.copy_from_slice(bands),
            (None, Some(EnergyColumn::First)) => {
                row[0] = energy;
                row[1..].copy_from_slice(bands);
            }
            (None, Some(EnergyColumn::Last)) => {
                row[..bands.len()].copy_from_slice(bands);
                row[bands.len()] = energy;
            }
            (Some(cepstrum), column) => {
                cepstrum.apply(bands, row);
                if column.is_some() {
                    row[0] = energy;
                }
                if column == Some(EnergyColumn::Last) {
                    row.rotate_left(1);
                }
            }
        }
    }
}
