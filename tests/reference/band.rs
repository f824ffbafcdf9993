//! Band substitution as the reference does it: band by a share of the energy, Butterworth filters
//! forward and backward, a fade at the start.
//!
//! Source: `bandwidth_sub` of ClearerVoice; `butter` and `filtfilt` of SciPy.

use formant::audio::chunk::Edges;
use formant::audio::stft::{StftConfig, StftPlan};
use ndarray::Axis;

/// The rate that the reference assumes, Hz.
const RATE: f64 = 48_000.0;
/// Window of the detection; the hop is half of it.
const WINDOW: usize = 256;
/// Samples over which the substituted signal fades in.
const FADE: usize = 4_800;
/// Samples by which filters see the signal extended.
const EXTENSION: usize = 15;

/// Hz below which `threshold` of the energy of `samples` lies; `None` for silence.
pub(crate) fn energy_band(samples: &[f32], threshold: f64) -> Option<f64> {
    let hop = WINDOW / 2;
    let plan = StftPlan::new(&StftConfig {
        n_fft: WINDOW,
        win_length: WINDOW,
        hop_length: hop,
        edges: Edges::Valid,
        ..StftConfig::default()
    })
    .expect("sound sizes");
    let mut padded = vec![0.0; hop];
    padded.extend_from_slice(samples);
    padded.resize((padded.len() + hop).next_multiple_of(hop).max(WINDOW), 0.0);
    let powers: Vec<f64> = plan
        .forward(&padded)
        .axis_iter(Axis(1))
        .map(|bin| bin.iter().map(|x| f64::from(x.re).powi(2) + f64::from(x.im).powi(2)).sum())
        .collect();
    let total: f64 = powers.iter().sum();
    let mut sum = 0.0;
    let first = powers.iter().position(|power| {
        sum += power;
        sum >= threshold * total
    });
    first.filter(|_| total > 0.0).map(|bin| bin as f64 * RATE / WINDOW as f64)
}

/// A Butterworth filter of order 4 as coefficients.
#[derive(Debug, Clone, Copy)]
struct Butterworth {
    b: [f64; 5],
    a: [f64; 5],
}

/// Which side of the edge passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// What is below.
    Low,
    /// What is above.
    High,
}

impl Butterworth {
    /// With its edge at `hz`, above 0 and below half the rate.
    fn new(pass: Pass, hz: f64) -> Self {
        let warped = 4.0 * (std::f64::consts::FRAC_PI_2 * hz / (RATE / 2.0)).tan();
        // Poles come in conjugate pairs, and so do their images: z^2 + c z + d each.
        let (mut a, mut gain) = (vec![1.0], 1.0);
        for m in [1.0, 3.0] {
            let angle = std::f64::consts::PI * m / 8.0;
            let (re, im) = match pass {
                Pass::Low => (-angle.cos() * warped, angle.sin() * warped),
                Pass::High => (-angle.cos() * warped, -angle.sin() * warped),
            };
            let distance = (4.0 - re).powi(2) + im.powi(2);
            let image = (16.0 - re.powi(2) - im.powi(2)) / distance;
            let radius = ((4.0 + re).powi(2) + im.powi(2)) / distance;
            a = times(&a, &[1.0, -2.0 * image, radius]);
            gain *= match pass {
                Pass::Low => warped.powi(2),
                Pass::High => 16.0,
            } / distance;
        }
        let zeros = match pass {
            Pass::Low => [1.0, 4.0, 6.0, 4.0, 1.0],
            Pass::High => [1.0, -4.0, 6.0, -4.0, 1.0],
        };
        let a = std::array::from_fn(|i| a[i]);
        Self { b: zeros.map(|zero| gain * zero), a }
    }

    /// Runs over `x` in place, from the steady state of its first sample.
    fn run(&self, x: &mut [f64]) {
        let level = self.b.iter().sum::<f64>() / self.a.iter().sum::<f64>();
        let mut state = [0.0; 5];
        for i in (1..5).rev() {
            let next = if i < 4 { state[i] } else { 0.0 };
            state[i - 1] = self.b[i] - self.a[i] * level + next;
        }
        let first = x.first().copied().unwrap_or(0.0);
        state.iter_mut().for_each(|z| *z *= first);
        for x in x {
            let y = self.b[0] * *x + state[0];
            for i in 1..5 {
                let next = if i < 4 { state[i] } else { 0.0 };
                state[i - 1] = self.b[i] * *x - self.a[i] * y + next;
            }
            *x = y;
        }
    }
}

/// The product of two polynomials.
fn times(p: &[f64], q: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; p.len() + q.len() - 1];
    for (i, p) in p.iter().enumerate() {
        for (j, q) in q.iter().enumerate() {
            product[i + j] += p * q;
        }
    }
    product
}

/// `samples` through the filter forward and backward, the ends extended by their point reflection.
pub(crate) fn zero_phase(pass: Pass, hz: f64, samples: &[f32]) -> Vec<f64> {
    let (Some(&first), Some(&last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let (first, last) = (f64::from(first), f64::from(last));
    let reach = EXTENSION.min(samples.len() - 1);
    let at = |index: usize| f64::from(samples[index]);
    let mut x: Vec<f64> = (1..=reach).rev().map(|n| 2.0 * first - at(n)).collect();
    x.extend(samples.iter().map(|&x| f64::from(x)));
    x.extend((1..=reach).map(|n| 2.0 * last - at(samples.len() - 1 - n)));
    let filter = Butterworth::new(pass, hz);
    for _ in 0..2 {
        filter.run(&mut x);
        x.reverse();
    }
    x.drain(..reach);
    x.truncate(samples.len());
    x
}

/// The low band of `recording` with the high band of `generated`, as long as the shorter of them.
/// A recording without energy, with a full band, or shorter than 0.1 s stays as it is.
pub(crate) fn substitute_band(recording: &[f32], generated: &[f32], threshold: f64) -> Vec<f32> {
    let count = recording.len().min(generated.len());
    let band = energy_band(recording, threshold).filter(|hz| *hz > 0.0 && *hz < RATE / 2.0);
    let Some(hz) = band.filter(|_| count >= FADE) else { return recording[..count].to_vec() };
    let low = zero_phase(Pass::Low, hz, recording);
    let high = zero_phase(Pass::High, hz, generated);
    let both = low.iter().zip(&high).zip(recording).enumerate();
    let faded = both.map(|(n, ((low, high), dry))| {
        let share = (n as f64 / (FADE - 1) as f64).min(1.0);
        ((1.0 - share) * f64::from(*dry) + share * (low + high)) as f32
    });
    faded.collect()
}

#[test]
fn filters_pass_one_side() {
    let gain = |filter: Butterworth, z: f64| {
        let at = |c: [f64; 5]| c.iter().rev().fold(0.0, |sum, c| sum * z + c);
        at(filter.b) / at(filter.a)
    };
    for hz in [187.5, 6_000.0, 20_000.0] {
        let (low, high) = (Butterworth::new(Pass::Low, hz), Butterworth::new(Pass::High, hz));
        for (filter, dc, nyquist) in [(low, 1.0, 0.0), (high, 0.0, 1.0)] {
            assert!((gain(filter, 1.0) - dc).abs() < 1e-6, "{hz} Hz, {filter:?}");
            assert!((gain(filter, -1.0) - nyquist).abs() < 1e-6, "{hz} Hz, {filter:?}");
        }
    }
}

#[test]
fn what_has_no_band_to_substitute_stays() {
    let silence = [0.0; 5_000];
    let short = [0.5; 100];
    assert_eq!(energy_band(&silence, 0.99), None);
    for x in [&silence[..], &short[..], &[]] {
        assert_eq!(substitute_band(x, &[0.25; 6_000], 0.99), x);
    }
}
