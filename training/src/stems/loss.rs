//! How far a stem is from what it should be: samples, and spectra at several resolutions.
//!
//! Source: Wang, Lu, Won, "Mel-Band RoFormer for Music Source Separation" (arXiv 2310.01809),
//! section 3: L1 on samples plus L1 on complex spectra.

use tch::{Device, Kind, Tensor};

/// The loss, with its windows.
#[derive(Debug)]
pub(super) struct StemLoss {
    windows: Vec<Tensor>,
}

impl StemLoss {
    pub(super) fn new(lengths: &[i64]) -> Self {
        let window = |&n: &i64| Tensor::hann_window_periodic(n, true, (Kind::Float, Device::Cpu));
        Self { windows: lengths.iter().map(window).collect() }
    }

    /// Of stems `[batch, samples]`; a number. Spectra are scaled so that each resolution counts as
    /// much as the samples do for noise.
    pub(super) fn of(&self, found: &Tensor, wanted: &Tensor) -> Tensor {
        let difference = found - wanted;
        let mut sum = difference.abs().mean(Kind::Float);
        for window in &self.windows {
            let n = window.size()[0];
            let padded = difference.reflection_pad1d([n / 2, n / 2]);
            let spectra = padded.stft(n, n / 4, n, Some(window), true, true, true, false);
            sum += spectra.view_as_real().abs().mean(Kind::Float);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wrong_costs_nothing_and_gradients_flow() {
        let loss = StemLoss::new(&[256, 64]);
        let x = Tensor::randn([2, 1000], tch::kind::FLOAT_CPU).set_requires_grad(true);
        assert_eq!(loss.of(&x, &x).double_value(&[]), 0.0);
        let value = loss.of(&x, &x.zeros_like());
        assert!(value.double_value(&[]) > 0.5);
        value.backward();
        assert!(x.grad().abs().max().double_value(&[]) > 0.0);
    }
}
