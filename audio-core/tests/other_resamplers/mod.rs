//! The windowed-sinc kernels of other libraries, for comparison with their numbers.
//!
//! Each output is a direct sum over the kernel.

use formant_audio_core::resample::output_frames;
use formant_audio_core::window::bessel_i0;

/// Window of a [`SincKernel`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum KernelWindow {
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
pub(crate) struct SincKernel {
    /// Zero crossings on each side; torchaudio's `lowpass_filter_width`.
    pub(crate) zeros: u32,
    /// Cut-off relative to the lower of the two Nyquist frequencies.
    pub(crate) rolloff: f64,
    /// Window.
    pub(crate) window: KernelWindow,
}

/// torchaudio's default, `sinc_interp_hann`.
pub(crate) const TORCHAUDIO_HANN: SincKernel =
    SincKernel { zeros: 6, rolloff: 0.99, window: KernelWindow::Hann };

/// torchaudio's `sinc_interp_kaiser` with its other defaults.
pub(crate) const TORCHAUDIO_KAISER: SincKernel = SincKernel {
    zeros: 6,
    rolloff: 0.99,
    window: KernelWindow::Kaiser { beta: 14.769_656_459_379_492 },
};

/// `kaiser_best`, librosa's default before 0.10.
pub(crate) const KAISER_BEST: SincKernel = SincKernel {
    zeros: 64,
    rolloff: 0.947_593_716_739_959_6,
    window: KernelWindow::Kaiser { beta: 14.769_656_459_379_492 },
};

/// `kaiser_fast`, librosa's default once, for quick work.
pub(crate) const KAISER_FAST: SincKernel = SincKernel {
    zeros: 16,
    rolloff: 0.85,
    window: KernelWindow::Kaiser { beta: 8.555_504_641_634_386 },
};

impl SincKernel {
    /// Convert one channel from `from` to `to` Hz.
    pub(crate) fn resample(&self, samples: &[f32], from: u32, to: u32) -> Vec<f32> {
        if from == to {
            return samples.to_vec();
        }
        let divisor = gcd(from, to);
        let (step, phases) = (u64::from(from / divisor), u64::from(to / divisor));
        let base = step.min(phases) as f64 * self.rolloff / step as f64;
        let reach = (f64::from(self.zeros) / base).ceil() as i64;
        let taps = (2 * reach + 1) as usize;
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
        (0..frames).map(sum).collect()
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
