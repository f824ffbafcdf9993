//! Windows as the reference decodes long recordings: no cross-fade, no order of voices, zeros at
//! ends that no window reaches. For comparisons with it; [`super::Separator::start`] does better.
//!
//! Source: the decoding routine of ClearerVoice.

use crate::error::{Error, Result};

/// Geometry of the reference's windows, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReferenceWindows {
    /// Samples of a window.
    pub window: usize,
    /// Recordings of up to this many samples are one window.
    pub one_time: usize,
}

impl ReferenceWindows {
    /// By the seconds of a config, at a rate in Hz.
    #[must_use]
    pub fn of_seconds(decode_window: f64, one_time_decode_length: f64, rate: u32) -> Self {
        let samples = |seconds: f64| (seconds * f64::from(rate)) as usize;
        Self { window: samples(decode_window), one_time: samples(one_time_decode_length) }
    }

    fn hop(&self) -> usize {
        self.window * 3 / 4
    }

    /// Samples of a padded recording.
    #[must_use]
    pub fn padded(&self, samples: usize) -> usize {
        let (window, hop) = (self.window, self.hop().max(1));
        if samples < window {
            window
        } else if samples < window + hop {
            window + hop
        } else if !(samples - window).is_multiple_of(hop) {
            samples + samples - (samples - window) / hop * hop
        } else {
            samples
        }
    }

    /// Whether a recording is decoded in windows.
    #[must_use]
    pub fn segments(&self, samples: usize) -> bool {
        samples > self.one_time
    }

    /// Runs `model` over a recording that is padded already, and puts the kept part of every
    /// window in its place. `model` gives the rows of its sources, all as long as what it gets.
    ///
    /// # Errors
    /// What the model says; [`Error::Config`] for windows without length.
    pub fn decode(
        &self,
        padded: &[f32],
        mut model: impl FnMut(&[f32]) -> Result<Vec<Vec<f32>>>,
    ) -> Result<Vec<Vec<f32>>> {
        let (window, hop) = (self.window, self.hop());
        if hop == 0 {
            return Err(Error::config("decode_window", "a window needs at least two samples"));
        }
        let cut = (window - hop) / 2;
        let mut outputs: Vec<Vec<f32>> = Vec::new();
        for start in (0..).step_by(hop).take_while(|start| start + window <= padded.len()) {
            let sources = model(&padded[start..start + window])?;
            outputs.resize_with(sources.len(), || vec![0.0; padded.len()]);
            let first = if start == 0 { 0 } else { cut };
            for (output, source) in outputs.iter_mut().zip(&sources) {
                output[start + first..start + window - cut]
                    .copy_from_slice(&source[first..window - cut]);
            }
        }
        Ok(outputs)
    }
}

/// Gives every source the root mean square of the recording before its padding; a silent source
/// stays silent.
pub fn match_levels(sources: &mut [Vec<f32>], recording: &[f32]) {
    let rms = |samples: &[f32]| {
        let sum: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        (sum / samples.len().max(1) as f64).sqrt()
    };
    let wanted = rms(recording);
    for source in sources {
        let own = rms(source);
        if own > 0.0 {
            let gain = (wanted / own) as f32;
            source.iter_mut().for_each(|x| *x *= gain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paddings_are_those_of_the_reference() {
        let windows = ReferenceWindows::of_seconds(2.0, 2.0, 1000);
        for (samples, padded) in [(1501, 2000), (3200, 3500), (5000, 5000), (5013, 7026)] {
            assert_eq!(windows.padded(samples), padded, "{samples}");
        }
    }
}
