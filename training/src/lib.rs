//! Recipes that made formant's bundled weights, and fine-tuning for users.

mod ahead;
pub mod asr;
pub mod augment;
pub mod corpus;
mod epochs;
pub mod error;
pub mod lm;
pub mod manifest;
pub mod optim;
mod paths;
pub mod progress;
mod replicas;
pub mod resume;
pub mod separation;
pub mod speaker;
pub mod spot;
mod start;
pub mod stems;
mod table;
mod training;

pub use error::{Error, Result};
pub use paths::TrainPaths;
