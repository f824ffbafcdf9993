//! Where somebody speaks, in a session.

use formant_audio_core::vad::{SpeechSegment, VadEvent, VadOptions, VoiceDetector};

use super::{Finding, LiveStream, LiveTask};
use crate::error::Result;
use crate::event::{Event, Progress};

/// The rate at which it hears, in Hz.
const RATE: u32 = 16_000;

/// Tells where speech begins and ends.
#[derive(Debug)]
pub struct VadTask {
    options: VadOptions,
}

impl VadTask {
    /// Looks for speech.
    ///
    /// # Errors
    /// For a value out of range.
    pub fn new(options: VadOptions) -> Result<Self> {
        VoiceDetector::new(RATE, &options)?;
        Ok(Self { options })
    }
}

impl LiveTask for VadTask {
    fn name(&self) -> &'static str {
        "vad"
    }

    fn rate(&self) -> u32 {
        RATE
    }

    fn start(&self) -> Result<Box<dyn LiveStream + '_>> {
        let detector = VoiceDetector::new(RATE, &self.options)?;
        Ok(Box::new(Stream { detector, samples: 0 }))
    }
}

struct Stream {
    detector: VoiceDetector,
    samples: u64,
}

impl LiveStream for Stream {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Finding>> {
        self.samples += samples.len() as u64;
        let events = self.detector.push(samples);
        Ok(events.into_iter().map(|event| self.finding(event)).collect())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Finding>> {
        let events = self.detector.finish();
        Ok(events.into_iter().map(|event| self.finding(event)).collect())
    }
}

impl Stream {
    fn finding(&self, event: VadEvent) -> Finding {
        let seconds = |sample: u64| sample as f64 / f64::from(RATE);
        let (start, end, progress) = match event {
            VadEvent::Start { at } => (at, self.samples, Progress::Ongoing),
            VadEvent::End(SpeechSegment { start, end }) => (start, end, Progress::Ended),
        };
        let (start, end) = (seconds(start), seconds(end));
        let known = Some(if progress == Progress::Ongoing { start } else { end });
        Finding { event: Event::Speech { start, end, progress }, known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_begins_and_ends() {
        let options = VadOptions { threshold: 7.0, ..VadOptions::default() };
        assert!(VadTask::new(options).is_err());
        let task = VadTask::new(VadOptions::default()).expect("sound");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/keyword_yes_16k.wav");
        let options = formant_audio_core::decode::DecodeOptions::default();
        let clip = formant_audio_core::decode::decode_file(path.as_ref(), &options).expect("clip");
        let mut samples = vec![0.0; 16_000];
        samples.extend_from_slice(clip.audio.channel(0));
        samples.resize(samples.len() + 16_000, 0.0);
        let mut stream = task.start().expect("begins");
        let mut found = Vec::new();
        for block in samples.chunks(700) {
            found.extend(stream.push(block).expect("runs"));
        }
        found.extend(stream.finish().expect("runs"));
        let told: Vec<(f64, f64, Progress)> = found
            .iter()
            .map(|finding| match finding.event {
                Event::Speech { start, end, progress } => (start, end, progress),
                ref other => panic!("{other:?}"),
            })
            .collect();
        let [(began, _, Progress::Ongoing), (start, end, Progress::Ended)] = told[..] else {
            panic!("{told:?}")
        };
        assert!(began == start && (0.9..2.0).contains(&start) && end > start + 0.2, "{told:?}");
    }
}
