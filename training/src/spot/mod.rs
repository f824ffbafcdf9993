//! Training and evaluation of keyword spotters.
//!
//! A user's words (one folder a word, or manifests) become an LMUFormer that answers `unknown` for
//! other speech and `silence` for none: [`SpotRecipe`] holds every number, [`train`] does the work
//! and [`Answers`] counts what a model makes of clips.

mod compose;
mod data;
mod evaluate;
mod negatives;
mod recipe;
mod remarks;
mod split;
mod threshold;
mod train;

pub use data::{SpotData, SpotSources};
pub use evaluate::{Answers, Confusion, SpotReport, WordScore, answer};
pub use recipe::{Augmentation, SpotRecipe};
pub use split::Splits;
pub use train::train;
