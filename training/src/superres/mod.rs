//! Training of super-resolution networks.
//!
//! Recordings with a full band lose it anew for every step, as telephones, low sample rates and codecs
//! take it; the network learns to give it back. [`SuperresRecipe`] holds every number, [`train`] does
//! the work.

mod compose;
mod data;
mod loss;
mod narrow;
mod recipe;
mod train;

pub use data::{SuperresData, SuperresSources};
pub use recipe::SuperresRecipe;
pub use train::{SuperresFigures, train};
