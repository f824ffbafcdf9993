//! Vocoding without a network.

use formant_audio_core::features::{FeatureConfig, FeaturePlan};
use formant_audio_core::griffin_lim::{GriffinLim, GriffinLimOptions, GriffinLimSession};

use super::session::VocodeSession;
use crate::error::Result;

/// Makes waveforms of spectrograms by fast Griffin-Lim, in the place of a [`Vocoder`](super::Vocoder).
///
/// The latency is that of [`GriffinLim::start`], about five seconds at the usual hops.
#[derive(Debug, Clone)]
pub struct GriffinLimVocoder {
    pub(super) front_end: FeaturePlan,
    pub(super) method: GriffinLim,
}

impl GriffinLimVocoder {
    /// A vocoder for spectrograms of this front end.
    ///
    /// # Errors
    /// As [`GriffinLim::new`].
    pub fn new(front_end: &FeatureConfig, options: GriffinLimOptions) -> Result<Self> {
        let method = GriffinLim::new(front_end, options)?;
        Ok(Self { front_end: FeaturePlan::new(&front_end.streamable())?, method })
    }

    /// The spectrogram, without the steps that need the whole of a recording.
    #[must_use]
    pub fn front_end(&self) -> &FeatureConfig {
        self.front_end.config()
    }

    /// The rate of what comes out, in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.front_end().sample_rate
    }

    /// Values of a frame.
    #[must_use]
    pub fn bands(&self) -> usize {
        self.method.width()
    }

    /// Begins a spectrogram, whose frames are given as they come.
    #[must_use]
    pub fn start_mel(&self) -> GriffinLimSession {
        self.method.start()
    }

    /// Begins a recording, every channel by itself. Its level is kept.
    #[must_use]
    pub fn start(&self) -> VocodeSession {
        VocodeSession::of_griffin_lim(self)
    }
}
