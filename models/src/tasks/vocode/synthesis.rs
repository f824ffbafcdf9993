//! What makes the waveform behind the front end: a network, or the search of Griffin and Lim.

use formant_audio_core::features::{FeatureConfig, FeaturePlan};
use formant_audio_core::griffin_lim::GriffinLimSession;
use ndarray::ArrayView2;

use super::griffin_lim::GriffinLimVocoder;
use super::{MelStream, VocodeOptions, Vocoder};
use crate::error::{Error, Result};

/// A way from spectrograms to waveforms.
pub(super) enum Synthesis {
    Network(Vocoder, VocodeOptions),
    GriffinLim(GriffinLimVocoder),
}

/// One spectrogram on this way.
pub(super) enum Waveform {
    Network(Box<MelStream>),
    GriffinLim(GriffinLimSession, usize),
}

impl Synthesis {
    pub(super) fn plan(&self) -> Result<FeaturePlan> {
        match self {
            Self::Network(vocoder, _) => vocoder.plan(),
            Self::GriffinLim(vocoder) => Ok(vocoder.front_end.clone()),
        }
    }

    pub(super) fn start(&self) -> Result<Waveform> {
        Ok(match self {
            Self::Network(vocoder, options) => {
                Waveform::Network(Box::new(vocoder.start_mel(options)?))
            }
            Self::GriffinLim(vocoder) => Waveform::GriffinLim(vocoder.start_mel(), vocoder.bands()),
        })
    }

    /// The least length of a recording, `heard` samples and silence, whose frames make at least
    /// `heard` samples, and which has enough of them for the reflection at its ends.
    pub(super) fn whole(&self, heard: usize, plan: &FeaturePlan) -> usize {
        let FeatureConfig { n_fft, hop_length, .. } = *plan.config();
        let made = |samples: usize| match (self, plan.valid_frames(samples)) {
            (Self::Network(..), frames) => frames * hop_length,
            (Self::GriffinLim(vocoder), frames) => vocoder.method.num_samples(frames),
        };
        let mut whole = heard.max(n_fft).next_multiple_of(hop_length);
        // Frames without padding end before the samples do.
        while made(whole) < heard {
            whole += hop_length;
        }
        whole
    }
}

impl Waveform {
    pub(super) fn push(&mut self, rows: &[f32]) -> Result<Vec<f32>> {
        match self {
            Self::Network(stream) => stream.push(rows),
            Self::GriffinLim(session, bands) => {
                let shape = (rows.len() / *bands, *bands);
                let rows = ArrayView2::from_shape(shape, rows)
                    .map_err(|_| Error::config("rows", "are no whole frames"))?;
                let mut samples = Vec::new();
                session.push(rows, &mut samples)?;
                Ok(samples)
            }
        }
    }

    pub(super) fn finish(self) -> Result<Vec<f32>> {
        match self {
            Self::Network(stream) => stream.finish(),
            Self::GriffinLim(session, _) => {
                let mut samples = Vec::new();
                session.finish(&mut samples);
                Ok(samples)
            }
        }
    }
}
