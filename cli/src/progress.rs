//! How far a batch is: one bar for all of its inputs, by the audio that was heard, with elapsed and
//! remaining time. It appears after a moment, so that short work has none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::messages::Messages;
use crate::times::hours;

/// Work that is done sooner has no bar.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two looks of the bar.
const BREATH: Duration = Duration::from_millis(100);
/// Steps of the bar.
const STEPS: f64 = 10_000.0;
/// Work that took less has no last line about its speed, unless there are several inputs.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// The progress of a batch. Clones share it.
#[derive(Clone)]
pub(crate) struct Progress {
    state: Arc<Mutex<State>>,
}

struct State {
    bar: ProgressBar,
    inputs: usize,
    began: Instant,
    /// When the first audio was heard: loading a model is no measure of the work.
    heard: Option<Instant>,
    ended: usize,
    /// What the inputs in work have heard, by their numbers.
    open: BTreeMap<usize, Heard>,
    /// Seconds of audio of the inputs that have ended.
    seconds: f64,
    /// When the figures were made last.
    shown: Instant,
}

#[derive(Clone, Copy, Default)]
struct Heard {
    seconds: f64,
    /// `None` where the length is not known.
    total: Option<f64>,
}

impl Progress {
    /// Of a batch of so many inputs.
    pub(crate) fn new(inputs: usize, messages: &Messages) -> Self {
        let state = State {
            bar: messages.work_bar(STEPS as u64),
            inputs,
            began: Instant::now(),
            heard: None,
            ended: 0,
            open: BTreeMap::new(),
            seconds: 0.0,
            shown: Instant::now(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The input number `index` has been heard so far, of `total` seconds where that is known.
    pub(crate) fn heard(&self, index: usize, seconds: f64, total: Option<f64>) {
        let mut state = self.state();
        state.heard.get_or_insert_with(Instant::now);
        state.open.insert(index, Heard { seconds, total });
        state.show();
    }

    /// The input number `index` is done.
    pub(crate) fn ended(&self, index: usize) {
        let mut state = self.state();
        state.seconds += state.open.remove(&index).map_or(0.0, |heard| heard.seconds);
        state.ended += 1;
        state.show();
    }

    /// Removes the bar; says how long the work took relative to the audio, where that is of interest.
    pub(crate) fn finish(&self) -> Option<String> {
        let state = self.state();
        state.bar.finish_and_clear();
        let took = state.began.elapsed();
        let is_told = took >= WORTH_TELLING && state.seconds > 0.0;
        is_told.then(|| speed(state.seconds, took))
    }
}

impl State {
    fn show(&mut self) {
        // Short blocks come ten thousand times a second.
        if self.began.elapsed() < PATIENCE || self.shown.elapsed() < BREATH {
            return;
        }
        self.shown = Instant::now();
        let share = self.share();
        self.bar.set_position((STEPS * share.unwrap_or(0.0)) as u64);
        self.bar.set_message(self.figures(share, self.heard.map(|at| at.elapsed())));
    }

    /// Share of the work that is done; `None` for one input of unknown length.
    fn share(&self) -> Option<f64> {
        let of = |heard: &Heard| Some((heard.seconds / heard.total.filter(|t| *t > 0.0)?).min(1.0));
        if self.inputs == 1 {
            return self.open.values().next().map_or(Some(self.ended as f64), of);
        }
        let open: f64 = self.open.values().filter_map(of).sum();
        Some((self.ended as f64 + open) / self.inputs as f64)
    }

    fn figures(&self, share: Option<f64>, working: Option<Duration>) -> String {
        let heard: f64 = self.seconds + self.open.values().map(|open| open.seconds).sum::<f64>();
        let mut text = match self.inputs {
            1 => hours(heard),
            inputs => format!("{}/{inputs} files, {}", self.ended, hours(heard)),
        };
        let Some(working) = working.filter(|working| !working.is_zero()) else { return text };
        let working = working.as_secs_f64();
        text += &format!(" heard, {:.0}x; {}", heard / working, hours(working));
        // Of the whole work so far, so that one slow stretch does not make it jump.
        if let Some(share) = share.filter(|share| *share > 0.0) {
            text += &format!(", {} left", hours(working * (1.0 - share) / share));
        }
        text
    }
}

/// `0:00:12 of audio in 0:00:03, 4.0 times as fast as real time`.
fn speed(seconds: f64, took: Duration) -> String {
    let took = took.as_secs_f64();
    let times = seconds / took.max(1e-9);
    let times = if times < 10.0 { format!("{times:.1}") } else { format!("{times:.0}") };
    format!("{} of audio in {}, {times} times as fast as real time", hours(seconds), hours(took))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Verbosity;

    #[test]
    fn remaining_time_goes_by_the_work_done() {
        let progress = Progress::new(1, &Messages::new(Verbosity::Quiet));
        progress.heard(0, 60.0, Some(90.0));
        let state = progress.state();
        let share = state.share();
        assert!(share.is_some_and(|share| (share - 2.0 / 3.0).abs() < 1e-9));
        let text = state.figures(share, Some(Duration::from_secs(6)));
        assert_eq!(text, "0:01:00 heard, 10x; 0:00:06, 0:00:03 left");
    }

    #[test]
    fn inputs_count_alike_and_unknown_lengths_promise_nothing() {
        let messages = Messages::new(Verbosity::Quiet);
        let several = Progress::new(4, &messages);
        several.heard(0, 10.0, Some(10.0));
        several.ended(0);
        several.heard(1, 5.0, Some(10.0));
        several.heard(2, 5.0, None);
        assert_eq!(several.state().share(), Some(1.5 / 4.0));
        let stream = Progress::new(1, &messages);
        stream.heard(0, 5.0, None);
        let state = stream.state();
        assert_eq!(state.share(), None);
        let text = state.figures(None, Some(Duration::from_secs(1)));
        assert_eq!(text, "0:00:05 heard, 5x; 0:00:01");
    }

    #[test]
    fn speeds_are_told_relative_to_real_time() {
        let text = speed(3725.0, Duration::from_secs(25));
        assert_eq!(text, "1:02:05 of audio in 0:00:25, 149 times as fast as real time");
        let progress = Progress::new(1, &Messages::new(Verbosity::Quiet));
        progress.heard(0, 1.0, None);
        progress.ended(0);
        assert_eq!(progress.finish(), None, "too short to tell");
    }
}
