//! Windows as the reference decodes long recordings: no cross-fade, no order of voices, zeros at
//! ends that no window reaches.
//!
//! Source: the decoding routine of ClearerVoice.

use formant::models::Result;

/// Geometry of the reference's windows, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReferenceWindows {
    /// Samples of a window.
    pub(crate) window: usize,
    /// Recordings of up to this many samples are one window.
    pub(crate) one_time: usize,
}

impl ReferenceWindows {
    /// By the seconds of a config, at a rate in Hz.
    #[must_use]
    pub(crate) fn of_seconds(decode_window: f64, one_time_decode_length: f64, rate: u32) -> Self {
        let samples = |seconds: f64| (seconds * f64::from(rate)) as usize;
        Self { window: samples(decode_window), one_time: samples(one_time_decode_length) }
    }

    fn hop(&self) -> usize {
        self.window * 3 / 4
    }

    /// Samples of a padded recording.
    #[must_use]
    pub(crate) fn padded(&self, samples: usize) -> usize {
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
    #[allow(dead_code, reason = "each test program uses a part")]
    #[must_use]
    pub(crate) fn segments(&self, samples: usize) -> bool {
        samples > self.one_time
    }

    /// Runs `model` over a recording that is padded already, and puts the kept part of every
    /// window in its place. `model` gives the rows of its sources, all as long as what it gets.
    ///
    /// # Errors
    /// What the model says.
    pub(crate) fn decode(
        &self,
        padded: &[f32],
        mut model: impl FnMut(&[f32]) -> Result<Vec<Vec<f32>>>,
    ) -> Result<Vec<Vec<f32>>> {
        let (window, hop) = (self.window, self.hop());
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

#[test]
fn paddings_are_those_of_the_reference() {
    let windows = ReferenceWindows::of_seconds(2.0, 2.0, 1000);
    for (samples, padded) in [(1501, 2000), (3200, 3500), (5000, 5000), (5013, 7026)] {
        assert_eq!(windows.padded(samples), padded, "{samples}");
    }
}
