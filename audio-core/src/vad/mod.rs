//! Where somebody speaks: cuts recordings into stretches of speech, live or from a file.
//!
//! [`VoiceDetector`] takes blocks of any size at 8 or 16 kHz and keeps less than a second of them.
//! It measures sound, it doesn't recognise it; how often it errs is in `docs/vad.md`.

mod features;
mod segments;
mod weights;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use features::Extractor;
use segments::Segmenter;

/// Frames a second at which the detector decides.
pub const FRAMES_PER_SECOND: u32 = 100;

/// How decisions become segments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VadOptions {
    /// Probability, between 0 and 1, from which a frame can begin speech; it ends 0.15 below.
    pub threshold: f32,
    /// Shorter sounds are no speech, in seconds.
    pub min_speech: f64,
    /// Shorter pauses belong to the speech around them, in seconds.
    pub min_silence: f64,
    /// Added to both ends of a segment, in seconds; segments never overlap.
    pub padding: f64,
    /// Longer segments are cut where speech is least likely in their second half, in seconds, at
    /// least 1.
    pub max_speech: Option<f64>,
}

impl Default for VadOptions {
    fn default() -> Self {
        Self { threshold: 0.5, min_speech: 0.1, min_silence: 0.3, padding: 0.1, max_speech: None }
    }
}

impl VadOptions {
    fn check(&self) -> Result<()> {
        if !(self.threshold > 0.15 && self.threshold < 1.0) {
            let reason = format!("{} is not between 0.15 and 1", self.threshold);
            return Err(Error::config("threshold", reason));
        }
        let times = [self.min_speech, self.min_silence, self.padding];
        if times.iter().any(|t| !(0.0..=60.0).contains(t)) {
            return Err(Error::config("min_speech, min_silence, padding", "use 0 to 60 seconds"));
        }
        if self.max_speech.is_some_and(|t| !(1.0..=3600.0).contains(&t)) {
            return Err(Error::config("max_speech", "use 1 to 3600 seconds"));
        }
        Ok(())
    }
}

/// Samples `start..end` in which somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeechSegment {
    /// First sample.
    pub start: u64,
    /// The sample after the last.
    pub end: u64,
}

/// What a detector reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum VadEvent {
    /// Speech has begun at this sample, padding included; its end will follow.
    Start {
        /// First sample of the segment.
        at: u64,
    },
    /// Speech has ended.
    End(SpeechSegment),
}

/// A voice-activity detector for a stream.
///
/// ```
/// use formant_audio_core::vad::{VadOptions, VoiceDetector};
///
/// let mut detector = VoiceDetector::new(16_000, &VadOptions::default()).unwrap();
/// assert!(detector.push(&[0.0; 16_000]).is_empty());
/// assert!(detector.finish().is_empty());
/// ```
pub struct VoiceDetector {
    extractor: Extractor,
    segmenter: Segmenter,
    pending: Vec<f32>,
    samples: u64,
    probability: f32,
}

impl VoiceDetector {
    /// A detector for samples at 8000 or 16000 Hz; other rates are resampled by the caller.
    ///
    /// # Errors
    /// [`Error::Config`] for another rate and for options out of range.
    pub fn new(rate: u32, options: &VadOptions) -> Result<Self> {
        if rate != 8000 && rate != 16_000 {
            let reason = format!("{rate} Hz; resample to 16000 or 8000 Hz first");
            return Err(Error::config("rate of the voice detector", reason));
        }
        options.check()?;
        let extractor = Extractor::new(rate);
        let segmenter = Segmenter::new(extractor.hop() as u64, options);
        let pending = Vec::with_capacity(extractor.hop());
        Ok(Self { extractor, segmenter, pending, samples: 0, probability: 0.0 })
    }

    /// Take the next samples and return what became certain with them, about 200 ms late for a
    /// start and [`VadOptions::min_silence`] more for an end. NaN and infinity count as zero.
    pub fn push(&mut self, samples: &[f32]) -> Vec<VadEvent> {
        let mut events = Vec::new();
        self.samples += samples.len() as u64;
        for &sample in samples {
            self.pending.push(if sample.is_finite() { sample.clamp(-1e3, 1e3) } else { 0.0 });
            if self.pending.len() == self.extractor.hop() {
                self.step(&mut events);
            }
        }
        events
    }

    /// End the stream and return what was open. The detector must not be used after that.
    pub fn finish(&mut self) -> Vec<VadEvent> {
        let mut events = Vec::new();
        for _ in 0..=features::LOOK_AHEAD {
            self.pending.resize(self.extractor.hop(), 0.0);
            self.step(&mut events);
        }
        self.segmenter.finish(self.samples, &mut events);
        events
    }

    /// Whether speech is going on, as far as is known.
    #[must_use]
    pub fn is_speech(&self) -> bool {
        self.segmenter.is_speech()
    }

    /// Probability of speech in the latest frame that was judged.
    #[must_use]
    pub fn probability(&self) -> f32 {
        self.probability
    }

    fn step(&mut self, events: &mut Vec<VadEvent>) {
        let features = self.extractor.push(&self.pending);
        self.pending.clear();
        if let Some(features) = features {
            self.probability = probability(&features);
            self.segmenter.push(self.probability, events);
        }
    }
}

fn probability(features: &[f32; features::COUNT]) -> f32 {
    const PAIRED: usize = 9;
    let standard: [f32; features::COUNT] = std::array::from_fn(|n| {
        ((features[n] - weights::MEAN[n]) / weights::DEVIATION[n]).clamp(-4.0, 4.0)
    });
    let mut sum = weights::OFFSET;
    sum += standard.iter().zip(&weights::LINEAR).map(|(a, b)| a * b).sum::<f32>();
    let pairs = (0..PAIRED).flat_map(|i| (i..PAIRED).map(move |j| (i, j)));
    sum += pairs
        .zip(&weights::QUADRATIC)
        .map(|((i, j), w)| standard[i] * standard[j] * w)
        .sum::<f32>();
    1.0 / (1.0 + (-sum).exp())
}

/// Speech in a whole recording at 8000 or 16000 Hz.
///
/// # Errors
/// As [`VoiceDetector::new`].
pub fn speech_segments(
    samples: &[f32],
    rate: u32,
    options: &VadOptions,
) -> Result<Vec<SpeechSegment>> {
    let mut detector = VoiceDetector::new(rate, options)?;
    let mut events = detector.push(samples);
    events.extend(detector.finish());
    Ok(events
        .into_iter()
        .filter_map(|event| match event {
            VadEvent::End(segment) => Some(segment),
            VadEvent::Start { .. } => None,
        })
        .collect())
}

#[cfg(test)]
mod tests;
