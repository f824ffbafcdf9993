//! Band limits, as of telephones and low sample rates.

use realfft::RealFftPlanner;

/// Removes everything above `cutoff` Hz, as if the clip had been recorded at twice that rate.
pub fn low_pass(samples: &mut [f32], rate: u32, cutoff: f32) {
    if samples.is_empty() || cutoff * 2.0 >= rate as f32 {
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
        // A roll-off of 200 Hz keeps the ringing short.
        let gain = ((cutoff - k as f32 * hz_per_bin) / 200.0 + 0.5).clamp(0.0, 1.0);
        *bin *= gain / length as f32;
    }
    inverse.process(&mut spectrum, &mut time).expect("buffers were made by the plan");
    samples.copy_from_slice(&time[..samples.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_pass_band_and_empties_the_stop_band() {
        let sine = |hz: f32| -> Vec<f32> {
            (0..16_000).map(|i| (std::f32::consts::TAU * hz * i as f32 / 16_000.0).sin()).collect()
        };
        let level = |x: &[f32]| super::super::power(&x[2_000..14_000]);
        let (mut low, mut high) = (sine(1_000.0), sine(5_000.0));
        low_pass(&mut low, 16_000, 4_000.0);
        low_pass(&mut high, 16_000, 4_000.0);
        assert!((level(&low) - 0.5).abs() < 1e-3);
        assert!(level(&high) < 1e-6, "stop band at {}", level(&high));
    }
}
