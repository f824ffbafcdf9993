//! From the spectrogram of a tokenizer to a waveform: by a network, or by a search for phases.

use formant_audio_core::features::{Affine, FeatureConfig};
use formant_audio_core::griffin_lim::GriffinLimOptions;
use tch::Tensor;

use super::parts::VocoderPart;
use crate::error::Result;
use crate::source::Precision;
use crate::tasks::vocode::{
    GriffinLimVocoder, OnePassVocoder, USUAL_PASSES, VocodeOptions, Vocoder,
};

/// What makes waveforms.
#[derive(Debug, Clone)]
enum Method {
    OnePass(Box<OnePassVocoder>),
    PeriodWave(Box<Vocoder>),
    Search,
}

/// A way from the tokenizer's spectrogram to a waveform.
#[derive(Debug, Clone)]
pub(super) struct Waves {
    method: Method,
    mapping: Mapping,
    /// The spectrogram before the tokenizer's mapping.
    plain: FeatureConfig,
}

impl Waves {
    /// For a tokenizer of this front end, which the vocoder's is known to fit.
    ///
    /// # Errors
    /// As [`OnePassVocoder::of`].
    pub(super) fn new(
        vocoder: Option<VocoderPart>,
        frontend: &FeatureConfig,
        precision: Precision,
    ) -> Result<Self> {
        let (method, to) = match vocoder {
            None => (Method::Search, None),
            Some(VocoderPart::Gan(model)) => {
                let to = model.card.frontend.affine;
                (Method::OnePass(Box::new(OnePassVocoder::of(*model, precision)?)), to)
            }
            Some(VocoderPart::PeriodWave(model)) => {
                let to = model.card.frontend.as_ref().and_then(|config| config.affine);
                let mut vocoder = Vocoder::of(*model);
                vocoder.set_precision(precision);
                (Method::PeriodWave(Box::new(vocoder)), to)
            }
        };
        let plain = FeatureConfig { affine: None, ..frontend.clone() };
        Ok(Self { method, mapping: Mapping { from: frontend.affine, to }, plain })
    }

    /// Name of the method.
    pub(super) fn name(&self) -> &str {
        match &self.method {
            Method::OnePass(vocoder) => vocoder.name(),
            Method::PeriodWave(_) => "periodwave",
            Method::Search => "griffin-lim",
        }
    }

    /// Samples of a spectrogram `[1, 1, bands, frames]`, a hop for each frame or a little less.
    pub(super) fn make(&self, spectrogram: &Tensor, seed: u64) -> Result<Vec<f32>> {
        let mel = self.mapping.apply(spectrogram).squeeze_dim(1);
        let rows = Vec::<f32>::try_from(mel.transpose(1, 2).reshape([-1]))?;
        match &self.method {
            Method::OnePass(vocoder) => vocoder.process_mel(&rows),
            Method::PeriodWave(vocoder) => {
                vocoder.process_mel(&rows, &VocodeOptions { seed, ..VocodeOptions::default() })
            }
            Method::Search => {
                let options = GriffinLimOptions { seed, ..GriffinLimOptions::default() };
                let search = GriffinLimVocoder::new(&self.plain, options)?.refined(USUAL_PASSES)?;
                let mut stream = search.start_mel();
                let mut samples = stream.push(&rows)?;
                samples.extend(stream.finish()?);
                Ok(samples)
            }
        }
    }
}

/// From one range of the same logarithms to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mapping {
    from: Option<Affine>,
    to: Option<Affine>,
}

impl Mapping {
    fn apply(&self, x: &Tensor) -> Tensor {
        let limited = |x: Tensor, limits: Option<[f32; 2]>| match limits {
            Some([low, high]) => x.clamp(f64::from(low), f64::from(high)),
            None => x,
        };
        let mut x = x.shallow_clone();
        if let Some(Affine { scale, offset, limits }) = self.from {
            x = (limited(x, limits) - f64::from(offset)) / f64::from(scale);
        }
        if let Some(Affine { scale, offset, limits }) = self.to {
            x = limited(x * f64::from(scale) + f64::from(offset), limits);
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_mapped() {
        let from = Affine { scale: 0.02, offset: 0.6, limits: Some([-1.0, 1.0]) };
        let to = Affine { scale: 0.01, offset: 0.8, limits: Some([0.0, 1.0]) };
        let x = Tensor::from_slice(&[-2.0f32, -1.0, 0.0, 0.5, 1.0]);
        let mapped = |mapping: Mapping| Vec::<f32>::try_from(mapping.apply(&x)).expect("numbers");
        for (found, wanted) in mapped(Mapping { from: Some(from), to: Some(to) })
            .into_iter()
            .zip([0.0, 0.0, 0.5, 0.75, 1.0])
        {
            assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
        }
        let plain = mapped(Mapping { from: Some(from), to: None });
        assert!((plain[1] + 80.0).abs() < 1e-4 && (plain[4] - 20.0).abs() < 1e-4, "{plain:?}");
    }
}
