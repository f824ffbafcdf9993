//! The seam between the band of a recording and the band that a network adds: filters of linear
//! phase without delay, so that what is below the edge stays as it is.

use formant_audio_core::window::bessel_i0;
use tch::{Kind, Tensor};

/// What is on the wrong side is turned down by at least this, dB.
const ATTENUATION: f64 = 100.0;

/// A low-pass filter whose fall lies between two frequencies; what it stops is its other half.
#[derive(Debug)]
pub(in crate::tasks) struct Crossover {
    taps: Tensor, // [2 * half + 1]
    half: i64,
}

impl Crossover {
    /// Passes frequencies up to `pass` Hz, and stops those from `stop` Hz on, of a signal at `rate`.
    ///
    /// A sinc under a Kaiser window, with Kaiser's estimate of its length.
    pub(in crate::tasks) fn new(pass: f64, stop: f64, rate: f64) -> Self {
        let (middle, width) = ((pass + stop) / 2.0 / rate, (stop - pass) / rate);
        let attenuation = ATTENUATION + 6.0;
        let half = ((attenuation - 7.95) / (14.36 * width) / 2.0).ceil() as i64;
        let beta = 0.1102 * (attenuation - 8.7);
        let tap = |n: i64| {
            let x = n as f64 / (half + 1) as f64;
            let phase = std::f64::consts::TAU * middle * n as f64;
            let sinc = if n == 0 { 1.0 } else { phase.sin() / phase };
            2.0 * middle * sinc * bessel_i0(beta * (1.0 - x * x).sqrt()) / bessel_i0(beta)
        };
        let taps: Vec<f64> = (-half..=half).map(tap).collect();
        let sum: f64 = taps.iter().sum();
        let taps: Vec<f64> = taps.iter().map(|tap| tap / sum).collect();
        Self { taps: Tensor::from_slice(&taps), half }
    }

    /// The low band of `x [samples]`, as long as it, as if there were silence around it.
    pub(in crate::tasks) fn low(&self, x: &Tensor) -> Tensor {
        let samples = x.size()[0];
        let points = (samples + 2 * self.half + 1).max(2) as usize;
        let points = points.next_power_of_two() as i64;
        let spectrum = |x: &Tensor| x.to_kind(Kind::Double).fft_rfft(points, -1, "backward");
        let y = (spectrum(x) * spectrum(&self.taps)).fft_irfft(points, -1, "backward");
        y.narrow(0, self.half, samples).to_kind(Kind::Float)
    }

    /// What [`Crossover::low`] leaves of `x`.
    pub(in crate::tasks) fn high(&self, x: &Tensor) -> Tensor {
        x - self.low(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64) -> Tensor {
        let samples: Vec<f32> = (0..24_000)
            .map(|n| (std::f64::consts::TAU * hz * n as f64 / 48e3).sin() as f32)
            .collect();
        Tensor::from_slice(&samples)
    }

    #[test]
    fn tones_keep_their_place_or_are_gone() {
        let filter = Crossover::new(4_000.0, 4_300.0, 48_000.0);
        let largest = |x: Tensor| x.narrow(0, 2_000, 20_000).abs().max().double_value(&[]);
        for hz in [50.0, 1_000.0, 3_990.0] {
            let x = tone(hz);
            assert_eq!(filter.low(&x).size(), x.size());
            assert!(largest(filter.high(&x)) < 1e-4, "{hz}: {}", largest(filter.high(&x)));
        }
        for hz in [4_310.0, 9_000.0, 20_000.0] {
            assert!(largest(filter.low(&tone(hz))) < 1e-4, "{hz}");
        }
        assert_eq!(filter.low(&Tensor::ones([1], tch::kind::FLOAT_CPU)).size(), [1]);
    }
}
