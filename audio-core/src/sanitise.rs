//! The one rule for samples that are none.

/// The largest magnitude that is taken for a sample rather than for rubbish (+60 dB).
pub const SANE_PEAK: f32 = 1000.0;

/// Replaces NaN and infinity by zero and limits absurd values; the number of samples changed.
pub fn sanitise(samples: &mut [f32]) -> u64 {
    if is_sane(samples) {
        return 0;
    }
    let mut count = 0;
    for sample in samples {
        if !sample.is_finite() {
            *sample = 0.0;
            count += 1;
        } else if sample.abs() > SANE_PEAK {
            *sample = sample.clamp(-SANE_PEAK, SANE_PEAK);
            count += 1;
        }
    }
    count
}

/// Whether [`sanitise`] would change nothing.
#[must_use]
pub fn is_sane(samples: &[f32]) -> bool {
    // Without a way out in the middle, so that it becomes vector code.
    samples.iter().fold(true, |sane, sample| sane & (sample.abs() <= SANE_PEAK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_samples_are_replaced_and_counted() {
        let mut samples = [0.5, f32::NAN, f32::INFINITY, -1e30, -2.0, f32::NEG_INFINITY];
        assert!(!is_sane(&samples));
        assert_eq!(sanitise(&mut samples), 4);
        assert_eq!(samples, [0.5, 0.0, 0.0, -SANE_PEAK, -2.0, 0.0]);
        assert!(is_sane(&samples));
    }
}
