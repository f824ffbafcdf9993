//! What every session does with the blocks it is given, once: they stay of one kind, samples that
//! are none are replaced and counted, channels are mixed and the rate becomes the network's.

use formant_audio_core::mix::MonoMixer;
use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::sanitise::sanitise;
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};

use super::task::Heard;
use crate::error::Result;

/// How soon resampled audio is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As soon as possible.
    Live,
    /// With the least work.
    Throughput,
}

/// Looks at blocks before anything else does: rate and layout stay, every sample is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    /// The rate that was planned for; the first block decides where none was.
    rate: Option<u32>,
    spec: Option<AudioSpec>,
    frames: u64,
    replaced: u64,
    mixer: Option<MonoMixer>,
}

impl Guard {
    /// For a stream that was planned for this rate.
    pub(super) fn at(rate: u32) -> Self {
        Self { rate: Some(rate), ..Self::default() }
    }

    /// The block with zeros for samples that are not finite and limits for absurd ones, as reading
    /// a file has it.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Shape`] when rate or layout change, or the rate is not the planned
    /// one.
    pub(super) fn take(&mut self, block: &AudioView<'_>) -> Result<AudioBuf> {
        let found = block.spec();
        let planned = AudioSpec { rate: self.rate.unwrap_or(found.rate), ..found };
        let spec = self.spec.unwrap_or(planned);
        if spec != found {
            return Err(formant_audio_core::Error::Shape {
                what: "block of the stream",
                expected: format!("{} Hz {}", spec.rate, spec.layout),
                found: format!("{} Hz {}", found.rate, found.layout),
            }
            .into());
        }
        self.spec = Some(spec);
        self.frames += block.frames() as u64;
        let mut clean = block.to_owned();
        self.replaced += sanitise(clean.as_planar_mut());
        Ok(clean)
    }

    /// As [`Guard::take`], with the channels mixed to one.
    ///
    /// # Errors
    /// As [`Guard::take`].
    pub(super) fn take_mono(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>> {
        let clean = self.take(block)?;
        let spec = block.spec();
        let mixer = self.mixer.get_or_insert_with(|| MonoMixer::new(spec.rate, spec.layout));
        Ok(mixer.push(&clean.view()))
    }

    /// Rate and layout of a stream that is over.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Empty`] when nothing came.
    pub(super) fn end(&self) -> Result<AudioSpec> {
        let spec = self.spec.filter(|_| self.frames > 0);
        Ok(spec.ok_or(formant_audio_core::Error::Empty)?)
    }

    /// What there is to say about the stream so far.
    pub(super) fn heard(&self) -> Heard {
        let mut warnings = match self.replaced {
            0 => Vec::new(),
            count => vec![Warning::NonFinite { count }],
        };
        warnings.extend(self.mixer.iter().flat_map(MonoMixer::warnings));
        let rate = self.spec.map_or(1, |spec| spec.rate.max(1));
        Heard { seconds: self.frames as f64 / f64::from(rate), warnings }
    }
}

/// Blocks of one rate and layout to mono samples at a network's rate.
pub(super) struct Intake {
    guard: Guard,
    rate: u32,
    pace: Pace,
    resampler: Option<StreamResampler>,
}

impl Intake {
    pub(super) fn new(rate: u32, pace: Pace) -> Self {
        Self { guard: Guard::default(), rate, pace, resampler: None }
    }

    /// What is known about the blocks.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Mono samples at the network's rate that are known with this block.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Shape`] when rate or layout change.
    pub(super) fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>> {
        let mono = self.guard.take_mono(block)?;
        let resampler = match &mut self.resampler {
            Some(resampler) => resampler,
            empty => empty.insert(resampler(AudioSpec::mono(block.rate()), self.rate, self.pace)?),
        };
        Ok(resampler.push_mono(&mono)?)
    }

    /// The samples that were held back.
    pub(super) fn finish(&mut self) -> Result<Vec<f32>> {
        Ok(match &mut self.resampler {
            Some(resampler) => resampler.finish()?.into_planar(),
            None => Vec::new(),
        })
    }
}

/// The way of a signal from its rate to another, which may be the same.
pub(super) fn resampler(spec: AudioSpec, to: u32, pace: Pace) -> Result<StreamResampler> {
    Ok(match pace {
        Pace::Live => StreamResampler::low_latency(spec, to, Quality::High)?,
        Pace::Throughput => StreamResampler::new(spec, to, Quality::High)?,
    })
}

#[cfg(test)]
mod tests {
    use formant_audio_core::ChannelLayout;

    use super::*;

    #[test]
    fn the_planned_rate_holds_from_the_first_block_on() {
        let mut guard = Guard::at(8000);
        let error = guard.take(&AudioView::from_mono(16_000, &[0.5; 4])).expect_err("another rate");
        assert!(error.to_string().contains("8000 Hz"), "{error}");
        assert!(guard.take(&AudioView::from_mono(8000, &[0.5; 4])).is_ok());
        assert!(Guard::default().take(&AudioView::from_mono(16_000, &[0.5; 4])).is_ok());
    }

    /// A bad sample of one channel costs nothing of the other.
    #[test]
    fn bad_samples_are_replaced_channel_by_channel_wherever_a_block_ends() {
        let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Stereo };
        for at in 0..6 {
            let mut planar = vec![0.5; 12];
            planar[at] = [f32::NAN, f32::INFINITY, 1e9][at % 3];
            let audio = AudioBuf::from_planar(spec, planar).expect("whole frames");
            let heard = |step: usize| {
                let mut intake = Intake::new(8000, Pace::Throughput);
                let mut all = Vec::new();
                for from in (0..6).step_by(step) {
                    let block = audio.view().slice(from..(from + step).min(6));
                    all.extend(intake.push(&block).expect("one kind"));
                }
                all.extend(intake.finish().expect("none left"));
                let warnings = vec![Warning::NonFinite { count: 1 }];
                assert_eq!(intake.guard().heard(), Heard { seconds: 6.0 / 8000.0, warnings });
                all
            };
            let whole = heard(6);
            assert_eq!((heard(1), heard(4)), (whole.clone(), whole.clone()));
            for (n, x) in whole.iter().enumerate() {
                let wanted = if n != at { 0.5 } else { [0.25, 0.25, 500.25][at % 3] };
                assert_eq!(*x, wanted, "{n}");
            }
        }
    }

    #[test]
    fn w1_channels_that_cancel_are_heard_and_told() {
        let spec = AudioSpec { rate: 16_000, layout: ChannelLayout::Stereo };
        let left: Vec<f32> = (0..16_000).map(|n| 0.3 * (n as f32 * 0.1).sin()).collect();
        let right = left.iter().map(|x| -x).collect();
        let audio = AudioBuf::from_planar(spec, [left, right].concat()).expect("two channels");
        let mut intake = Intake::new(16_000, Pace::Throughput);
        let mono = intake.push(&audio.view()).expect("one kind");
        assert!(mono[4000..].iter().any(|x| x.abs() > 0.25));
        let [Warning::ChannelsCancel { .. }] = intake.guard().heard().warnings[..] else {
            panic!("a warning is due");
        };
    }

    #[test]
    fn streams_stay_of_one_kind() {
        let mut intake = Intake::new(16_000, Pace::Live);
        intake.push(&AudioView::from_mono(8000, &[0.0; 9])).expect("the first");
        assert!(intake.push(&AudioView::from_mono(16_000, &[0.0; 9])).is_err());
        assert_eq!(intake.guard().heard().warnings, []);
    }
}
