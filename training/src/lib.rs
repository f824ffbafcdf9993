//! Recipes that made formant's bundled weights, and fine-tuning for users.

pub mod augment;
pub mod error;
pub mod manifest;
pub mod optim;

pub use error::{Error, Result};
