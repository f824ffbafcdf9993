//! A look-ahead peak limiter: turns loud passages down before they come, all channels together.

use std::collections::VecDeque;

/// Time, in seconds, in which the gain glides down and over which it is smoothed.
const LOOK_AHEAD: f64 = 0.005;
/// Time constant, in seconds, with which the gain recovers.
const RELEASE: f64 = 0.1;

/// Keeps every sample within full scale; output is as long as the input and in time with it.
///
/// The gain at a frame is the mean of `window` minima, each taken over a stretch that contains
/// this frame, and can therefore not be above what the frame needs.
#[derive(Debug, Clone)]
pub(super) struct Limiter {
    channels: usize,
    window: usize,
    release: f32,
    recovering: f32,
    seen: u64,
    minima: VecDeque<(u64, f32)>, // candidates for the minimum, increasing
    means: VecDeque<f32>,
    delayed: VecDeque<f32>, // interleaved samples that wait for their gain
    pub(super) limited: u64,
}

impl Limiter {
    pub(super) fn new(rate: u32, channels: usize) -> Self {
        let window = ((f64::from(rate) * LOOK_AHEAD) as usize).max(1);
        Self {
            channels,
            window,
            release: (1.0 / (f64::from(rate) * RELEASE)) as f32,
            recovering: 1.0,
            seen: 0,
            minima: VecDeque::new(),
            means: VecDeque::from(vec![1.0; window]),
            delayed: VecDeque::new(),
            limited: 0,
        }
    }

    /// Take interleaved samples and append those whose gain is settled.
    pub(super) fn process(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        for frame in samples.chunks_exact(self.channels) {
            let peak = frame.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
            self.delayed.extend(frame);
            self.step(peak, out);
        }
    }

    /// Append what still waits.
    pub(super) fn flush(&mut self, out: &mut Vec<f32>) {
        while !self.delayed.is_empty() {
            self.step(0.0, out);
        }
    }

    fn step(&mut self, peak: f32, out: &mut Vec<f32>) {
        let needed = if peak > 1.0 { 1.0 / peak } else { 1.0 };
        self.recovering = needed.min(self.recovering + (1.0 - self.recovering) * self.release);
        while self.minima.back().is_some_and(|&(_, gain)| gain >= self.recovering) {
            self.minima.pop_back();
        }
        self.minima.push_back((self.seen, self.recovering));
        let window = self.window as u64;
        while self.minima.front().is_some_and(|&(at, _)| at + window <= self.seen) {
            self.minima.pop_front();
        }
        self.means.pop_front();
        self.means.push_back(self.minima.front().map_or(1.0, |&(_, gain)| gain));
        self.seen += 1;
        if self.seen < window {
            return;
        }
        let all_unity = self.means.iter().all(|&gain| gain == 1.0);
        let gain =
            if all_unity { 1.0 } else { self.means.iter().sum::<f32>() / self.means.len() as f32 };
        self.limited += u64::from(gain < 1.0);
        let frame = self.delayed.drain(..self.channels.min(self.delayed.len()));
        out.extend(
            frame.map(|sample| if gain < 1.0 { (sample * gain).clamp(-1.0, 1.0) } else { sample }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(samples: &[f32], block: usize) -> (Vec<f32>, u64) {
        let mut limiter = Limiter::new(8000, 1);
        let mut out = Vec::new();
        samples.chunks(block).for_each(|chunk| limiter.process(chunk, &mut out));
        limiter.flush(&mut out);
        (out, limiter.limited)
    }

    #[test]
    fn peaks_come_down_and_quiet_parts_stay() {
        let mut samples: Vec<f32> = (0..8000).map(|i| 0.5 * (i as f32 * 0.3).sin()).collect();
        samples[4000] = 2.0;
        samples[4001] = -3.0;
        let (out, limited) = limit(&samples, 8000);
        assert_eq!(out.len(), samples.len());
        assert!(out.iter().all(|sample| sample.abs() <= 1.0));
        assert!((out[4001] + 1.0).abs() < 1e-5, "{}", out[4001]);
        assert_eq!(out[..3900], samples[..3900]);
        assert!(limited > 40);
        assert!(out.iter().zip(&samples).all(|(a, b)| a * b >= 0.0), "signs are kept");
        assert_eq!(limit(&samples, 7).0, out, "blocks do not matter");
    }

    #[test]
    fn short_inputs_come_out_whole() {
        assert_eq!(limit(&[0.25, 4.0], 1).0.len(), 2);
        assert!(limit(&[], 1).0.is_empty());
    }
}
