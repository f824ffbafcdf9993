//! Speech recognition: a vocabulary of pieces, utterances with changes, CTC training of a
//! Squeezeformer, and its error rates. Recognising with the finished model lives in
//! `formant-models`.

mod batches;
mod compose;
mod data;
mod evaluate;
mod pieces;
mod recipe;
mod train;

pub use data::{AsrData, AsrSources, Role, TableCount};
pub use evaluate::{AsrReport, SourceErrors, greedy, score_utterances};
pub use pieces::{Pieces, learn_pieces, plain_text};
pub use recipe::{AsrAugmentation, AsrRecipe};
pub use train::train;
