//! What makes the waveform behind the front end: a network, or the search of Griffin and Lim.

use formant_audio_core::features::{FeatureConfig, FeaturePlan};

use super::griffin_lim::{GriffinLimStream, GriffinLimVocoder};
use super::one_pass::{OnePassStream, OnePassVocoder};
use super::{MelStream, VocodeOptions, Vocoder};
use crate::arch::periodwave::CondNorms;
use crate::error::Result;

/// A way from spectrograms to waveforms.
pub(super) enum Synthesis {
    Network(Box<Vocoder>, VocodeOptions),
    OnePass(Box<OnePassVocoder>),
    GriffinLim(GriffinLimVocoder),
}

/// One spectrogram on this way.
pub(super) enum Waveform {
    Network(Box<MelStream>),
    OnePass(Box<OnePassStream>),
    GriffinLim(Box<GriffinLimStream>),
}

impl Synthesis {
    pub(super) fn plan(&self) -> Result<FeaturePlan> {
        match self {
            Self::Network(vocoder, _) => vocoder.plan(),
            Self::OnePass(vocoder) => Ok(vocoder.front_end.clone()),
            Self::GriffinLim(vocoder) => Ok(vocoder.front_end.clone()),
        }
    }

    /// Begins a spectrogram, of which a network may know the norms.
    pub(super) fn start(&self, norms: Option<CondNorms>) -> Result<Waveform> {
        Ok(match self {
            Self::Network(vocoder, options) => {
                Waveform::Network(Box::new(MelStream::new(vocoder, options, norms)?))
            }
            Self::OnePass(vocoder) => Waveform::OnePass(Box::new(vocoder.start_mel())),
            Self::GriffinLim(vocoder) => Waveform::GriffinLim(Box::new(vocoder.start_mel())),
        })
    }

    /// The least length of a recording, `heard` samples and silence, whose frames make at least
    /// `heard` samples, and which has enough of them for the reflection at its ends.
    pub(super) fn whole(&self, heard: usize, plan: &FeaturePlan) -> usize {
        let FeatureConfig { n_fft, hop_length, .. } = *plan.config();
        let made = |samples: usize| match (self, plan.valid_frames(samples)) {
            (Self::Network(..) | Self::OnePass(_), frames) => frames * hop_length,
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
            Self::OnePass(stream) => stream.push(rows),
            Self::GriffinLim(stream) => stream.push(rows),
        }
    }

    pub(super) fn finish(self) -> Result<Vec<f32>> {
        match self {
            Self::Network(stream) => stream.finish(),
            Self::OnePass(stream) => stream.finish(),
            Self::GriffinLim(stream) => stream.finish(),
        }
    }
}
