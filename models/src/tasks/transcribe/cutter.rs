//! Where a stream is cut: at pauses, and where there is none for long, into overlapping windows.
//!
//! What comes out depends on the stream alone, not on the blocks in which it came.

use formant_audio_core::vad::{VadEvent, VadOptions, VoiceDetector};

use crate::error::Result;

/// Seconds by which the voice detector may be late, beyond the shortest pause.
const LATENESS: f64 = 0.5;

/// A stretch of sound for the network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// Place of its first sample in the stream.
    pub(super) start: u64,
    pub(super) samples: Vec<f32>,
    /// Whether it begins after a pause; else it overlaps the window before.
    pub(super) opens: bool,
    /// Whether it ends in a pause; else the next window overlaps it.
    pub(super) closes: bool,
}

/// Lengths of windows in samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    /// Longest window.
    pub(super) longest: u64,
    /// From one overlapping window to the next; a multiple of the network's shift.
    pub(super) step: u64,
}

/// Speech that has begun: where its next window starts, and whether that is the first.
#[derive(Debug, Clone, Copy)]
struct Open {
    next: u64,
    first: bool,
}

pub(super) struct Cutter {
    detector: Option<VoiceDetector>,
    lengths: Lengths,
    buffer: Vec<f32>,
    /// Place of the first sample of the buffer in the stream.
    origin: u64,
    open: Option<Open>,
    /// Samples before now at which speech may turn out to have begun.
    keep: u64,
    /// Samples after its end at which speech is known to have ended.
    late: u64,
}

impl Cutter {
    /// Cuts at pauses, or, without options, by length alone.
    pub(super) fn new(rate: u32, lengths: Lengths, vad: Option<&VadOptions>) -> Result<Self> {
        let samples = |seconds: f64| (seconds * f64::from(rate)).ceil() as u64;
        let detector = vad.map(|options| VoiceDetector::new(rate, options)).transpose()?;
        let (keep, late) = vad.map_or((0, 0), |options| {
            (
                samples(2.0 * LATENESS + options.padding + options.min_speech),
                samples(LATENESS + options.min_silence),
            )
        });
        let open = detector.is_none().then_some(Open { next: 0, first: true });
        Ok(Self { detector, lengths, buffer: Vec::new(), origin: 0, open, keep, late })
    }

    fn received(&self) -> u64 {
        self.origin + self.buffer.len() as u64
    }

    /// Takes samples; the windows that are complete with them.
    pub(super) fn push(&mut self, samples: &[f32]) -> Vec<Window> {
        self.buffer.extend_from_slice(samples);
        let events = self.detector.as_mut().map_or_else(Vec::new, |d| d.push(samples));
        let mut windows = Vec::new();
        self.follow(events, &mut windows);
        // Had the speech ended inside the window, it would be known by now.
        while let Some(open) = self.open
            && self.received() > open.next + self.lengths.longest + self.late
        {
            self.cut(open, &mut windows);
        }
        self.forget();
        windows
    }

    /// Ends the stream; the windows that were open.
    pub(super) fn finish(&mut self) -> Vec<Window> {
        let mut windows = Vec::new();
        let events = self.detector.as_mut().map_or_else(Vec::new, VoiceDetector::finish);
        self.follow(events, &mut windows);
        let end = self.received();
        if self.open.is_some_and(|open| open.next < end) {
            self.close(end, &mut windows);
        }
        windows
    }

    /// What has been heard of the speech that goes on: its place and samples.
    pub(super) fn unfinished(&self) -> Option<(u64, &[f32])> {
        let open = self.open?;
        let samples = self.buffer.get((open.next - self.origin) as usize..)?;
        Some((open.next, samples))
    }

    fn follow(&mut self, events: Vec<VadEvent>, windows: &mut Vec<Window>) {
        for event in events {
            match event {
                VadEvent::Start { at } => {
                    self.open = Some(Open { next: at.max(self.origin), first: true });
                }
                VadEvent::End(segment) => self.close(segment.end.min(self.received()), windows),
            }
        }
    }

    /// Ends the speech that is open at `end`.
    fn close(&mut self, end: u64, windows: &mut Vec<Window>) {
        while let Some(open) = self.open
            && end > open.next + self.lengths.longest
        {
            self.cut(open, windows);
        }
        if let Some(open) = self.open.take() {
            windows.push(self.window(open, end, true));
        }
    }

    /// A window inside of speech.
    fn cut(&mut self, open: Open, windows: &mut Vec<Window>) {
        windows.push(self.window(open, open.next + self.lengths.longest, false));
        self.open = Some(Open { next: open.next + self.lengths.step, first: false });
    }

    fn window(&self, open: Open, end: u64, closes: bool) -> Window {
        let place = |at: u64| ((at - self.origin) as usize).min(self.buffer.len());
        let samples = self.buffer[place(open.next)..place(end.max(open.next))].to_vec();
        Window { start: open.next, samples, opens: open.first, closes }
    }

    /// Drops samples that no window can need any more.
    fn forget(&mut self) {
        let needed = match self.open {
            Some(open) => open.next,
            None => self.received().saturating_sub(self.keep),
        };
        let gone = needed.saturating_sub(self.origin) as usize;
        // Not for every block: what remains has to be moved.
        if gone > self.buffer.len() / 2 {
            self.buffer.drain(..gone);
            self.origin = needed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: Lengths = Lengths { longest: 32_000, step: 24_000 };

    fn cut(samples: &[f32], block: usize, vad: Option<&VadOptions>) -> Vec<Window> {
        let mut cutter = Cutter::new(16_000, LENGTHS, vad).expect("16 kHz");
        let mut windows = Vec::new();
        for block in samples.chunks(block) {
            windows.extend(cutter.push(block));
            let most = LENGTHS.longest as usize + block.len() + 3 * 16_000;
            assert!(cutter.buffer.len() <= 2 * most, "{}", cutter.buffer.len());
        }
        windows.extend(cutter.finish());
        windows
    }

    /// Pulses through a resonance, in turns of speech and pause: enough for the detector.
    fn voice(seconds: &[(f64, bool)]) -> Vec<f32> {
        let mut samples = Vec::new();
        let (mut a, mut b) = (0.0f32, 0.0f32);
        for &(length, speaks) in seconds {
            for n in 0..(length * 16_000.0) as usize {
                let syllable = (n as f32 / 16_000.0 * 4.0 * std::f32::consts::TAU).sin().max(0.0);
                let pulse = if speaks && n % 130 == 0 { syllable } else { 0.0 };
                let next = pulse + 1.8 * a - 0.87 * b;
                (a, b) = (next, a);
                samples.push(0.1 * next);
            }
        }
        samples
    }

    #[test]
    fn by_length_alone() {
        let samples: Vec<f32> = (0..70_000).map(|n| n as f32).collect();
        let windows = cut(&samples, 1000, None);
        let spans: Vec<_> = windows.iter().map(|w| (w.start, w.samples.len())).collect();
        assert_eq!(spans, [(0, 32_000), (24_000, 32_000), (48_000, 22_000)]);
        assert!(windows.iter().all(|w| w.samples[0] == w.start as f32));
        let marks: Vec<_> = windows.iter().map(|w| (w.opens, w.closes)).collect();
        assert_eq!(marks, [(true, false), (false, false), (false, true)]);
        assert!(cut(&[], 10, None).is_empty());
        assert_eq!(cut(&samples[..1], 1, None).len(), 1);
    }

    #[test]
    fn blocks_do_not_matter() {
        let samples = voice(&[
            (0.7, false),
            (1.0, true),
            (1.2, false),
            (5.3, true),
            (1.0, false),
            (0.9, true),
        ]);
        let options = VadOptions::default();
        let whole = cut(&samples, samples.len(), Some(&options));
        assert!(whole.len() >= 4, "{:?}", whole.iter().map(|w| w.start).collect::<Vec<_>>());
        for block in [160, 1001, 16_000] {
            assert_eq!(cut(&samples, block, Some(&options)), whole, "{block}");
        }
        for window in &whole {
            let place = window.start as usize;
            assert_eq!(window.samples, samples[place..place + window.samples.len()]);
            assert!(window.samples.len() <= LENGTHS.longest as usize);
        }
        for pair in whole.windows(2) {
            assert_eq!(pair[0].closes, pair[1].opens);
            if !pair[1].opens {
                assert_eq!(pair[1].start, pair[0].start + LENGTHS.step);
            }
        }
    }
}
