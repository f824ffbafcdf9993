//! Another speaking rate and pitch, as of a tape played faster or slower.

/// Plays `samples` `factor` times as fast, by cubic interpolation: the length becomes
/// `len / factor`, the pitch rises by `factor`. Meant for factors near one.
#[must_use]
pub fn change_speed(samples: &[f32], factor: f32) -> Vec<f32> {
    if samples.is_empty() || !(0.25..=4.0).contains(&factor) {
        return samples.to_vec();
    }
    let length = (samples.len() as f64 / f64::from(factor)).round().max(1.0) as usize;
    let last = samples.len() as isize - 1;
    let at = |i: isize| samples[i.clamp(0, last) as usize];
    (0..length)
        .map(|i| {
            let position = i as f64 * f64::from(factor);
            let base = position.floor() as isize;
            let t = (position - base as f64) as f32;
            let (a, b, c, d) = (at(base - 1), at(base), at(base + 1), at(base + 2));
            // Catmull-Rom spline.
            let slope = 0.5 * (c - a);
            let curve = a - 2.5 * b + 2.0 * c - 0.5 * d;
            let jerk = 0.5 * (d - a) + 1.5 * (b - c);
            ((jerk * t + curve) * t + slope) * t + b
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_sine_is_shorter_and_higher() {
        let sine = |hz: f32, n: usize| -> Vec<f32> {
            (0..n).map(|i| (std::f32::consts::TAU * hz * i as f32 / 16_000.0).sin()).collect()
        };
        let faster = change_speed(&sine(400.0, 16_000), 1.25);
        assert_eq!(faster.len(), 12_800);
        let wanted = sine(500.0, 12_700);
        let worst = faster.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-3, "differs by {worst}");
        assert!(change_speed(&[], 1.1).is_empty());
    }
}
