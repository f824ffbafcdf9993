//! HiFi-SR: super-resolution of speech. A MossFormer2 encoder turns a log-mel spectrogram into
//! latents, a generator of transposed convolutions turns latents into samples.
//!
//! Source: Zhao et al., "HiFi-SR" (ICASSP 2025, arXiv 2501.10045), released as MossFormer2_SR_48K.
//! Parameter paths equal the keys of the two released files, each below its own prefix.

mod adopt;
mod card;
mod config;
mod network;

pub use card::HifiSrCard;
pub use config::HifiSrConfig;
pub use network::{FrozenHifiSr, HifiSr};

pub use super::generator::{Generator, GeneratorConfig, ResBlockKind};

/// A super-resolution network with its card.
pub type HifiSrModel = crate::model::Model<HifiSr>;
