//! Recipes that made formant's bundled weights, and fine-tuning for users.

mod ahead;
pub mod asr;
pub mod augment;
mod checks;
pub mod corpus;
mod epochs;
pub mod error;
mod examples;
pub mod generate;
mod held_out;
pub mod lm;
pub mod manifest;
pub mod optim;
mod paths;
pub mod progress;
mod recording;
mod replicas;
pub mod resume;
pub mod separation;
pub mod speaker;
pub mod spot;
mod start;
pub mod stems;
pub mod superres;
mod table;
mod training;
pub mod vocode;
mod voices;

pub use error::{Error, Result};
pub use paths::TrainPaths;
pub use recording::Recording;
pub use training::{Changes, Course, Dev, Recipe, Trained};
pub use voices::{Speaker, Voices};
