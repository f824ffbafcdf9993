//! The way from a task to an output device's callback: a lock-free ring of mono samples, and counts
//! of what it had not when it was asked.
//!
//! The callback's end never allocates, locks or waits: what is not there is played as silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::ring::Failure;

/// Channels of a device that get the audio; the others of a surround set stay silent.
const FRONT: usize = 2;

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// Whether audio is due, so that its want is an underrun.
    due: AtomicBool,
    underruns: AtomicU64,
    silent: AtomicU64,
    callbacks: AtomicU64,
    delay: AtomicU64,  // nanoseconds from a callback to the loudspeaker
    called: AtomicU64, // nanoseconds from the start to the last callback
    asked: AtomicU64,  // frames that the last callback asked for
    failure: AtomicU8,
}

/// The callback's end.
#[derive(Debug)]
pub struct Speaker {
    samples: Consumer<f32>,
    channels: usize,
    dry: bool,
    shared: Arc<Shared>,
}

/// The task's end.
#[derive(Debug)]
pub struct Feed {
    samples: Producer<f32>,
    frames: usize,
    shared: Arc<Shared>,
}

/// What a device's error callback uses.
#[derive(Debug, Clone)]
pub struct OutputAlarm(Arc<Shared>);

/// What was played as silence although audio was due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Underruns {
    /// How often.
    pub count: u64,
    /// Frames of the device.
    pub frames: u64,
}

/// A ring of `frames` frames for a device of `channels` channels.
#[must_use]
pub fn feed(frames: usize, channels: usize) -> (Feed, OutputAlarm, Speaker) {
    let (into, out) = RingBuffer::new(frames);
    let shared = Arc::new(Shared {
        start: Instant::now(),
        due: AtomicBool::default(),
        underruns: AtomicU64::default(),
        silent: AtomicU64::default(),
        callbacks: AtomicU64::default(),
        delay: AtomicU64::default(),
        called: AtomicU64::default(),
        asked: AtomicU64::default(),
        failure: AtomicU8::default(),
    });
    let speaker = Speaker {
        samples: out,
        channels: channels.max(1),
        dry: false,
        shared: Arc::clone(&shared),
    };
    let alarm = OutputAlarm(Arc::clone(&shared));
    (Feed { samples: into, frames, shared }, alarm, speaker)
}

impl Speaker {
    /// Fills a callback's interleaved samples. `delay` is the time until the first of them is
    /// heard.
    pub fn fill(&mut self, interleaved: &mut [f32], delay: Duration) {
        self.fill_with(interleaved, delay, |sample| sample);
    }

    /// As [`Speaker::fill`], in a callback that comes at `now`.
    #[cfg(test)]
    pub(super) fn fill_at(&mut self, interleaved: &mut [f32], now: Instant) {
        self.give(interleaved, Duration::ZERO, now, |sample| sample);
    }

    /// As [`Speaker::fill`], for samples of another kind.
    pub fn fill_with<T: Copy>(
        &mut self,
        interleaved: &mut [T],
        delay: Duration,
        convert: impl Fn(f32) -> T,
    ) {
        self.give(interleaved, delay, Instant::now(), convert);
    }

    fn give<T: Copy>(
        &mut self,
        interleaved: &mut [T],
        delay: Duration,
        now: Instant,
        convert: impl Fn(f32) -> T,
    ) {
        let silence = convert(0.0);
        let frames = interleaved.len() / self.channels;
        let there = frames.min(self.samples.slots());
        interleaved.fill(silence);
        if there > 0
            && let Ok(chunk) = self.samples.read_chunk(there)
        {
            for (frame, sample) in interleaved.chunks_mut(self.channels).zip(chunk) {
                let front = frame.len().min(FRONT);
                frame[..front].fill(convert(sample));
            }
        }
        if there == frames {
            self.dry = false;
        } else if self.shared.due.load(Ordering::Acquire) {
            // A pause is one underrun however many callbacks it lasts.
            self.shared.underruns.fetch_add(u64::from(!self.dry), Ordering::Relaxed);
            self.shared.silent.fetch_add((frames - there) as u64, Ordering::Relaxed);
            self.dry = true;
        }
        self.shared.delay.store(delay.as_nanos() as u64, Ordering::Relaxed);
        let called = now.saturating_duration_since(self.shared.start);
        self.shared.called.store(called.as_nanos() as u64, Ordering::Relaxed);
        self.shared.asked.store(frames as u64, Ordering::Relaxed);
        self.shared.callbacks.fetch_add(1, Ordering::Release);
    }
}

impl OutputAlarm {
    /// The device itself had nothing to play for a time of unknown length.
    pub fn interrupted(&self) {
        if self.0.due.load(Ordering::Acquire) {
            self.0.underruns.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The device plays no more.
    pub fn failed(&self, failure: Failure) {
        self.0.failure.store(failure as u8, Ordering::Release);
    }
}

impl Feed {
    /// Adds samples, and returns how many found room.
    pub fn push(&mut self, samples: &[f32]) -> usize {
        let count = samples.len().min(self.samples.slots());
        match self.samples.write_chunk_uninit(count) {
            Ok(chunk) => chunk.fill_from_iter(samples[..count].iter().copied()),
            Err(_) => 0,
        }
    }

    /// Whether audio is due from now on.
    pub fn set_due(&self, due: bool) {
        self.shared.due.store(due, Ordering::Release);
    }

    /// Frames that wait to be played.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.frames - self.samples.slots()
    }

    /// Frames that wait at `now`, as if a device of `rate` Hz took them one by one instead of in
    /// callbacks.
    pub(super) fn waiting_evenly(&self, now: Instant, rate: u32) -> f64 {
        let called = Duration::from_nanos(self.shared.called.load(Ordering::Relaxed));
        let passed = now.saturating_duration_since(self.shared.start + called).as_secs_f64();
        let most = self.shared.asked.load(Ordering::Relaxed) as f64;
        self.waiting() as f64 - (passed * f64::from(rate)).min(most)
    }

    /// Time from a callback to the loudspeaker, as the device last said.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_nanos(self.shared.delay.load(Ordering::Relaxed))
    }

    /// Callbacks so far.
    #[must_use]
    pub fn callbacks(&self) -> u64 {
        self.shared.callbacks.load(Ordering::Acquire)
    }

    /// What was played as silence so far.
    #[must_use]
    pub fn underruns(&self) -> Underruns {
        Underruns {
            count: self.shared.underruns.load(Ordering::Relaxed),
            frames: self.shared.silent.load(Ordering::Relaxed),
        }
    }

    /// Why the device plays no more, when that is so.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        Failure::of(self.shared.failure.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(speaker: &mut Speaker, frames: usize) -> Vec<f32> {
        let mut out = vec![9.0; frames * speaker.channels];
        speaker.fill(&mut out, Duration::from_millis(7));
        out
    }

    #[test]
    fn audio_is_on_the_front_channels_in_order() {
        for (channels, expected) in [
            (1, vec![1.0, 2.0, 0.0]),
            (2, vec![1.0, 1.0, 2.0, 2.0, 0.0, 0.0]),
            (4, vec![1.0, 1.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ] {
            let (mut feed, _, mut speaker) = feed(8, channels);
            assert_eq!(feed.push(&[1.0, 2.0]), 2);
            assert_eq!(heard(&mut speaker, 3), expected);
            assert_eq!((feed.delay(), feed.callbacks()), (Duration::from_millis(7), 1));
        }
    }

    #[test]
    fn want_counts_only_while_audio_is_due() {
        let (mut feed, alarm, mut speaker) = feed(8, 1);
        heard(&mut speaker, 4);
        alarm.interrupted();
        assert_eq!(feed.underruns(), Underruns::default());
        feed.set_due(true);
        assert_eq!(feed.push(&[1.0; 10]), 8);
        assert_eq!(feed.waiting(), 8);
        heard(&mut speaker, 6);
        heard(&mut speaker, 6);
        heard(&mut speaker, 6);
        assert_eq!(feed.underruns(), Underruns { count: 1, frames: 10 });
        feed.push(&[1.0; 6]);
        assert_eq!(heard(&mut speaker, 6), [1.0; 6]);
        heard(&mut speaker, 1);
        assert_eq!(feed.underruns(), Underruns { count: 2, frames: 11 });
        alarm.interrupted();
        feed.set_due(false);
        heard(&mut speaker, 5);
        assert_eq!(feed.underruns(), Underruns { count: 3, frames: 11 });
        assert_eq!(feed.failure(), None);
        alarm.failed(Failure::Gone);
        assert_eq!(feed.failure(), Some(Failure::Gone));
    }
}
