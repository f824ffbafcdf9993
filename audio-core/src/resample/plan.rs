//! Block geometry and filter gains of one rate change, shared by all streams that use them.
//!
//! One block takes `fft_in` input samples to `fft_out` output samples; the outer `margin` on both
//! sides is wrapped around by the transform and thrown away.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::Quality;
use super::filter::LowPass;
use crate::error::{Error, Result};

/// Longest transform that is accepted; ratios of nearly equal, co-prime rates need long ones.
const MAX_TRANSFORM: usize = 1 << 22;

/// A rate change, planned once and usable by any number of streams at the same time.
pub struct ResamplePlan {
    from: u32,
    to: u32,
    fft_in: usize,
    fft_out: usize,
    margin_in: usize,
    margin_out: usize,
    gains: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl std::fmt::Debug for ResamplePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResamplePlan")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("fft_in", &self.fft_in)
            .field("fft_out", &self.fft_out)
            .field("margin_in", &self.margin_in)
            .finish_non_exhaustive()
    }
}

/// Buffers of one block in work.
pub(super) struct Scratch {
    pub(super) input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    shaped: Vec<Complex<f32>>,
    output: Vec<f32>,
    work: Vec<Complex<f32>>,
}

impl ResamplePlan {
    /// Plan for throughput: long blocks.
    ///
    /// # Errors
    /// [`Error::Config`] when a rate is zero or the ratio needs too long a transform.
    pub fn new(from: u32, to: u32, quality: Quality) -> Result<Self> {
        let block = match quality {
            Quality::Fast => 8192,
            Quality::High => 16_384,
            Quality::Best => 24_576,
        };
        Self::with_block(from, to, quality, block)
    }

    /// Plan for live audio: the shortest blocks whose work stays reasonable. The numbers differ
    /// from those of [`ResamplePlan::new`] by rounding only.
    ///
    /// # Errors
    /// As for [`ResamplePlan::new`].
    pub fn low_latency(from: u32, to: u32, quality: Quality) -> Result<Self> {
        Self::with_block(from, to, quality, 0)
    }

    fn with_block(from: u32, to: u32, quality: Quality, block: usize) -> Result<Self> {
        if from == 0 || to == 0 {
            return Err(Error::config("sample rate", "must not be zero"));
        }
        let divisor = gcd(from, to);
        let (unit_in, unit_out) = ((from / divisor) as usize, (to / divisor) as usize);
        let filter = LowPass::new(from, to, quality);
        let reach = (filter.half_length * f64::from(from)).ceil() as usize + 1;
        let margin = reach.div_ceil(unit_in);
        let units = best_block(unit_in, unit_out, margin, block).ok_or_else(|| {
            Error::config(
                "sample rate",
                format!("{from} Hz to {to} Hz needs too long a transform; go through a third rate"),
            )
        })?;
        let (fft_in, fft_out) = (units * unit_in, units * unit_out);
        // Up to the lower of both rates: beyond it, where the filter stops, nothing is left.
        let gains = filter
            .gains(2.0 * f64::from(from.min(to)), 2 * fft_in.min(fft_out))
            .into_iter()
            .map(|gain| (gain / fft_in as f64) as f32)
            .collect();
        let mut planner = RealFftPlanner::<f32>::new();
        Ok(Self {
            from,
            to,
            fft_in,
            fft_out,
            margin_in: margin * unit_in,
            margin_out: margin * unit_out,
            gains,
            forward: planner.plan_fft_forward(fft_in),
            inverse: planner.plan_fft_inverse(fft_out),
        })
    }

    /// Input frames that a stream may hold back before it returns what they become.
    #[must_use]
    pub fn max_delay(&self) -> usize {
        self.fft_in - self.margin_in
    }

    /// Input samples of a block, margins included.
    pub(super) fn block(&self) -> usize {
        self.fft_in
    }

    /// Input samples before and after a block's own samples.
    pub(super) fn margin(&self) -> usize {
        self.margin_in
    }

    /// Input samples from one block to the next.
    pub(super) fn hop(&self) -> usize {
        self.fft_in - 2 * self.margin_in
    }

    pub(super) fn scratch(&self) -> Scratch {
        Scratch {
            input: vec![0.0; self.fft_in],
            spectrum: self.forward.make_output_vec(),
            shaped: self.inverse.make_input_vec(),
            output: vec![0.0; self.fft_out],
            work: vec![
                Complex::default();
                self.forward.get_scratch_len().max(self.inverse.get_scratch_len())
            ],
        }
    }

    /// Convert the block in `scratch.input`; returns the output samples of its own stretch.
    pub(super) fn convert<'a>(&self, scratch: &'a mut Scratch) -> &'a [f32] {
        let Scratch { input, spectrum, shaped, output, work } = scratch;
        self.forward
            .process_with_scratch(input, spectrum, work)
            .expect("buffers come from `scratch`, which made them for these transforms");
        self.shape(spectrum, shaped);
        self.inverse
            .process_with_scratch(shaped, output, work)
            .expect("buffers come from `scratch`, and both real bins have no imaginary part");
        &output[self.margin_out..self.fft_out - self.margin_out]
    }

    /// Low-pass and move the bins from the input's grid to the output's. Bins beyond the input's
    /// Nyquist frequency are images, bins beyond the output's fold back: both happen only inside
    /// the transition band.
    fn shape(&self, spectrum: &[Complex<f32>], shaped: &mut [Complex<f32>]) {
        let plain = self.gains.len().min(self.fft_in / 2 + 1).min(self.fft_out.div_ceil(2));
        for ((out, bin), &gain) in shaped.iter_mut().zip(spectrum).zip(&self.gains[..plain]) {
            *out = bin * gain;
        }
        shaped[plain..].fill(Complex::default());
        for (k, &gain) in self.gains.iter().enumerate().skip(plain) {
            let bin =
                if k < spectrum.len() { spectrum[k] } else { spectrum[self.fft_in - k].conj() };
            let (folded, bin) =
                if 2 * k <= self.fft_out { (k, bin) } else { (self.fft_out - k, bin.conj()) };
            shaped[folded] += bin * gain;
            if 2 * k == self.fft_out {
                shaped[folded] += bin.conj() * gain;
            }
        }
        shaped[0].im = 0.0;
        if self.fft_out.is_multiple_of(2) {
            shaped[self.fft_out / 2].im = 0.0;
        }
    }
}

/// Number of ratio units in a block: the cheapest per output sample among the transform lengths
/// from `block` samples (or the shortest that makes sense) to twice that.
fn best_block(unit_in: usize, unit_out: usize, margin: usize, block: usize) -> Option<usize> {
    let least = (3 * margin).max(block.div_ceil(unit_in.max(unit_out))).max(2);
    let limit = MAX_TRANSFORM / unit_in.max(unit_out);
    let cost = |units: usize| {
        let work = transform_cost(units * unit_in) + transform_cost(units * unit_out);
        work / (units - 2 * margin) as f64
    };
    (least..=(2 * least).min(limit)).min_by(|&a, &b| cost(a).total_cmp(&cost(b)))
}

/// Rough work of a real transform of length `n`, in arbitrary units.
fn transform_cost(n: usize) -> f64 {
    let (mut rest, mut per_sample) = (n, 0.0);
    for (prime, weight) in [(2, 1.0), (3, 1.7), (5, 2.8), (7, 4.0), (11, 6.5)] {
        while rest.is_multiple_of(prime) {
            rest /= prime;
            per_sample += weight;
        }
    }
    if rest > 1 {
        per_sample += 12.0 * (rest as f64).log2();
    }
    // An odd length can't use the half-size complex transform.
    let parity = if n.is_multiple_of(2) { 1.0 } else { 2.0 };
    n as f64 * per_sample * parity
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
