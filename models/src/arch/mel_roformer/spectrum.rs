//! Short-time Fourier transform and its inverse as tensors, with gradients.

use tch::{Device, Kind, Tensor};

use super::config::MelRoformerConfig;
use crate::params::Weight;

/// Transform and inverse of one size.
#[derive(Debug, Clone)]
pub(super) struct Spectrum {
    window: Weight,
    n_fft: i64,
    hop: i64,
    normalized: bool,
}

impl Spectrum {
    pub(super) fn new(config: &MelRoformerConfig, device: Device) -> Self {
        let n_fft = config.stft_n_fft;
        Self {
            window: Tensor::hann_window_periodic(n_fft, true, (Kind::Float, device)).into(),
            n_fft,
            hop: config.stft_hop_length,
            normalized: config.stft_normalized,
        }
    }

    /// `[rows, samples]`, more than half a transform of them, to `[rows, bins, frames]`, complex;
    /// frame `n` is centred on sample `n * hop`.
    pub(super) fn forward(&self, audio: &Tensor) -> Tensor {
        let half = self.n_fft / 2;
        let padded = audio.reflection_pad1d([half, half]);
        let window = Some(&self.window);
        padded.stft(self.n_fft, self.hop, self.n_fft, window, self.normalized, true, true, false)
    }

    /// Back to `[rows, samples]`: `length` of them, or a whole number of hops.
    pub(super) fn inverse(&self, spectrum: &Tensor, length: Option<i64>) -> Tensor {
        let (n_fft, window) = (self.n_fft, Some(&self.window));
        spectrum.istft(n_fft, self.hop, n_fft, window, true, self.normalized, true, length, false)
    }
}
