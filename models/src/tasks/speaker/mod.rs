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

pub use crate::arch::ecapa::{Calibration, Decision, SpeakerCard};
pub use embedder::{EmbedOptions, Embedded, Embedding, SpeakerEmbedder, SpeechOnly, Unusable};
pub use score::{Cohort, Scorer, Verification, cosine};
pub use session::EmbedSession;
pub use store::{Identification, Voice, Voices};
