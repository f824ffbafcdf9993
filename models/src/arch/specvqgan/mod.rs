//! SpecVQGAN: a tokenizer of spectrograms. An encoder makes a grid of latents, each of which a codebook
//! replaces by its nearest code; a decoder makes a spectrogram of codes.
//!
//! Source: Iashin and Rahtu, "Taming Visually Guided Sound Generation" (BMVC 2021, arXiv 2110.08791).
//! Parameter paths equal the keys of the released checkpoints.

mod adopt;
mod blocks;
mod card;
mod config;
mod decoder;
mod encoder;
mod frozen;
mod network;

pub use card::SpecVqganCard;
pub use config::SpecVqganConfig;
pub use network::SpecVqgan;

/// A tokenizer with its card.
pub type SpecVqganModel = crate::model::Model<SpecVqgan>;
