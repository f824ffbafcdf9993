//! The null test: do the parts of a separation add up to the mix?
//!
//! The figure is the level of (sum of the parts) - mix; below -90 dBFS nothing was lost.

use serde::{Deserialize, Serialize};

use super::{amplitude_db, power_db};
use crate::buffer::AudioView;
use crate::error::{Error, Result};

/// What is left when the mix is taken from the sum of its parts. `None` means nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NullTest {
    /// RMS of the residual over all channels.
    pub residual_dbfs: Option<f64>,
    /// Largest sample of the residual.
    pub residual_peak_dbfs: Option<f64>,
    /// Energy of the residual over that of the mix, in dB; `None` too when the mix is silent.
    pub relative_db: Option<f64>,
    /// Frames compared.
    pub frames: u64,
}

/// The null test on a stream: blocks in, one figure out.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullMeter {
    peak: f64,
    residual_energy: f64,
    mix_energy: f64,
    samples: u64,
    frames: u64,
}

impl NullMeter {
    /// Compare the sum of a block of `parts` with that of the `mix`. Non-finite samples count as
    /// zero.
    ///
    /// # Errors
    /// As [`null_test`].
    pub fn push(&mut self, parts: &[AudioView<'_>], mix: &AudioView<'_>) -> Result<()> {
        if parts.is_empty() {
            return Err(Error::Empty);
        }
        for part in parts {
            if part.spec() != mix.spec() || part.frames() != mix.frames() {
                let describe = |audio: &AudioView<'_>| {
                    let spec = audio.spec();
                    format!("{} frames at {} Hz {}", audio.frames(), spec.rate, spec.layout)
                };
                return Err(Error::Shape {
                    what: "part of the mix",
                    expected: describe(mix),
                    found: describe(part),
                });
            }
        }
        let finite = |sample: f32| if sample.is_finite() { f64::from(sample) } else { 0.0 };
        for channel in 0..mix.channels() {
            let lanes: Vec<&[f32]> = parts.iter().map(|part| part.channel(channel)).collect();
            for (frame, &sample) in mix.channel(channel).iter().enumerate() {
                let mixed = finite(sample);
                let residual = lanes.iter().map(|lane| finite(lane[frame])).sum::<f64>() - mixed;
                self.peak = self.peak.max(residual.abs());
                self.residual_energy += residual * residual;
                self.mix_energy += mixed * mixed;
            }
        }
        self.samples += (mix.frames() * mix.channels()) as u64;
        self.frames += mix.frames() as u64;
        Ok(())
    }

    /// The figure of everything pushed so far.
    #[must_use]
    pub fn result(&self) -> NullTest {
        NullTest {
            residual_dbfs: power_db(self.residual_energy / self.samples.max(1) as f64),
            residual_peak_dbfs: amplitude_db(self.peak),
            relative_db: power_db(self.residual_energy / self.mix_energy),
            frames: self.frames,
        }
    }
}

/// Compare the sum of `parts` with `mix`. Non-finite samples count as zero.
///
/// # Errors
/// [`Error::Empty`] without parts, [`Error::Shape`] when a part differs from the mix in rate,
/// layout or length.
pub fn null_test(parts: &[AudioView<'_>], mix: &AudioView<'_>) -> Result<NullTest> {
    let mut meter = NullMeter::default();
    meter.push(parts, mix)?;
    Ok(meter.result())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S14: stem 1 louder than the mix, stem 2 the rest, stem 3 silent: nothing may be lost.
    #[test]
    fn s14_stems_add_up_to_the_mix() {
        let mix: Vec<f32> = (0..8000).map(|n| (n as f32 * 0.37).sin() * 0.8).collect();
        let loud: Vec<f32> = (0..8000).map(|n| 1.4 * (n as f32 * 0.11).sin()).collect();
        let rest: Vec<f32> = mix.iter().zip(&loud).map(|(m, l)| m - l).collect();
        let zeros = vec![0.0; 8000];
        let view = |samples| AudioView::from_mono(8000, samples);
        let parts = [view(&loud), view(&rest), view(&zeros)];
        let result = null_test(&parts, &view(&mix)).expect("equal shapes");
        assert!(result.residual_dbfs.is_none_or(|db| db < -90.0), "{result:?}");
        assert_eq!(result.frames, 8000);

        let lost = null_test(&parts[1..], &view(&mix)).expect("equal shapes");
        let db = lost.residual_dbfs.expect("the loud stem is missing");
        assert!((db - (20.0 * 1.4f64.log10() - 3.01)).abs() < 0.05, "{db}");
    }

    #[test]
    fn exact_sums_have_no_residual_and_shapes_must_agree() {
        let mix = [0.5f32, -0.25];
        let view = AudioView::from_mono(8000, &mix);
        let result = null_test(&[view], &view).expect("equal shapes");
        assert_eq!((result.residual_dbfs, result.relative_db), (None, None));
        assert!(null_test(&[], &view).is_err());
        assert!(null_test(&[view.slice(0..1)], &view).is_err());
        assert!(null_test(&[AudioView::from_mono(16000, &mix)], &view).is_err());
    }
}
