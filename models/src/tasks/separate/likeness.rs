//! How voices are told apart where waveforms do not tell: by the bundled speaker model, or by their
//! mean spectra.

use formant_audio_core::AudioView;
use formant_audio_core::features::{FeaturePlan, presets};

use super::Separator;
use crate::error::Result;
use crate::tasks::chunked::Likeness;
use crate::tasks::speaker::{EmbedOptions, SpeechOnly};

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

/// By a speaker model where there is one.
pub(super) struct Voices<'a>(pub(super) &'a Separator);

impl Likeness for Voices<'_> {
    fn print(&self, samples: &[f32], rate: u32) -> Result<Option<Vec<f32>>> {
        if (samples.len() as f64) < LEAST_SECONDS * f64::from(rate) {
            return Ok(None);
        }
        let Some(embedder) = self.0.embedder() else { return spectral_print(samples, rate) };
        // What is handed over is what the voice says, without its pauses.
        let options = EmbedOptions { speech_only: SpeechOnly::No };
        let heard = embedder.embed(&AudioView::from_mono(rate, samples), &options)?;
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
