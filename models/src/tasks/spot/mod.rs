//! Keyword spotting: which of a few words were said, where, and how surely.
//!
//! [`Spotter`] loads a model; a [`SpotSession`] takes audio block by block and gives back
//! detections, so that files of any length and a microphone take the same path.

mod detector;
mod spotter;

pub use crate::arch::lmuformer::{Activation, DetectionDefaults, SpotCard};
pub use detector::{Detection, Detector, SpotOptions};
pub use spotter::{Classification, SpotSession, Spotter};
