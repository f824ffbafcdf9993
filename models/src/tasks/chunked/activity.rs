//! How much was heard of every source, by its share of the mixture's power in short frames.

use serde::Serialize;

/// Seconds of a frame.
const FRAME: f64 = 0.025;
/// A frame softer than this share of the loudest power is a pause.
const PAUSE: f64 = 1e-4;
/// What a source's power must be of all the others' in a frame to be heard there: 6 dB more.
const DOMINANCE: f64 = 4.0;
/// A source that is softer than the loudest by this ratio of powers (25 dB), or heard for less than
/// [`LEAST_HEARD`] seconds, is inactive.
const INACTIVE: f64 = 3e-3;
/// Seconds.
const LEAST_HEARD: f64 = 0.3;

/// What was heard of a source.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SourceActivity {
    /// Seconds in which it is the loudest by far.
    pub seconds: f64,
    /// Its power beside that of the loudest source, dB; `None` for silence.
    pub level_db: Option<f64>,
    /// Whether it holds something of its own.
    pub active: bool,
}

/// Sums over a signal.
#[derive(Debug)]
pub(super) struct Activities {
    rate: u32,
    energy: Vec<f64>,
    heard: Vec<f64>,
    loudest: f64,
}

fn frame_length(rate: u32) -> usize {
    ((f64::from(rate) * FRAME) as usize).max(1)
}

fn power(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    sum / samples.len().max(1) as f64
}

impl Activities {
    pub(super) fn new(sources: usize, rate: u32) -> Self {
        Self { rate, energy: vec![0.0; sources], heard: vec![0.0; sources], loudest: 0.0 }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::new(self.energy.len(), self.rate);
    }

    /// Adds what the sources hold from sample `from` on.
    pub(super) fn add(&mut self, mixture: &[f32], sources: &[Vec<f32>], from: usize) {
        let length = frame_length(self.rate);
        for start in (from..mixture.len()).step_by(length) {
            let end = mixture.len().min(start + length);
            self.loudest = self.loudest.max(power(&mixture[start..end]));
            let powers: Vec<f64> = sources.iter().map(|s| power(&s[start..end])).collect();
            let all: f64 = powers.iter().sum();
            let seconds = (end - start) as f64 / f64::from(self.rate.max(1));
            for (source, power) in powers.into_iter().enumerate() {
                self.energy[source] += power * seconds;
                if power > PAUSE * self.loudest && power > DOMINANCE * (all - power) {
                    self.heard[source] += seconds;
                }
            }
        }
    }

    pub(super) fn rows(&self) -> Vec<SourceActivity> {
        let most = self.energy.iter().copied().fold(0.0, f64::max);
        self.energy
            .iter()
            .zip(&self.heard)
            .map(|(&energy, &seconds)| SourceActivity {
                seconds,
                level_db: (energy > 0.0).then(|| 10.0 * (energy / most).log10()),
                active: energy > INACTIVE * most && seconds >= LEAST_HEARD,
            })
            .collect()
    }
}

/// The stretches of a source in which it is by far the loudest, one behind the other.
pub(super) fn dominant(
    mixture: &[f32],
    sources: &[Vec<f32>],
    source: usize,
    rate: u32,
) -> Vec<f32> {
    let length = frame_length(rate);
    let frames = || (0..mixture.len()).step_by(length);
    let end = |start: usize| mixture.len().min(start + length);
    let loudest = frames().map(|start| power(&mixture[start..end(start)])).fold(0.0, f64::max);
    let mut heard = Vec::new();
    for start in frames() {
        let range = start..end(start);
        let own = power(&sources[source][range.clone()]);
        let all: f64 = sources.iter().map(|s| power(&s[range.clone()])).sum();
        if own > PAUSE * loudest && own > DOMINANCE * (all - own) {
            heard.extend_from_slice(&sources[source][range]);
        }
    }
    heard
}
