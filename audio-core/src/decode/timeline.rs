//! Where packets lie in time: gaps between them are found by the container's clock.

use super::outline::NANOS;

/// Lags below this are jitter, in nanoseconds.
const MIN_LAG: u64 = NANOS / 10;
/// A clock is wrong when nearly all packets are so much apart, in nanoseconds, and so many times
/// their own duration.
const MIN_WRONG_STEP: u64 = NANOS / 20;
const WRONG_RATIO: u64 = 3;
/// The longest gap that is believed of a container that does not say how long it is.
const MAX_GAP: u64 = 600 * NANOS;
/// The longest track that is believed of any container.
const MAX_LENGTH: u64 = 48 * 3600 * NANOS;

/// Compares the times of packets with what has been decoded. A gap is a step between one packet
/// and the next by which the audio falls behind; clocks that drift apart do not step.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Time of the first packet, in nanoseconds.
    base: Option<i64>,
    /// Where the track ends, counted from its first packet.
    end: Option<u64>,
    /// Frames up to here, silence included.
    frames: u64,
    /// Frames of the packet before.
    last: u64,
    /// Its time, counted from the first packet.
    previous: u64,
    /// The time that lies between nearly all packets at least.
    step: u64,
    /// The duration of the longest packet so far.
    longest: u64,
}

impl Timeline {
    pub(super) fn new(end: Option<u64>, step: Option<u64>) -> Self {
        Self { end, step: step.unwrap_or(0), ..Self::default() }
    }

    /// The usual time from packet to packet and the duration of a packet, where nearly all leave
    /// such gaps that the clock is wrong and not the packets lost.
    pub(super) fn wrong_clock(&self) -> Option<(u64, u64)> {
        let wrong = self.longest > 0
            && self.step >= MIN_WRONG_STEP
            && self.step / WRONG_RATIO >= self.longest;
        wrong.then_some((self.step, self.longest))
    }

    /// Frames that are missing in front of a packet at `time`.
    pub(super) fn missing(&mut self, time: i64, rate: u32) -> u64 {
        let base = *self.base.get_or_insert(time);
        let time = u64::try_from(time.saturating_sub(base)).unwrap_or(0);
        let nanos = |frames: u64| nanos_of(frames, rate);
        self.longest = self.longest.max(nanos(self.last));
        let step = time.saturating_sub(self.previous).saturating_sub(nanos(self.last));
        let lag = time.saturating_sub(nanos(self.frames));
        self.previous = time;
        let plausible = match self.end {
            Some(end) => time <= end.min(MAX_LENGTH),
            None => lag <= MAX_GAP,
        };
        let stepped = step >= (nanos(self.last) / 2).max(NANOS / 200);
        if lag < MIN_LAG || !stepped || !plausible {
            return 0;
        }
        super::symphonia_backend::frames_of(lag, rate)
    }

    /// A packet gave `frames` frames.
    pub(super) fn packet(&mut self, frames: u64) {
        self.last = frames;
        self.frames += frames;
    }

    /// Silence was put in.
    pub(super) fn silence(&mut self, frames: u64) {
        self.frames += frames;
    }
}

/// The time that `frames` take, in nanoseconds.
fn nanos_of(frames: u64, rate: u32) -> u64 {
    let nanos = u128::from(frames) * u128::from(NANOS) / u128::from(rate.max(1));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// The frames that are missing in front of each packet of 20 ms at 48 kHz.
    fn gaps(times: &[i64], end: Option<u64>) -> Vec<u64> {
        let mut timeline = Timeline::new(end, None);
        times
            .iter()
            .map(|time| {
                let missing = timeline.missing(time * MS, 48_000);
                timeline.silence(missing);
                timeline.packet(960);
                missing
            })
            .collect()
    }

    #[test]
    fn f5_steps_become_gaps() {
        assert_eq!(gaps(&[500, 520, 3540, 3560], None), [0, 0, 3000 * 48, 0]);
        // Single packets are missing again and again.
        let holes: Vec<i64> = (0..40).map(|n| n * 40).collect();
        let filled: u64 = gaps(&holes, None).iter().sum();
        assert!(filled + 100 * 48 >= 39 * 960 && filled <= 39 * 960, "{filled}");
    }

    #[test]
    fn f5_jitter_and_drift_are_left_alone() {
        assert_eq!(gaps(&[0, 45, 41, 60, 130, 100, 120], None), [0; 7]);
        let drift: Vec<i64> = (0..3000).map(|n| n * 20 + n / 10).collect();
        assert!(gaps(&drift, None).iter().all(|&gap| gap == 0));
        // Back in time, and far beyond the end of the track.
        assert_eq!(gaps(&[1000, 0, 9_000_000], Some(60 * NANOS)), [0; 3]);
    }
}
