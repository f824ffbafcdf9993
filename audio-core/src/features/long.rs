//! Features of signals of any length: what has to wait for the end of the signal waits on the disk.
//!
//! Up to three things wait, each only where the front end needs it: the samples for their level, the
//! bands for the loudest one, and the rows for their number and statistics.

use std::io;
use std::sync::Arc;

use super::config::{FeatureConfig, Leveling, PreEmphasis};
use super::deltas::DeltaChain;
use super::normalize::{Normalization, Normalizer};
use super::plan::{FeaturePlan, Inner};
use super::stream::FeatureStream;
use crate::error::{Error, Result};
use crate::spool::{FloatSpool, SpooledRows};

/// A front end that returns what [`FeaturePlan::compute`] does, of a signal that arrives in pieces.
pub struct LongFeatures {
    plan: Arc<Inner>,
    stream: FeatureStream,
    signal: Option<Signal>,
    bands: Option<Bands>,
    /// `None` where every row is complete as soon as the stream returns it.
    rows: Option<Rows>,
    buffer: Vec<f32>,
}

impl FeaturePlan {
    /// Features of a signal that arrives in pieces, with all steps.
    ///
    /// # Errors
    /// [`Error::Io`] when there is no room for temporary files.
    pub fn long(&self) -> Result<LongFeatures> {
        LongFeatures::new(Arc::clone(&self.inner))
    }
}

impl LongFeatures {
    fn new(plan: Arc<Inner>) -> Result<Self> {
        let config = &plan.config;
        let begun = |waits: bool| waits.then(FloatSpool::new).transpose().map_err(of_disk);
        let reflects = matches!(config.pre_emphasis, PreEmphasis::SignalReflect(_));
        let signal = begun(config.leveling != Leveling::None || reflects)?;
        let bands = begun(config.dynamic_range.is_some())?;
        let rows = begun(*config != config.streamable())?;
        let normalization = match rows {
            Some(_) => Normalization::None,
            None => config.normalization.clone(),
        };
        let first = FeatureConfig { normalization, ..config.streamable() };
        let mut stream = FeaturePlan::new(&first)?.stream();
        if bands.is_some() {
            stream.return_bands();
        }
        let width = plan.bins();
        Ok(Self {
            stream,
            signal: signal.map(|spool| Signal {
                spool,
                count: 0,
                sum: 0.0,
                peak: 0.0,
                second: 0.0,
            }),
            bands: bands.map(|spool| Bands { spool, loudest: f32::NEG_INFINITY }),
            rows: rows.map(|spool| Rows {
                spool,
                count: 0,
                target: config.target_frames,
                sums: vec![0.0; width],
            }),
            buffer: Vec::new(),
            plan,
        })
    }

    /// Takes samples, and appends the rows that are complete to `out`.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk takes no more.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<()> {
        match (&mut self.signal, &self.rows) {
            (Some(signal), _) => signal.push(samples),
            (None, None) => {
                self.stream.push_into(samples, out);
                Ok(())
            }
            (None, Some(_)) => {
                self.buffer.clear();
                self.stream.push_into(samples, &mut self.buffer);
                self.keep()
            }
        }
    }

    /// Ends the signal: appends the last rows to `out`, or returns all rows.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk takes no more, or can't be read.
    pub fn finish(mut self, out: &mut Vec<f32>) -> Result<Option<LongRows>> {
        if let Some(signal) = self.signal.take() {
            self.replay(signal)?;
        }
        if self.rows.is_none() {
            self.stream.finish_into(out);
            return Ok(None);
        }
        self.buffer.clear();
        self.stream.finish_into(&mut self.buffer);
        self.keep()?;
        let Self { plan, bands, rows, .. } = self;
        let Some(mut rows) = rows else { return Ok(None) };
        if let Some(bands) = bands {
            bands.limit(&plan, &mut rows)?;
        }
        rows.finish(&plan.config.normalization).map(Some)
    }

    /// The whole signal, leveled, through the stream.
    fn replay(&mut self, signal: Signal) -> Result<()> {
        let leveling = self.plan.config.leveling;
        let Signal { spool, count, sum, peak, second } = signal;
        let mean = (sum / count.max(1) as f64) as f32;
        let level = |sample: f32| match leveling {
            Leveling::SubtractMean => sample - mean,
            Leveling::Peak(level) if peak > 0.0 => sample / peak * level,
            Leveling::None | Leveling::Peak(_) => sample,
        };
        if matches!(self.plan.config.pre_emphasis, PreEmphasis::SignalReflect(_)) {
            self.stream.begin_after(if count > 1 { level(second) } else { 0.0 });
        }
        let mut samples = spool.into_rows(1).map_err(of_disk)?;
        let mut piece = Vec::new();
        while samples.next_into(&mut piece).map_err(of_disk)? {
            piece.iter_mut().for_each(|sample| *sample = level(*sample));
            self.buffer.clear();
            self.stream.push_into(&piece, &mut self.buffer);
            self.keep()?;
        }
        Ok(())
    }

    /// Puts what the stream returned where it waits.
    fn keep(&mut self) -> Result<()> {
        let kept = match (&mut self.bands, &mut self.rows) {
            (Some(bands), _) => bands.push(&self.buffer, self.plan.analyzer.bands()),
            (None, Some(rows)) => rows.push(&self.buffer),
            (None, None) => Ok(()),
        };
        kept.map_err(of_disk)
    }
}

fn of_disk(error: io::Error) -> Error {
    Error::io("temporary file", error)
}

/// Samples, and what their level is computed from.
struct Signal {
    spool: FloatSpool,
    count: usize,
    sum: f64,
    peak: f32,
    second: f32,
}

impl Signal {
    fn push(&mut self, samples: &[f32]) -> Result<()> {
        for &sample in samples {
            self.sum += f64::from(sample);
            self.peak = self.peak.max(sample.abs());
            self.count += 1;
            if self.count == 2 {
                self.second = sample;
            }
        }
        self.spool.push(samples).map_err(of_disk)
    }
}

/// Bands of all frames, each followed by the frame's energy.
struct Bands {
    spool: FloatSpool,
    loudest: f32,
}

impl Bands {
    fn push(&mut self, frames: &[f32], bands: usize) -> io::Result<()> {
        for frame in frames.chunks_exact(bands + 1) {
            self.loudest = frame[..bands].iter().fold(self.loudest, |max, &value| max.max(value));
        }
        self.spool.push(frames)
    }

    /// Raises quiet bands, and makes rows of all.
    fn limit(self, plan: &Inner, rows: &mut Rows) -> Result<()> {
        let bands = plan.analyzer.bands();
        let least = self.loudest - plan.config.dynamic_range.unwrap_or(f32::INFINITY);
        let mut deltas =
            plan.config.deltas.map(|deltas| DeltaChain::new(deltas, plan.static_bins()));
        let (mut row, mut out) = (vec![0.0; plan.static_bins()], Vec::new());
        self.spool.into_rows(bands + 1).map_err(of_disk)?.each(|frame| {
            let (bands, energy) = frame.split_at_mut(bands);
            bands.iter_mut().for_each(|value| *value = value.max(least));
            plan.finish_row(bands, energy[0], &mut row);
            out.clear();
            match &mut deltas {
                Some(chain) => chain.push(&row, &mut |row| out.extend_from_slice(row)),
                None => out.extend_from_slice(&row),
            }
            rows.push(&out).map_err(of_disk)
        })?;
        out.clear();
        if let Some(chain) = &mut deltas {
            chain.finish(&mut |row| out.extend_from_slice(row));
        }
        rows.push(&out).map_err(of_disk)
    }
}

/// Rows without their normalization, at most as many as are wanted.
struct Rows {
    spool: FloatSpool,
    count: usize,
    target: Option<usize>,
    /// Of each column.
    sums: Vec<f64>,
}

impl Rows {
    fn push(&mut self, rows: &[f32]) -> io::Result<()> {
        for row in rows.chunks_exact(self.sums.len()) {
            if self.target.is_some_and(|target| self.count >= target) {
                return Ok(());
            }
            self.count += 1;
            self.sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
            self.spool.push(row)?;
        }
        Ok(())
    }

    fn finish(mut self, normalization: &Normalization) -> Result<LongRows> {
        let width = self.sums.len();
        let silence = vec![0.0; width];
        while self.target.is_some_and(|target| self.count < target) {
            self.push(&silence).map_err(of_disk)?;
        }
        let mut rows = self.spool.into_rows(width).map_err(of_disk)?;
        let normalizer = Normalizer::new(normalization, self.count, self.sums, |take| {
            rows.each(|row| {
                take(row);
                Ok(())
            })
        })?;
        rows.rewind().map_err(of_disk)?;
        Ok(LongRows { rows, normalizer, buffer: Vec::new() })
    }
}

/// All rows of a signal, from the first on.
pub struct LongRows {
    rows: SpooledRows,
    normalizer: Normalizer,
    buffer: Vec<f32>,
}

impl LongRows {
    /// Replaces `out` by the next rows; false when there are none.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk can't be read.
    pub fn next_into(&mut self, out: &mut Vec<f32>) -> Result<bool> {
        out.clear();
        let there = self.rows.next_into(&mut self.buffer).map_err(of_disk)?;
        for row in self.buffer.chunks_exact_mut(self.rows.dim().1.max(1)) {
            self.normalizer.push(row, out);
        }
        Ok(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{
        CepstrumConfig, DeltaConfig, Lifter, SlidingPlacement, SlidingVariance, SlidingWindow,
        presets,
    };

    fn long(config: &FeatureConfig, samples: &[f32]) -> Vec<f32> {
        let mut features = FeaturePlan::new(config).expect("sound").long().expect("a disk");
        let (mut found, mut part) = (Vec::new(), Vec::new());
        for piece in samples.chunks(777) {
            features.push(piece, &mut found).expect("room");
        }
        if let Some(mut rows) = features.finish(&mut found).expect("room") {
            while rows.next_into(&mut part).expect("read") {
                found.extend_from_slice(&part);
            }
        }
        found
    }

    #[track_caller]
    fn compare(name: &str, config: &FeatureConfig) {
        let sound = |n: i32| (n as f32 * 0.05).sin() * if n < 9000 { 0.001 } else { 0.5 } + 0.01;
        for length in [0, 1, 2, 500, 60_000] {
            let samples: Vec<f32> = (0..length).map(sound).collect();
            let whole = FeaturePlan::new(config).expect("sound").compute(&samples).expect("rows");
            let whole: Vec<f32> = whole.iter().copied().collect();
            assert_eq!(long(config, &samples), whole, "{name}, {length} samples");
        }
    }

    #[test]
    fn u2_every_preset_is_the_same_from_the_disk() {
        for (name, _) in presets::PRESETS {
            compare(name, &presets::by_name(name).expect("a preset"));
        }
    }

    #[test]
    fn u2_all_steps_together_are_the_same_from_the_disk() {
        let base = FeatureConfig {
            leveling: Leveling::SubtractMean,
            dynamic_range: Some(8.0),
            cepstrum: Some(CepstrumConfig { n_mfcc: 13, lifter: Lifter::None }),
            deltas: Some(DeltaConfig { order: 2, reach: 2 }),
            ..FeatureConfig::default()
        };
        let sliding = |frames, placement| {
            let variance = SlidingVariance::Normalize;
            Normalization::Sliding(SlidingWindow { frames, min_frames: 5, placement, variance })
        };
        for normalization in [
            Normalization::None,
            Normalization::UtteranceMean,
            Normalization::PerFeature { epsilon: 1e-5 },
            sliding(30, SlidingPlacement::Centered),
            sliding(30, SlidingPlacement::Trailing),
        ] {
            for target_frames in [None, Some(7), Some(500)] {
                let name = format!("{normalization:?}, {target_frames:?}");
                let normalization = normalization.clone();
                compare(&name, &FeatureConfig { normalization, target_frames, ..base.clone() });
            }
        }
    }
}
