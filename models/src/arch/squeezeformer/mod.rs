//! Squeezeformer: CTC speech recognition with a U-shape in time.
//!
//! Source: Kim et al., "Squeezeformer: An Efficient Transformer for Automatic Speech Recognition"
//! (NeurIPS 2022, arXiv 2206.00888), in the two layouts that checkpoints have: NVIDIA NeMo's and
//! WeNet's, which differ in arithmetic. Parameter paths equal the keys of either.

mod adopt;
mod block;
mod card;
mod config;
mod frozen;
mod network;
mod reduction;
mod subsampling;

pub use card::{CtcCard, NemoRelease, PieceKind, Vocabulary};
pub use config::{
    ConvNorm, NemoConfig, OneOrMany, SqueezeformerConfig, SubsamplingMasks, TimeReduction,
    WenetConfig,
};
pub use frozen::FrozenSqueezeformer;
pub use network::Squeezeformer;

/// Keys of the checkpoints that belong to other parts: the attention decoder, the loss, the front
/// end, tables that are computed.
pub const IGNORED_KEYS: &[&str] = &[
    "preprocessor.*",
    "spec_augmentation.*",
    "loss.*",
    "wer.*",
    "_wer.*",
    "encoder.pos_enc.pe",
    "encoder.embed.pos_enc.pe",
    "decoder.embed.*",
    "decoder.decoders.*",
    "decoder.left_decoder.*",
    "decoder.right_decoder.*",
    "decoder.after_norm.*",
    "decoder.output_layer.*",
];

/// A recognizer with its card.
pub type CtcModel = crate::model::Model<Squeezeformer>;
