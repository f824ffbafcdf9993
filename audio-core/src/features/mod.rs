//! Front ends: from samples to the feature matrices that networks and people read.
//!
//! A [`FeatureConfig`] writes out every parameter, [`presets`] names the usual ones, a
//! [`FeaturePlan`] computes whole signals, a [`FeatureStream`] signals that arrive in pieces, and [`LongFeatures`] signals
//! that arrive in pieces and are too long for the memory.
//! Spectrograms that go back to sound are [`crate::stft`]'s.

mod cepstrum;
mod config;
mod deltas;
mod dither;
mod frame;
mod long;
mod normalize;
mod plan;
pub mod presets;
mod stream;

pub use cepstrum::{CepstrumConfig, Lifter};
pub use config::{
    Affine, DeltaConfig, Dither, EnergyColumn, EnergyConfig, EnergyPoint, FeatureConfig,
    FrameCount, Leveling, Log, LogBase, PreEmphasis, Spectrum,
};
pub use deltas::append_deltas;
pub use long::{LongFeatures, LongRows};
pub use normalize::{Divisor, Normalization, SlidingPlacement, SlidingVariance, SlidingWindow};
pub use plan::FeaturePlan;
pub use stream::FeatureStream;
