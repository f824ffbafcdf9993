//! The windowed-sinc kernels of other libraries, for comparison with their numbers.
//!
//! Each output is a direct sum over the kernel; use [`super::resample`] for everything else, it is
//! sharper and faster.

use super::output_frames;
use crate::error::{Error, Result};
use crate::window::bessel_i0;

/// Window of a [`SincKernel`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KernelWindow {
    /// Squared cosine.
    Hann,
    /// Kaiser's window.
    Kaiser {
        /// Shape parameter.
        beta: f64,
    },
}

/// A sinc with `zeros` zero crossings on each side, cut off at `rolloff` times the lower Nyquist
/// frequency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SincKernel {
    /// Zero crossings on each side; torchaudio's `lowpass_filter_width`.
    pub zeros: u32,
    /// Cut-off relative to the lower of the two Nyquist frequencies.
    pub rolloff: f64,
    /// Window.
    pub window: KernelWindow,
}

/// torchaudio's default, `sinc_interp_hann`.
pub const TORCHAUDIO_HANN: SincKernel =
    SincKernel { zeros: 6, rolloff: 0.99, window: KernelWindow::Hann };

/// torchaudio's `sinc_interp_kaiser` with its other defaults.
pub const TORCHAUDIO_KAISER: SincKernel = SincKernel {
    zeros: 6,
    rolloff: 0.99,
    window: KernelWindow::Kaiser { beta: 14.769_656_459_379_492 },
};

/// `kaiser_best`, librosa's default before 0.10.
pub const KAISER_BEST: SincKernel = SincKernel {
    zeros: 64,
    rolloff: 0.947_593_716_739_959_6,
    window: KernelWindow::Kaiser { beta: 14.769_656_459_379_492 },
};

/// `kaiser_fast`, librosa's default once, for quick work.
pub const KAISER_FAST: SincKernel = SincKernel {
    zeros: 16,
    rolloff: 0.85,
    window: KernelWindow::Kaiser { beta: 8.555_504_641_634_386 },
};

impl SincKernel {
    /// Convert one channel from `from` to `to` Hz.
    ///
    /// # Errors
    /// [`Error::Config`] when a rate or the number of zeros is zero, the roll-off not above zero,
    /// or the ratio needs a table of more than 2^26 weights.
    pub fn resample(&self, samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
        if from == 0 || to == 0 {
            return Err(Error::config("sample rate", "must not be zero"));
        }
        if self.zeros == 0 || !(self.rolloff > 0.0 && self.rolloff.is_finite()) {
            return Err(Error::config("kernel", "needs zeros and a roll-off above zero"));
        }
        if from == to {
            return Ok(samples.to_vec());
        }
        let divisor = gcd(from, to);
        let (step, phases) = (u64::from(from / divisor), u64::from(to / divisor));
        let base = step.min(phases) as f64 * self.rolloff / step as f64;
        let reach = (f64::from(self.zeros) / base).ceil() as i64;
        let taps = (2 * reach + 1) as usize;
        if phases as usize > (1 << 26) / taps {
            return Err(Error::config(
                "sample rate",
                format!("{from} Hz to {to} Hz needs {phases} kernels of {taps} weights"),
            ));
        }
        // One row of weights a phase, centred on the input sample at or before the output.
        let table: Vec<f32> = (0..phases)
            .flat_map(|phase| {
                let fraction = (phase * step % phases) as f64 / phases as f64;
                (-reach..=reach).map(move |n| (base * self.at(base * (n as f64 - fraction))) as f32)
            })
            .collect();
        let frames = output_frames(samples.len() as u64, from, to);
        let sum = |out: u64| {
            let center = (out as u128 * u128::from(step) / u128::from(phases)) as i64;
            let row = &table[(out % phases) as usize * taps..][..taps];
            let first = (center - reach).max(0);
            let skipped = (first - (center - reach)) as usize;
            let inside = samples.get(first as usize..).unwrap_or(&[]);
            let products = row[skipped.min(taps)..].iter().zip(inside).map(|(w, x)| w * x);
            products.sum::<f32>()
        };
        Ok((0..frames).map(sum).collect())
    }

    /// Kernel at `t` zero crossings from its centre.
    fn at(&self, t: f64) -> f64 {
        let width = f64::from(self.zeros);
        let t = t.clamp(-width, width);
        let window = match self.window {
            KernelWindow::Hann => (t * std::f64::consts::PI / width / 2.0).cos().powi(2),
            KernelWindow::Kaiser { beta } => {
                bessel_i0(beta * (1.0 - (t / width).powi(2)).max(0.0).sqrt()) / bessel_i0(beta)
            }
        };
        let phase = t * std::f64::consts::PI;
        let sinc = if phase == 0.0 { 1.0 } else { phase.sin() / phase };
        sinc * window
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
