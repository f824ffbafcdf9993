//! Work on what is being spoken: windows of what was just heard, of which only the newest part is new,
//! and a delay that is known before.
//!
//! A run at `end` hears `context + hop + look-ahead` up to there and settles what lies before the
//! look-ahead; neighboring runs are cross-faded. Where runs are made depends on sample counts alone,
//! so that blocks of any size give the same.

use formant_audio_core::AudioSpec;
use formant_audio_core::resample::{Quality, StreamResampler};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Seconds over which one run's answer becomes the next one's.
const FADE: f64 = 0.01;
/// Seconds that are settled by a run at least: a network that is run more often does nothing else.
const SHORTEST_HOP: f64 = 0.02;

/// What live work may cost in time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveOptions {
    /// Seconds after which a sample is given out at the latest, work apart.
    pub latency_seconds: f64,
    /// Seconds behind a sample that the network hears before the sample is settled; part of the
    /// latency.
    pub look_ahead_seconds: f64,
    /// Seconds of the past that the network hears besides what it settles.
    pub context_seconds: f64,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { latency_seconds: 0.5, look_ahead_seconds: 0.08, context_seconds: 1.0 }
    }
}

/// Where the time goes, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LiveTiming {
    /// From one run of the network to the next.
    pub hop: f64,
    /// What is heard behind a sample before it is settled.
    pub look_ahead: f64,
    /// What the resamplers to the network's rate and back hold back.
    pub resampling: f64,
    /// The past that is heard again with every run.
    pub context: f64,
}

impl LiveTiming {
    /// Seconds after which a sample is given out at the latest, work apart.
    #[must_use]
    pub fn latency(&self) -> f64 {
        self.hop + self.look_ahead + self.resampling
    }

    /// Seconds of audio that the network hears for each second that is settled.
    #[must_use]
    pub fn effort(&self) -> f64 {
        (self.context + self.hop + self.look_ahead) / self.hop
    }
}

/// Sizes in samples of the network's rate, all of them on the grid of its frames so that the
/// frames of neighbouring runs lie at the same places.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    hop: usize,
    look_ahead: usize,
    context: usize,
    fade: usize,
}

/// A resampler that is short in time, which counts here: what it costs lies above 0.94 of half the
/// lower rate.
///
/// # Errors
/// When the ratio can't be planned.
pub(super) fn soon(from: u32, to: u32) -> Result<StreamResampler> {
    Ok(StreamResampler::low_latency(AudioSpec::mono(from), to, Quality::Fast)?)
}

/// The newest samples at the network's rate, and what of them is settled.
pub(super) struct Rolling {
    sizes: Sizes,
    timing: LiveTiming,
    recent: Vec<f32>,
    /// The place of the first of them.
    first: usize,
    /// Where the next run is made.
    due: usize,
    /// What was settled so far, and the last run's answer behind that.
    settled: usize,
    tail: Vec<f32>,
}

impl Rolling {
    /// For a network of frames of some length and distance at `rate`, with resamplers that hold back
    /// `resampling` seconds.
    ///
    /// # Errors
    /// [`Error::Config`] for options out of range, with the shortest latency that would do.
    pub(super) fn new(
        live: &LiveOptions,
        rate: u32,
        frames: (usize, usize),
        resampling: f64,
    ) -> Result<Self> {
        let sizes = sizes(live, rate, frames, resampling)?;
        let seconds = |samples: usize| samples as f64 / f64::from(rate);
        let timing = LiveTiming {
            hop: seconds(sizes.hop),
            look_ahead: seconds(sizes.look_ahead),
            resampling,
            context: seconds(sizes.context),
        };
        let due = sizes.hop + sizes.look_ahead;
        Ok(Self { sizes, timing, recent: Vec::new(), first: 0, due, settled: 0, tail: Vec::new() })
    }

    /// Where the time goes.
    pub(super) fn timing(&self) -> LiveTiming {
        self.timing
    }

    /// Samples from one run to the next.
    pub(super) fn hop(&self) -> usize {
        self.sizes.hop
    }

    /// Makes the runs that are due with these samples: `run` answers a window with as many samples.
    ///
    /// # Errors
    /// What `run` says.
    pub(super) fn hear(
        &mut self,
        samples: &[f32],
        mut run: impl FnMut(&[f32]) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        self.recent.extend(samples);
        let mut clean = Vec::new();
        while self.first + self.recent.len() >= self.due {
            clean.extend(self.run(self.due, self.due - self.sizes.look_ahead, &mut run)?);
            self.due += self.sizes.hop;
            let needed = self.settled.saturating_sub(self.sizes.context);
            self.recent.drain(..needed - self.first);
            self.first = needed;
        }
        Ok(clean)
    }

    /// Settles the rest of a stream that is over.
    ///
    /// # Errors
    /// What `run` says.
    pub(super) fn finish(
        &mut self,
        mut run: impl FnMut(&[f32]) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        let end = self.first + self.recent.len();
        if end > self.settled { self.run(end, end, &mut run) } else { Ok(Vec::new()) }
    }

    /// Hears what is known before `end`, and settles what lies before `until`.
    fn run(
        &mut self,
        end: usize,
        until: usize,
        run: &mut impl FnMut(&[f32]) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        let mut answer = run(&self.recent[..end - self.first])?;
        let (from, to) = (self.settled - self.first, until - self.first);
        let steps = self.tail.len() as f32 + 1.0;
        for (n, (now, before)) in answer[from..].iter_mut().zip(&self.tail).enumerate() {
            let share = (n + 1) as f32 / steps;
            *now = share * *now + (1.0 - share) * before;
        }
        self.tail = answer[to..(to + self.sizes.fade).min(answer.len())].to_vec();
        self.settled = until;
        Ok(answer[from..to].to_vec())
    }
}

fn sizes(
    live: &LiveOptions,
    rate: u32,
    (frame, grid): (usize, usize),
    resampling: f64,
) -> Result<Sizes> {
    let LiveOptions { latency_seconds: latency, look_ahead_seconds, context_seconds } = *live;
    if !(0.0..=10.0).contains(&latency) {
        return Err(Error::config("latency", format!("{latency} s is not between 0 and 10 s")));
    }
    if !(0.0..=60.0).contains(&context_seconds) {
        let reason = format!("{context_seconds} s is not between 0 and 60 s");
        return Err(Error::config("context", reason));
    }
    let rate = f64::from(rate);
    let on_grid = |seconds: f64| ((seconds * rate / grid as f64).round() as usize) * grid;
    let fade = (FADE * rate) as usize;
    // Samples whose frames are not complete yet are not settled.
    let least = (fade + frame).next_multiple_of(grid);
    let wanted =
        if look_ahead_seconds.is_finite() { look_ahead_seconds.clamp(0.0, 10.0) } else { 0.0 };
    let look_ahead = on_grid(wanted).max(least);
    let before = look_ahead as f64 / rate + resampling;
    let hop = ((latency - before) * rate / grid as f64 + 1e-6).floor().max(0.0) as usize * grid;
    if (hop as f64) < SHORTEST_HOP * rate {
        let least = before + SHORTEST_HOP + grid as f64 / rate;
        let reason = format!(
            "{latency} s is too short: look-ahead and resampling take {before:.3} s; give \
             {:.2} s or more",
            (least * 100.0).ceil() / 100.0
        );
        return Err(Error::config("latency", reason));
    }
    Ok(Sizes { hop, look_ahead, context: on_grid(context_seconds), fade })
}
