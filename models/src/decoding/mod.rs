//! From the answers of a CTC network to tokens: greedy, by prefix beam search with language model
//! and hot words, and by alignment of a known text.
//!
//! Everything here works on log-probabilities `[frames, vocabulary]` and knows neither audio nor
//! libtorch; pieces and their text are in [`crate::text`].

mod align;
mod beam;
mod context;
mod greedy;
mod hotwords;
mod ngram;

use serde::{Deserialize, Serialize};

pub use align::{Alignment, align};
pub use beam::{Candidate, prefix_search};
pub use context::{Context, Fusion, FusionOptions};
pub use greedy::greedy;
pub use hotwords::{DEFAULT_BOOST, Hotwords};
pub use ngram::{NgramModel, NgramState};

/// A token and where it was said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its place in the vocabulary.
    pub id: u32,
    /// First frame.
    pub start: usize,
    /// The frame after the last.
    pub end: usize,
    /// Probability in the frame in which it is highest.
    pub confidence: f32,
}

/// The geometric mean of the confidences, 0 for no tokens.
#[must_use]
pub fn mean_confidence(tokens: &[Token]) -> f32 {
    if tokens.is_empty() {
        return 0.0;
    }
    let sum: f64 = tokens.iter().map(|token| f64::from(token.confidence.max(1e-30)).ln()).sum();
    (sum / tokens.len() as f64).exp().min(1.0) as f32
}
