//! What brings a waveform nearer to its spectrogram, behind the method that made it.

use formant_audio_core::mel_correction::{MelCorrection, MelCorrectionSession};

use crate::error::Result;

/// A correction on its way, or none.
pub(super) struct Correction(Option<MelCorrectionSession>);

impl Correction {
    pub(super) fn new(method: Option<&MelCorrection>) -> Self {
        Self(method.map(MelCorrection::start))
    }

    /// Takes further rows of the spectrogram, and the samples that were made with them.
    pub(super) fn push(&mut self, rows: &[f32], samples: Vec<f32>) -> Result<Vec<f32>> {
        let Some(session) = &mut self.0 else { return Ok(samples) };
        session.want(rows);
        Ok(session.push(&samples)?)
    }

    /// Takes the last samples.
    pub(super) fn finish(mut self, samples: Vec<f32>) -> Result<Vec<f32>> {
        let mut out = self.push(&[], samples)?;
        if let Some(session) = self.0 {
            out.extend(session.finish()?);
        }
        Ok(out)
    }
}
