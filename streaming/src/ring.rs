//! The way from an audio callback to the worker: a lock-free ring that accounts for what it could
//! not take.
//!
//! The callback's end never allocates, locks or waits. Each block that went in has a mark with its
//! place in the stream, so that the worker's end sees exactly where frames are missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use formant_audio_core::{AudioBuf, AudioSpec};
use rtrb::{Consumer, Producer, RingBuffer};

/// Seconds of audio that a ring holds.
const DEPTH_SECONDS: usize = 4;
/// Smallest callback, in frames, for which there are enough marks.
const SMALLEST_CALLBACK: usize = 16;
/// Blocks are joined up to this many a second, so that tiny callbacks cost little downstream.
const BLOCKS_PER_SECOND: usize = 100;

/// One block in the ring.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Frames of the stream before it, lost ones included.
    position: u64,
    frames: usize,
    /// When its last frame was captured, in nanoseconds after the ring's start.
    captured: u64,
    /// Interruptions that the device has told of before it.
    xruns: u64,
}

/// Why a device gives no more audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Failure {
    /// It is gone.
    Gone = 1,
    /// Its rate or format changed, so that it has to be opened anew.
    Changed = 2,
    /// It may no longer be used.
    Refused = 3,
}

impl Failure {
    /// The failure of a number that was stored as one; 0 is none.
    pub(crate) fn of(number: u8) -> Option<Self> {
        match number {
            0 => None,
            2 => Some(Self::Changed),
            3 => Some(Self::Refused),
            _ => Some(Self::Gone),
        }
    }

    /// What is said about the device.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Gone => "it is gone",
            Self::Changed => "its rate or format changed",
            Self::Refused => "it may no longer be used",
        }
    }
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    position: AtomicU64,
    lost: AtomicU64,
    xruns: AtomicU64,
    failure: AtomicU8,
}

/// The callback's end.
#[derive(Debug)]
pub struct Capture {
    samples: Producer<f32>,
    marks: Producer<Mark>,
    channels: usize,
    position: u64,
    shared: Arc<Shared>,
}

/// What a device's error callback uses.
#[derive(Debug, Clone)]
pub struct Alarm(Arc<Shared>);

/// The worker's end.
#[derive(Debug)]
pub struct Tap {
    samples: Consumer<f32>,
    marks: Consumer<Mark>,
    spec: AudioSpec,
    expected: u64,
    xruns: u64,
    shared: Arc<Shared>,
}

/// What comes out of a ring, in the order of the stream.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Audio, and when its last frame was captured.
    Audio {
        /// The frames.
        block: AudioBuf,
        /// When the last of them was captured.
        captured: Instant,
        /// The device told of an interruption right before it.
        interrupted: bool,
    },
    /// Frames that the ring had no room for.
    Lost {
        /// Their number.
        frames: u64,
    },
}

/// A ring for audio of `spec`.
#[must_use]
pub fn ring(spec: AudioSpec) -> (Capture, Alarm, Tap) {
    ring_of(spec, DEPTH_SECONDS * spec.rate.max(8000) as usize)
}

/// A ring that holds `frames` frames.
#[must_use]
pub fn ring_of(spec: AudioSpec, frames: usize) -> (Capture, Alarm, Tap) {
    let channels = spec.channels().max(1);
    let (samples_in, samples_out) = RingBuffer::new(frames * channels);
    let (marks_in, marks_out) = RingBuffer::new(frames.div_ceil(SMALLEST_CALLBACK) + 16);
    let shared = Arc::new(Shared {
        start: Instant::now(),
        position: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        xruns: AtomicU64::new(0),
        failure: AtomicU8::new(0),
    });
    let capture = Capture {
        samples: samples_in,
        marks: marks_in,
        channels,
        position: 0,
        shared: Arc::clone(&shared),
    };
    let tap = Tap {
        samples: samples_out,
        marks: marks_out,
        spec,
        expected: 0,
        xruns: 0,
        shared: Arc::clone(&shared),
    };
    (capture, Alarm(shared), tap)
}

impl Capture {
    /// Takes a block of interleaved samples, whose last frame was captured at `captured`. Returns
    /// whether there was room; a block that does not fit is lost as a whole, and is accounted for.
    pub fn push(&mut self, interleaved: &[f32], captured: Instant) -> bool {
        self.push_with(interleaved, captured, |sample| sample)
    }

    /// As [`Capture::push`], for samples of another kind.
    pub fn push_with<T: Copy>(
        &mut self,
        interleaved: &[T],
        captured: Instant,
        convert: impl Fn(T) -> f32,
    ) -> bool {
        let frames = interleaved.len() / self.channels;
        if frames == 0 {
            return true;
        }
        let count = frames * self.channels;
        let position = self.position;
        self.position += frames as u64;
        self.shared.position.store(self.position, Ordering::Release);
        let fits = !self.marks.is_full() && self.samples.slots() >= count;
        if fits && let Ok(chunk) = self.samples.write_chunk_uninit(count) {
            chunk.fill_from_iter(interleaved.iter().map(|&sample| convert(sample)));
            let since = captured.saturating_duration_since(self.shared.start);
            let mark = Mark {
                position,
                frames,
                captured: since.as_nanos() as u64,
                xruns: self.shared.xruns.load(Ordering::Relaxed),
            };
            // There was room, and nobody else puts marks in.
            return self.marks.push(mark).is_ok();
        }
        self.shared.lost.fetch_add(frames as u64, Ordering::Relaxed);
        false
    }

    /// Channels of a frame.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Whether nobody takes anything any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.samples.is_abandoned()
    }

    /// Frames for which there is room now.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.marks.is_full() { 0 } else { self.samples.slots() / self.channels }
    }
}

impl Alarm {
    /// The device lost audio of unknown length.
    pub fn interrupted(&self) {
        self.0.xruns.fetch_add(1, Ordering::Relaxed);
    }

    /// The device gives no more audio.
    pub fn failed(&self, failure: Failure) {
        self.0.failure.store(failure as u8, Ordering::Release);
    }
}

impl Tap {
    /// Rate and layout.
    #[must_use]
    pub fn spec(&self) -> AudioSpec {
        self.spec
    }

    /// Frames that the callback was given so far, lost ones included.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.shared.position.load(Ordering::Acquire)
    }

    /// Frames that were lost so far for want of room.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Why there will be no more audio, when that is so.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        Failure::of(self.shared.failure.load(Ordering::Acquire))
    }

    /// Whether the callback's end is gone, so that nothing will follow what is in the ring.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.samples.is_abandoned()
    }

    /// The next piece of the stream, or nothing when the ring is empty.
    pub fn pop(&mut self) -> Option<Piece> {
        let first = *self.marks.peek().ok()?;
        if first.position > self.expected {
            let frames = first.position - self.expected;
            self.expected = first.position;
            return Some(Piece::Lost { frames });
        }
        let interrupted = first.xruns != self.xruns;
        self.xruns = first.xruns;
        let most = (self.spec.rate as usize / BLOCKS_PER_SECOND).max(1);
        let (mut frames, mut captured) = (0, first.captured);
        while let Ok(mark) = self.marks.peek().copied() {
            let follows = mark.position == self.expected && mark.xruns == self.xruns;
            if !follows || (frames > 0 && frames + mark.frames > most) {
                break;
            }
            frames += mark.frames;
            captured = mark.captured;
            self.expected += mark.frames as u64;
            let _ = self.marks.pop();
        }
        let channels = self.spec.channels().max(1);
        let mut planar = vec![0.0; frames * channels];
        if let Ok(chunk) = self.samples.read_chunk(frames * channels) {
            let (head, tail) = chunk.as_slices();
            for (at, &sample) in head.iter().chain(tail).enumerate() {
                planar[(at % channels) * frames + at / channels] = sample;
            }
            chunk.commit_all();
        }
        let block = AudioBuf::from_planar(self.spec, planar).ok()?;
        let captured = self.shared.start + Duration::from_nanos(captured);
        Some(Piece::Audio { block, captured, interrupted })
    }

    /// Frames that were lost at the very end, after the last piece.
    pub fn lost_at_end(&mut self) -> u64 {
        let end = self.position();
        let lost = end.saturating_sub(self.expected);
        self.expected = end;
        lost
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::ChannelLayout;

    use super::*;

    fn stereo() -> AudioSpec {
        AudioSpec { rate: 8000, layout: ChannelLayout::Stereo }
    }

    fn drain(tap: &mut Tap) -> (Vec<f32>, Vec<(usize, u64)>) {
        let (mut left, mut losses) = (Vec::new(), Vec::new());
        while let Some(piece) = tap.pop() {
            match piece {
                Piece::Audio { block, .. } => {
                    left.extend_from_slice(block.channel(0));
                    let right: Vec<f32> = block.channel(1).iter().map(|x| -x).collect();
                    assert_eq!(block.channel(0), right);
                }
                Piece::Lost { frames } => losses.push((left.len(), frames)),
            }
        }
        (left, losses)
    }

    /// Stereo frames `from..to`, counted, with the right channel negated.
    fn frames(from: usize, to: usize) -> Vec<f32> {
        (from..to).flat_map(|n| [n as f32, -(n as f32)]).collect()
    }

    #[test]
    fn any_callback_size_comes_out_in_order() {
        for size in [1, 7, 16, 160, 441, 1000, 8192] {
            let (mut capture, _, mut tap) = ring(stereo());
            let mut heard = Vec::new();
            for at in (0..20_000).step_by(size) {
                assert!(capture.push(&frames(at, (at + size).min(20_000)), Instant::now()));
                if at % 3 == 0 {
                    heard.extend(drain(&mut tap).0);
                }
            }
            heard.extend(drain(&mut tap).0);
            assert_eq!(heard.len(), 20_000, "{size}");
            assert!(heard.iter().enumerate().all(|(n, &x)| x == n as f32), "{size}");
            assert_eq!((tap.lost(), tap.position()), (0, 20_000));
        }
    }

    #[test]
    fn what_does_not_fit_is_lost_at_a_known_place() {
        let (mut capture, _, mut tap) = ring_of(stereo(), 100);
        let now = Instant::now();
        assert!(capture.push(&frames(0, 60), now));
        assert!(!capture.push(&frames(60, 110), now));
        assert!(capture.push(&frames(110, 140), now));
        let (heard, losses) = drain(&mut tap);
        assert_eq!((heard.len(), losses), (90, vec![(60, 50)]));
        assert_eq!(heard[60], 110.0);
        assert!(!capture.push(&frames(0, 101), now));
        assert!(tap.pop().is_none());
        assert_eq!((tap.lost(), tap.lost_at_end(), tap.lost_at_end()), (151, 101, 0));
    }

    #[test]
    fn interruptions_and_failures_come_through() {
        let (mut capture, alarm, mut tap) = ring(stereo());
        let now = Instant::now();
        capture.push(&frames(0, 10), now);
        alarm.interrupted();
        capture.push(&frames(10, 20), now);
        let flags: Vec<bool> = std::iter::from_fn(|| tap.pop())
            .map(|piece| matches!(piece, Piece::Audio { interrupted: true, .. }))
            .collect();
        assert_eq!(flags, [false, true]);
        assert_eq!(tap.failure(), None);
        alarm.failed(Failure::Changed);
        assert_eq!(tap.failure(), Some(Failure::Changed));
        drop(capture);
        assert!(tap.is_abandoned());
    }

    #[test]
    fn capture_times_are_those_of_the_last_frames() {
        let (mut capture, _, mut tap) = ring(AudioSpec::mono(16_000));
        let time = Instant::now() + Duration::from_millis(5);
        capture.push(&[0.0; 16], time - Duration::from_millis(1));
        capture.push(&[0.0; 16], time);
        let Some(Piece::Audio { block, captured, .. }) = tap.pop() else { panic!("audio") };
        assert_eq!(block.frames(), 32);
        assert!(captured.max(time) - captured.min(time) < Duration::from_micros(1));
    }
}
