//! CLAP: embeddings of descriptions of sounds, in a space that they share with embeddings of sounds. Here
//! is the text tower, a RoBERTa whose first token is projected.
//!
//! Source: Wu et al., "Large-scale Contrastive Language-Audio Pretraining" (ICASSP 2023, arXiv
//! 2211.06687); Liu et al., "RoBERTa" (arXiv 1907.11692). Parameter paths equal the keys of the released
//! checkpoints.

mod adopt;
mod card;
mod config;
mod layer;
mod network;
mod words;

pub use card::ClapCard;
pub use config::ClapConfig;
pub use network::ClapText;
pub use words::{WordPieces, Words};

/// A text tower with its card.
pub type ClapTextModel = crate::model::Model<ClapText>;
