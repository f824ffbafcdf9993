//! Front ends: from samples to the feature matrices that networks and people read.
//!
//! A [`FeatureConfig`] writes out every parameter, [`presets`] names the usual ones, a
//! [`FeaturePlan`] computes whole signals and a [`FeatureStream`] signals that arrive in pieces.
//! Spectrograms that go back to sound are [`crate::stft`]'s.

mod cepstrum;
mod config;
mod deltas;
mod dither;
mod frame;
mod normalize;
mod plan;
pub mod presets;
mod ranged;
mod stream;

pub use cepstrum::{CepstrumConfig, Lifter};
pub use config::{
    Affine, DeltaConfig, Dither, EnergyColumn, EnergyConfig, EnergyPoint, FeatureConfig,
    FrameCount, Leveling, Log, LogBase, PreEmphasis, Spectrum,
};
pub use deltas::append_deltas;
pub use normalize::{Divisor, Normalization, SlidingPlacement, SlidingVariance, SlidingWindow};
pub use plan::FeaturePlan;
pub use ranged::SecondPass;
pub use stream::FeatureStream;
