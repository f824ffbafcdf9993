//! How loud audio is: peaks, RMS, loudness, clipping, silence, and whether parts add up to a mix.
//!
//! Levels are decibels below full scale, where the sample value 1.0 is 0 dBFS. Digital silence has
//! no level: it is `None` (JSON `null`), never minus infinity. Changing levels is not done here.

mod loudness;
mod meter;
mod null_test;
mod silence;

pub use loudness::Loudness;
pub use meter::{ChannelLevel, LevelMeter, LevelReport, measure};
pub use null_test::{NullMeter, NullTest, null_test};
pub use silence::{FrameRange, SilenceDetector, SilenceOptions, silent_ranges};

/// Decibels of a linear amplitude; `None` for zero, negative and non-finite values.
#[must_use]
pub fn amplitude_db(amplitude: f64) -> Option<f64> {
    (amplitude > 0.0 && amplitude.is_finite()).then(|| 20.0 * amplitude.log10())
}

/// Decibels of a power ratio; `None` for zero, negative and non-finite values.
#[must_use]
pub fn power_db(power: f64) -> Option<f64> {
    (power > 0.0 && power.is_finite()).then(|| 10.0 * power.log10())
}

/// Linear amplitude of a level in decibels.
#[must_use]
pub fn db_amplitude(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels_of_nothing_are_none() {
        assert_eq!(amplitude_db(0.0), None);
        assert_eq!(amplitude_db(f64::NAN), None);
        assert_eq!(power_db(f64::INFINITY), None);
        assert_eq!(amplitude_db(1.0), Some(0.0));
        assert!((power_db(0.5).expect("positive") + 3.0103).abs() < 1e-4);
        assert!((db_amplitude(-20.0) - 0.1).abs() < 1e-12);
    }
}
