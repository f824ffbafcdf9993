//! Where nothing is to be heard: stretches in which every channel stays below a threshold.
//!
//! The decision is made sample by sample, so borders are exact; speech needs [`crate::vad`].

use serde::{Deserialize, Serialize};

use super::db_amplitude;
use crate::buffer::{AudioSpec, AudioView};

/// What counts as silence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SilenceOptions {
    /// Samples of this level or below are silent.
    pub threshold_dbfs: f64,
    /// Shortest stretch that is reported, in seconds.
    pub min_duration: f64,
}

impl Default for SilenceOptions {
    fn default() -> Self {
        Self { threshold_dbfs: -60.0, min_duration: 0.5 }
    }
}

/// Frames `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRange {
    /// First frame.
    pub start: u64,
    /// The frame after the last.
    pub end: u64,
}

/// Finds silence in a stream of blocks. Non-finite samples count as silent.
#[derive(Debug, Clone)]
pub struct SilenceDetector {
    threshold: f32,
    min_frames: u64,
    position: u64,
    start: Option<u64>,
}

impl SilenceDetector {
    /// A detector for audio of `spec`.
    #[must_use]
    pub fn new(spec: AudioSpec, options: &SilenceOptions) -> Self {
        let min_frames = (options.min_duration.max(0.0) * f64::from(spec.rate)).ceil();
        Self {
            threshold: db_amplitude(options.threshold_dbfs) as f32,
            min_frames: (min_frames as u64).max(1),
            position: 0,
            start: None,
        }
    }

    /// Take another block and return the silences that end in it.
    pub fn push(&mut self, block: &AudioView<'_>) -> Vec<FrameRange> {
        let mut found = Vec::new();
        let channels: Vec<&[f32]> = (0..block.channels()).map(|c| block.channel(c)).collect();
        for frame in 0..block.frames() {
            let heard = |channel: &&[f32]| {
                channel[frame].abs() > self.threshold && channel[frame].is_finite()
            };
            if channels.iter().any(heard) {
                found.extend(self.close());
            } else {
                self.start.get_or_insert(self.position);
            }
            self.position += 1;
        }
        found
    }

    /// End the stream and return the silence at its end.
    pub fn finish(&mut self) -> Option<FrameRange> {
        self.close()
    }

    fn close(&mut self) -> Option<FrameRange> {
        let range = FrameRange { start: self.start.take()?, end: self.position };
        (range.end - range.start >= self.min_frames).then_some(range)
    }
}

/// Silences of a whole buffer.
#[must_use]
pub fn silent_ranges(audio: &AudioView<'_>, options: &SilenceOptions) -> Vec<FrameRange> {
    let mut detector = SilenceDetector::new(audio.spec(), options);
    let mut ranges = detector.push(audio);
    ranges.extend(detector.finish());
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::AudioBuf;
    use crate::layout::ChannelLayout;

    fn gated() -> AudioBuf {
        let spec = AudioSpec { rate: 1000, layout: ChannelLayout::Stereo };
        let mut buf = AudioBuf::silence(spec, 4000);
        buf.channel_mut(0)[1000] = 0.5;
        buf.channel_mut(1)[1200] = -0.5;
        buf.channel_mut(1)[3000..].fill(0.1);
        buf
    }

    #[test]
    fn finds_borders_to_the_sample_for_any_block_size() {
        let buf = gated();
        let want = [FrameRange { start: 0, end: 1000 }, FrameRange { start: 1201, end: 3000 }];
        let options = SilenceOptions::default();
        assert_eq!(silent_ranges(&buf.view(), &options), want);
        for size in [1, 7, 999] {
            let mut detector = SilenceDetector::new(buf.spec(), &options);
            let mut found = Vec::new();
            for at in (0..buf.frames()).step_by(size) {
                found.extend(detector.push(&buf.view().slice(at..at + size)));
            }
            found.extend(detector.finish());
            assert_eq!(found, want, "blocks of {size}");
        }
    }

    #[test]
    fn empty_and_silent_audio() {
        let options = SilenceOptions::default();
        assert!(silent_ranges(&AudioView::from_mono(8000, &[]), &options).is_empty());
        let zeros = [0.0f32; 8000];
        let all = silent_ranges(&AudioView::from_mono(8000, &zeros), &options);
        assert_eq!(all, [FrameRange { start: 0, end: 8000 }]);
        let nan = [f32::NAN; 8000];
        assert_eq!(silent_ranges(&AudioView::from_mono(8000, &nan), &options).len(), 1);
    }
}
