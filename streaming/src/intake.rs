//! The one place where a source's rate and channels become what networks take: mono, at one rate.

use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioSpec, AudioView};

use crate::error::Result;

/// Blocks of changing rates and layouts to mono samples at one rate.
pub(crate) struct Intake {
    rate: u32,
    current: Option<(AudioSpec, Option<StreamResampler>)>,
}

impl Intake {
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate, current: None }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Mono samples that are known with this block.
    pub(crate) fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>> {
        let mut out = Vec::new();
        if self.current.as_ref().is_some_and(|(spec, _)| *spec != block.spec()) {
            out = self.finish()?;
        }
        let (_, resampler) = match &mut self.current {
            Some(current) => current,
            empty => {
                let mono = AudioSpec::mono(block.rate());
                let resampler = (block.rate() != self.rate)
                    .then(|| StreamResampler::low_latency(mono, self.rate, Quality::High))
                    .transpose()?;
                empty.insert((block.spec(), resampler))
            }
        };
        let mono = block.to_mono();
        match resampler {
            Some(resampler) => {
                let view = AudioView::from_mono(block.rate(), &mono);
                out.extend(resampler.push(&view)?.into_planar());
            }
            None if out.is_empty() => out = mono,
            None => out.extend(mono),
        }
        Ok(out)
    }

    /// The samples that were held back. What follows may have another rate.
    pub(crate) fn finish(&mut self) -> Result<Vec<f32>> {
        Ok(match self.current.take() {
            Some((_, Some(mut resampler))) => resampler.finish()?.into_planar(),
            _ => Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::{AudioBuf, ChannelLayout};

    use super::*;

    #[test]
    fn rates_and_channels_may_change() {
        let mut intake = Intake::new(16_000);
        let mut samples = 0;
        for (rate, layout, frames) in [
            (48_000, ChannelLayout::Stereo, 4800),
            (44_100, ChannelLayout::Mono, 4410),
            (16_000, ChannelLayout::Surround5_1, 1600),
            (16_000, ChannelLayout::Mono, 1),
        ] {
            let block = AudioBuf::silence(AudioSpec { rate, layout }, frames);
            samples += intake.push(&block.view()).expect("sound").len();
        }
        samples += intake.finish().expect("sound").len();
        assert_eq!(samples, 3 * 1600 + 1);
    }
}
