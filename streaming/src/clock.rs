//! Stream time: seconds from the first frame on, over changes of rate, and how far the device's
//! clock is from the computer's.

use std::time::{Duration, Instant};

/// Audio after which a device's capture times are taken for true, in seconds: sound servers guess
/// their delay at first.
const GUESSED: f64 = 5.0;
/// Audio after which the drift is first worth telling, in seconds.
const SETTLED: f64 = 10.0;

/// Counts frames, and compares them with the times at which they were captured.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    base: f64,
    frames: u64,
    rate: u32,
    /// A frame of the current device and when it was captured.
    anchor: Option<(u64, Instant)>,
    drift: Option<f64>,
}

impl Clock {
    /// Seconds so far.
    pub(crate) fn now(&self) -> f64 {
        self.base + self.frames as f64 / f64::from(self.rate.max(1))
    }

    /// Counts a block that was captured until `captured`.
    pub(crate) fn audio(&mut self, frames: usize, rate: u32, captured: Instant) {
        self.missing(frames as u64, rate);
        match self.anchor {
            None if self.frames as f64 >= GUESSED * f64::from(rate) => {
                self.anchor = Some((self.frames, captured));
            }
            None => {}
            Some((first, since)) => {
                let heard = (self.frames - first) as f64 / f64::from(rate.max(1));
                let passed = captured.saturating_duration_since(since).as_secs_f64();
                if passed > SETTLED {
                    self.drift = Some((heard / passed - 1.0) * 1e6);
                }
            }
        }
    }

    /// Counts frames that were not heard.
    pub(crate) fn missing(&mut self, frames: u64, rate: u32) {
        if rate != self.rate {
            self.base = self.now();
            (self.frames, self.rate, self.anchor) = (0, rate, None);
        }
        self.frames += frames;
    }

    /// Counts time without a device; what follows may be another one.
    pub(crate) fn away(&mut self, time: Duration) {
        self.base = self.now() + time.as_secs_f64();
        (self.frames, self.anchor) = (0, None);
    }

    /// How much faster than the computer's clock the device's is, in parts per million.
    pub(crate) fn drift(&self) -> Option<f64> {
        self.drift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_over_changes() {
        let (mut clock, start) = (Clock::default(), Instant::now());
        assert_eq!(clock.now(), 0.0);
        clock.audio(8000, 16_000, start);
        clock.audio(48_000, 48_000, start);
        clock.missing(24_000, 48_000);
        assert_eq!(clock.now(), 2.0);
        clock.away(Duration::from_millis(1500));
        clock.audio(4000, 8000, start);
        assert_eq!(clock.now(), 4.0);
    }

    #[test]
    fn drift_is_measured() {
        let (mut clock, start) = (Clock::default(), Instant::now());
        for second in 0..100u32 {
            let late = Duration::from_micros(u64::from(second) * 100);
            clock.audio(16_000, 16_000, start + Duration::from_secs(second.into()) - late);
        }
        let drift = clock.drift().expect("known");
        assert!((drift - 100.0).abs() < 1.0, "{drift}");
    }
}
