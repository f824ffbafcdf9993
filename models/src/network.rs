//! What every network offers, whatever its architecture: facts about itself, and named
//! intermediate activations for parity tests.

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Facts about a network that callers need before they use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// Architecture, as in the detection table: `lmuformer`, ...
    pub architecture: String,
    /// Number of trainable parameters.
    pub parameters: u64,
    /// Frames of look-ahead: output `t` needs input up to frame `t + lookahead_frames`.
    pub lookahead_frames: usize,
    /// Shortest useful input in frames.
    pub minimum_frames: usize,
    /// Input frames from one output to the next; `usize::MAX` where a signal gives one output.
    pub frames_per_output: usize,
}

/// Receives named intermediate activations; the names follow the reference's module paths.
pub trait Trace {
    /// Called once for every activation, in the order of computation.
    fn record(&mut self, name: &str, activation: &Tensor);
}

/// Records nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    fn record(&mut self, _name: &str, _activation: &Tensor) {}
}

impl Trace for Vec<(String, Tensor)> {
    fn record(&mut self, name: &str, activation: &Tensor) {
        self.push((name.to_owned(), activation.shallow_clone()));
    }
}

/// A network that can be fed block by block.
pub trait StreamingNetwork {
    /// Everything that has to be carried from one block to the next.
    type State;

    /// The state before the first block of `batch` parallel streams.
    fn start(&self, batch: i64) -> Self::State;

    /// Feeds one block of any length, `[batch, frames, features]`, and returns the outputs that
    /// are now known, `[batch, outputs, classes]`; `None` where there is none yet.
    fn step(&self, state: &mut Self::State, block: &Tensor) -> Option<Tensor>;

    /// Ends the stream and returns the outputs that were still waiting for look-ahead.
    fn finish(&self, state: Self::State) -> Option<Tensor>;

    /// Frames by which outputs lag behind inputs.
    fn latency(&self) -> usize;
}
