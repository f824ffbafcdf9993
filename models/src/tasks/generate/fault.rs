//! Sounds that are none: silence, one tone, clipping. Networks make such where they know too little.

use std::fmt;

use formant_audio_core::stft::{StftConfig, StftPlan};
use serde::Serialize;

use crate::error::Result;

/// A peak below this is silence (-60 dBFS).
const SILENCE: f32 = 1e-3;
/// Samples from this level on are clipped.
const FULL: f32 = 0.999;
/// Share of clipped samples that is heard.
const CLIPPED: f64 = 1e-3;
/// Share of the power at one frequency from which on there is nothing but a tone.
const ALL_OF_IT: f64 = 0.95;
/// Transform that looks for the tone, and bins around it that are a tone's under a Hann window.
const N_FFT: usize = 2048;
const AROUND: usize = 2;

/// What is wrong with a sound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Nothing is heard.
    Silence {
        /// The largest absolute sample.
        peak: f32,
    },
    /// A single tone is all there is.
    Tone {
        /// Its frequency.
        hz: f64,
    },
    /// Samples stand at full scale.
    Clipping {
        /// How many of all.
        share: f64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence { .. } => write!(f, "the result is silence"),
            Self::Tone { hz } => write!(f, "the result is a single tone of {hz:.0} Hz"),
            Self::Clipping { share } => {
                write!(f, "{:.1} % of the samples are clipped", 100.0 * share)
            }
        }
    }
}

/// What is wrong with samples at `rate`.
pub(super) fn faults(samples: &[f32], rate: u32) -> Result<Vec<Fault>> {
    let peak = samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
    if peak < SILENCE {
        return Ok(vec![Fault::Silence { peak }]);
    }
    let clipped = samples.iter().filter(|x| x.abs() >= FULL).count();
    let share = clipped as f64 / samples.len().max(1) as f64;
    let clipping = (share > CLIPPED).then_some(Fault::Clipping { share });
    Ok(tone(samples, rate)?.into_iter().chain(clipping).collect())
}

fn tone(samples: &[f32], rate: u32) -> Result<Option<Fault>> {
    if samples.len() < 2 * N_FFT {
        return Ok(None);
    }
    let plan = StftPlan::new(&StftConfig {
        n_fft: N_FFT,
        win_length: N_FFT,
        hop_length: N_FFT / 2,
        ..StftConfig::default()
    })?;
    let mut powers = vec![0.0; plan.bins()];
    for piece in samples.chunks(N_FFT * 64) {
        for frame in plan.forward(piece).outer_iter() {
            for (power, x) in powers.iter_mut().zip(frame) {
                *power += f64::from(x.re).powi(2) + f64::from(x.im).powi(2);
            }
        }
    }
    let largest = powers.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    let bin = largest.map_or(0, |(bin, _)| bin);
    let near = &powers[bin.saturating_sub(AROUND)..powers.len().min(bin + AROUND + 1)];
    let is_all = near.iter().sum::<f64>() > ALL_OF_IT * powers.iter().sum::<f64>();
    let hz = bin as f64 * f64::from(rate) / N_FFT as f64;
    Ok(is_all.then_some(Fault::Tone { hz }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sample: impl FnMut(usize) -> f32) -> Vec<Fault> {
        faults(&(0..22_050).map(sample).collect::<Vec<_>>(), 22_050).expect("measured")
    }

    #[test]
    fn silence_tones_and_clipping_are_found_and_sounds_are_not() {
        let noise = |n: usize| (n * 7919 % 1009) as f32 / 1009.0 - 0.5;
        assert!(found(noise).is_empty());
        assert!(matches!(found(|_| 1e-4)[..], [Fault::Silence { .. }]));
        let tone = |n: usize| 0.5 * (n as f32 * 0.3).sin();
        let [Fault::Tone { hz }] = found(tone)[..] else { panic!("one tone") };
        assert!((hz - 1052.8).abs() < 11.0, "{hz}");
        assert!(found(|n| tone(n) + 0.6 * noise(n)).is_empty());
        let loud = found(|n| (3.0 * noise(n)).clamp(-1.0, 1.0));
        assert!(matches!(loud[..], [Fault::Clipping { share }] if share > 0.2), "{loud:?}");
        assert!(faults(&[0.5], 22_050).expect("measured").is_empty());
        assert!(matches!(faults(&[], 22_050).expect("measured")[..], [Fault::Silence { .. }]));
    }
}
