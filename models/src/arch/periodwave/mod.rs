//! PeriodWave and PeriodWave-Turbo: vocoders by flow matching. A conditioning encoder runs once an
//! utterance; a vector field, which looks at the waveform folded by several periods, carries noise to
//! speech in a few steps.
//!
//! Source: Lee et al., "PeriodWave" (ICLR 2025, arXiv 2408.07547) and "PeriodWave-Turbo" (arXiv
//! 2408.08019). Parameter paths equal the keys of the released files.

mod adopt;
mod card;
mod cond;
mod config;
mod embedding;
mod field;
mod frozen;
mod layers;
mod network;
mod path;
mod pointwise;
mod sampling;

pub use card::{Energy, PeriodWaveCard};
pub use cond::{CondNorms, Latents};
pub use config::{PeriodWaveConfig, STEP, Variant};
pub use field::Stretch;
pub use network::PeriodWave;
pub use sampling::{Base, Call, FreeU, Sampling, Solver};

/// A vocoder with its card.
pub type PeriodWaveModel = crate::model::Model<PeriodWave>;
