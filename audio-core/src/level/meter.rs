//! The level meter: blocks in, one report out, without keeping the audio.
//!
//! Non-finite samples are counted and measured as zero, so that every figure is a number.

use serde::{Deserialize, Serialize};

use super::loudness::{Loudness, LoudnessMeter};
use super::{amplitude_db, power_db};
use crate::buffer::{AudioSpec, AudioView};
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;

/// Full scale of 16-bit audio: the smallest magnitude that counts as clipped.
const CLIP_LEVEL: f32 = 32767.0 / 32768.0;
/// Clipped samples in a row that make a clip run; fewer happen in sound that only touches the top.
const CLIP_RUN: u32 = 3;
/// Frames that are sanitised at once.
const STEP: usize = 4096;

/// Levels of one channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelLevel {
    /// Largest sample magnitude, linear.
    pub peak: f32,
    /// Largest sample magnitude; `None` for silence.
    pub sample_peak_dbfs: Option<f64>,
    /// Largest magnitude of the interpolated waveform (4x below 96 kHz, 2x below 192 kHz).
    pub true_peak_dbtp: Option<f64>,
    /// Root mean square; a full-scale sine has -3.01.
    pub rms_dbfs: Option<f64>,
    /// Sample peak over RMS.
    pub crest_db: Option<f64>,
    /// Mean sample value, linear; 0 when there is no sample.
    pub dc_offset: f64,
    /// Samples at or beyond 16-bit full scale.
    pub clipped_samples: u64,
    /// Stretches of three or more of them in a row.
    pub clip_runs: u64,
    /// Samples that are NaN or infinite, measured as zero.
    pub non_finite_samples: u64,
}

/// Levels of a stretch of audio: of all channels together, and of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelReport {
    /// Sample rate in Hz.
    pub rate: u32,
    /// Channel layout.
    pub layout: ChannelLayout,
    /// Frames measured.
    pub frames: u64,
    /// All channels: the highest peaks, the RMS over all samples, the offset of the largest
    /// magnitude, and the sums of the counts.
    pub overall: ChannelLevel,
    /// Loudness of the programme.
    pub loudness: Loudness,
    /// Each channel.
    pub channels: Vec<ChannelLevel>,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    peak: f32,
    sum: f64,
    squares: f64,
    clipped: u64,
    runs: u64,
    run: u32,
    non_finite: u64,
}

impl Sums {
    /// Measure `samples` and copy them, sanitised, to `clean`.
    fn push(&mut self, samples: &[f32], clean: &mut Vec<f32>) {
        clean.clear();
        for &sample in samples {
            let sample = if sample.is_finite() {
                sample
            } else {
                self.non_finite += 1;
                0.0
            };
            clean.push(sample);
            let magnitude = sample.abs();
            self.peak = self.peak.max(magnitude);
            self.sum += f64::from(sample);
            self.squares += f64::from(sample) * f64::from(sample);
            if magnitude >= CLIP_LEVEL {
                self.clipped += 1;
                self.run += 1;
                self.runs += u64::from(self.run == CLIP_RUN);
            } else {
                self.run = 0;
            }
        }
    }

    fn level(&self, samples: u64, true_peak: Option<f64>) -> ChannelLevel {
        let count = samples.max(1) as f64;
        let sample_peak = amplitude_db(f64::from(self.peak));
        let rms = power_db(self.squares / count);
        ChannelLevel {
            peak: self.peak,
            sample_peak_dbfs: sample_peak,
            true_peak_dbtp: true_peak.and_then(amplitude_db).or(sample_peak),
            rms_dbfs: rms,
            crest_db: sample_peak.zip(rms).map(|(peak, rms)| peak - rms),
            dc_offset: self.sum / count,
            clipped_samples: self.clipped,
            clip_runs: self.runs,
            non_finite_samples: self.non_finite,
        }
    }
}

/// A meter that takes audio in blocks of any size and can be read at any time.
///
/// ```
/// use formant_audio_core::{AudioBuf, level::measure};
///
/// let tone: Vec<f32> = (0..48_000).map(|n| (n as f32 * 0.1).sin() * 0.5).collect();
/// let report = measure(&AudioBuf::from_mono(48_000, tone).view());
/// assert!((report.overall.rms_dbfs.unwrap() + 9.03).abs() < 0.01);
/// ```
pub struct LevelMeter {
    spec: AudioSpec,
    frames: u64,
    sums: Vec<Sums>,
    loudness: Option<LoudnessMeter>,
    clean: Vec<Vec<f32>>,
}

impl LevelMeter {
    /// A meter for audio of `spec`.
    #[must_use]
    pub fn new(spec: AudioSpec) -> Self {
        let channels = spec.channels();
        Self {
            spec,
            frames: 0,
            sums: vec![Sums::default(); channels],
            loudness: LoudnessMeter::new(spec),
            clean: vec![Vec::with_capacity(STEP); channels],
        }
    }

    /// Measure another block.
    ///
    /// # Errors
    /// [`Error::Shape`] when rate or layout differ from the meter's.
    pub fn push(&mut self, block: &AudioView<'_>) -> Result<()> {
        if block.spec() != self.spec {
            return Err(Error::Shape {
                what: "audio to measure",
                expected: format!("{} Hz {}", self.spec.rate, self.spec.layout),
                found: format!("{} Hz {}", block.rate(), block.spec().layout),
            });
        }
        let mut at = 0;
        while at < block.frames() {
            let step = block.slice(at..at + STEP);
            for (channel, (sums, clean)) in self.sums.iter_mut().zip(&mut self.clean).enumerate() {
                sums.push(step.channel(channel), clean);
            }
            if let Some(loudness) = &mut self.loudness {
                let planar: Vec<&[f32]> = self.clean.iter().map(Vec::as_slice).collect();
                loudness.push(&planar);
            }
            at += step.frames();
        }
        self.frames += block.frames() as u64;
        Ok(())
    }

    /// Frames measured so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Loudness of the last 400 ms (in steps of 100 ms) in LUFS.
    #[must_use]
    pub fn momentary_lufs(&self) -> Option<f64> {
        self.loudness.as_ref().and_then(LoudnessMeter::momentary)
    }

    /// Loudness of the last 3 s (in steps of 100 ms) in LUFS.
    #[must_use]
    pub fn short_term_lufs(&self) -> Option<f64> {
        self.loudness.as_ref().and_then(LoudnessMeter::short_term)
    }

    /// The report on everything pushed so far.
    #[must_use]
    pub fn report(&self) -> LevelReport {
        let true_peak = |channel| self.loudness.as_ref().and_then(|l| l.true_peak(channel));
        let channels: Vec<ChannelLevel> = self
            .sums
            .iter()
            .enumerate()
            .map(|(channel, sums)| sums.level(self.frames, true_peak(channel)))
            .collect();
        let total = self.sums.iter().fold(Sums::default(), |a, b| Sums {
            peak: a.peak.max(b.peak),
            sum: 0.0,
            squares: a.squares + b.squares,
            clipped: a.clipped + b.clipped,
            runs: a.runs + b.runs,
            run: 0,
            non_finite: a.non_finite + b.non_finite,
        });
        let highest = (0..channels.len()).filter_map(true_peak).reduce(f64::max);
        let largest = channels
            .iter()
            .map(|channel| channel.dc_offset)
            .fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        let mut overall = total.level(self.frames * self.sums.len() as u64, highest);
        overall.dc_offset = largest;
        LevelReport {
            rate: self.spec.rate,
            layout: self.spec.layout,
            frames: self.frames,
            overall,
            loudness: self.loudness.as_ref().map(LoudnessMeter::loudness).unwrap_or_default(),
            channels,
        }
    }
}

/// Levels of a whole buffer.
#[must_use]
pub fn measure(audio: &AudioView<'_>) -> LevelReport {
    let mut meter = LevelMeter::new(audio.spec());
    // A view always has its own spec, which is the only thing that can be wrong.
    let _ = meter.push(audio);
    meter.report()
}

#[cfg(test)]
mod tests;
