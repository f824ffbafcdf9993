//! Whether a voice is still voiced where it was, at the same pitch.
//!
//! The figures of Morrison et al., "Chunked autoregressive GAN for conditional waveform synthesis",
//! 2022, which papers on vocoders quote. There pitch and periodicity come from a network (CREPE),
//! here from [`mod@crate::pitch`]: numbers compare with each other, not with those of papers.

use serde::Serialize;

use super::check_pair;
use crate::error::Result;
use crate::pitch::{PitchFrame, PitchOptions, pitch};

/// A frame is voiced when its aperiodicity is below this.
const VOICED_BELOW: f64 = 0.2;

/// How two recordings of one voice differ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct VoiceDistance {
    /// Root of the mean squared difference of the periodicity, which is one less the aperiodicity
    /// and not below zero; over frames that are voiced in one of them. `None` without such frames.
    pub periodicity_rmse: Option<f64>,
    /// Precision and recall of voiced frames in one figure (F1); `None` without a voiced frame.
    pub voiced_f1: Option<f64>,
    /// Root of the mean squared difference of pitch in cents, over frames that are voiced in both.
    pub pitch_rmse_cents: Option<f64>,
}

/// Compares `estimate` with `reference`, both mono at `rate` Hz.
///
/// # Errors
/// As the other metrics, and as [`pitch`] for a rate below 1 kHz.
pub fn voice_distance(reference: &[f32], estimate: &[f32], rate: u32) -> Result<VoiceDistance> {
    check_pair(reference, estimate)?;
    let options = PitchOptions::speech(rate);
    let reference = pitch(reference, rate, &options)?;
    let estimate = pitch(estimate, rate, &options)?;
    let pairs = || reference.iter().zip(&estimate);
    let is_voiced = |frame: &PitchFrame| frame.aperiodicity < VOICED_BELOW;
    let periodicity = |frame: &PitchFrame| (1.0 - frame.aperiodicity).max(0.0);
    let rms = |squares: Vec<f64>| {
        let mean = squares.iter().sum::<f64>() / squares.len() as f64;
        (!squares.is_empty()).then(|| mean.sqrt())
    };
    let either = pairs().filter(|(a, b)| is_voiced(a) || is_voiced(b));
    let both = pairs().filter(|(a, b)| is_voiced(a) && is_voiced(b));
    let voiced =
        [&reference, &estimate].map(|frames| frames.iter().filter(|f| is_voiced(f)).count());
    let agreed = both.clone().count();
    let total = voiced[0] + voiced[1];
    Ok(VoiceDistance {
        periodicity_rmse: rms(either
            .map(|(a, b)| (periodicity(a) - periodicity(b)).powi(2))
            .collect()),
        voiced_f1: (total > 0).then(|| 2.0 * agreed as f64 / total as f64),
        pitch_rmse_cents: rms(both.map(|(a, b)| (1200.0 * (a.hz / b.hz).log2()).powi(2)).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::signals::{RATE, voices};
    use super::*;

    /// By librosa 0.11.0's difference function and search, and the definitions above in numpy.
    #[test]
    fn distances_are_those_of_librosa() {
        let (voice, other) = voices();
        let found = voice_distance(&voice, &other, RATE as u32).expect("comparable");
        for (name, found, wanted) in [
            ("periodicity", found.periodicity_rmse, 0.005_366_667_93),
            ("F1", found.voiced_f1, 0.994_117_647_1),
            ("pitch", found.pitch_rmse_cents, 18.319_174_12),
        ] {
            let found = found.expect("voiced");
            assert!((found - wanted).abs() < 1e-5 * wanted.max(1.0), "{name}: {found} {wanted}");
        }
    }

    #[test]
    fn a_voice_is_itself_and_silence_is_no_voice() {
        let (voice, _) = voices();
        let same = voice_distance(&voice, &voice, 16_000).expect("comparable");
        let zero = VoiceDistance {
            periodicity_rmse: Some(0.0),
            voiced_f1: Some(1.0),
            pitch_rmse_cents: Some(0.0),
        };
        assert_eq!(same, zero);
        let silence = vec![0.0; voice.len()];
        let gone = voice_distance(&voice, &silence, 16_000).expect("comparable");
        assert_eq!((gone.voiced_f1, gone.pitch_rmse_cents), (Some(0.0), None));
        let nothing = voice_distance(&silence, &silence, 16_000).expect("comparable");
        assert_eq!((nothing.voiced_f1, nothing.periodicity_rmse), (None, None));
        assert!(voice_distance(&voice, &voice[1..], 16_000).is_err());
    }
}
