//! Training of what `formant generate` uses: a tokenizer of spectrograms, and a transformer that fills
//! grids of its tokens.
//!
//! The tokenizer first learns to pass spectrograms through a few numbers for each patch; then codes are
//! chosen among these numbers, and it learns to do with codes. The transformer learns to say what is
//! masked in a grid, of what the word of a sound says and of the rest of the grid.

mod codes;
mod compose;
mod data;
mod recipe;
mod tokenizer;
mod tokenizer_recipe;
mod train;

pub use data::{SoundData, SoundSources};
pub use recipe::GenerateRecipe;
pub use tokenizer::{TokenizerFigures, train_tokenizer};
pub use tokenizer_recipe::TokenizerRecipe;
pub use train::{GenerateFigures, Tokenizer, train};
