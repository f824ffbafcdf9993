//! Text and the pieces that recognisers speak in: SentencePiece models, WordPiece and symbol
//! tables, alphabets. Which pieces were said is found in [`crate::decoding`].

mod protobuf;
mod sentencepiece;
mod symbols;
mod tokenizer;

pub use sentencepiece::{Algorithm, SentencePiece};
pub use symbols::parse_symbols;
pub(crate) use tokenizer::is_ideograph;
pub use tokenizer::{PieceKind, SpokenWord, Tokenizer};
