//! Vocoders by adversarial training: HiFi-GAN, BigVGAN (both versions) and BigVSAN, MelGAN. Log-mel
//! spectrograms become samples in one pass.
//!
//! Source: Kong et al., "HiFi-GAN" (NeurIPS 2020, arXiv 2010.05646); Lee et al., "BigVGAN" (ICLR 2023,
//! arXiv 2206.04658); Shibuya et al., "BigVSAN" (ICASSP 2024, arXiv 2309.02836); Kumar et al., "MelGAN"
//! (NeurIPS 2019, arXiv 1910.06711). Parameter paths equal the keys of the released files.

mod adopt;
mod card;
mod config;
mod melgan;
mod network;

pub use card::GanVocoderCard;
pub use config::{BigVganConfig, GanVocoderConfig, HifiGanConfig, MelGanConfig, PeriodicKind};
pub use network::{FrozenGanVocoder, GanVocoder};

pub use super::generator::{GeneratorConfig, ResBlockKind};

/// A vocoder with its card.
pub type GanVocoderModel = crate::model::Model<GanVocoder>;
