//! The pitch of voices and instruments that play one note at a time: YIN.
//!
//! De Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music", 2002,
//! steps 1 to 5. Frames, the difference function and the search are those of librosa 0.11's `yin`,
//! with the same numbers; the depth of the trough, which that drops, is kept: it tells voiced frames
//! from others. That difference function counts the end of the frame once too often, which draws
//! notes of few periods in a frame up by some cents.

use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How pitch is sought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PitchOptions {
    /// Lowest pitch in Hz.
    pub f_min: f64,
    /// Highest pitch in Hz.
    pub f_max: f64,
    /// Samples in a frame; at least two periods of the lowest pitch.
    pub frame_length: usize,
    /// Samples from frame to frame; frames are centred on its multiples.
    pub hop_length: usize,
    /// The first trough of the normalised difference below this is the period; where there is none,
    /// the lowest point is.
    pub trough_threshold: f64,
}

impl PitchOptions {
    /// For speech at `rate` Hz: 60 to 500 Hz, frames of 64 ms every 10 ms.
    #[must_use]
    pub fn speech(rate: u32) -> Self {
        let samples = |ms: usize| (rate as usize * ms / 1000).max(1);
        Self {
            f_min: 60.0,
            f_max: 500.0,
            frame_length: samples(64),
            hop_length: samples(10),
            trough_threshold: 0.15,
        }
    }
}

/// What a frame sounds like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PitchFrame {
    /// The pitch in Hz, if there is one.
    pub hz: f64,
    /// The normalised difference at its period: near 0 where the signal repeats itself, near 1 where
    /// it is noise. Digital silence has 1.
    pub aperiodicity: f64,
}

/// The pitch of mono `samples`, a frame every hop; one frame more than whole hops.
///
/// # Errors
/// [`Error::Config`] for options that leave no period to look for, and for samples that are not
/// finite.
pub fn pitch(samples: &[f32], rate: u32, options: &PitchOptions) -> Result<Vec<PitchFrame>> {
    let mut search = Search::new(rate, options)?;
    if samples.iter().any(|sample| !sample.is_finite()) {
        return Err(Error::config("samples", "NaN or infinite; sanitise the audio first"));
    }
    let half = options.frame_length / 2;
    let mut frame = vec![0.0; options.frame_length];
    let frames = (0..=samples.len() / options.hop_length).map(|index| {
        let start = index * options.hop_length;
        for (n, out) in frame.iter_mut().enumerate() {
            let at = (start + n).checked_sub(half);
            *out = at.and_then(|at| samples.get(at)).map_or(0.0, |&sample| f64::from(sample));
        }
        search.frame(&frame)
    });
    Ok(frames.collect())
}

/// Buffers and transforms of one signal's frames.
struct Search {
    rate: f64,
    /// Samples.
    shortest: usize,
    longest: usize,
    threshold: f64,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    time: Vec<f64>,
    bins: Vec<Complex64>,
}

impl Search {
    fn new(rate: u32, options: &PitchOptions) -> Result<Self> {
        let PitchOptions { f_min, f_max, frame_length, hop_length, trough_threshold } = *options;
        let hz = f64::from(rate);
        if !(f_min > 0.0 && f_min < f_max && f_max <= hz / 2.0) {
            let reason = format!("{f_min}..{f_max} Hz is not within 0..{} Hz", hz / 2.0);
            return Err(Error::config("f_min, f_max", reason));
        }
        if !(4..=1 << 20).contains(&frame_length) || hop_length == 0 {
            return Err(Error::config("frame_length, hop_length", "use 4 to 1048576, at least 1"));
        }
        let shortest = ((hz / f_max).floor() as usize).max(1);
        let longest = ((hz / f_min).ceil() as usize).min(frame_length - 1);
        if longest < shortest + 2 {
            let reason = format!("{frame_length} samples hold no period of {f_max} Hz");
            return Err(Error::config("frame_length", reason));
        }
        // So long that the ends of the frame don't meet.
        let length = (frame_length + longest + 1).next_power_of_two();
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) =
            (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
        let (time, bins) = (forward.make_input_vec(), forward.make_output_vec());
        let threshold = trough_threshold;
        Ok(Self { rate: hz, shortest, longest, threshold, forward, inverse, time, bins })
    }

    fn frame(&mut self, frame: &[f64]) -> PitchFrame {
        let normalised = self.normalised_difference(frame);
        let last = normalised.len() - 1;
        let is_trough = |at: usize| match at {
            0 => normalised[0] < normalised[1],
            _ if at == last => normalised[last] < normalised[last - 1],
            _ => normalised[at] < normalised[at - 1] && normalised[at] <= normalised[at + 1],
        };
        let deep = (0..=last).find(|&at| normalised[at] < self.threshold && is_trough(at));
        let lowest = || {
            let points = normalised.iter().enumerate();
            points.min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at)
        };
        let at = deep.unwrap_or_else(lowest);
        let refined = (self.shortest + at) as f64 + vertex(&normalised, at);
        let silent = frame.iter().all(|sample| *sample == 0.0);
        let aperiodicity = if silent { 1.0 } else { normalised[at] };
        PitchFrame { hz: self.rate / refined, aperiodicity }
    }

    /// The difference of the frame to itself, a period later, by its mean over shorter periods
    /// (equation 8); for the periods that are sought.
    fn normalised_difference(&mut self, frame: &[f64]) -> Vec<f64> {
        self.time.fill(0.0);
        self.time[..frame.len()].copy_from_slice(frame);
        let fits = "the buffers come from these transforms";
        self.forward.process(&mut self.time, &mut self.bins).expect(fits);
        for bin in &mut self.bins {
            *bin = Complex64::new(bin.norm_sqr(), 0.0);
        }
        self.inverse.process(&mut self.bins, &mut self.time).expect(fits);
        let scale = 1.0 / self.time.len() as f64;
        let (mut head, mut sum) = (0.0, 0.0);
        let mut normalised = Vec::with_capacity(self.longest + 1 - self.shortest);
        for period in 1..=self.longest {
            head += frame[period - 1] * frame[period - 1];
            let difference = 2.0 * (self.time[0] - self.time[period]) * scale - head;
            sum += difference;
            if period >= self.shortest {
                normalised.push(difference / (sum / period as f64 + f64::MIN_POSITIVE));
            }
        }
        normalised
    }
}

/// Where the parabola through a point and its neighbours turns, relative to it; 0 where that is no
/// neighbour.
fn vertex(values: &[f64], at: usize) -> f64 {
    if at == 0 || at + 1 == values.len() {
        return 0.0;
    }
    let [before, here, after] = [values[at - 1], values[at], values[at + 1]];
    let (curve, slope) = (after + before - 2.0 * here, (after - before) / 2.0);
    if slope.abs() >= curve.abs() { 0.0 } else { -slope / curve }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_within_cents() {
        for (hz, nearness) in [(82.4, 15.0), (110.0, 10.0), (196.0, 5.0), (440.0, 3.0)] {
            let tone: Vec<f32> = (0..16_000)
                .map(|n| {
                    let phase = std::f64::consts::TAU * hz * f64::from(n) / 16_000.0;
                    (0.5 * phase.sin() + 0.2 * (2.0 * phase).sin()) as f32
                })
                .collect();
            let frames = pitch(&tone, 16_000, &PitchOptions::speech(16_000)).expect("a pitch");
            assert_eq!(frames.len(), 101);
            for frame in &frames[5..95] {
                let cents = 1200.0 * (frame.hz / hz).log2();
                assert!(cents.abs() < nearness && frame.aperiodicity < 0.12, "{hz}: {frame:?}");
            }
        }
    }

    #[test]
    fn noise_and_silence_have_no_pitch() {
        let mut state = 1u32;
        let noise: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .take(16_000)
        .collect();
        let options = PitchOptions::speech(16_000);
        let frames = pitch(&noise, 16_000, &options).expect("frames");
        let voiced = frames.iter().filter(|frame| frame.aperiodicity < 0.15).count();
        assert!(voiced < 3, "{voiced}");
        let silence = pitch(&[0.0; 500], 16_000, &options).expect("frames");
        assert!(silence.iter().all(|frame| frame.aperiodicity == 1.0 && frame.hz.is_finite()));
        assert_eq!(pitch(&[], 16_000, &options).expect("one frame").len(), 1);
    }

    #[test]
    fn what_leaves_no_period_is_refused() {
        let options = PitchOptions::speech(16_000);
        for bad in [
            PitchOptions { f_min: 0.0, ..options },
            PitchOptions { f_max: 9000.0, ..options },
            PitchOptions { f_min: f64::NAN, ..options },
            PitchOptions { frame_length: 20, ..options },
            PitchOptions { hop_length: 0, ..options },
        ] {
            assert!(pitch(&[0.0; 100], 16_000, &bad).is_err(), "{bad:?}");
        }
        assert!(pitch(&[f32::NAN], 16_000, &options).is_err());
    }
}
