//! MossFormer and MossFormer2: separation of voices in the time domain, and masks for enhancement.
//!
//! Source: Zhao and Ma, "MossFormer" (ICASSP 2023, arXiv 2302.11824); Zhao et al., "MossFormer2"
//! (ICASSP 2024, arXiv 2312.11825). Parameter paths equal the keys of the released checkpoints.

mod adopt;
mod card;
mod codec;
mod config;
mod fourier;
mod mask_net;
mod network;

pub use adopt::{MossFormer, Network};
pub use card::MossformerCard;
pub use config::{Family, MossformerConfig, Output};
pub use mask_net::{FrozenMaskNet, MaskNet};
pub use network::{FrozenMaskEstimator, FrozenSourceSeparator, MaskEstimator, SourceSeparator};

/// A separator or enhancer with its card.
pub type MossformerModel = crate::model::Model<MossFormer>;
