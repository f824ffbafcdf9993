//! How a training tells its caller what it is doing; this crate never prints.

use serde::Serialize;

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrainingEvent {
    /// Files are being decoded.
    Decoding {
        /// Files done.
        done: usize,
        /// All files.
        total: usize,
    },
    /// Speech without words is searched for stretches that fool a model.
    Mining {
        /// Clips done.
        done: usize,
        /// All clips.
        total: usize,
        /// Stretches found so far.
        found: usize,
    },
    /// A remark about the data, such as a file that was left out.
    Note {
        /// The remark.
        text: String,
    },
    /// A training step was taken.
    Step {
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
        /// Steps in an epoch.
        steps: usize,
        /// Loss, averaged over the last steps.
        loss: f64,
    },
    /// An epoch was finished and validated.
    Epoch {
        /// Epoch, from 1.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// Mean training loss.
        loss: f64,
        /// Validation score, higher is better.
        score: f64,
        /// Whether this is the best epoch so far.
        best: bool,
        /// Seconds since the start of this run.
        seconds: f64,
        /// Task-specific figures in one line.
        detail: String,
    },
}

/// Receives events; shared by the threads that prepare data.
pub trait Progress: Sync {
    /// Called for every event.
    fn event(&self, event: &TrainingEvent);

    /// Whether the caller wants to stop; asked often.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Ignores everything and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: &TrainingEvent) {}
}
