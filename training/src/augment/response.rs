//! A frequency response on a whole clip.

use realfft::RealFftPlanner;

/// Multiplies what `samples` have at every frequency by `gain`, which is given it in Hz.
pub(super) fn apply(samples: &mut [f32], rate: u32, gain: impl Fn(f32) -> f32) {
    if samples.is_empty() {
        return;
    }
    let length = samples.len().next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let mut time = forward.make_input_vec();
    time[..samples.len()].copy_from_slice(samples);
    let mut spectrum = forward.make_output_vec();
    forward.process(&mut time, &mut spectrum).expect("buffers were made by the plan");
    let hz_per_bin = rate as f32 / length as f32;
    for (k, bin) in spectrum.iter_mut().enumerate() {
        *bin *= gain(k as f32 * hz_per_bin) / length as f32;
    }
    inverse.process(&mut spectrum, &mut time).expect("buffers were made by the plan");
    samples.copy_from_slice(&time[..samples.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_of_one_changes_nothing_and_others_scale() {
        let clip: Vec<f32> = (0..1_000).map(|i| ((i * i) as f32 * 0.01).sin()).collect();
        for gain in [1.0, 0.25] {
            let mut changed = clip.clone();
            apply(&mut changed, 16_000, |_| gain);
            assert!(changed.iter().zip(&clip).all(|(a, b)| (a - gain * b).abs() < 1e-5));
        }
        apply(&mut [], 16_000, |_| 1.0);
    }
}
