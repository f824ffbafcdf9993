//! What a picture keeps of a sound: a bounded number of envelope and spectrum columns.
//!
//! Audio comes in blocks of any size. When the columns run out, neighbours are merged by their
//! extremes and means, so a file of any length is drawn from all of its samples.

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

use crate::buffer::{AudioSpec, AudioView};
use crate::error::{Error, Result};

/// Most columns of an envelope or a spectrogram; even, so that columns merge in pairs.
const ENVELOPE_COLUMNS: usize = 8192;
const SPECTRUM_COLUMNS: usize = 2048;
/// Channels that are kept; more than this many cannot be read in one picture.
const MAX_CHANNELS: usize = 8;
/// Samples taken from a block at once.
const STEP: usize = 8192;

/// How a sound is analysed.
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceOptions {
    /// Window length in samples, even; by default the power of two above 40 ms.
    pub n_fft: Option<usize>,
    /// Length of the sound in frames, where it is known; saves work and sharpens short sounds.
    pub expected_frames: Option<u64>,
}

/// Extremes and energy of a stretch of samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) min: f32,
    pub(super) max: f32,
    pub(super) energy: f32, // mean square
}

/// Column `i` covers the samples `i * hop .. (i + 1) * hop`.
#[derive(Debug, Clone)]
pub(super) struct Columns<T> {
    pub(super) hop: u64,
    pub(super) data: Vec<T>,
}

#[derive(Clone)]
struct ChannelTrace {
    envelope: Columns<Extent>,
    filled: u64,
    /// Mean powers `[columns, bins]`, 1 for a full-scale sine.
    power: Columns<f32>,
    frame_hop: u64,
    frames_in_last: u64,
    next_frame: u64,
    pending: Vec<f32>,
    pending_start: i64,
}

/// The picture's view of one sound, filled block by block.
#[derive(Clone)]
pub struct SoundTrace {
    spec: AudioSpec,
    frames: u64,
    n_fft: usize,
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    channels: Vec<ChannelTrace>,
    finished: bool,
}

impl SoundTrace {
    /// An empty trace for audio of `spec`.
    ///
    /// # Errors
    /// [`Error::Config`] when `n_fft` is odd, below 16 or above 65536.
    pub fn new(spec: AudioSpec, options: &TraceOptions) -> Result<Self> {
        let default = (f64::from(spec.rate) * 0.04).max(16.0) as usize;
        let n_fft = options.n_fft.unwrap_or_else(|| default.next_power_of_two().min(65_536));
        if !(16..=65_536).contains(&n_fft) || !n_fft.is_multiple_of(2) {
            return Err(Error::config(
                "n_fft",
                format!("{n_fft} is not even or not in 16..=65536"),
            ));
        }
        let half = n_fft as u64 / 2;
        let hop = match options.expected_frames {
            Some(frames) => frames.div_ceil(SPECTRUM_COLUMNS as u64).clamp(1, half),
            None => (half / 4).max(1),
        };
        let tau = std::f64::consts::TAU;
        let hann = |n: usize| 0.5 - 0.5 * (tau * n as f64 / n_fft as f64).cos();
        // The sum of a periodic Hann window is n_fft / 2; a sine's peak bin is half its amplitude.
        let window = (0..n_fft).map(|n| (hann(n) * 4.0 / n_fft as f64) as f32).collect();
        let channel = ChannelTrace {
            envelope: Columns { hop: 1, data: Vec::new() },
            filled: 0,
            power: Columns { hop, data: Vec::new() },
            frame_hop: hop,
            frames_in_last: 0,
            next_frame: 0,
            pending: vec![0.0; n_fft / 2],
            pending_start: -(half as i64),
        };
        Ok(Self {
            spec,
            frames: 0,
            n_fft,
            fft: RealFftPlanner::new().plan_fft_forward(n_fft),
            window,
            channels: vec![channel; spec.channels().min(MAX_CHANNELS)],
            finished: false,
        })
    }

    /// The trace of a whole buffer.
    ///
    /// # Errors
    /// As [`SoundTrace::new`].
    pub fn of(audio: &AudioView<'_>, options: &TraceOptions) -> Result<Self> {
        let options = TraceOptions { expected_frames: Some(audio.frames() as u64), ..*options };
        let mut trace = Self::new(audio.spec(), &options)?;
        trace.push(audio)?;
        Ok(trace.finish())
    }

    /// Take another block. Non-finite samples are drawn as zero.
    ///
    /// # Errors
    /// [`Error::Shape`] when rate or layout differ, or the trace is finished.
    pub fn push(&mut self, block: &AudioView<'_>) -> Result<()> {
        if block.spec() != self.spec || self.finished {
            return Err(Error::Shape {
                what: "audio to draw",
                expected: format!("{} Hz {}, unfinished", self.spec.rate, self.spec.layout),
                found: format!("{} Hz {}", block.rate(), block.spec().layout),
            });
        }
        let mut at = 0;
        while at < block.frames() {
            let step = block.slice(at..at + STEP);
            self.frames += step.frames() as u64;
            for channel in 0..self.channels.len() {
                let samples = step.channel(channel).iter();
                let clean = samples.map(|s| if s.is_finite() { *s } else { 0.0 });
                let trace = &mut self.channels[channel];
                for sample in clean {
                    trace.extend_envelope(sample);
                    trace.pending.push(sample);
                }
                self.transform(channel, self.frames);
            }
            at += step.frames();
        }
        Ok(())
    }

    /// End the sound; nothing can be pushed after that.
    #[must_use]
    pub fn finish(mut self) -> Self {
        for channel in 0..self.channels.len() {
            let tail = self.channels[channel].pending.len() + self.n_fft / 2;
            self.channels[channel].pending.resize(tail, 0.0);
            self.transform(channel, self.frames + self.n_fft as u64 / 2);
        }
        self.finished = true;
        self
    }

    /// Rate and layout of the sound.
    #[must_use]
    pub fn spec(&self) -> AudioSpec {
        self.spec
    }

    /// Length in frames.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Length in seconds.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.frames as f64 / f64::from(self.spec.rate)
    }

    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    pub(super) fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    pub(super) fn envelope(&self, channel: usize) -> &Columns<Extent> {
        &self.channels[channel].envelope
    }

    pub(super) fn power(&self, channel: usize) -> &Columns<f32> {
        &self.channels[channel].power
    }

    /// Largest magnitude of any sample drawn.
    pub(super) fn peak(&self) -> f32 {
        let extents = self.channels.iter().flat_map(|c| &c.envelope.data);
        extents.fold(0.0, |peak, e| peak.max(e.max).max(-e.min))
    }

    /// Transform every frame whose samples lie before `available` and whose centre is in the sound.
    fn transform(&mut self, channel: usize, available: u64) {
        let half = self.n_fft as i64 / 2;
        let bins = self.bins();
        let trace = &mut self.channels[channel];
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut frame = self.fft.make_input_vec();
        loop {
            let centre = trace.next_frame * trace.frame_hop + trace.frame_hop / 2;
            if centre >= self.frames || centre + half as u64 > available {
                break;
            }
            if trace.make_room(bins, half as u64) {
                continue;
            }
            let start = (centre as i64 - half - trace.pending_start).max(0) as usize;
            let source = &trace.pending[start..start + self.n_fft];
            for ((out, &sample), &weight) in frame.iter_mut().zip(source).zip(&self.window) {
                *out = sample * weight;
            }
            // The buffers have the plan's own lengths, so this cannot fail.
            if self.fft.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).is_err() {
                break;
            }
            trace.add_frame(spectrum.iter().map(|value| value.norm_sqr()), bins);
        }
        let keep_from = trace.next_frame * trace.frame_hop + trace.frame_hop / 2;
        let unused = keep_from as i64 - half - trace.pending_start;
        let unused = usize::try_from(unused).unwrap_or(0).min(trace.pending.len());
        trace.pending.drain(..unused);
        trace.pending_start += unused as i64;
    }
}

impl ChannelTrace {
    fn extend_envelope(&mut self, sample: f32) {
        let square = sample * sample;
        if self.filled == self.envelope.hop || self.envelope.data.is_empty() {
            if self.envelope.data.len() == ENVELOPE_COLUMNS {
                self.merge_envelope();
            }
            self.envelope.data.push(Extent { min: sample, max: sample, energy: square });
            self.filled = 1;
            return;
        }
        self.filled += 1;
        let share = 1.0 / self.filled as f32;
        if let Some(last) = self.envelope.data.last_mut() {
            last.min = last.min.min(sample);
            last.max = last.max.max(sample);
            last.energy += (square - last.energy) * share;
        }
    }

    fn merge_envelope(&mut self) {
        let pairs = self.envelope.data.chunks_exact(2);
        self.envelope.data = pairs
            .map(|pair| Extent {
                min: pair[0].min.min(pair[1].min),
                max: pair[0].max.max(pair[1].max),
                energy: (pair[0].energy + pair[1].energy) / 2.0,
            })
            .collect();
        self.envelope.hop *= 2;
    }

    /// Add a frame's powers to the last column, or begin a new one.
    fn add_frame(&mut self, powers: impl Iterator<Item = f32>, bins: usize) {
        let per_column = self.power.hop / self.frame_hop;
        if self.frames_in_last == per_column || self.power.data.is_empty() {
            self.power.data.extend(powers);
            self.frames_in_last = 1;
        } else {
            self.frames_in_last += 1;
            let share = 1.0 / self.frames_in_last as f32;
            let start = self.power.data.len() - bins;
            for (mean, power) in self.power.data[start..].iter_mut().zip(powers) {
                *mean += (power - *mean) * share;
            }
        }
        self.next_frame += 1;
    }

    /// When all columns are full, halve them; frames are spaced wider from here on, up to half a
    /// window. Whether that was so.
    fn make_room(&mut self, bins: usize, longest_hop: u64) -> bool {
        let full = self.power.data.len() == SPECTRUM_COLUMNS * bins;
        if !full || self.frames_in_last < self.power.hop / self.frame_hop {
            return false;
        }
        for column in 0..SPECTRUM_COLUMNS / 2 {
            for bin in 0..bins {
                let pair = (2 * column * bins + bin, (2 * column + 1) * bins + bin);
                self.power.data[column * bins + bin] =
                    (self.power.data[pair.0] + self.power.data[pair.1]) / 2.0;
            }
        }
        self.power.data.truncate(SPECTRUM_COLUMNS / 2 * bins);
        self.power.hop *= 2;
        if self.frame_hop * 2 <= longest_hop {
            self.frame_hop *= 2;
            self.next_frame /= 2;
        }
        self.frames_in_last = self.power.hop / self.frame_hop;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frames: usize) -> Vec<f32> {
        (0..frames).map(|n| 0.5 * (n as f32 * std::f32::consts::TAU / 16.0).sin()).collect()
    }

    #[test]
    fn a_sine_has_its_level_at_its_frequency() {
        let samples = tone(16_000);
        let trace =
            SoundTrace::of(&AudioView::from_mono(16_000, &samples), &TraceOptions::default());
        let trace = trace.expect("defaults are valid");
        let (bins, power) = (trace.bins(), trace.power(0));
        assert_eq!(bins, 513);
        let middle = &power.data[power.data.len() / bins / 2 * bins..][..bins];
        let peak = (0..bins).max_by(|&a, &b| middle[a].total_cmp(&middle[b]));
        assert_eq!(peak, Some(64)); // 1000 Hz
        assert!((10.0 * middle[64].log10() + 6.02).abs() < 0.05);
        assert!((trace.peak() - 0.5).abs() < 1e-3);
    }

    #[test]
    fn memory_is_bounded_and_every_sample_counts() {
        let mut trace =
            SoundTrace::new(AudioSpec::mono(8000), &TraceOptions::default()).expect("defaults");
        let mut block = tone(8000);
        for second in 0..600 {
            block[17] = if second == 431 { -0.9 } else { 0.0 };
            trace.push(&AudioView::from_mono(8000, &block)).expect("same spec");
        }
        let trace = trace.finish();
        let (envelope, power) = (trace.envelope(0), trace.power(0));
        assert!(envelope.data.len() <= ENVELOPE_COLUMNS);
        assert!(power.data.len() <= SPECTRUM_COLUMNS * trace.bins());
        let click = (431 * 8000 + 17) / envelope.hop as usize;
        assert_eq!(envelope.data[click].min, -0.9);
        let covered = power.data.len() as u64 / trace.bins() as u64 * power.hop;
        assert!(covered >= trace.frames() - power.hop && covered < trace.frames() + power.hop);
        for column in power.data.chunks_exact(trace.bins()) {
            assert!((10.0 * column[32].log10() + 6.02).abs() < 0.3);
        }
    }

    #[test]
    fn odd_inputs() {
        for samples in [vec![], vec![0.3f32], vec![f32::NAN; 40]] {
            let view = AudioView::from_mono(8000, &samples);
            let trace = SoundTrace::of(&view, &TraceOptions::default()).expect("defaults");
            assert!(trace.power(0).data.iter().all(|p| p.is_finite()));
        }
        let odd = TraceOptions { n_fft: Some(333), ..TraceOptions::default() };
        assert!(SoundTrace::new(AudioSpec::mono(8000), &odd).is_err());
    }
}
