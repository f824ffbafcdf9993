//! What a recogniser needs to know of its network.

use ndarray::Array2;

use crate::error::Result;

/// Whether a shorter clip has the same answers in a batch with longer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchPadding {
    /// Up to rounding.
    Neutral,
    /// Its answers change: clips of one length alone go together.
    ChangesAnswers,
}

/// A network that answers every few milliseconds which piece of a vocabulary is said, or none.
pub trait CtcNetwork: std::fmt::Debug {
    /// Rate of the samples that it takes, in Hz.
    fn sample_rate(&self) -> u32;

    /// Samples from one answer to the next.
    fn samples_per_answer(&self) -> usize;

    /// The answer that stands for no piece.
    fn blank(&self) -> u32;

    /// What padding does.
    fn padding(&self) -> BatchPadding;

    /// Another handle of the same network, for another thread. It shares the weights.
    fn share(&self) -> Box<dyn CtcNetwork + Send>;

    /// Log-probabilities `[answers, vocabulary]` of every clip of mono samples. Answer `n` is about
    /// the sound from sample `n * samples_per_answer` on. A clip that is too short has no answers.
    ///
    /// # Errors
    /// What computing says.
    fn log_probs(&self, clips: &[&[f32]]) -> Result<Vec<Array2<f32>>>;
}
