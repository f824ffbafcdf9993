//! What a session measures about itself: delays of each stage, work, load, and losses.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use formant_audio_core::Warning;
use serde::{Deserialize, Serialize};

use crate::latency::{Latency, Percentiles};

/// Ticks a second in which Linux counts processor time for programs to see.
#[cfg(target_os = "linux")]
const TICKS: f64 = 100.0;

/// One stage of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageStats {
    /// `capture` (from the device to the session), `resample`, and for each task its `wait`, its
    /// `work` on a block, and the delay of its events from the capture of what they rest on; for
    /// enhancement, that of its oldest sample to the file or the loudspeaker.
    pub stage: String,
    /// Milliseconds.
    pub latency_ms: Percentiles,
    /// Time of work for each second of audio, where the stage works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_time_factor: Option<f64>,
}

/// The figures of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Length of the stream.
    pub seconds: f64,
    /// Time since the start.
    pub wall_seconds: f64,
    /// Share of one core that the whole program took; `None` where that can't be known.
    pub cpu_load: Option<f64>,
    /// How much faster than the computer's clock the device's is, in parts per million.
    pub drift_ppm: Option<f64>,
    /// How often frames were lost between device and session.
    pub overruns: u64,
    /// Frames that were lost, whatever the cause.
    pub lost_frames: u64,
    /// Seconds that tasks skipped because they were too slow.
    pub shed_seconds: f64,
    /// Samples that were no finite numbers and were heard as zero.
    pub non_finite: u64,
    /// How often an output device had nothing to play.
    #[serde(default)]
    pub underruns: u64,
    /// What was odd about the source, as in a file that is damaged.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Each stage.
    pub stages: Vec<StageStats>,
}

#[derive(Debug, Default)]
struct Meter {
    latency: Latency,
    busy: Duration,
    audio: f64,
}

/// Counts of the reader, but for the last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) seconds: f64,
    pub(crate) drift_ppm: Option<f64>,
    pub(crate) overruns: u64,
    pub(crate) lost_frames: u64,
    pub(crate) shed_seconds: f64,
    pub(crate) non_finite: u64,
    /// Told by the worker that has the output device.
    pub(crate) underruns: u64,
}

/// Collects the figures of all threads.
#[derive(Debug)]
pub(crate) struct Meters {
    start: Instant,
    cpu: Option<f64>,
    stages: Mutex<BTreeMap<String, Meter>>,
    counts: Mutex<Counts>,
    warnings: Mutex<Vec<String>>,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            cpu: cpu_seconds(),
            stages: Mutex::default(),
            counts: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    /// A delay.
    pub(crate) fn delay(&self, stage: &str, delay: Duration) {
        self.work(stage, delay, 0.0);
    }

    /// Work on `audio` seconds.
    pub(crate) fn work(&self, stage: &str, time: Duration, audio: f64) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if !stages.contains_key(stage) {
            stages.insert(stage.to_owned(), Meter::default());
        }
        if let Some(meter) = stages.get_mut(stage) {
            meter.latency.add(time);
            meter.busy += time;
            meter.audio += audio;
        }
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What was odd about the source, once it is over.
    pub(crate) fn warn(&self, warnings: &[Warning]) {
        let texts = warnings.iter().map(ToString::to_string).collect();
        *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = texts;
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> Stats {
        let counts = self.counts();
        let wall_seconds = self.start.elapsed().as_secs_f64();
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = |(name, meter): (&String, &Meter)| {
            let latency_ms = meter.latency.percentiles()?;
            let real_time_factor =
                (meter.audio > 0.0).then(|| meter.busy.as_secs_f64() / meter.audio);
            Some(StageStats { stage: name.clone(), latency_ms, real_time_factor })
        };
        let cpu = self.cpu.zip(cpu_seconds()).map(|(before, now)| now - before);
        Stats {
            seconds: counts.seconds,
            wall_seconds,
            cpu_load: cpu.map(|seconds| seconds / wall_seconds.max(1e-9)),
            drift_ppm: counts.drift_ppm,
            overruns: counts.overruns,
            lost_frames: counts.lost_frames,
            shed_seconds: counts.shed_seconds,
            non_finite: counts.non_finite,
            underruns: counts.underruns,
            warnings: self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            stages: stages.iter().filter_map(stage).collect(),
        }
    }
}

/// Processor time of this program so far.
fn cpu_seconds() -> Option<f64> {
    #[cfg(target_os = "linux")]
    {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The name, in brackets, may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
        Some((ticks(11)? + ticks(12)?) / TICKS)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_kept_apart() {
        let meters = Meters::new();
        meters.delay("capture", Duration::from_millis(3));
        meters.work("spot work", Duration::from_millis(1), 0.01);
        meters.count(|counts| counts.lost_frames += 5);
        let stats = meters.stats();
        let names: Vec<&str> = stats.stages.iter().map(|stage| stage.stage.as_str()).collect();
        assert_eq!(names, ["capture", "spot work"]);
        assert_eq!((stats.stages[0].real_time_factor, stats.lost_frames), (None, 5));
        assert!((stats.stages[1].real_time_factor.expect("work") - 0.1).abs() < 1e-9);
        assert_eq!(stats.cpu_load.is_some(), cfg!(target_os = "linux"));
    }
}
