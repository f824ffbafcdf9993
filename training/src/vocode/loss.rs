//! How far a waveform is from what it should be, in spectra of several resolutions and in log-mel
//! values.
//!
//! Source: Yamamoto, Song, Kim, "Parallel WaveGAN" (ICASSP 2020, arXiv 1910.11480), section 2.2:
//! spectral convergence and log magnitudes; Kong, Kim, Bae, "HiFi-GAN" (NeurIPS 2020, arXiv
//! 2010.05646), section 2.3: the log-mel distance.

use formant_audio_core::features::{FeatureConfig, FeaturePlan};
use tch::{Device, Kind, Tensor};

use crate::error::Result;

/// Magnitudes below this are as good as nothing: some 15 dB above what 16 bits leave of silence in a
/// transform of 1024 samples. A lower floor lets bands without sound outweigh those with it.
const SPECTRUM_FLOOR: f64 = 1e-3;
/// Floor of the mel values, that of the front end.
const MEL_FLOOR: f64 = 1e-5;

/// The loss, with its windows and its filter bank.
#[derive(Debug)]
pub(super) struct WaveLoss {
    windows: Vec<Tensor>,
    /// Window of the front end, and its filter bank, `[bands, bins]`.
    mel: (Tensor, Tensor),
    hop_length: i64,
    mel_share: f64,
}

impl WaveLoss {
    pub(super) fn new(lengths: &[i64], front_end: &FeatureConfig, mel_share: f64) -> Result<Self> {
        let window = |&n: &i64| Tensor::hann_window_periodic(n, true, (Kind::Float, Device::Cpu));
        let plan = FeaturePlan::new(front_end)?;
        let bank = plan.mel().expect("a vocoder's front end has a filter bank").to_matrix();
        let bands = [bank.nrows() as i64, bank.ncols() as i64];
        let (bank, _) = bank.into_raw_vec_and_offset();
        Ok(Self {
            windows: lengths.iter().map(window).collect(),
            mel: (window(&(front_end.n_fft as i64)), Tensor::from_slice(&bank).view(bands)),
            hop_length: front_end.hop_length as i64,
            mel_share,
        })
    }

    /// Of what is `made` beside what is `wanted`, both `[batch, 1, samples]`; a number.
    pub(super) fn of(&self, made: &Tensor, wanted: &Tensor) -> Tensor {
        let (made, wanted) = (made.squeeze_dim(1), wanted.squeeze_dim(1));
        let each = self.windows.iter().map(|window| {
            let hop = window.size()[0] / 4;
            let spectrum = |x: &Tensor| magnitudes(x, window, hop, SPECTRUM_FLOOR);
            let (found, wanted) = (spectrum(&made), spectrum(&wanted));
            let logs = (found.log() - wanted.log()).abs().mean(Kind::Float);
            logs + convergence(&found, &wanted)
        });
        let spectra: Tensor = each.sum();
        let (window, bank) = &self.mel;
        let mel = |x: &Tensor| {
            let spectra = magnitudes(x, window, self.hop_length, MEL_FLOOR);
            bank.matmul(&spectra).clamp_min(MEL_FLOOR).log()
        };
        let mel = (mel(&made) - mel(&wanted)).abs().mean(Kind::Float);
        spectra / self.windows.len() as f64 + mel * self.mel_share
    }
}

/// `[batch, bins, frames]`
fn magnitudes(x: &Tensor, window: &Tensor, hop_length: i64, floor: f64) -> Tensor {
    let n = window.size()[0];
    let spectra = x.stft(n, hop_length, n, Some(window), false, true, true, false);
    let powers = spectra.view_as_real().square().sum_dim_intlist(-1i64, false, Kind::Float);
    (powers + floor * floor).sqrt()
}

/// Norm of the difference beside that of what is wanted, a mean over examples.
fn convergence(found: &Tensor, wanted: &Tensor) -> Tensor {
    let norm = |x: Tensor| x.square().sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Float);
    let ratio = (norm(found - wanted) + 1e-12) / (norm(wanted.shallow_clone()) + 1e-6);
    ratio.sqrt().clamp_max(3.0).mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use formant_audio_core::features::presets;

    #[test]
    fn nothing_wrong_costs_nothing_and_phases_do_not_count() {
        let front_end = presets::vocoder(24_000, 100, 12_000.0);
        let loss = WaveLoss::new(&[1024, 256], &front_end, 1.0).expect("a front end");
        let x = Tensor::randn([2, 1, 8_000], tch::kind::FLOAT_CPU) * 0.1;
        let of = |made: &Tensor| loss.of(made, &x).double_value(&[]);
        assert!(of(&x) < 1e-4, "{}", of(&x));
        assert!(of(&-&x) < 1e-4, "{}", of(&-&x));
        assert!(of(&(&x * 0.1)) > 2.0, "{}", of(&(&x * 0.1)));
        let made = (&x * 0.5).set_requires_grad(true);
        loss.of(&made, &x).backward();
        assert!(made.grad().abs().max().double_value(&[]) > 0.0);
    }
}
