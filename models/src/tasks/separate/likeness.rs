//! How voices are told apart where waveforms do not tell: by the bundled speaker model, or by their
//! mean spectra.

use std::sync::{Arc, Mutex, PoisonError};

use formant_audio_core::AudioView;
use formant_audio_core::features::{FeaturePlan, presets};

use crate::error::Result;
use crate::registry;
use crate::source::LoadOptions;
use crate::tasks::chunked::Likeness;
use crate::tasks::speaker::{EmbedOptions, SpeakerEmbedder, SpeechOnly};
use crate::tasks::task::Task;

/// Least seconds of a voice that say something about it.
const LEAST_SECONDS: f64 = 0.5;
/// Bands of a mean spectrum.
const BANDS: usize = 24;

/// The means over time of the logarithms of a spectrum in bands, without their own mean, of unit
/// length; `None` for less than half a second.
///
/// # Errors
/// When the rate is too low for the bands.
pub fn spectral_print(samples: &[f32], rate: u32) -> Result<Option<Vec<f32>>> {
    if (samples.len() as f64) < LEAST_SECONDS * f64::from(rate) {
        return Ok(None);
    }
    let plan = FeaturePlan::new(&presets::kaldi_fbank(rate, BANDS))?;
    let features = plan.compute(samples)?;
    let Some(means) = features.mean_axis(ndarray::Axis(0)) else { return Ok(None) };
    Ok(unit(means.to_vec()))
}

/// Centred, of unit length; `None` for what is flat.
fn unit(mut values: Vec<f32>) -> Option<Vec<f32>> {
    let mean = values.iter().sum::<f32>() / values.len().max(1) as f32;
    values.iter_mut().for_each(|x| *x -= mean);
    let length = values.iter().map(|x| x * x).sum::<f32>().sqrt();
    (length > 0.0 && length.is_finite()).then(|| values.iter().map(|x| x / length).collect())
}

/// The bundled speaker model, loaded when a voice is compared for the first time: short recordings,
/// and those whose overlaps tell, do without. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Helper(Arc<Mutex<Option<Option<SpeakerEmbedder>>>>);

impl Helper {
    /// The model; none without bundled weights, where voices are told apart by their spectra.
    pub(super) fn get(&self) -> Option<SpeakerEmbedder> {
        let mut loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loaded
            .get_or_insert_with(|| {
                let model = registry::default_for("speaker").ok()?;
                SpeakerEmbedder::load(&model.source(), &LoadOptions::default()).ok()
            })
            .clone()
    }

    #[cfg(test)]
    pub(super) fn is_loaded(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// By a speaker model where there is one.
pub(super) struct Voices(pub(super) Helper);

impl Likeness for Voices {
    fn print(&self, samples: &[f32], rate: u32) -> Result<Option<Vec<f32>>> {
        if (samples.len() as f64) < LEAST_SECONDS * f64::from(rate) {
            return Ok(None);
        }
        let Some(embedder) = self.0.get() else { return spectral_print(samples, rate) };
        // What is handed over is what the voice says, without its pauses.
        let options = EmbedOptions { speech_only: SpeechOnly::No };
        let (heard, _) = embedder.process(&AudioView::from_mono(rate, samples), &options)?;
        Ok(heard.ok().and_then(|embedding| {
            let mut values = embedding.values;
            if let (Some(centre), _) = embedder.companions()
                && centre.len() == values.len()
            {
                let length = values.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-20);
                values.iter_mut().zip(centre).for_each(|(x, c)| *x = *x / length - c);
            }
            unit(values)
        }))
    }
}
