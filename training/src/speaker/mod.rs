//! Training and evaluation of speaker embedders.
//!
//! Recordings of many people become a network that puts voices of one person close together:
//! [`SpeakerRecipe`] holds every number, [`train`] does the work, and [`evaluate`] measures a
//! model on pairs of recordings of people that it never heard.

mod compose;
mod data;
mod evaluate;
mod head;
mod recipe;
mod train;
mod trials;

pub use data::{SpeakerData, SpeakerSources};
pub use evaluate::{
    Embeddings, Figures, ScoredTrial, SpeakerReport, embed_file, embed_files, evaluate,
    fit_calibration,
};
pub use head::margin_logits;
pub use recipe::{FinalStage, SpeakerAugmentation, SpeakerRecipe};
pub use train::{SpeakerFigures, train};
pub use trials::{Trial, read_trials};
