//! A stream's own rate and channels, on the way to what networks take: mono, at one rate.

use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioSpec, AudioView};

use crate::error::Result;

/// How soon resampled audio is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As soon as possible.
    Live,
    /// With the least work.
    Throughput,
}

/// Blocks of one rate and layout to mono samples at `rate`.
pub(super) struct MonoStream {
    rate: u32,
    pace: Pace,
    stream: Option<(AudioSpec, Option<StreamResampler>)>,
    frames: u64,
}

impl MonoStream {
    pub(super) fn new(rate: u32, pace: Pace) -> Self {
        Self { rate, pace, stream: None, frames: 0 }
    }

    /// Seconds that came in.
    pub(super) fn seconds(&self) -> f64 {
        let rate = self.stream.as_ref().map_or(1, |(spec, _)| spec.rate.max(1));
        self.frames as f64 / f64::from(rate)
    }

    /// Mono samples at the model's rate that are known with this block.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Shape`] when rate or layout change.
    pub(super) fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>> {
        self.push_with(block, |_| {})
    }

    /// As [`MonoStream::push`], with a look at the mixed samples before they are resampled.
    pub(super) fn push_with(
        &mut self,
        block: &AudioView<'_>,
        look: impl FnOnce(&mut [f32]),
    ) -> Result<Vec<f32>> {
        let (spec, resampler) = match &mut self.stream {
            Some(stream) => stream,
            empty => empty.insert((block.spec(), resampler(block.rate(), self.rate, self.pace)?)),
        };
        if *spec != block.spec() {
            return Err(formant_audio_core::Error::Shape {
                what: "block of the stream",
                expected: format!("{} Hz {}", spec.rate, spec.layout),
                found: format!("{} Hz {}", block.rate(), block.spec().layout),
            }
            .into());
        }
        self.frames += block.frames() as u64;
        let mut mono = block.to_mono();
        look(&mut mono);
        Ok(match resampler {
            Some(resampler) => {
                resampler.push(&AudioView::from_mono(spec.rate, &mono))?.into_planar()
            }
            None => mono,
        })
    }

    /// The samples that were held back.
    pub(super) fn finish(&mut self) -> Result<Vec<f32>> {
        Ok(match &mut self.stream {
            Some((_, Some(resampler))) => resampler.finish()?.into_planar(),
            _ => Vec::new(),
        })
    }
}

fn resampler(from: u32, to: u32, pace: Pace) -> Result<Option<StreamResampler>> {
    let spec = AudioSpec::mono(from);
    Ok(match pace {
        _ if from == to => None,
        Pace::Live => Some(StreamResampler::low_latency(spec, to, Quality::High)?),
        Pace::Throughput => Some(StreamResampler::new(spec, to, Quality::High)?),
    })
}
