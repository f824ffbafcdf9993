//! Recipes that made formant's bundled weights, and fine-tuning for users.

pub mod asr;
pub mod augment;
pub mod corpus;
pub mod error;
pub mod manifest;
pub mod optim;
pub mod progress;
pub mod resume;
pub mod speaker;
pub mod spot;

pub use error::{Error, Result};
