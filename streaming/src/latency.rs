//! Durations of one stage, in memory that does not grow: their number, percentiles and maximum.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The shortest duration that is told apart, in seconds.
const SHORTEST: f64 = 1e-6;
/// Steps for each doubling; a percentile is exact to 2 %.
const STEPS: f64 = 32.0;
/// Up to 10^6 s.
const BUCKETS: usize = 32 * 40;

/// A histogram of durations with buckets that grow with the duration.
#[derive(Debug, Clone)]
pub struct Latency {
    counts: Vec<u32>,
    total: u64,
    longest: f64,
}

/// What a histogram says, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many durations there were.
    pub count: u64,
    /// Half of them were at most this long.
    pub p50: f64,
    /// 95 % of them were at most this long.
    pub p95: f64,
    /// 99 % of them were at most this long.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, longest: 0.0 }
    }
}

impl Latency {
    /// Counts a duration.
    pub fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let step = (STEPS * (seconds / SHORTEST).max(1.0).log2()).floor() as usize;
        let bucket = &mut self.counts[step.min(BUCKETS - 1)];
        *bucket = bucket.saturating_add(1);
        self.total += 1;
        self.longest = self.longest.max(seconds);
    }

    /// The figures so far; `None` before the first duration.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        if self.total == 0 {
            return None;
        }
        let at = |share: f64| {
            let rank = ((share * self.total as f64).ceil() as u64).max(1);
            let mut seen = 0;
            let bucket = self.counts.iter().position(|&count| {
                seen += u64::from(count);
                seen >= rank
            });
            let upper = SHORTEST * ((bucket.unwrap_or(BUCKETS) + 1) as f64 / STEPS).exp2();
            1e3 * upper.min(self.longest)
        };
        Some(Percentiles {
            count: self.total,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: 1e3 * self.longest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_close() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentiles(), None);
        for n in 1..=1000u64 {
            latency.add(Duration::from_micros(n * 100));
        }
        let found = latency.percentiles().expect("some");
        for (is, should) in [(found.p50, 50.0), (found.p95, 95.0), (found.p99, 99.0)] {
            assert!((is / should - 1.0).abs() < 0.03, "{is} for {should}");
        }
        assert_eq!((found.count, found.max), (1000, 100.0));
    }

    #[test]
    fn extremes_are_counted() {
        let mut latency = Latency::default();
        for duration in [Duration::ZERO, Duration::from_secs(10_000_000)] {
            latency.add(duration);
        }
        let found = latency.percentiles().expect("some");
        assert!(found.p50 <= 0.002 && found.p99 > 1e8, "{found:?}");
    }
}
