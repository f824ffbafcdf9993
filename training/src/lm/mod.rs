//! N-gram language models for recognisers: texts, counts, smoothing, and the ARPA file. Reading such
//! files and decoding with them lives in `formant-models`.

mod arpa;
mod perplexity;
mod texts;
mod witten_bell;

pub use perplexity::{Perplexity, perplexity};
pub use texts::{Texts, read_texts};
pub use witten_bell::{MAX_ORDER, WittenBell};
