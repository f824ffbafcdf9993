//! Speech in a recording of any rate and any number of channels, block by block.

use formant_audio_core::decode::BlockReader;
use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::vad::{VadEvent, VadOptions, VoiceDetector};
use formant_audio_core::{AudioSpec, Error, Warning};

use crate::failure::Failure;
use crate::interrupt;

/// The rate at which the detector listens.
pub(super) const RATE: u32 = 16_000;

/// What was found in a recording.
pub(super) struct Found {
    /// Start and end of each segment, in seconds from the first sample.
    pub(super) segments: Vec<[f64; 2]>,
    /// Length of what was heard.
    pub(super) seconds: f64,
    pub(super) warnings: Vec<Warning>,
}

/// Finds the speech in all channels together.
pub(super) fn find(reader: &mut BlockReader, options: &VadOptions) -> Result<Found, Failure> {
    let rate = reader.spec().rate;
    let mut detector = VoiceDetector::new(RATE, options)?;
    let mut resampler = match rate {
        RATE => None,
        _ => Some(StreamResampler::new(AudioSpec::mono(rate), RATE, Quality::High)?),
    };
    let mut frames = 0;
    let mut events = Vec::new();
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        frames += block.frames() as u64;
        let mono = block.view().to_mono();
        let heard = match &mut resampler {
            Some(resampler) => resampler.push_mono(&mono)?,
            None => mono,
        };
        events.extend(detector.push(&heard));
    }
    if frames == 0 {
        return Err(Error::Empty.into());
    }
    if let Some(resampler) = &mut resampler {
        events.extend(detector.push(&resampler.finish()?.into_planar()));
    }
    events.extend(detector.finish());
    let seconds = frames as f64 / f64::from(rate.max(1));
    let time = |sample: u64| (sample as f64 / f64::from(RATE)).min(seconds);
    let segments = events.into_iter().filter_map(|event| match event {
        VadEvent::End(segment) => Some([time(segment.start), time(segment.end)]),
        VadEvent::Start { .. } => None,
    });
    Ok(Found { segments: segments.collect(), seconds, warnings: reader.info().warnings.clone() })
}
