//! LMUFormer: streaming keyword spotting with a Legendre memory in place of attention.
//!
//! Source: Liu, Datta, Li, Beerel, "LMUFormer: Low Complexity Yet Powerful Spiking Model With
//! Legendre Memory Units" (ICLR 2024, arXiv 2402.04882) and the reference zeyuliu1037/LMUFormer,
//! variants `lmu_rnn_conv1d` and `slmu_rnn_ms_conv1d`. Parameter paths equal the reference's keys.

mod adopt;
mod card;
mod config;
mod network;
mod plain;
mod spiking;

pub use card::{Activation, DetectionDefaults, SpotCard};
pub use config::{LmuFormerConfig, Variant};
pub use network::{LmuFormer, LmuFormerState};

/// Keys of reference checkpoints that are rebuilt rather than loaded: the spectrum of the impulse
/// response, of which the time-domain form needs no copy.
pub const IGNORED_KEYS: &[&str] = &["*.lmu.fft_H", "*.num_batches_tracked"];

/// Words of the published checkpoints, in the order of their outputs (the label file's order).
pub const SPEECH_COMMANDS_35: [&str; 35] = [
    "backward", "follow", "five", "bed", "zero", "on", "learn", "two", "house", "tree", "dog",
    "stop", "seven", "eight", "down", "six", "forward", "cat", "right", "visual", "four", "wow",
    "no", "nine", "off", "three", "left", "marvin", "yes", "up", "sheila", "happy", "bird", "go",
    "one",
];
