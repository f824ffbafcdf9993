//! A stream's own rate and channels, on the way to what a network takes: mono, one rate, no NaN.

use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioSpec, AudioView};

use crate::error::Result;

/// The largest magnitude that is taken for a sample rather than for rubbish (+60 dB).
const SANE_PEAK: f32 = 1000.0;

#[derive(Default)]
pub(super) struct Input {
    stream: Option<(AudioSpec, Option<StreamResampler>)>,
    frames: u64,
}

impl Input {
    /// Seconds that came in.
    pub(super) fn seconds(&self) -> f64 {
        let rate = self.stream.as_ref().map_or(1, |(spec, _)| spec.rate.max(1));
        self.frames as f64 / f64::from(rate)
    }

    /// Mono samples at `rate` that are known with this block.
    pub(super) fn push(&mut self, block: &AudioView<'_>, rate: u32) -> Result<Vec<f32>> {
        if self.stream.is_none() {
            let spec = block.spec();
            let resampler = (spec.rate != rate)
                .then(|| StreamResampler::new(AudioSpec::mono(spec.rate), rate, Quality::High))
                .transpose()?;
            self.stream = Some((spec, resampler));
        }
        let Some((spec, resampler)) = &mut self.stream else { return Ok(Vec::new()) };
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
        for sample in mono.iter_mut().filter(|s| !s.is_finite() || s.abs() > SANE_PEAK) {
            *sample = 0.0;
        }
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
