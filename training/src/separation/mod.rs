//! Training of separators: voices from voices, or speech from noise.
//!
//! Mixtures are made anew for every step from recordings of many people: [`SeparationRecipe`] holds
//! every number, [`train`] does the work. Validation is the gain in SI-SDR on mixtures that are
//! fixed.

mod batches;
mod compose;
mod data;
mod loss;
mod recipe;
mod rendered;
mod train;

pub use data::{DevMixture, SeparationData, SeparationSources};
pub use loss::separation_loss;
pub use recipe::{Filters, Goal, Measure, SeparationRecipe};
pub use rendered::{MixtureFiles, mixtures_of};
pub use train::{SeparationFigures, train};
