//! Training and evaluation of stem separators.
//!
//! Voices and accompaniments that were recorded apart are mixed anew for every step, so that few
//! songs go a long way: [`StemsRecipe`] holds every number, [`train`] does the work, and
//! [`score_song`] measures a model on a song whose stems are known.

mod data;
mod evaluate;
mod loss;
mod mixing;
mod recipe;
mod train;

pub use data::{Song, StemsData, StemsSources};
pub use evaluate::{SongFiles, SongScore, score_song, songs_of};
pub use recipe::{Mixing, StemsRecipe};
pub use train::{StemsFigures, train};
