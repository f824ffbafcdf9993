//! Who speaks: embeddings of voices, comparison of two recordings, and a store of known voices.
//!
//! [`SpeakerEmbedder`] loads a model and turns recordings of any length into [`Embedding`]s;
//! [`Scorer`] compares them; [`Voices`] keeps them in one file and says whose voice one is.

mod companions;
mod embedder;
mod identity;
mod score;
mod session;
mod store;

use crate::checkpoint::Architecture;

pub use crate::arch::ecapa::{Calibration, Decision, SpeakerCard};
pub use embedder::{EmbedOptions, Embedding, SpeakerEmbedder, SpeechOnly, Unusable};
pub use score::{Cohort, Scorer, Spread, Verification, cosine};
pub use session::EmbedSession;
pub use store::{Identification, Voice, Voices};

/// The architectures whose checkpoints [`SpeakerEmbedder`] runs.
pub const ARCHITECTURES: &[Architecture] = &[Architecture::EcapaTdnn];
