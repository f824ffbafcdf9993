//! What a recogniser hears of a stream: mono, at its rate, and never a NaN.

use formant_audio_core::AudioView;

use crate::error::Result;
use crate::tasks::mono_stream::{MonoStream, Pace};

/// The largest magnitude that is taken for a sample rather than for rubbish (+60 dB).
const SANE_PEAK: f32 = 1000.0;

pub(super) struct Input(MonoStream);

impl Input {
    pub(super) fn new(rate: u32) -> Self {
        Self(MonoStream::new(rate, Pace::Throughput))
    }

    /// Seconds that came in.
    pub(super) fn seconds(&self) -> f64 {
        self.0.seconds()
    }

    /// The samples that are known with this block.
    pub(super) fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>> {
        self.0.push_with(block, |mono| {
            for sample in mono.iter_mut().filter(|s| !s.is_finite() || s.abs() > SANE_PEAK) {
                *sample = 0.0;
            }
        })
    }

    /// The samples that were held back.
    pub(super) fn finish(&mut self) -> Result<Vec<f32>> {
        self.0.finish()
    }
}
