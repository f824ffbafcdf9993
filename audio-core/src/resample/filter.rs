//! Design of the low-pass: a Kaiser-windowed sinc, given as real gains of transform bins.
//!
//! The filter is symmetric about time zero, so that it has no delay and its gains are real.

use realfft::RealFftPlanner;

use super::Quality;
use crate::window::bessel_i0;

/// A low-pass between two sample rates.
#[derive(Debug, Clone, Copy)]
pub(super) struct LowPass {
    /// -6 dB point in Hz.
    cutoff: f64,
    /// First frequency in Hz at which the stop-band's attenuation is reached.
    pub(super) stop: f64,
    /// Half of the filter's length in seconds.
    pub(super) half_length: f64,
    beta: f64,
}

impl LowPass {
    pub(super) fn new(from: u32, to: u32, quality: Quality) -> Self {
        let nyquist = f64::from(from.min(to)) / 2.0;
        let (half_width, attenuation) = match quality {
            Quality::Fast => (0.05, 90.0),
            Quality::High => (0.02, 120.0),
            Quality::Best => (0.01, 150.0),
        };
        let transition = 2.0 * half_width * nyquist;
        // Kaiser's estimate of the length (1974) is order = (A - 7.95) / (14.36 df); it is a little
        // short at the band's edge, hence the margin.
        let attenuation = attenuation + 6.0;
        let length = (attenuation - 7.95) / (14.36 * transition);
        Self {
            cutoff: 0.99 * nyquist,
            stop: (0.99 + half_width) * nyquist,
            half_length: length / 2.0,
            beta: 0.1102 * (attenuation - 8.7),
        }
    }

    /// Impulse response at `t` seconds.
    fn at(&self, t: f64) -> f64 {
        let x = t / self.half_length;
        if x.abs() >= 1.0 {
            return 0.0;
        }
        let phase = std::f64::consts::TAU * self.cutoff * t;
        let sinc = if phase == 0.0 { 1.0 } else { phase.sin() / phase };
        sinc * bessel_i0(self.beta * (1.0 - x * x).sqrt())
    }

    /// Gains at the frequencies `0, 1, ..` times `rate / length`, up to the stop-band, one at DC.
    pub(super) fn gains(&self, rate: f64, length: usize) -> Vec<f64> {
        let mut response = vec![0.0f64; length];
        response[0] = self.at(0.0);
        let reach = ((self.half_length * rate).ceil() as usize).min((length - 1) / 2);
        for n in 1..=reach {
            let value = self.at(n as f64 / rate);
            response[n] = value;
            response[length - n] = value;
        }
        let transform = RealFftPlanner::<f64>::new().plan_fft_forward(length);
        let mut spectrum = transform.make_output_vec();
        transform
            .process(&mut response, &mut spectrum)
            .expect("buffers come from the transform itself");
        let count = ((self.stop * length as f64 / rate).ceil() as usize + 1).min(spectrum.len());
        let unity = spectrum[0].re;
        spectrum[..count].iter().map(|bin| bin.re / unity).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_and_stop_bands_keep_their_promise() {
        for (quality, pass, stop, decibels) in [
            (Quality::Fast, 0.94, 1.04, 90.0),
            (Quality::High, 0.97, 1.01, 120.0),
            (Quality::Best, 0.98, 1.00, 150.0),
        ] {
            let filter = LowPass::new(44_100, 16_000, quality);
            let rate = 44_100.0;
            let taps: Vec<f64> = (0..4096).map(|n| filter.at(f64::from(n) / rate)).collect();
            let gain = |hz: f64| {
                let w = std::f64::consts::TAU * hz / rate;
                taps.iter()
                    .enumerate()
                    .fold(-taps[0], |sum, (n, h)| sum + 2.0 * h * (w * n as f64).cos())
            };
            let dc = gain(0.0);
            for step in 0..200 {
                let low = f64::from(step) / 199.0 * pass * 8000.0;
                let ripple = (gain(low) / dc - 1.0).abs();
                assert!(ripple < 1e-4, "{quality:?} at {low} Hz: {ripple}");
                let high = stop * 8000.0 + f64::from(step) * 50.0;
                let found = 20.0 * (gain(high) / dc).abs().max(1e-12).log10();
                assert!(found < -decibels, "{quality:?} at {high} Hz: {found} dB");
            }
        }
    }
}
