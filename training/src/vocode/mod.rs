//! Training of vocoders.
//!
//! First the network learns the flow from noise to waveforms, as published; then a few of its steps
//! are made one after the other, and what they come to is compared with the recording, as Turbo models
//! are trained, but without a discriminator. [`VocodeRecipe`] holds every number, [`train`] does the
//! work.

mod compose;
mod data;
mod loss;
mod recipe;
mod train;

pub use data::{VocodeData, VocodeSources};
pub use recipe::VocodeRecipe;
pub use train::{VocodeFigures, train};
