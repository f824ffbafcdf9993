//! Samples that an application pushes, from its own audio callback if it likes.

use std::time::{Duration, Instant};

use formant_audio_core::AudioSpec;

use super::{Pace, Reading, Source, StreamInfo};
use crate::error::Result;
use crate::event::GapCause;
use crate::ring::{Capture, Piece, Tap, ring};

/// How often an empty ring is looked at.
const POLL: Duration = Duration::from_millis(3);

/// The application's end. Dropping it ends the stream.
#[derive(Debug)]
pub struct Pusher {
    capture: Capture,
}

impl Pusher {
    /// Takes interleaved samples of any number; never allocates, locks or waits. Returns whether
    /// there was room; a block that does not fit is lost, and the session tells of the gap.
    pub fn push(&mut self, interleaved: &[f32]) -> bool {
        self.capture.push(interleaved, Instant::now())
    }

    /// Takes interleaved samples of any number, and waits for room as long as it takes. Not for an
    /// audio callback. Returns whether the session heard them all: one that has ended does not.
    pub fn push_all(&mut self, interleaved: &[f32]) -> bool {
        let channels = self.capture.channels();
        let mut rest = &interleaved[..interleaved.len() / channels * channels];
        while !rest.is_empty() {
            let frames = self.room().min(rest.len() / channels);
            if frames > 0 {
                let (now, later) = rest.split_at(frames * channels);
                self.push(now);
                rest = later;
            } else if self.capture.is_abandoned() {
                return false;
            } else {
                std::thread::sleep(POLL);
            }
        }
        true
    }

    /// Frames for which there is room now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capture.room()
    }
}

/// The session's end.
#[derive(Debug)]
pub struct PushSource {
    tap: Tap,
    pace: Pace,
}

/// A source of audio of `spec` that an application feeds. An elastic one waits when it is not
/// heard fast enough: [`Pusher::room`] then says so.
#[must_use]
pub fn push_source(spec: AudioSpec, pace: Pace) -> (Pusher, PushSource) {
    let (capture, _, tap) = ring(spec);
    (Pusher { capture }, PushSource { tap, pace })
}

impl Source for PushSource {
    fn info(&self) -> StreamInfo {
        StreamInfo { name: "application".to_owned(), spec: self.tap.spec(), pace: self.pace }
    }

    fn read(&mut self, patience: Duration) -> Result<Reading> {
        let deadline = Instant::now() + patience;
        loop {
            // Asked before the ring is looked at: nothing can follow once it is so.
            let over = self.tap.is_abandoned();
            match self.tap.pop() {
                Some(Piece::Audio { block, captured, .. }) => {
                    return Ok(Reading::Audio { block, captured });
                }
                Some(Piece::Lost { frames }) => {
                    return Ok(Reading::Missing { frames, cause: GapCause::Overrun });
                }
                None if over => {
                    return Ok(match self.tap.lost_at_end() {
                        0 => Reading::End,
                        frames => Reading::Missing { frames, cause: GapCause::Overrun },
                    });
                }
                None if Instant::now() >= deadline => return Ok(Reading::Waiting),
                None => std::thread::sleep(POLL),
            }
        }
    }
}
