//! A stretch of a recording, in seconds from its start, and the frames that belong to it.

use std::path::Path;

use crate::buffer::AudioBuf;
use crate::error::{Error, Result};

/// A stretch may end this much behind its recording, in seconds: tables round.
const ROUNDING: f64 = 0.1;

/// A stretch of a recording; by default the whole.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stretch {
    /// Start in seconds, not negative.
    pub start: f64,
    /// Length in seconds, above zero; `None` reads to the end.
    pub seconds: Option<f64>,
}

impl Stretch {
    /// Whether it is the whole recording.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// Its frames in a recording of `frames` frames at `rate` Hz.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when it starts or ends behind the recording.
    pub fn range(&self, frames: usize, rate: u32, path: &Path) -> Result<std::ops::Range<usize>> {
        let (start, end) = self.bounds(rate);
        let found = frames as u64;
        if self.is_whole() {
            return Ok(0..frames);
        }
        if start >= found || end.is_some_and(|end| end > found + frames_of(ROUNDING, rate)) {
            return Err(self.behind(found, rate, path));
        }
        Ok(start as usize..end.unwrap_or(found).min(found) as usize)
    }

    fn bounds(&self, rate: u32) -> (u64, Option<u64>) {
        let end = self.seconds.map(|seconds| frames_of(self.start + seconds, rate));
        (frames_of(self.start, rate), end)
    }

    fn behind(&self, found: u64, rate: u32, path: &Path) -> Error {
        let length = found as f64 / f64::from(rate);
        let end = self
            .seconds
            .map_or_else(String::new, |seconds| format!(" to {:.3} s", self.start + seconds));
        let reason = format!(
            "the stretch from {:.3} s{end} is not in this recording of {length:.3} s; offset and \
             duration are in seconds",
            self.start
        );
        Error::unreadable(path, reason)
    }
}

/// The frame at a time; a conversion from floating point saturates.
fn frames_of(seconds: f64, rate: u32) -> u64 {
    (seconds * f64::from(rate)).round() as u64
}

/// Keeps the frames of a stretch while a recording is read.
#[derive(Debug)]
pub(super) struct Cut {
    stretch: Stretch,
    rate: u32,
    start: u64,
    end: Option<u64>,
    /// Frames that came so far.
    position: u64,
}

impl Cut {
    pub(super) fn new(stretch: Stretch, rate: u32) -> Self {
        let (start, end) = stretch.bounds(rate);
        Self { stretch, rate, start, end, position: 0 }
    }

    /// Whether nothing behind what came is wanted.
    pub(super) fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.position >= end)
    }

    /// The frames of a block that are wanted, if any.
    pub(super) fn keep(&mut self, block: AudioBuf) -> Option<AudioBuf> {
        let (from, frames) = (self.position, block.frames() as u64);
        self.position += frames;
        let first = self.start.saturating_sub(from).min(frames);
        let last = self.end.map_or(frames, |end| end.saturating_sub(from).min(frames));
        match (first, last) {
            (0, last) if last == frames => Some(block),
            (first, last) if first < last => {
                Some(block.view().slice(first as usize..last as usize).to_owned())
            }
            _ => None,
        }
    }

    /// Says whether the recording, which ended, had the stretch.
    pub(super) fn end(&self, path: &Path) -> Result<()> {
        self.stretch.range(self.position as usize, self.rate, path).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stretch: Stretch, blocks: &[usize]) -> Result<Vec<f32>> {
        let mut cut = Cut::new(stretch, 10);
        let (mut kept, mut next) = (Vec::new(), 0.0);
        for &frames in blocks {
            if cut.is_complete() {
                return Ok(kept);
            }
            let samples: Vec<f32> = (0..frames).map(|n| next + n as f32).collect();
            next += frames as f32;
            let part = cut.keep(AudioBuf::from_mono(10, samples));
            kept.extend(part.into_iter().flat_map(|part| part.channel(0).to_vec()));
        }
        cut.end(Path::new("a.wav")).map(|()| kept)
    }

    #[test]
    fn f6_a_stretch_is_the_same_for_all_blocks() {
        let stretch = |start, seconds| Stretch { start, seconds };
        let wanted: Vec<f32> = (5..12).map(|n| n as f32).collect();
        for blocks in [&[40][..], &[1; 40], &[5, 7, 28], &[4, 9, 27]] {
            assert_eq!(read(stretch(0.5, Some(0.7)), blocks).expect("inside"), wanted);
            assert_eq!(read(stretch(3.8, None), blocks).expect("inside"), [38.0, 39.0]);
            assert_eq!(read(stretch(3.8, Some(0.3)), blocks).expect("rounded").len(), 2);
            assert_eq!(read(Stretch::default(), blocks).expect("the whole").len(), 40);
            for (start, seconds) in [(4.0, None), (3.0, Some(2.0)), (1e300, Some(1e300))] {
                let error = read(stretch(start, seconds), blocks).expect_err("behind the end");
                assert!(error.to_string().contains("recording of 4.000 s"), "{error}");
            }
        }
        assert_eq!(Stretch::default().range(0, 10, Path::new("-")).expect("empty"), 0..0);
    }
}
