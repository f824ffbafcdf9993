//! The part of an estimate that some short filter can make from its reference.
//!
//! Correlations by FFT, the normal equations (a symmetric Toeplitz system) by Levinson's recursion.

use realfft::RealFftPlanner;

/// Share of the estimate's energy, 0 to 1, that the best filter of `taps` taps explains.
pub(super) fn explained_share(reference: &[f32], estimate: &[f32], taps: usize) -> f64 {
    let length = (reference.len() + taps).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let spectrum = |samples: &[f32]| {
        let mut padded = forward.make_input_vec();
        for (out, &sample) in padded.iter_mut().zip(samples) {
            *out = f64::from(sample);
        }
        let mut out = forward.make_output_vec();
        // All buffers come from the plan, so lengths agree.
        forward.process(&mut padded, &mut out).map(|()| out).unwrap_or_default()
    };
    let (reference, estimate_spectrum) = (spectrum(reference), spectrum(estimate));
    let correlate = |other: &[realfft::num_complex::Complex<f64>]| {
        let mut product: Vec<_> =
            reference.iter().zip(other).map(|(a, b)| a.conj() * b / length as f64).collect();
        // The first and last bins of a real signal are real; rounding must not spoil that.
        if let Some(first) = product.first_mut() {
            first.im = 0.0;
        }
        if let Some(last) = product.last_mut() {
            last.im = 0.0;
        }
        let mut out = inverse.make_output_vec();
        if inverse.process(&mut product, &mut out).is_err() {
            out.fill(0.0);
        }
        out.truncate(taps);
        out
    };
    let auto = correlate(&reference);
    let cross = correlate(&estimate_spectrum);
    let filter = solve_toeplitz(&auto, &cross);
    let explained: f64 = filter.iter().zip(&cross).map(|(f, c)| f * c).sum();
    let energy = super::energy(estimate.iter().map(|&s| f64::from(s)));
    if energy > 0.0 { (explained / energy).clamp(0.0, 1.0) } else { 0.0 }
}

/// Solve `T x = y` where `T[i][j] = t[|i - j|]`. Stops early, with zeros for the remaining
/// unknowns, where the system becomes singular to working precision.
fn solve_toeplitz(t: &[f64], y: &[f64]) -> Vec<f64> {
    let size = y.len();
    let mut x = vec![0.0; size];
    if size == 0 || t[0] <= 0.0 {
        return x;
    }
    let mut forward = vec![0.0; size];
    forward[0] = 1.0;
    let mut error = t[0];
    x[0] = y[0] / t[0];
    for n in 1..size {
        let missing: f64 = (0..n).map(|i| forward[i] * t[n - i]).sum();
        let reflection = -missing / error;
        let old = forward[..=n].to_vec();
        for i in 0..=n {
            forward[i] = old[i] + reflection * old[n - i];
        }
        error *= 1.0 - reflection * reflection;
        if error <= t[0] * 1e-14 {
            break;
        }
        let rest: f64 = y[n] - (0..n).map(|i| x[i] * t[n - i]).sum::<f64>();
        for i in 0..=n {
            x[i] += rest / error * forward[n - i];
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toeplitz_systems_are_solved() {
        let (t, want) = ([4.0, 1.0, 0.5, -0.25], [1.0, -2.0, 3.0, 0.5]);
        let y: Vec<f64> = (0..4)
            .map(|i: usize| (0..4).map(|j: usize| t[i.abs_diff(j)] * want[j]).sum())
            .collect();
        for (got, want) in solve_toeplitz(&t, &y).iter().zip(want) {
            assert!((got - want).abs() < 1e-12);
        }
        assert_eq!(solve_toeplitz(&[0.0, 0.0], &[1.0, 1.0]), [0.0, 0.0]);
    }

    #[test]
    fn a_filtered_copy_is_explained_completely() {
        let reference: Vec<f32> =
            super::super::signals::noise(9, 4000).iter().map(|&v| v as f32).collect();
        // The filter's tail must fit, or the cut end is something that no filter explains.
        let mut reference = reference;
        reference[3990..].fill(0.0);
        let late = |n: usize| if n < 3 { 0.0 } else { reference[n - 3] };
        let estimate: Vec<f32> = (0..4000).map(|n| 0.5 * reference[n] - 0.25 * late(n)).collect();
        assert!(explained_share(&reference, &estimate, 8) > 1.0 - 1e-6);
        assert!(explained_share(&reference, &estimate, 2) < 0.9);
        assert_eq!(explained_share(&reference, &[0.0; 4000], 8), 0.0);
    }
}
