//! Recordings as grids of tokens, some of which are made anew: a gap, what follows the end, or the rows
//! above the band of a narrow recording.

use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView};
use tch::Tensor;

use super::grid::windows;
use super::{Fault, GenerateOptions, Generator, Grid, Progress, Watch, faults};
use crate::compute::compute;
use crate::error::{Error, Result};
use crate::tasks::superres::{BandMeter, Crossover, HOLD_SECONDS, SEAM, gate};

/// Longest recording that is edited, in seconds: all of it is kept.
const LONGEST: f64 = 1800.0;
/// Seconds over which the recording and what was made fade into each other, within the gap.
const FADE_SECONDS: f64 = 0.01;
/// Samples up to this are silence (-100 dBFS), to which nothing is added.
const SILENCE: f32 = 1e-5;

/// What is done with a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Edit {
    /// Adds what lies above its band.
    ExtendBandwidth {
        /// Hz up to which it has sound; measured for each channel if not given.
        cutoff_hz: Option<f64>,
    },
    /// Replaces what lies between two times, in seconds.
    Inpaint {
        /// First of them.
        from: f64,
        /// Second of them.
        to: f64,
    },
    /// Continues it.
    Continue {
        /// For so long.
        seconds: f64,
    },
}

impl Default for Edit {
    fn default() -> Self {
        Self::ExtendBandwidth { cutoff_hz: None }
    }
}

/// A recording with what was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    /// The recording: at its own rate, or at the generator's where its band was widened and that is
    /// higher.
    pub audio: AudioBuf,
    /// Where the band of each channel ended, if it was widened.
    pub cutoff_hz: Vec<f64>,
    /// What is wrong with what was made.
    pub faults: Vec<Fault>,
}

/// One channel with what was made.
struct Channel {
    samples: Vec<f32>,
    cutoff_hz: Option<f64>,
    faults: Vec<Fault>,
}

impl Generator {
    /// Does what the options say with a recording, channel by channel. Samples outside of a gap stay as
    /// they are; below its band a recording stays as it is. `watch` sees every step; where it breaks,
    /// there is no result.
    ///
    /// # Errors
    /// [`Error::Config`] for options out of range, recordings that are too long, and texts that cannot be
    /// read; [`formant_audio_core::Error::Empty`] without samples; what libtorch says.
    pub fn edit(
        &self,
        audio: &AudioView<'_>,
        options: &GenerateOptions,
        watch: Watch<'_>,
    ) -> Result<Option<Edited>> {
        if audio.is_empty() {
            return Err(formant_audio_core::Error::Empty.into());
        }
        if audio.duration() > LONGEST {
            let reason = format!(
                "{:.0} s of audio; up to {LONGEST} s are edited at once, cut a part out first",
                audio.duration()
            );
            return Err(Error::config("recording", reason));
        }
        let rate = match options.edit {
            Edit::ExtendBandwidth { .. } => audio.rate().max(self.sample_rate()),
            Edit::Inpaint { .. } | Edit::Continue { .. } => audio.rate(),
        };
        let channels = audio.channels();
        let mut edited = Edited {
            audio: AudioBuf::silence(audio.spec(), 0),
            cutoff_hz: Vec::new(),
            faults: Vec::new(),
        };
        let mut planar = Vec::new();
        for index in 0..channels {
            let samples = audio.channel(index);
            let mut watch = |Progress { steps, of }: Progress| {
                watch(Progress { steps: index * of + steps, of: channels * of })
            };
            let made = match options.edit {
                Edit::ExtendBandwidth { cutoff_hz } => {
                    self.widened(samples, audio.rate(), cutoff_hz, options, &mut watch)?
                }
                Edit::Inpaint { from, to } => {
                    let gap = gap(samples.len(), audio.rate(), from, to)?;
                    self.filled(samples, audio.rate(), gap, options, &mut watch)?
                }
                Edit::Continue { seconds } => {
                    let longer = longer(samples.len(), audio.rate(), seconds)?;
                    self.filled(samples, audio.rate(), longer, options, &mut watch)?
                }
            };
            let Some(Channel { samples, cutoff_hz, faults }) = made else { return Ok(None) };
            planar.extend(samples);
            edited.cutoff_hz.extend(cutoff_hz);
            edited.faults.extend(faults);
        }
        edited.audio = AudioBuf::from_planar(AudioSpec { rate, ..audio.spec() }, planar)?;
        Ok(Some(edited))
    }

    /// `samples` with frames `gap` made, which may lie behind their end.
    fn filled(
        &self,
        samples: &[f32],
        rate: u32,
        gap: std::ops::Range<usize>,
        options: &GenerateOptions,
        watch: Watch<'_>,
    ) -> Result<Option<Channel>> {
        let own = self.sample_rate();
        let heard = at_rate(samples, rate, own)?;
        let there = |frame: usize| (frame as f64 * f64::from(own) / f64::from(rate)).round() as i64;
        let (from, to, end) = (there(gap.start), there(gap.end), heard.len() as i64);
        // Context on both sides, and a grid that is as wide as the transformer's at least.
        let (column, width) = (self.column() as i64, self.width() as i64);
        let needed = (to - from).div_euclid(column) + 2;
        let context = match gap.end > samples.len() {
            true => (width / 2).min(end.div_euclid(column) + 1),
            false => width / 4,
        };
        let columns = (needed + 2 * context).max(width);
        let start = match gap.end > samples.len() {
            true => from - context * column,
            false => ((from + to - columns * column) / 2).min(end - columns * column).max(0),
        };
        let mut grid = self.encode(&heard, start, columns as usize, options)?;
        // Frames that see a part of the gap are not known.
        let margin = (self.front_end.config().n_fft / 2) as i64;
        grid.set(self.transformer.config().mask(), |_, place| {
            let first = start + place as i64 * column;
            let last = first + column;
            let is_heard = first >= 0 && last <= end;
            !is_heard || (last + margin > from && first - margin < to)
        });
        let Some(grid) = self.fill(grid, options, watch)? else { return Ok(None) };
        let wave = self.waves.make(&self.spectrogram(&grid, options)?, options.seed)?;
        let wave = at_rate(&wave, own, rate)?;
        let shift = (start as f64 * f64::from(rate) / f64::from(own)).round() as i64;
        let made = |frame: usize| {
            let place = usize::try_from(frame as i64 - shift).ok();
            place.and_then(|place| wave.get(place)).copied().unwrap_or(0.0)
        };
        let made: Vec<f32> = gap.clone().map(made).collect();
        let faults = faults(&made, rate)?;
        let fade = (FADE_SECONDS * f64::from(rate)) as usize;
        let samples = joined(samples, gap.start, made, fade);
        Ok(Some(Channel { samples, cutoff_hz: None, faults }))
    }

    /// `samples` with a wider band, at the generator's rate where that is higher.
    fn widened(
        &self,
        samples: &[f32],
        rate: u32,
        cutoff_hz: Option<f64>,
        options: &GenerateOptions,
        watch: Watch<'_>,
    ) -> Result<Option<Channel>> {
        let own = self.sample_rate();
        let heard = at_rate(samples, rate, own)?;
        let edge = match cutoff_hz {
            Some(given) => given,
            None => {
                let mut meter = BandMeter::new(own, rate)?;
                meter.push(&heard);
                meter.edge()
            }
        };
        let nyquist = f64::from(own.min(rate)) / 2.0;
        if !(edge > 0.0 && edge <= nyquist) {
            let reason = format!("{edge} Hz is not above 0 and up to {nyquist}");
            return Err(Error::config("cutoff", reason));
        }
        let wide = at_rate(samples, rate, rate.max(own))?;
        let known = (0..self.rows()).filter(|&row| self.highest(row) <= edge).count();
        let is_silent = samples.iter().all(|x| x.abs() <= SILENCE);
        if known == self.rows() || edge >= self.highest(self.rows() - 1) || is_silent {
            return Ok(Some(Channel { samples: wide, cutoff_hz: Some(edge), faults: Vec::new() }));
        }
        if known == 0 {
            let reason = format!(
                "a band up to {edge:.0} Hz tells nothing: the lowest tokens reach up to {:.0} Hz",
                self.highest(0)
            );
            return Err(Error::config("cutoff", reason));
        }
        let columns = heard.len().div_ceil(self.column()).max(self.width());
        let mut grid = self.encode(&heard, 0, columns, options)?;
        grid.set(self.transformer.config().mask(), |row, _| row >= known);
        let Some(grid) = self.fill(grid, options, watch)? else { return Ok(None) };
        let made = self.waves.make(&self.spectrogram(&grid, options)?, options.seed)?;
        let faults = faults(&made[..made.len().min(heard.len())], own)?;
        let rate = rate.max(own);
        let mut added = at_rate(&made, own, rate)?;
        added.resize(wide.len(), 0.0);
        // As in super-resolution: what is below the edge is the recording's own.
        let seam = Crossover::new(edge, edge + SEAM, f64::from(rate));
        let gate = Tensor::from_slice(&gate(&wide, (HOLD_SECONDS * f64::from(rate)) as usize));
        let x = Tensor::from_slice(&wide);
        let y = (seam.high(&(Tensor::from_slice(&added) * &gate)) - seam.high(&x)) * gate + &x;
        let samples = Vec::<f32>::try_from(&y)?;
        Ok(Some(Channel { samples, cutoff_hz: Some(edge), faults }))
    }

    /// Tokens of `columns` columns of samples from `start` on; outside of them there is silence.
    fn encode(
        &self,
        samples: &[f32],
        start: i64,
        columns: usize,
        options: &GenerateOptions,
    ) -> Result<Grid> {
        let sample = |place: i64| {
            usize::try_from(start + place)
                .ok()
                .and_then(|at| samples.get(at))
                .copied()
                .unwrap_or(0.0)
        };
        let heard: Vec<f32> = (0..(columns * self.column()) as i64).map(sample).collect();
        let values = self.front_end.compute(&heard)?.into_raw_vec_and_offset().0;
        let frames = (columns * self.factor) as i64;
        let mel = Tensor::from_slice(&values).view([1, 1, -1, self.front_end.bins() as i64]);
        let mel = mel.narrow(2, 0, frames).transpose(2, 3).contiguous();
        let mut grid = Grid::of(0, self.rows(), columns);
        let (width, overlap) = (self.width(), self.overlap(options));
        for (index, first) in windows(columns, width, overlap)?.into_iter().enumerate() {
            let (at, length) = ((first * self.factor) as i64, (width * self.factor) as i64);
            let part = mel.narrow(3, at, length).contiguous().to_device(self.device);
            let tokens = compute("the tokenizer", &part.size(), || self.tokenizer.encode(&part))?;
            let tokens = Vec::<i64>::try_from(tokens.reshape([-1]))?;
            // Where two windows overlap, each has the half that is further from its end.
            grid.put(first, if index == 0 { 0 } else { overlap / 2 }, &tokens);
        }
        Ok(grid)
    }

    /// Hz up to which the bands of a row reach.
    fn highest(&self, row: usize) -> f64 {
        let config = self.front_end.config();
        let width = f64::from(config.sample_rate) / config.n_fft as f64;
        let bands = self.front_end.bins() / self.rows();
        let last = row * bands + bands - 1;
        let end = self.front_end.mel().map_or(last + 1, |mel| mel.band_range(last).end);
        end as f64 * width
    }
}

/// The frames between two times of a recording.
fn gap(frames: usize, rate: u32, from: f64, to: f64) -> Result<std::ops::Range<usize>> {
    let (rate, seconds) = (f64::from(rate), frames as f64 / f64::from(rate));
    let frame = |time: f64| (time * rate).round() as usize;
    // Times are told in milliseconds, and may round up.
    let is_within = from >= 0.0 && to > from && to <= seconds + 1e-3;
    if !is_within || frame(from) >= frame(to).min(frames) {
        let reason = format!("{from} to {to} s is no part of a recording of {seconds:.3} s");
        return Err(Error::config("from, to", reason));
    }
    Ok(frame(from)..frame(to).min(frames))
}

/// The frames that follow a recording for so long.
fn longer(frames: usize, rate: u32, seconds: f64) -> Result<std::ops::Range<usize>> {
    if !(seconds > 0.0 && seconds <= LONGEST) {
        let reason = format!("{seconds} s is not above 0 and up to {LONGEST}");
        return Err(Error::config("seconds", reason));
    }
    Ok(frames..frames + ((seconds * f64::from(rate)).round() as usize).max(1))
}

fn at_rate(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    if from == to {
        return Ok(samples.to_vec());
    }
    Ok(resample(&AudioView::from_mono(from, samples), to, Quality::High)?.into_planar())
}

/// `samples` with `made` from frame `from` on. Within what was made, at both of its ends, the recording
/// fades out mirrored: what lies in the gap itself may be what is to be replaced.
fn joined(samples: &[f32], from: usize, mut made: Vec<f32>, fade: usize) -> Vec<f32> {
    let to = from + made.len();
    let fade = fade.min(made.len() / 2);
    let share = |n: usize| 1.0 - (n as f32 + 0.5) / fade as f32;
    for n in 0..fade {
        if let Some(before) = from.checked_sub(n + 1).and_then(|at| samples.get(at)) {
            made[n] += (before - made[n]) * share(n);
        }
        let last = made.len() - 1 - n;
        if let Some(behind) = samples.get(to + n) {
            made[last] += (behind - made[last]) * share(n);
        }
    }
    let rest = samples.get(to..).unwrap_or_default();
    [&samples[..from], &made, rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_parts_of_the_recording() {
        assert_eq!(gap(100, 10, 1.0, 2.0).expect("a part"), 10..20);
        assert_eq!(gap(100, 10, 9.9, 10.0005).expect("a part"), 99..100);
        for (from, to) in
            [(2.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (9.0, 11.0), (f64::NAN, 1.0), (1.0, f64::NAN)]
        {
            assert!(gap(100, 10, from, to).is_err(), "{from} {to}");
        }
        assert_eq!(longer(5, 10, 0.01).expect("a length"), 5..6);
        assert!(longer(5, 10, f64::NAN).is_err() && longer(5, 10, 1e9).is_err());
    }

    #[test]
    fn joints_leave_the_recording_alone_and_have_no_steps() {
        let samples = vec![1.0; 30];
        let whole = joined(&samples, 10, vec![0.0; 10], 4);
        assert_eq!((&whole[..10], &whole[20..]), (&samples[..10], &samples[20..]));
        assert_eq!(whole[10..15], [0.875, 0.625, 0.375, 0.125, 0.0]);
        assert_eq!(whole[15..20], [0.0, 0.125, 0.375, 0.625, 0.875]);
        let longer = joined(&samples, 30, vec![0.0; 10], 4);
        assert_eq!((longer.len(), longer[30], longer[39]), (40, 0.875, 0.0));
        assert_eq!(joined(&[], 0, vec![0.5], 4), [0.5]);
    }
}
