//! SpecMaskGIT: sounds from descriptions, by a transformer that fills a masked grid of tokens in a few
//! steps. Tokens are those of a [tokenizer](super::specvqgan) of spectrograms.
//!
//! Source: Comunità et al., "SpecMaskGIT" (ISMIR 2024, arXiv 2406.17672), which came without code and
//! weights: the layout and the constants of sampling are formant's own.

mod adopt;
mod block;
mod card;
mod config;
mod network;
mod noise;
mod sampling;

pub use card::SpecMaskGitCard;
pub use config::SpecMaskGitConfig;
pub use network::SpecMaskGit;
pub use noise::{GivenNoise, Noise, SeededNoise};
pub use sampling::{Conditions, Sampling, Step};

/// A transformer with its card.
pub type SpecMaskGitModel = crate::model::Model<SpecMaskGit>;
