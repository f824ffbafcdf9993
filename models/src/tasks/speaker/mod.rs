//! Who speaks: embeddings of voices, comparison of two recordings, and a store of known voices.
//!
//! [`SpeakerEmbedder`] loads a model and turns recordings of any length into [`Embedding`]s;
//! [`Scorer`] compares them; [`Voices`] keeps them in one file and says whose voice one is.

mod card;
mod embedder;
mod files;
mod score;
mod session;
mod store;

use crate::checkpoint::Architecture;

pub use card::{Calibration, Decision, SpeakerCard};
pub use embedder::{EmbedOptions, Embedding, SpeakerEmbedder, SpeechOnly, Unusable};
pub use score::{Cohort, Scorer, Spread, Verification, cosine};
pub use session::EmbedSession;
pub use store::{Identification, Voice, Voices};

/// The architectures whose checkpoints [`SpeakerEmbedder`] runs.
pub const ARCHITECTURES: &[Architecture] = &[Architecture::EcapaTdnn];
