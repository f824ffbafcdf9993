//! ECAPA-TDNN: speaker embeddings by time-delay blocks with channel attention and attentive
//! statistics pooling.
//!
//! Source: Desplanques, Thienpondt, Demuynck, "ECAPA-TDNN: Emphasized Channel Attention,
//! Propagation and Aggregation in TDNN Based Speaker Verification" (Interspeech 2020, arXiv
//! 2005.07143), in the three forms that published weights have: SpeechBrain (also 3D-Speaker),
//! WeSpeaker and TaoRuijie/ECAPA-TDNN. Parameter paths equal the reference's keys.

mod adopt;
mod block;
mod card;
mod classifier;
mod config;
mod layers;
mod names;
mod network;
mod pooling;

pub use card::{Calibration, Decision, SpeakerCard};
pub use classifier::{Answers, Classifier};
pub use config::{EcapaConfig, Layout};
pub use network::Ecapa;

/// Keys of published files that are no part of the network: heads of the training, buffers of the
/// front end, counters.
pub const IGNORED_KEYS: &[&str] = &[
    "*num_batches_tracked",
    "projection.*",
    "torchfbank.*",
    "*speaker_encoder.torchfbank.*",
    "speaker_loss.*",
];

/// Tensors beside the network in formant's own files: the mean voice and the cohort of scores.
const COMPANION_KEYS: &[&str] = &["scoring.centre", "scoring.cohort"];
