//! From bins to bands and back: stretches of the spectrum, and their sum where they overlap.
//!
//! Bands are contiguous, and a band ends where the next but one begins: those of even and those of
//! odd number each cover the spectrum without overlap, so that two concatenations add them all up.

use std::ops::Range;

use formant_audio_core::mel::BandLayout;
use tch::{Device, Kind, Tensor};

use super::config::MelRoformerConfig;
use crate::error::{Error, Result};
use crate::params::Weight;

/// Which inputs belong to each band; a bin has `2 * channels` of them.
#[derive(Debug, Clone)]
pub(super) struct Bands {
    /// Of the row `(bin, channel, re/im)` of a frame.
    ranges: Vec<Range<i64>>,
    inputs: i64,
    /// One over the number of bands of each bin, `[bins, 1]`.
    shares: Weight,
}

impl Bands {
    pub(super) fn new(config: &MelRoformerConfig, device: Device) -> Result<Self> {
        let (n_fft, bands) = (config.stft_n_fft as usize, config.num_bands as usize);
        let layout = BandLayout::mel(config.sample_rate, n_fft, bands)?;
        let bins = layout.ranges();
        if (2..bands).any(|k| bins[k].start < bins[k - 2].end) {
            return Err(Error::config("num_bands", format!("{bands} bands: three share a bin")));
        }
        let width = 2 * config.channels();
        let range = |bins: &Range<usize>| bins.start as i64 * width..bins.end as i64 * width;
        let shares: Vec<f32> = layout.bands_per_bin().iter().map(|&n| 1.0 / n as f32).collect();
        Ok(Self {
            ranges: bins.iter().map(range).collect(),
            inputs: layout.bins() as i64 * width,
            shares: Tensor::from_slice(&shares).unsqueeze(1).to_device(device).into(),
        })
    }

    /// Inputs of each band.
    pub(super) fn widths(&self) -> impl Iterator<Item = i64> {
        self.ranges.iter().map(|range| range.end - range.start)
    }

    /// The bands of `spectrum [batch, frames, inputs]`, each `[batch, frames, width]`, as views.
    pub(super) fn split(&self, spectrum: &Tensor) -> Vec<Tensor> {
        let part = |range: &Range<i64>| spectrum.narrow(2, range.start, range.end - range.start);
        self.ranges.iter().map(part).collect()
    }

    /// The mean over the bands of each bin: from `[batch, frames, width]` a band to
    /// `[batch, frames, bins, inputs of a bin]`.
    pub(super) fn average(&self, masks: &[Tensor]) -> Tensor {
        let mut sum = self.lay(masks, 0).g_add(&self.lay(masks, 1)); // [batch, frames, inputs]
        let (size, bins) = (sum.size(), self.shares.size()[0]);
        sum = sum.view([size[0], size[1], bins, self.inputs / bins]);
        sum * &*self.shares
    }

    /// Every second band from the given one on, side by side with zeros between them.
    fn lay(&self, masks: &[Tensor], first: usize) -> Tensor {
        let (mut parts, mut reached) = (Vec::with_capacity(masks.len()), 0);
        let zeros = |width: i64| {
            let (size, like) = (masks[0].size(), &masks[0]);
            Tensor::zeros([size[0], size[1], width], (Kind::Float, like.device()))
                .to_kind(like.kind())
        };
        for (mask, range) in masks.iter().zip(&self.ranges).skip(first).step_by(2) {
            if range.start > reached {
                parts.push(zeros(range.start - reached));
            }
            parts.push(mask.shallow_clone());
            reached = range.end;
        }
        if reached < self.inputs {
            parts.push(zeros(self.inputs - reached));
        }
        Tensor::cat(&parts, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averaging_what_was_split_gives_it_back() {
        for (n_fft, num_bands, stereo) in [(2048, 60, true), (512, 16, false), (64, 3, true)] {
            let config = MelRoformerConfig {
                stft_n_fft: n_fft,
                stft_win_length: n_fft,
                num_bands,
                stereo,
                ..Default::default()
            };
            let bands = Bands::new(&config, Device::Cpu).expect("a layout");
            let x = Tensor::randn([2, 3, bands.inputs], (Kind::Float, Device::Cpu));
            let back = bands.average(&bands.split(&x)).flatten(2, 3);
            assert!((back - x).abs().max().double_value(&[]) < 1e-6);
            assert_eq!(bands.widths().count() as i64, num_bands);
        }
    }
}
